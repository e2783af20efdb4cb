import { beforeEach, describe, expect, it } from "vitest";
import { MemoryLimitError, ShapeError, StateError } from "../../src/base/errors.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { transpose } from "../../src/ops/shape.ts";
import { full, zeros } from "../../src/tensor/create.ts";
import { empty, keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Block, Heap, MOST_BYTES } from "../../src/wasm/heap.ts";
import { init, memory, setMemoryLimit } from "../../src/wasm/host.ts";

describe("scope", () => {
  let before = 0;
  beforeEach(() => {
    before = memory().liveBytes;
  });

  it("releases what was made inside and keeps what is returned, however deep", () => {
    const { a, list } = scope(() => {
      const x = full([1000], 2);
      return { a: mul(x, x), list: [add(x, 1)] };
    });
    expect(a.data()[999]).toBe(4);
    expect(list[0]?.data()[0]).toBe(3);
    expect(memory().liveBytes - before).toBe(2 * 4032); // a multiple of 64
    a.dispose();
    list[0]?.dispose();
    expect(memory().liveBytes).toBe(before);
  });

  it("keeps the storage of a returned view", () => {
    const v = scope(() =>
      transpose(
        tensor([
          [1, 2],
          [3, 4],
        ]),
        0,
        1,
      ),
    );
    expect(v.toArray()).toEqual([
      [1, 3],
      [2, 4],
    ]);
    v.dispose();
    expect(memory().liveBytes).toBe(before);
  });

  it("nests, releases on errors, and hands tensors outwards", () => {
    const seen: Tensor[] = [];
    expect(() =>
      scope(() => {
        const inner = scope(() => zeros([10]));
        seen.push(inner);
        expect(inner.item === undefined).toBe(false);
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(seen[0]?.storage.released).toBe(true);
    expect(memory().liveBytes).toBe(before);
  });

  it("keeps what is pinned", () => {
    let p: Tensor | undefined;
    scope(() => {
      p = keep(full([4], 7));
    });
    expect(p?.toArray()).toEqual([7, 7, 7, 7]);
    p?.dispose();
    expect(memory().liveBytes).toBe(before);
  });

  it("rejects asynchronous functions", () => {
    expect(() => scope(async () => zeros([1]))).toThrow(StateError);
  });

  it("names the error when a released tensor is used", () => {
    let gone: Tensor | undefined;
    scope(() => {
      gone = zeros([2]);
    });
    expect(() => gone?.data()).toThrow(StateError);
    expect(() => add(gone as Tensor, 1)).toThrow(/scope has ended/);
    expect(String(gone)).toBe("float32[2] (released)");
  });

  it("disposing twice releases once", () => {
    const t = zeros([100]);
    t.dispose();
    t.dispose();
    expect(memory().liveBytes).toBe(before);
  });

  it("releases collected tensors", async () => {
    if (globalThis.gc === undefined) return console.warn("collection test skipped: run with --expose-gc");
    for (let i = 0; i < 100; i++) zeros([1000]);
    for (let i = 0; i < 20 && memory().liveBytes > before; i++) {
      globalThis.gc();
      await new Promise((r) => setTimeout(r, 5));
    }
    // Tensors of earlier tests may have gone, too.
    expect(memory().liveBytes).toBeLessThanOrEqual(before);
  });
});

describe("small tensors that are kept beyond their scope", () => {
  it("are released when they are collected, all but the few that wait to be watched", async () => {
    if (globalThis.gc === undefined) return console.warn("collection test skipped: run with --expose-gc");
    const before = memory().blocks;
    for (let i = 0; i < 1000; i++) scope(() => void keep(full([4], i)));
    for (let i = 0; i < 20 && memory().blocks > before + 64; i++) {
      globalThis.gc();
      await new Promise((r) => setTimeout(r, 5));
    }
    expect(memory().blocks).toBeLessThanOrEqual(before + 64);
  });

  it("can be released by hand while they wait", () => {
    const before = memory().liveBytes;
    for (let i = 0; i < 1000; i++) {
      let kept: Tensor | undefined;
      scope(() => {
        kept = keep(full([4], i));
      });
      kept?.dispose();
    }
    expect(memory().liveBytes).toBe(before);
  });
});

describe("heap", () => {
  const make = (limit = Number.POSITIVE_INFINITY) => {
    let end = 65536;
    return new Heap(1000, end, limit, (bytes) => (end += Math.ceil(bytes / 65536) * 65536));
  };

  it("hands out aligned blocks that never overlap, counts them, and is one piece again when all are released", () => {
    const heap = make();
    const live: Block[] = [];
    let state = 12345;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
    const check = () => {
      const spans = [...live].sort((a, b) => a.ptr - b.ptr);
      spans.forEach((block, i) => {
        expect(block.ptr % 64).toBe(0);
        expect(block.ptr + block.bytes).toBeLessThanOrEqual(spans[i + 1]?.ptr ?? heap.end);
      });
      expect(heap.liveBytes).toBe(live.reduce((sum, { bytes }) => sum + bytes, 0));
      expect(heap.blocks).toBe(live.length);
    };
    for (let i = 0; i < 40_000; i++) {
      // Phases of growth and of shrinking.
      if (live.length > 0 && random() < (i % 8000 < 4000 ? 0.4 : 0.6)) {
        const [block] = live.splice(Math.floor(random() * live.length), 1) as [Block];
        heap.release(block);
        if (i % 10 === 0) heap.release(block);
        continue;
      }
      const bytes = 1 + Math.floor(2 ** (random() * 19));
      const block = heap.allocate(bytes);
      expect(block.bytes).toBe(64 * Math.ceil(bytes / 64));
      live.push(block);
      if (i % 500 === 0) check();
    }
    check();
    const { end, reach } = heap;
    while (live.length > 0) heap.release(live.splice(Math.floor(random() * live.length), 1)[0] as Block);
    check();
    heap.release(heap.allocate(reach));
    expect(heap.reach).toBe(reach);
    expect(heap.end).toBe(end);
  });

  it("reuses what was released before it grows", () => {
    const heap = make();
    heap.release(heap.allocate(100_000));
    const end = heap.end;
    for (let i = 0; i < 100; i++) heap.release(heap.allocate(100_000));
    expect(heap.end).toBe(end);
  });

  it.each([1000, 100_000])("serves one large request from what was released in pieces of %i bytes", (piece) => {
    const heap = make(64 * 2 ** 20);
    const pieces = Array.from({ length: Math.floor((60 * 2 ** 20) / (64 * Math.ceil(piece / 64))) }, () => heap.allocate(piece));
    for (const block of pieces) heap.release(block);
    expect(heap.liveBytes).toBe(0);
    expect(heap.allocate(40 * 2 ** 20).bytes).toBe(40 * 2 ** 20);
  });

  it("takes the best fit and leaves the rest", () => {
    const heap = make();
    const blocks = [300_000, 64, 200_000, 64, 250_000, 64].map((bytes) => heap.allocate(bytes));
    const [large, , small, , middle] = blocks as [Block, Block, Block, Block, Block];
    for (const block of [small, large, middle]) heap.release(block);
    const { ptr } = heap.allocate(240_000);
    expect(ptr).toBe(middle.ptr);
    expect(heap.allocate(200_000).ptr).toBe(small.ptr);
    expect(heap.allocate(50_000).ptr).toBe(large.ptr);
    expect(heap.allocate(250_000 - 64).ptr).toBe(large.ptr + 64 * Math.ceil(50_000 / 64));
  });

  it("gives the same addresses for the same requests", () => {
    const run = () => {
      const heap = make();
      const blocks = Array.from({ length: 500 }, (_, i) => heap.allocate(1 + ((i * 7919) % 90_000)));
      for (const [i, block] of blocks.entries()) if (i % 3 !== 0) heap.release(block);
      return Array.from({ length: 500 }, (_, i) => heap.allocate(1 + ((i * 6007) % 90_000)).ptr);
    };
    expect(run()).toEqual(run());
  });

  it("throws a typed error at the limit and stays usable", () => {
    const heap = make(2_000_000);
    const block = heap.allocate(1_000_000);
    expect(() => heap.allocate(1_500_000)).toThrow(MemoryLimitError);
    expect(() => heap.allocate(1_500_000)).toThrow(/request for \d+ bytes with \d+ live/);
    heap.release(block);
    expect(heap.allocate(1_000_000).ptr).toBe(block.ptr);
  });

  it.each([Number.NaN, -1, 1.5, Number.POSITIVE_INFINITY, 2 ** 60, undefined, "64"])("refuses %s bytes and stays as it was", (bytes) => {
    const heap = make();
    expect(() => heap.allocate(bytes as number)).toThrow(ShapeError);
    expect([heap.liveBytes, heap.peakBytes, heap.blocks, heap.reach]).toEqual([0, 0, 0, 0]);
    expect(heap.allocate(64).ptr).toBe(1024);
  });

  it("never passes 4 GiB, and fills it to the last page", () => {
    let end = 0;
    const asked: number[] = [];
    // A host that has room for what is needed, not for what is asked for in advance.
    const grow = (bytes: number) => {
      asked.push(bytes);
      if (end + bytes > 2 ** 32 - 65536) throw new MemoryLimitError("full");
      return (end += Math.ceil(bytes / 65536) * 65536);
    };
    const heap = new Heap(0, end, MOST_BYTES, grow);
    expect(() => heap.allocate(2 ** 32)).toThrow(/within 4294901760 bytes, got a request for 4294967296 bytes/);
    for (let i = 0; i < 65535; i++) heap.allocate(65536);
    expect(() => heap.allocate(65536)).toThrow(MemoryLimitError);
    expect(heap.liveBytes).toBe(2 ** 32 - 65536);
    expect(heap.blocks).toBe(65535);
  });

  it("asks for what it needs where the host refuses more", () => {
    let end = 65536;
    const grow = (bytes: number) => {
      if (end + bytes > 1_000_000) throw new MemoryLimitError("refused");
      return (end += Math.ceil(bytes / 65536) * 65536);
    };
    const heap = new Heap(0, end, Number.POSITIVE_INFINITY, grow);
    expect(heap.allocate(900_000).ptr).toBe(0);
    expect(() => heap.allocate(900_000)).toThrow("refused");
    expect(heap.liveBytes).toBe(64 * Math.ceil(900_000 / 64));
  });
});

describe("limits and kernels", () => {
  it("setMemoryLimit rejects nonsense and is enforced through tensors", () => {
    expect(() => setMemoryLimit(0)).toThrow(/positive/);
    setMemoryLimit(memory().linearBytes);
    try {
      expect(() => empty([64 * 1024 * 1024])).toThrow(MemoryLimitError);
    } finally {
      setMemoryLimit(Number.POSITIVE_INFINITY);
    }
    expect(empty([64]).size).toBe(64);
  });

  it("refuses to exchange the kernels under live tensors", () => {
    const t = zeros([1]);
    expect(() => init(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]))).toThrow(StateError);
    expect(t.item()).toBe(0);
  });
});

describe("tensor", () => {
  it("reads numbers, nested and typed arrays", () => {
    expect(tensor(3).shape).toEqual([]);
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).toArray(),
    ).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor(new Float64Array([1.5])).dtype).toBe("float64");
    expect(tensor([true, false]).data()).toEqual(new Float32Array([1, 0]));
    expect(tensor([1, 2, 3, 4], { shape: [2, 2] }).toArray()).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(tensor([]).shape).toEqual([0]);
  });

  it("rejects ragged arrays, wrong sizes and wrong kinds", () => {
    expect(() => tensor([[1, 2], [3]])).toThrow(ShapeError);
    expect(() => tensor([1, [2]] as never)).toThrow();
    expect(() => tensor([1, 2, 3], { shape: [2, 2] })).toThrow(/4 elements for shape \[2,2\], got 3/);
    expect(() => tensor(["a"] as never)).toThrow(/numbers, got a string/);
    expect(() => zeros([-1])).toThrow(ShapeError);
    expect(() => zeros([1.5])).toThrow(ShapeError);
  });

  it("prints short", () => {
    expect(String(tensor([[1, 2.5]]))).toBe("float32[1,2] [[1, 2.5000]]");
    expect(String(reshape(zeros([100]), [100]))).toContain("…");
  });

  it("survives growth of the memory", () => {
    const a = full([1000], 3);
    const big = empty([4_000_000]);
    expect(a.data()[500]).toBe(3);
    big.dispose();
  });
});
