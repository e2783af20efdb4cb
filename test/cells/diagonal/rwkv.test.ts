import { describe, expect, it } from "vitest";
import { RWKVChannelMix, type RWKVOptions, RWKVTimeMix } from "../../../src/cells/diagonal/rwkv.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst, type Numbers } from "../../oracle/equations.ts";
import { each, logistic, rows, times, type Vector } from "../../oracle/numbers.ts";
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

/** W (μ∘x + (1 − μ)∘before), with the weights and the shares of one letter. */
const mixed = (p: Numbers, letter: string, x: Vector, before: Vector) =>
  times(
    p.matrix(`weight_${letter}`, 3),
    each((mu, now, old) => mu * now + (1 - mu) * old, p.vector(`mix_${letter}`), x, before),
  );

describe("RWKVTimeMix", () => {
  it("is equations 11 to 17 from any state, values and derivatives", () =>
    holdAgainst(
      time(),
      (p, x, state) => {
        const [before, num, den, max] = state as [Vector, Vector, Vector, Vector];
        const [r, k, v] = ["r", "k", "v"].map((letter): Vector => mixed(p, letter, x, before)) as [Vector, Vector, Vector];
        const [w, u] = [p.vector("decay").map(Math.exp), p.vector("bonus")];
        // Sums by their definition, num·e^max and den·e^max, without a scale.
        const wkv = each(
          (n, d, m, ui, ki, vi) => (n * Math.exp(m) + Math.exp(ui + ki) * vi) / (d * Math.exp(m) + Math.exp(ui + ki)),
          num,
          den,
          max,
          u,
          k,
          v,
        );
        const scale = each((m, wi, ki) => Math.max(m - wi, ki), max, w, k);
        const decayed = (sum: Vector) => each((s, m, wi, at) => s * Math.exp(m - wi - at), sum, max, w, scale);
        const taken = each((ki, at) => Math.exp(ki - at), k, scale);
        const next = [x, each((s, t, vi) => s + t * vi, decayed(num), taken, v), each((s, t) => s + t, decayed(den), taken), scale];
        return [
          times(
            p.matrix("weight_out", 4),
            each((ri, a) => logistic(ri) * a, r, wkv),
          ),
          next,
        ];
      },
      { low: 0.2 },
    ));

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

  it("starts with shares of the present input from 1/(2I) to 1 − 1/(2I), decays from −5 to 3 and a bonus of log 0.3", () => {
    const cell = time();
    for (const mu of [cell.mixR, cell.mixK, cell.mixV]) expectClose(mu, [1 / 6, 1 / 2, 5 / 6], 1e-15);
    expectClose(cell.decay, [-5, -5 + 8 / 3, -5 + 16 / 3, 3], 1e-14);
    expectClose(cell.bonus, new Array(4).fill(Math.log(0.3)), 1e-15);
  });

  it("bears keys of hundreds in float32", () => {
    const values = numbers(time({ dtype: "float32" }).scan(mul(new Generator(3).uniform([50, 1, 3], -1, 1), 500))[0]);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(time({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});

describe("RWKVChannelMix", () => {
  it("is equations 14, 15 and 18 from any state, values and derivatives", () =>
    holdAgainst(channel(), (p, x, [before]) => {
      const [r, k] = ["r", "k"].map((letter): Vector => mixed(p, letter, x, before as Vector)) as [Vector, Vector];
      const read = times(
        p.matrix("weight_v", 4),
        k.map((v) => Math.max(0, v) ** 2),
      );
      return [each((ri, v) => logistic(ri) * v, r, read), [x]];
    }));

  it("has the gradients of its equations, and steps that equal its scan", () => accept(channel()));
});
