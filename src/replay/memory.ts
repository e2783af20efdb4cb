/** Plans the memory of a recorded step: finds the block or region of an address, and places blocks. */

import { isAddress } from "../wasm/calls.ts";
import type { Block, RecordedCall } from "../wasm/recorder.ts";

/** The first and the last call that use a block. */
export interface Use {
  first: number;
  last: number;
}

interface Entry<V> {
  readonly start: number;
  readonly end: number;
  readonly value: V;
}

/** Non-overlapping stretches of memory, found by any address inside. */
export class BlockIndex<V> {
  /** Stretches by start, since most addresses are starts. */
  readonly #starts = new Map<number, Entry<V>>();
  #sorted: Entry<V>[] | null = null;

  /** Skips empty blocks, which no call reads or writes. */
  add({ ptr, bytes }: Pick<Block, "ptr" | "bytes">, value: V): void {
    if (bytes > 0) this.#starts.set(ptr, { start: ptr, end: ptr + bytes, value });
    this.#sorted = null;
  }

  find(ptr: number): Entry<V> | null {
    return this.#starts.get(ptr) ?? this.#around(ptr);
  }

  #around(ptr: number): Entry<V> | null {
    this.#sorted ??= [...this.#starts.values()].sort((a, b) => a.start - b.start);
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] as Entry<V>).start <= ptr) low = middle + 1;
      else high = middle;
    }
    const entry = this.#sorted[low - 1];
    return entry !== undefined && ptr < entry.end ? entry : null;
  }
}

/** Finds the blocks that a list of calls uses, with the first and the last call for each. */
export function usesOf(calls: readonly RecordedCall[], blockAt: (ptr: number) => Block | null): Map<Block, Use> {
  const uses = new Map<Block, Use>();
  calls.forEach(({ id, args }, at) => {
    args.forEach((arg, slot) => {
      const block = isAddress(id, slot) ? blockAt(arg) : null;
      if (block === null) return;
      const use = uses.get(block);
      if (use === undefined) uses.set(block, { first: at, last: at });
      else use.last = at;
    });
  });
  return uses;
}

const align = (bytes: number) => Math.ceil(bytes / 64) * 64;

/** Places blocks side by side. With `share`, blocks that are never needed at the same time may overlap. */
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
