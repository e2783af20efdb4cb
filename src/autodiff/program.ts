/** Programs: recorded kernel calls whose addresses are relative to regions of memory, and the planning of their memory. */

import { empty, keep, type Tensor } from "../tensor/tensor.ts";
import { call, host } from "../wasm/host.ts";
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

/** A list of calls whose addresses are relative to regions. */
export class Program {
  readonly regions: readonly string[];
  readonly #count: number;
  /** Records, then bases, then strides: 8-byte slots in linear memory. */
  readonly #memory: Tensor;
  readonly #basesAt: number;

  constructor(regions: readonly string[], calls: readonly RecordedCall[], locate: (ptr: number) => Address | null) {
    const words = calls.flatMap((c) => encode(c, locate));
    this.regions = regions;
    this.#count = calls.length;
    this.#basesAt = words.length;
    this.#memory = keep(empty([words.length + 2 * regions.length], "float64"));
    host().f64.set(words, this.#memory.ptr >>> 3);
  }

  /** Runs the program `steps` times; `place` gives each region's first base and its stride, in bytes. */
  run(steps: number, place: Readonly<Record<string, readonly [base: number, stride: number]>>): void {
    const { ptr } = this.#memory;
    const n = this.regions.length;
    const bases = ptr + 8 * this.#basesAt;
    const slots = host().f64;
    this.regions.forEach((name, i) => {
      const [base, stride] = place[name] as readonly [number, number];
      slots[(bases >>> 3) + i] = base;
      slots[(bases >>> 3) + n + i] = stride;
    });
    call(replay, "int32", steps, this.#count, ptr, n, bases, bases + 8 * n);
  }
}

/** Whether an argument of a kernel is an address. */
export function isAddress(id: number, slot: number): boolean {
  return slot < 31 && ((KERNEL_POINTERS[id >> 1] as number) & (1 << slot)) !== 0;
}

/** One record: id, slots, and where each address points. */
function encode({ id, args }: RecordedCall, locate: (ptr: number) => Address | null): number[] {
  const pointers: number[] = [];
  for (let i = 0; i < args.length; i++) {
    const value = args[i] as number;
    if (value === 0 || !isAddress(id, i)) continue;
    const address = locate(value);
    if (address !== null) pointers.push(i, address.region, address.offset);
  }
  return [id, args.length, pointers.length / 3, ...args, ...pointers];
}

/** Sorted blocks of memory, to be found by any address inside. */
export class BlockIndex<V> {
  readonly #entries: { readonly start: number; readonly end: number; readonly value: V }[] = [];
  #sorted = true;

  add({ ptr, bytes }: Block, value: V): void {
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
