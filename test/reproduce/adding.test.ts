import { describe, expect, it } from "vitest";
import { adding1997Batch, addingBatch } from "../../reproduce/tasks/adding.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

const [T, B] = [30, 400];

/** Value and mark of sequence b at step t. */
function pair(xs: Tensor, t: number, b: number): [value: number, mark: number] {
  const k = 2 * (t * xs.dim(1) + b);
  return [Number(xs.data()[k]), Number(xs.data()[k + 1])];
}

/** The steps of sequence b with this mark. */
function marked(xs: Tensor, b: number, mark: number): number[] {
  return Array.from({ length: xs.dim(0) }, (_, t) => t).filter((t) => pair(xs, t, b)[1] === mark);
}

const spread = (values: readonly number[]) => {
  const mean = values.reduce((a, b) => a + b) / values.length;
  return values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length;
};

describe("addingBatch", () => {
  it.each([
    [[0, 1] as const, 1 / 6],
    [[-1, 1] as const, 2 / 3],
  ])("marks one value in each half on %o and asks for their sum", (range, expected) => {
    const { xs, targets } = addingBatch(new Generator(1), { steps: T, batch: B, range });
    expect([xs.shape, targets.shape]).toEqual([[T, B, 2], [B, 1]]); // biome-ignore format: shapes
    const sums = Array.from(targets.data(), Number);
    for (const [b, sum] of sums.entries()) {
      const [first, second, ...others] = marked(xs, b, 1) as [number, number];
      expect(others).toEqual([]);
      expect(first).toBeLessThan(T / 2);
      expect(second).toBeGreaterThanOrEqual(T / 2);
      expect(sum).toBeCloseTo(pair(xs, first, b)[0] + pair(xs, second, b)[0], 6);
    }
    expect(Math.abs(spread(sums) / expected - 1)).toBeLessThan(0.2);
    const values = Array.from(xs.data(), Number).filter((_, k) => k % 2 === 0);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(range[0]);
    expect(Math.min(...values)).toBeLessThan(range[0] + 0.01);
    expect(Math.max(...values)).toBeLessThanOrEqual(range[1]);
  });

  it("reaches the ends of both halves", () => {
    const { xs } = addingBatch(new Generator(2), { steps: 6, batch: 200 });
    const places = new Set(Array.from({ length: 200 }, (_, b) => marked(xs, b, 1)).flat());
    expect([...places].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe("adding1997Batch", () => {
  const { xs, lengths, targets } = adding1997Batch(new Generator(3), { steps: T, batch: B });

  it("draws lengths from T to 1.1 T", () => {
    expect(xs.dim(0)).toBe(33);
    expect([...new Set(lengths)].sort()).toEqual([30, 31, 32, 33]);
  });

  it("marks the ends by −1 and two early steps by 1, and asks for ½ + (X₁ + X₂)/4", () => {
    let zeroed = 0;
    for (const [b, length] of lengths.entries()) {
      const [first, second, ...others] = marked(xs, b, 1) as [number, number];
      expect(others).toEqual([]);
      expect(Math.min(first, second)).toBeLessThan(10);
      expect(second).toBeLessThan(T / 2 - 1);
      expect(marked(xs, b, -1)).toEqual(first === 0 ? [length - 1] : [0, length - 1]);
      if (first === 0) {
        zeroed++;
        expect(pair(xs, 0, b)[0]).toBe(0);
      }
      expect(Number(targets.data()[b])).toBeCloseTo(0.5 + (pair(xs, first, b)[0] + pair(xs, second, b)[0]) / 4, 6);
    }
    expect(zeroed).toBeGreaterThan(0);
  });
});
