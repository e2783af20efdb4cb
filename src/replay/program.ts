/** Programs: recorded kernel calls with addresses relative to regions of memory. */

import { empty, keep, type Tensor } from "../tensor/tensor.ts";
import { isAddress } from "../wasm/calls.ts";
import { call, runAt, view } from "../wasm/host.ts";
import { replay } from "../wasm/kernels.gen.ts";
import type { RecordedCall } from "../wasm/recorder.ts";
import type { Places, Regions } from "./regions.ts";

/** A place in a region. */
export interface Address {
  readonly region: number;
  readonly offset: number;
}

/** A call, and the places of its addresses. */
interface PlacedCall extends RecordedCall {
  readonly pointers: readonly { readonly slot: number; readonly address: Address }[];
}

/**
 * A list of calls with addresses relative to regions. It holds no linear memory of its own: `load` puts it there while it
 * runs, `bind` puts it there to stay.
 */
export class Program {
  readonly regions: Regions;
  readonly #calls: readonly PlacedCall[];
  /** The calls as the replay kernel reads them, in 8-byte slots; bases and strides of the regions follow. */
  readonly #words: Float64Array<ArrayBuffer>;
  /** Bytes that each region had when the calls were recorded; 0 for regions that they do not use. */
  readonly #extents: Float64Array<ArrayBuffer>;
  readonly #named = new Set<number>();

  /** @param extents bytes of each region */
  constructor(regions: Regions, calls: readonly RecordedCall[], locate: (ptr: number) => Address | null, extents: ArrayLike<number>) {
    this.regions = regions;
    this.#calls = calls.map((c) => ({ ...c, pointers: pointersOf(c, locate) }));
    this.#words = Float64Array.from(this.#calls.flatMap(encode));
    this.#extents = new Float64Array(regions.count);
    for (const { pointers } of this.#calls) for (const { address } of pointers) this.#named.add(address.region);
    for (const region of this.#named) this.#extents[region] = extents[region] as number;
  }

  /** Whether any call reads or writes a region. */
  names(region: number): boolean {
    return this.#named.has(region);
  }

  /** Loads the program into linear memory, at its first step. @throws StateError if a place is too small */
  load(places: Places): LoadedProgram {
    places.check(this.#extents);
    return new LoadedProgram(this.#words, this.#calls.length, places);
  }

  /** Runs the program once. */
  runOnce(places: Places): void {
    if (this.#calls.length === 0) return;
    const loaded = this.load(places);
    loaded.run(1);
    loaded.dispose();
  }

  /**
   * Binds the regions to fixed places and returns a function that runs the program once, in one call into WebAssembly. It
   * writes and allocates nothing in JavaScript.
   * @throws StateError if a place is too small
   */
  bind(places: Places): () => void {
    places.check(this.#extents);
    const words = this.#calls.flatMap(({ id, args, pointers }) => {
      const placed = [...args];
      for (const { slot, address } of pointers) placed[slot] = places.at(address.region, 0) + address.offset;
      return [id, args.length, 0, ...placed];
    });
    const program = keep(resident(words));
    const args = keep(resident([1, this.#calls.length, program.ptr, 0, 0, 0]));
    const argsPtr = args.ptr;
    // The closure keeps this alive, for as long as the function that runs it.
    const held = [program, args];
    return () => {
      if (held.length > 0) runAt(replay, argsPtr);
    };
  }
}

/** A program in linear memory. Each run continues where the last one ended. */
export class LoadedProgram {
  readonly #memory: Tensor;
  readonly #calls: number;
  readonly #regions: number;
  readonly #bases: number;

  constructor(words: Float64Array, calls: number, { bases, strides }: Places) {
    this.#memory = empty([words.length + 2 * bases.length], "float64");
    this.#calls = calls;
    this.#regions = bases.length;
    this.#bases = this.#memory.ptr + 8 * words.length;
    const memory = view("float64", this.#memory.ptr, this.#memory.size);
    memory.set(words);
    memory.set(bases, words.length);
    memory.set(strides, words.length + bases.length);
  }

  run(steps: number): void {
    call(replay, "int32", steps, this.#calls, this.#memory.ptr, this.#regions, this.#bases, this.#bases + 8 * this.#regions);
  }

  /** Moves a region for the coming steps. */
  move(region: number, base: number): void {
    view("float64", this.#bases, this.#regions)[region] = base;
  }

  dispose(): void {
    this.#memory.dispose();
  }
}

/** Numbers in linear memory. */
function resident(words: readonly number[]): Tensor {
  const memory = empty([words.length], "float64");
  view("float64", memory.ptr, words.length).set(words);
  return memory;
}

function pointersOf({ id, args }: RecordedCall, locate: (ptr: number) => Address | null): PlacedCall["pointers"] {
  return args.flatMap((value, slot) => {
    const address = isAddress(id, slot) ? locate(value) : null;
    return address === null ? [] : [{ slot, address }];
  });
}

/** One record of the replay kernel: id, slots, and the place of each address. */
function encode({ id, args, pointers }: PlacedCall): number[] {
  return [id, args.length, pointers.length, ...args, ...pointers.flatMap(({ slot, address }) => [slot, address.region, address.offset])];
}
