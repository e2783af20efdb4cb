import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { bootstrapInterval } from "../../src/metrics/index.ts";
import { Generator } from "../../src/tensor/random.ts";

const meanOf = (values: readonly number[]) => (cases: readonly number[]) =>
  cases.reduce((sum, i) => sum + (values[i] as number), 0) / cases.length;

describe("bootstrapInterval", () => {
  it("has the normal approximation's width for a mean of many cases", () => {
    // 30 of 100 cases: the share's standard error is √(0.3 · 0.7 / 100), and 95 % lie within 1.96 of them.
    const values = Array.from({ length: 100 }, (_, i) => (i < 30 ? 1 : 0));
    const half = 1.96 * Math.sqrt(0.3 * 0.7 * 0.01);
    const [low, high] = bootstrapInterval(100, meanOf(values), { resamples: 4000, generator: new Generator(1) });
    expect(Math.abs(low - (0.3 - half))).toBeLessThanOrEqual(0.011);
    expect(Math.abs(high - (0.3 + half))).toBeLessThanOrEqual(0.011);
    const narrow = bootstrapInterval(100, meanOf(values), { resamples: 4000, level: 0.5, generator: new Generator(1) });
    expect(Math.abs(narrow[1] - narrow[0] - 2 * 0.6745 * Math.sqrt(0.3 * 0.7 * 0.01))).toBeLessThanOrEqual(0.011);
  });

  it("interpolates as NumPy's quantiles do", () => {
    // The metrics are 0, 1, 2 and 3 in turn; numpy.quantile([0, 1, 2, 3], [0.05, 0.95]) is [0.15, 2.85].
    let calls = 0;
    const [low, high] = bootstrapInterval(5, () => calls++, { resamples: 4, level: 0.9 });
    expect(Math.abs(low - 0.15)).toBeLessThanOrEqual(1e-12);
    expect(Math.abs(high - 2.85)).toBeLessThanOrEqual(1e-12);
  });

  it("is the value itself for one case, and draws with replacement from its generator alone", () => {
    expect(bootstrapInterval(1, meanOf([7]))).toEqual([7, 7]);
    const draws: number[][] = [];
    bootstrapInterval(6, (cases) => draws.push(cases), { resamples: 200, generator: new Generator(3) });
    expect(draws.every((cases) => cases.length === 6 && cases.every((i) => i >= 0 && i < 6))).toBe(true);
    expect(draws.some((cases) => new Set(cases).size < 6)).toBe(true);
    const again: number[][] = [];
    bootstrapInterval(6, (cases) => again.push(cases), { resamples: 200, generator: new Generator(3) });
    expect(again).toEqual(draws);
  });

  it("refuses what is no metric, no size and no level", () => {
    expect(() => bootstrapInterval(3, () => Number.NaN)).toThrow(
      new ArgumentError("bootstrapInterval: expected a metric that is a number, got NaN"),
    );
    expect(() => bootstrapInterval(0, () => 1)).toThrow(ArgumentError);
    expect(() => bootstrapInterval(3, () => 1, { level: 1 })).toThrow(ArgumentError);
    expect(() => bootstrapInterval(3, () => 1, { level: Number.NaN })).toThrow(ArgumentError);
    expect(() => bootstrapInterval(3, () => 1, { resamples: 0 })).toThrow(ArgumentError);
    expect(() => bootstrapInterval(3, () => 1, { generator: 3 as never })).toThrow(DTypeError);
  });
});
