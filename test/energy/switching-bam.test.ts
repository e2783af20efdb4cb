import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { BAM, SwitchingBAM, type SwitchingMode } from "../../src/energy/index.ts";
import { transpose } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

const f64 = (data: number[][]): Tensor => tensor(data, { dtype: "float64" });
const pairs = () =>
  new BAM({ inputSize: 6, outputSize: 4 }).store(
    tensor([
      [1, -1, 1, -1, 1, -1],
      [1, 1, 1, -1, -1, -1],
    ]),
    tensor([
      [1, 1, -1, -1],
      [1, -1, 1, -1],
    ]),
  );

/** Mean of |x|² over paths, at each time that was kept. */
const squares = (fields: readonly Tensor[]): number[] =>
  fields.map((t) => {
    const values = Array.from(t.data());
    return values.reduce((sum, v) => sum + v * v, 0) / t.dim(0);
  });

/** The slope of y over x, and the share of the variance that a line explains. */
function line(x: readonly number[], y: readonly number[]): { slope: number; r2: number } {
  const [mx, my] = [x, y].map((v) => v.reduce((a, b) => a + b) / v.length) as [number, number];
  const sxy = x.reduce((sum, v, i) => sum + (v - mx) * ((y[i] as number) - my), 0);
  const [sxx, syy] = [x.reduce((s, v) => s + (v - mx) ** 2, 0), y.reduce((s, v) => s + (v - my) ** 2, 0)];
  return { slope: sxy / sxx, r2: sxy ** 2 / (sxx * syy) };
}

describe("the continuous BAM", () => {
  it("recalls Kosko's pair, and its energy falls on the way", () => {
    const net = pairs().continuous({ gain: 3, stepSize: 0.02 });
    const cue = tensor([-0.1, 0.1, 0.1, -0.1, -0.1, -0.1, 0, 0, 0, 0], { dtype: "float64" });
    const recall = net.recall(cue);
    expect(Array.from(net.outputs(recall.state).data(), Math.sign)).toEqual([1, 1, 1, -1, -1, -1, 1, -1, 1, -1]);
    recall.energies.forEach((e, t) => t > 0 && expect(e).toBeLessThanOrEqual((recall.energies[t - 1] as number) + 1e-9));
    expect(() => pairs().continuous({ weight: cue } as never)).toThrow(ArgumentError);
  });
});

describe("SwitchingBAM", () => {
  const zeros: SwitchingMode = { toA: f64([[0]]), toB: f64([[0]]) };

  it("is the continuous BAM where there is one mode, without delay and noise", () => {
    const memory = pairs();
    const steps = 40;
    const net = memory.continuous({ gain: 1, stepSize: 0.02 });
    const start = Array.from({ length: 10 }, (_, i) => Math.sin(i));
    const { state } = net.recall(tensor(start, { dtype: "float64" }), { maxSteps: steps, tolerance: 0 });
    const switching = new SwitchingBAM({ modes: [{ toA: memory.weight, toB: transpose(memory.weight) }], stepSize: 0.02 });
    const { as, bs, times } = switching.simulate(f64([start.slice(0, 6)]), f64([start.slice(6)]), { duration: steps * 0.02, every: steps });
    expect(times).toEqual([0, steps * 0.02]);
    const wanted = Array.from(state.data());
    [...(as[1] as Tensor).data(), ...(bs[1] as Tensor).data()].forEach((v, i) => expect(v).toBeCloseTo(wanted[i] as number, 12));
  });

  it("has the second moment of geometric Brownian motion where nothing couples the fields", () => {
    // E x² = x₀² e^((σ² − 2D) t)
    const memory = new SwitchingBAM({ modes: [{ ...zeros, decay: 0.5, noise: 0.6 }], stepSize: 0.005 });
    const P = 4000;
    const ones = tensor(new Float64Array(P).fill(1), { shape: [P, 1] });
    const { as, bs, times } = memory.simulate(ones, ones, { duration: 1, every: 20, generator: new Generator(1) });
    for (const field of [as, bs]) {
      const { slope } = line(times, squares(field).map(Math.log));
      expect(slope).toBeGreaterThan(0.36 - 1 - 0.08);
      expect(slope).toBeLessThan(0.36 - 1 + 0.08);
    }
    expect(as[5]?.data()).not.toEqual(bs[5]?.data());
  });

  it("gets the other field's outputs as old as it is told", () => {
    // b decays from 1e-3, a gets it a second later: a(t) = w ∫₀ᵗ e^−(t−s) b(s − 1) ds, with b = 1e-3 before 0.
    const memory = new SwitchingBAM({ modes: [{ toA: f64([[2]]), toB: f64([[0]]), delayToA: 1 }], stepSize: 0.001 });
    const { as, times } = memory.simulate(f64([[0]]), f64([[1e-3]]), { duration: 3, every: 500 });
    times.forEach((t, k) => {
      const early = 2e-3 * (1 - Math.exp(-Math.min(t, 1)));
      const wanted = t <= 1 ? early : early * Math.exp(-(t - 1)) + 2e-3 * (t - 1) * Math.exp(-(t - 1));
      expect(as[k]?.item()).toBeCloseTo(wanted, 6);
    });
  });

  it("stays in its modes as long as the rates say", () => {
    // Stationary: a share of 2/3 and 1/3.
    const memory = new SwitchingBAM({
      modes: [zeros, zeros],
      rates: [
        [-1, 1],
        [2, -2],
      ],
      stepSize: 0.01,
    });
    const P = 400;
    const nothing = tensor(new Float64Array(P), { shape: [P, 1] });
    const { modes } = memory.simulate(nothing, nothing, { duration: 20, every: 50, generator: new Generator(2) });
    expect(modes[0]?.every((mode) => mode === 0)).toBe(true);
    const late = modes.slice(10).flat();
    expect(late.filter((mode) => mode === 0).length / late.length).toBeCloseTo(2 / 3, 1.6);
    // A mode that nothing leads out of is kept.
    const stuck = new SwitchingBAM({
      modes: [zeros, zeros, zeros],
      rates: [
        [0, 1, 1],
        [0, 0, 0],
        [0, 0, 0],
      ],
    });
    const { modes: ends } = stuck.simulate(nothing, nothing, { duration: 15, every: 1500, generator: new Generator(3) });
    const last = ends.at(-1) as readonly number[];
    expect(last.includes(0)).toBe(false);
    expect(last.filter((mode) => mode === 1).length / P).toBeCloseTo(0.5, 1);
  });

  it("falls to rest in the mean square, at one rate, where every mode is stable", () => {
    const g = new Generator(4);
    const weights = (m: number, n: number) => g.uniform([m, n], -0.3, 0.3, "float64");
    const mode = (): SwitchingMode => ({ toA: weights(3, 2), toB: weights(2, 3), decay: 2, noise: 0.2, delayToA: 0.1, delayToB: 0.05 });
    const memory = new SwitchingBAM({
      modes: [mode(), { ...mode(), delayToA: 0 }],
      rates: [
        [-1, 1],
        [1, -1],
      ],
    });
    const [a, b] = [g.normal([500, 3], 0, 1, "float64"), g.normal([500, 2], 0, 1, "float64")];
    const { as, bs, times } = memory.simulate(a, b, { duration: 4, every: 20, generator: new Generator(5) });
    const [x, y] = [squares(as), squares(bs)];
    const { slope, r2 } = line(
      times,
      x.map((v, t) => Math.log(v + (y[t] as number))),
    );
    expect(slope).toBeLessThan(-2);
    expect(r2).toBeGreaterThan(0.99);
  });

  it("gives the same paths for the same seed, others for another", () => {
    const memory = new SwitchingBAM({
      modes: [{ ...zeros, noise: 1 }, zeros],
      rates: [
        [0, 3],
        [3, 0],
      ],
    });
    const run = (seed: number) =>
      memory
        .simulate(f64([[1], [1]]), f64([[1], [1]]), { duration: 1, generator: new Generator(seed) })
        .as.at(-1)
        ?.toArray();
    expect(run(1)).toEqual(run(1));
    expect(run(1)).not.toEqual(run(2));
    const [first, second] = run(1) as number[][];
    expect(first).not.toEqual(second);
  });

  it("refuses modes, rates and fields that do not fit", () => {
    const bad = (options: unknown) => () => new SwitchingBAM(options as never);
    expect(bad({ modes: [] })).toThrow(ArgumentError);
    expect(bad({ modes: [{ toA: f64([[1, 2]]), toB: f64([[1, 2]]) }] })).toThrow("expected toB of shape [2,1]");
    expect(bad({ modes: [{ toA: tensor([1]), toB: f64([[1]]) }] })).toThrow(ShapeError);
    expect(bad({ modes: [{ ...zeros, noise: -1 }] })).toThrow(ArgumentError);
    expect(bad({ modes: [{ ...zeros, sigma: 1 }] })).toThrow("sigma");
    expect(bad({ modes: [zeros, zeros] })).toThrow(DTypeError);
    expect(bad({ modes: [zeros, zeros], rates: [[1, 1]] })).toThrow(ShapeError);
    expect(
      bad({
        modes: [zeros, zeros],
        rates: [
          [0, -1],
          [1, 0],
        ],
      }),
    ).toThrow("rates[0][1]");
    expect(bad({ modes: [zeros], stepSize: 0 })).toThrow(ArgumentError);
    const memory = new SwitchingBAM({ modes: [zeros] });
    expect(() => memory.simulate(f64([[1]]), f64([[1, 2]]))).toThrow(ShapeError);
    expect(() => memory.simulate(f64([[1]]), f64([[1]]), { mode: 1 })).toThrow(ArgumentError);
    expect(() => memory.simulate(null as never, f64([[1]]))).toThrow(DTypeError);
  });
});
