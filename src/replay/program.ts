/** Programs: recorded kernel calls whose addresses are relative to regions of memory, and the planning of their memory. */

import { empty, keep, type Tensor } from "../tensor/tensor.ts";
import { call, host, view } from "../wasm/host.ts";
import { KERNEL_POINTERS, replay } from "../wasm/kernels.gen.ts";
import type { Block, RecordedCall } from "../wasm/recorder.ts";

/** A place in a region. */
export interface Address {
  readonly region: number;
  readonly offset: number;
}

/** First and last call that use a block. */
export interface Use {
  first: number;
  last: number;
}

/** A region's address at the first step, and how far it moves with each step, in bytes. */
export type Place = readonly [base: number, stride: number];

/** A call and where its addresses lie. */
interface PlacedCall extends RecordedCall {
  readonly pointers: readonly { readonly slot: number; readonly address: Address }[];
}

/** A list of calls whose addresses are relative to regions. */
export class Program {
  readonly regions: readonly string[];
  readonly #calls: readonly PlacedCall[];
  /** Records, then bases, then strides: 8-byte slots in linear memory. */
  readonly #memory: Tensor;
  readonly #basesAt: number;

  constructor(regions: readonly string[], calls: readonly RecordedCall[], locate: (ptr: number) => Address | null) {
    this.regions = regions;
    this.#calls = calls.map((c) => ({ ...c, pointers: pointersOf(c, locate) }));
    const words = this.#calls.flatMap(encode);
    this.#basesAt = words.length;
    this.#memory = resident([...words, ...new Array<number>(2 * regions.length).fill(0)]);
  }

  /** Runs the program `steps` times; `places` gives each region's place. */
  run(steps: number, places: Readonly<Record<string, Place>>): void {
    const { ptr } = this.#memory;
    const n = this.regions.length;
    const bases = ptr + 8 * this.#basesAt;
    const slots = view("float64", bases, 2 * n);
    this.regions.forEach((name, i) => {
      const [base, stride] = places[name] as Place;
      slots[i] = base;
      slots[n + i] = stride;
    });
    call(replay, "int32", steps, this.#calls.length, ptr, n, bases, bases + 8 * n);
  }

  /**
   * The program with its regions at fixed places: a function that runs it once, in one call into WebAssembly, and
   * neither writes nor allocates anything in JavaScript.
   */
  bind(places: Readonly<Record<string, Place>>): () => void {
    const calls = this.#calls.map(({ id, args, pointers }) => {
      const placed = [...args];
      for (const { slot, address } of pointers) {
        placed[slot] = (places[this.regions[address.region] as string] as Place)[0] + address.offset;
      }
      return { id, args: placed };
    });
    const program = resident(calls.flatMap(({ id, args }) => [id, args.length, 0, ...args]));
    const args = resident([1, calls.length, program.ptr, 0, 0, 0]);
    const [run, argsPtr] = [host().run, args.ptr];
    // Kept by the closure: what is bound lives as long as the function that runs it.
    const held = [program, args];
    return () => {
      if (held.length > 0) run(replay, argsPtr);
    };
  }
}

/** Numbers in linear memory that stay where they are. */
function resident(words: readonly number[]): Tensor {
  const memory = keep(empty([words.length], "float64"));
  view("float64", memory.ptr, words.length).set(words);
  return memory;
}

/** Whether an argument of a kernel is an address. */
export function isAddress(id: number, slot: number): boolean {
  return slot < 31 && ((KERNEL_POINTERS[id >> 1] as number) & (1 << slot)) !== 0;
}

function pointersOf({ id, args }: RecordedCall, locate: (ptr: number) => Address | null): PlacedCall["pointers"] {
  return args.flatMap((value, slot) => {
    const address = value !== 0 && isAddress(id, slot) ? locate(value) : null;
    return address === null ? [] : [{ slot, address }];
  });
}

/** One record of the replay kernel: id, slots, and where each address points. */
function encode({ id, args, pointers }: PlacedCall): number[] {
  return [id, args.length, pointers.length, ...args, ...pointers.flatMap(({ slot, address }) => [slot, address.region, address.offset])];
}

/** Sorted blocks of memory, to be found by any address inside. */
export class BlockIndex<V> {
  readonly #entries: { readonly start: number; readonly end: number; readonly value: V }[] = [];
  #sorted = true;

  add({ ptr, bytes }: Pick<Block, "ptr" | "bytes">, value: V): void {
    this.#entries.push({ start: ptr, end: ptr + Math.max(bytes, 1), value });
    this.#sorted = false;
  }

  find(ptr: number): { readonly start: number; readonly value: V } | null {
    if (!this.#sorted) this.#entries.sort((a, b) => a.start - b.start);
    this.#sorted = true;
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as { start: number }).start <= ptr) low = middle + 1;
      else high = middle;
    }
    const entry = this.#entries[low - 1];
    return entry !== undefined && ptr < entry.end ? entry : null;
  }
}

/** Every address of a list of calls that lies in recorded blocks, with the calls that use it. */
export function usesOf(calls: readonly RecordedCall[], index: BlockIndex<Block>): Map<Block, Use> {
  const uses = new Map<Block, Use>();
  calls.forEach(({ id, args }, at) => {
    for (let i = 0; i < args.length; i++) {
      if (args[i] === 0 || !isAddress(id, i)) continue;
      const block = index.find(args[i] as number)?.value;
      if (block === undefined) continue;
      const use = uses.get(block);
      if (use === undefined) uses.set(block, { first: at, last: at });
      else use.last = at;
    }
  });
  return uses;
}

const align = (bytes: number) => (bytes + 63) & ~63;

/** Places blocks side by side; blocks that are never needed at the same time may share their place. */
export function planMemory(uses: ReadonlyMap<Block, Use>, share: boolean): { offsets: Map<Block, number>; bytes: number } {
  const offsets = new Map<Block, number>();
  const placed: { offset: number; end: number; last: number }[] = [];
  let bytes = 0;
  for (const [block, { first, last }] of [...uses].sort((a, b) => a[1].first - b[1].first)) {
    const size = align(block.bytes);
    const busy = placed.filter((p) => !share || p.last >= first).sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const p of busy) {
      if (p.offset - offset >= size) break;
      offset = Math.max(offset, p.end);
    }
    offsets.set(block, offset);
    placed.push({ offset, end: offset + size, last });
    bytes = Math.max(bytes, offset + size);
  }
  return { offsets, bytes };
}
