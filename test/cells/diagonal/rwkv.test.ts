import { describe, expect, it } from "vitest";
import { RWKVChannelMix, type RWKVOptions, RWKVTimeMix } from "../../../src/cells/diagonal/rwkv.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { logistic, rows, times } from "../../oracle/numbers.ts";
import { accept, B, expectClose } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const options = { inputSize: 3, hiddenSize: 4, dtype: "float64" } as const;
const time = (more: Partial<RWKVOptions> = {}) => new RWKVTimeMix({ ...options, generator: new Generator(2), ...more });
const channel = (more: Partial<RWKVOptions> = {}) => new RWKVChannelMix({ ...options, generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());
const sequence = (n: number) => new Generator(3).uniform([n, 1, 3], -1, 1, "float64");

/** W (μ∘x_t + (1 − μ)∘x_{t−1}) at each step. */
function shifted(w: Tensor, mu: Tensor, xs: readonly (readonly number[])[]): number[][] {
  const shares = numbers(mu);
  return xs.map((x, t) =>
    times(
      rows(w),
      x.map((v, i) => (shares[i] as number) * v + (1 - (shares[i] as number)) * (xs[t - 1]?.[i] ?? 0)),
    ),
  );
}

describe("RWKVTimeMix", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => {
    const g = new Generator(6);
    const part = (size: number, low: number, high: number) => g.uniform([B, size], low, high, "float64");
    accept(time(), { state: { x: part(3, -1, 1), num: part(4, -1, 1), den: part(4, 0.5, 1), max: part(4, -1, 1) } });
  });

  it("is the paper's sum over all steps", () => {
    const cell = time();
    const xs = rows(reshape(sequence(9), [9, 3]));
    const r = shifted(cell.weightR, cell.mixR, xs);
    const k = shifted(cell.weightK, cell.mixK, xs);
    const v = shifted(cell.weightV, cell.mixV, xs);
    const [decay, bonus] = [numbers(cell.decay), numbers(cell.bonus)];
    const wkv = (t: number, j: number) => {
      const key = (i: number) => k[i]?.[j] as number;
      let [num, den] = [0, 0];
      for (let i = 0; i <= t; i++) {
        const weight = i === t ? Math.exp((bonus[j] as number) + key(t)) : Math.exp(-(t - 1 - i) * Math.exp(decay[j] as number) + key(i));
        num += weight * (v[i]?.[j] as number);
        den += weight;
      }
      return num / den;
    };
    const expected = xs.flatMap((_, t) =>
      times(
        rows(cell.weightOut),
        (r[t] as number[]).map((value, j) => logistic(value) * wkv(t, j)),
      ),
    );
    expectClose(cell.scan(sequence(9))[0], expected, 1e-12);
  });

  it("bears keys of hundreds in float32", () => {
    const values = numbers(time({ dtype: "float32" }).scan(mul(new Generator(3).uniform([50, 1, 3], -1, 1), 500))[0]);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(time({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});

describe("RWKVChannelMix", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(channel()));

  it("is the paper's equation", () => {
    const cell = channel();
    const xs = rows(reshape(sequence(5), [5, 3]));
    const r = shifted(cell.weightR, cell.mixR, xs);
    const k = shifted(cell.weightK, cell.mixK, xs);
    const expected = xs.flatMap((_, t) =>
      times(
        rows(cell.weightV),
        (k[t] as number[]).map((v) => Math.max(0, v) ** 2),
      ).map((v, i) => v * logistic(r[t]?.[i] as number)),
    );
    expectClose(cell.scan(sequence(5))[0], expected, 1e-12);
  });
});
