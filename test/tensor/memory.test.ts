import { beforeEach, describe, expect, it } from "vitest";
import { MemoryLimitError, ShapeError, StateError } from "../../src/base/errors.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { reshape, transpose } from "../../src/ops/shape.ts";
import { full, zeros } from "../../src/tensor/create.ts";
import { empty, keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { Heap } from "../../src/wasm/heap.ts";
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
    expect(memory().liveBytes - before).toBe(2 * 4096);
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

  it("hands out aligned blocks that never overlap, through random use", () => {
    const heap = make();
    const live = new Map<number, number>();
    let state = 12345;
    const random = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) / 2 ** 32;
    for (let i = 0; i < 20_000; i++) {
      if (live.size > 0 && random() < 0.5) {
        const [ptr, bytes] = [...live][Math.floor(random() * live.size)] as [number, number];
        live.delete(ptr);
        heap.release(ptr, bytes);
        continue;
      }
      const bytes = 1 + Math.floor(2 ** (random() * 14));
      const ptr = heap.allocate(bytes);
      expect(ptr % 64).toBe(0);
      if (i % 500 === 0) for (const [p, n] of live) expect(ptr + bytes <= p || p + n <= ptr).toBe(true);
      expect(live.has(ptr)).toBe(false);
      live.set(ptr, bytes);
    }
    const spans = [...live].sort((a, b) => a[0] - b[0]);
    spans.forEach(([ptr, bytes], i) => expect(ptr + bytes).toBeLessThanOrEqual(spans[i + 1]?.[0] ?? heap.end));
    for (const [ptr, bytes] of live) heap.release(ptr, bytes);
    expect(heap.liveBytes).toBe(0);
    expect(heap.blocks).toBe(0);
  });

  it("reuses what was released before it grows", () => {
    const heap = make();
    heap.release(heap.allocate(100_000), 100_000);
    const end = heap.end;
    for (let i = 0; i < 100; i++) heap.release(heap.allocate(100_000), 100_000);
    expect(heap.end).toBe(end);
  });

  it("throws a typed error at the limit and stays usable", () => {
    const heap = make(2_000_000);
    const ptr = heap.allocate(1_000_000);
    expect(() => heap.allocate(1_500_000)).toThrow(MemoryLimitError);
    expect(() => heap.allocate(1_500_000)).toThrow(/request for \d+ bytes with \d+ live/);
    heap.release(ptr, 1_000_000);
    expect(heap.allocate(1_000_000)).toBe(ptr);
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
