import { describe, expect, it } from "vitest";
import {
  answersOf,
  type CopyingBatch,
  copyBaseline,
  copyBatch,
  copyingAccuracy,
  copyingLoss,
  repeatBatch,
  selectiveCopyBatch,
} from "../../reproduce/tasks/copying.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";

/** The symbols of sequence b, step by step. */
function symbols({ xs }: CopyingBatch, b: number): number[] {
  const [L, B, n] = xs.shape as [number, number, number];
  const values = xs.data();
  return Array.from({ length: L }, (_, t) => {
    const row = Array.from(values.subarray((t * B + b) * n, (t * B + b + 1) * n), Number);
    expect(row.toSorted().slice(-2)).toEqual([0, 1]);
    return row.indexOf(1);
  });
}

function targets(batch: CopyingBatch, b: number): number[] {
  const B = batch.xs.dim(1);
  return Array.from(batch.targets.data(), Number).filter((_, k) => k % B === b);
}

describe("copyBatch", () => {
  const batch = copyBatch(new Generator(1), { delay: 12, batch: 50 });

  it("shows ten symbols, blanks with a delimiter at the end, and asks for the symbols after it", () => {
    for (let b = 0; b < 50; b++) {
      const all = symbols(batch, b);
      const shown = all.slice(0, 10);
      expect(all).toEqual([...shown, ...new Array(11).fill(8), 9, ...new Array(10).fill(8)]);
      expect(targets(batch, b)).toEqual([...new Array(22).fill(8), ...shown]);
      expect(shown.every((s) => s >= 0 && s < 8)).toBe(true);
    }
  });

  it("leaves 10 ln 8/(T + 20) to whoever remembers nothing", () => {
    const logits = tensor(
      Float64Array.from({ length: 32 * 50 * 9 }, (_, k) => ((k % 9 === 8) === k < 22 * 50 * 9 ? 0 : -50)),
      { shape: [32, 50, 9] },
    );
    expect(copyingLoss(logits, batch).item()).toBeCloseTo(copyBaseline(12), 6);
    expect(copyBaseline(50)).toBeCloseTo(0.297, 3);
    expect(copyBaseline(100)).toBeCloseTo(0.173, 3);
  });
});

describe("selectiveCopyBatch", () => {
  const batch = selectiveCopyBatch(new Generator(2), { batch: 60, items: 3, noise: 5, classes: 4 });

  it("scatters tokens among noise and asks for them in order", () => {
    const patterns = new Set<string>();
    for (let b = 0; b < 60; b++) {
      const all = symbols(batch, b);
      expect(all.slice(8)).toEqual([5, 5, 5]);
      expect(all.slice(0, 8).filter((s) => s !== 4)).toEqual(targets(batch, b));
      patterns.add(all.map((s) => (s === 4 ? "-" : "x")).join(""));
    }
    expect(patterns.size).toBeGreaterThan(25);
  });

  it("counts right answers at the last steps only", () => {
    const right = batch.targets.data();
    const logits = tensor(
      Float32Array.from({ length: 11 * 60 * 4 }, (_, k) => Number(k >= 8 * 60 * 4 && right[(k >> 2) - 8 * 60] === k % 4)),
      { shape: [11, 60, 4] },
    );
    expect(answersOf(logits, batch).shape).toEqual([180, 4]);
    expect(copyingAccuracy(logits, batch)).toBe(1);
  });
});

describe("repeatBatch", () => {
  it("says a word three times, and asks for the letters of the second and the third", () => {
    const [period, B] = [4, 20];
    const { xs, targets } = repeatBatch(new Generator(3), { period, symbols: 5, batch: B });
    expect(xs.shape).toEqual([11, B]);
    const [text, next] = [Array.from(xs.data(), Number), Array.from(targets.data(), Number)];
    expect(next.length).toBe(8 * B);
    for (let i = period * B; i < text.length; i++) expect(text[i]).toBe(text[i - period * B]);
    for (let i = 0; i < next.length; i++) expect(next[i]).toBe(text[i]);
    expect(new Set(text.slice(0, period * B)).size).toBe(5);
  });
});
