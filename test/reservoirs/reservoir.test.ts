import { describe, expect, it, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { eigenvalues } from "../../src/numerics/eigenvalues.ts";
import { toDense } from "../../src/ops/sparse.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { stateFromBytes, stateToBytes } from "../../src/recurrence/state-bytes.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { intrinsicPlasticity } from "../../src/reservoirs/intrinsic-plasticity.ts";
import { memoryCapacity } from "../../src/reservoirs/memory-capacity.ts";
import { randomSparse } from "../../src/reservoirs/random-matrix.ts";
import { Reservoir, type ReservoirOptions } from "../../src/reservoirs/reservoir.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const make = (options: Partial<ReservoirOptions> = {}) =>
  new Reservoir({ inputSize: 1, hiddenSize: 20, connections: 4, dtype: "float64", generator: new Generator(1), ...options });

const numbers = (t: Tensor) => Array.from(t.data(), Number);

/** The largest |(1 − a) + a λ| over the eigenvalues of W, all of them. */
function radiusOf({ weightHh, leak }: Reservoir): number {
  const all = eigenvalues(toDense(weightHh).toArray() as number[][]);
  return Math.max(...all.map(({ re, im }) => Math.sqrt((1 - leak + leak * re) ** 2 + (leak * im) ** 2)));
}

describe("a random sparse matrix", () => {
  it("has as many elements in each row, in columns that differ and rise; also where a row is nearly full", () => {
    for (const [rows, columns, perRow] of [
      [50, 30, 4],
      [20, 9, 8],
      [3, 5, 5],
    ] as const) {
      const { crowIndices, colIndices } = randomSparse(rows, columns, perRow, { generator: new Generator(2) });
      expect(numbers(crowIndices)).toEqual(Array.from({ length: rows + 1 }, (_, i) => perRow * i));
      const all = numbers(colIndices);
      all.forEach((j, p) => {
        expect(j >= 0 && j < columns && (p % perRow === 0 || j > (all[p - 1] as number))).toBe(true);
      });
    }
    expect(() => randomSparse(2, 3, 4)).toThrow(ArgumentError);
  });
});

describe("the spectral radius", () => {
  it.each([
    [{}],
    [{ leak: 0.3 }],
    [{ leak: 0.3, spectralRadius: 1.2 }],
    [{ hiddenSize: 90 }],
    [{ hiddenSize: 90, leak: 0.5, connections: 20 }],
  ])("is that of the effective matrix, by all its eigenvalues: %o", (options) => {
    const r = make(options);
    const asked = (options as Partial<ReservoirOptions>).spectralRadius ?? 0.9;
    expect(Math.abs(radiusOf(r) - asked) <= 2e-3 * asked, `${radiusOf(r)}`).toBe(true);
    expect(Math.abs(r.report.effectiveRadius - radiusOf(r)) <= 2e-3).toBe(true);
    expect(r.report).toMatchObject({ converged: true, bounded: true, warnings: [] });
  });

  it("is that of the weights if asked for", () => {
    const r = make({ leak: 0.3, radiusOf: "weights", spectralRadius: 1.1 });
    const all = eigenvalues(toDense(r.weightHh).toArray() as number[][]);
    expect(Math.abs(Math.max(...all.map(({ re, im }) => Math.sqrt(re * re + im * im))) - 1.1) <= 1e-9).toBe(true);
    expect(Math.abs(r.report.weightRadius - 1.1) <= 1e-9).toBe(true);
    expect(Math.abs(r.report.effectiveRadius - radiusOf(r)) <= 1e-9).toBe(true);
  });

  it("of a ring: all eigenvalues have its weight's size", () => {
    const r = make({ topology: "ring", spectralRadius: 0.95 });
    for (const w of numbers(r.weightHh.values)) expect(Math.abs(w - 0.95) <= 1e-9).toBe(true);
  });

  it("warns where states may grow without bound, and only there", () => {
    expect(make({ activation: "linear", spectralRadius: 1 }).report.warnings.join()).toContain("without bound");
    expect(make({ activation: "relu", spectralRadius: 1.3 }).report).toMatchObject({ bounded: false });
    expect(make({ activation: "linear", spectralRadius: 0.9 }).report.warnings).toEqual([]);
    expect(make({ spectralRadius: 1.3 }).report.warnings).toEqual([]);
  });

  it("refuses what no scale gives", () => {
    expect(() => make({ leak: 0.05, spectralRadius: 0.9 })).toThrow("a leak of 0.05 leaves 0.95 already");
    expect(() => make({ spectralRadius: -1 })).toThrow(ArgumentError);
    expect(() => make({ leak: 0 })).toThrow(ArgumentError);
    expect(() => make({ connections: 21 })).toThrow(ArgumentError);
    expect(() => make({ inputScale: [1, 2] })).toThrow(ShapeError);
    expect(() => make({ leek: 0.5 } as Partial<ReservoirOptions>)).toThrow("leak");
    expect(make({ spectralRadius: 0 }).report.weightRadius).toBe(0);
  });
});

describe("a step", () => {
  it("is the equation", () => {
    const r = make({ leak: 0.4, biasScale: 0.3, inputScale: 0.7, inputSize: 2 });
    assign(r.gain, numbers(new Generator(3).uniform([20], 0.5, 1.5, "float64")));
    const [x, h] = [new Generator(4).normal([2, 2], 0, 1, "float64"), new Generator(5).normal([2, 20], 0, 0.5, "float64")];
    const [win, w, b, g] = [r.weightIh, toDense(r.weightHh), r.bias, r.gain].map((t) => t.toArray()) as [
      number[][],
      number[][],
      number[],
      number[],
    ];
    const [xs, hs] = [x.toArray() as number[][], h.toArray() as number[][]];
    const expected = hs.flatMap((before, s) =>
      before.map((v, i) => {
        let net = 0;
        (win[i] as number[]).forEach((a, j) => (net += a * (xs[s]?.[j] as number)));
        (w[i] as number[]).forEach((a, j) => (net += a * (before[j] as number)));
        return 0.6 * v + 0.4 * Math.tanh((g[i] as number) * net + (b[i] as number));
      }),
    );
    const [y] = r.step(x, h);
    numbers(y).forEach((v, e) => {
      expect(Math.abs(v - (expected[e] as number)) <= 1e-14).toBe(true);
    });
    for (const v of numbers(r.weightIh)) expect(Math.abs(v) <= 0.7).toBe(true);
  });

  it("runs by replay, in a stream and from bytes: the same bits", () => {
    for (const dtype of ["float32", "float64"] as const) {
      const r = make({ dtype, leak: 0.5 });
      const xs = new Generator(6).uniform([12, 3, 1], -1, 1, dtype);
      expect(r.whyEager(xs)).toBe(null);
      const [ys, last] = r.scan(xs);
      const [eager] = scanSteps(r, xs);
      expect(ys.toArray()).toEqual(eager.toArray());
      const stream = new Stream(r, { batch: 3, dtype });
      expect(stream.whyEager).toBe(null);
      const flat = numbers(xs);
      let out: number[] = [];
      for (let t = 0; t < 12; t++) out = Array.from(stream.step(flat.slice(3 * t, 3 * t + 3)), Number);
      expect(out).toEqual(numbers(last));
      expect(stateFromBytes(stateToBytes(last), r.initialState(3)).toArray()).toEqual(last.toArray());
    }
  });

  it("is differentiable: by its input and state, and by weights that are let go", () => {
    const r = make({ leak: 0.5, hiddenSize: 6, connections: 2 });
    const x = new Generator(7).normal([2, 1], 0, 1, "float64");
    const h = new Generator(8).normal([2, 6], 0, 1, "float64");
    checkGrads((a, b) => r.step(a as Tensor, b as Tensor)[0], [x, h], { tolerance: 1e-6 });
    expect(r.parameters().some((p) => p.requiresGrad)).toBe(false);
    r.weightHh.values.requiresGrad = true;
    const [ys] = r.scan(new Generator(9).normal([4, 2, 1], 0, 1, "float64"));
    const [g] = gradients([ys], [r.weightHh.values], [tensor(new Array(48).fill(1), { shape: [4, 2, 6], dtype: "float64" })]);
    expect(numbers(g as Tensor).some((v) => v !== 0)).toBe(true);
  });
});

describe("missing values", () => {
  const xs = tensor([0.5, Number.NaN, -0.5], { shape: [3, 1, 1], dtype: "float64" });

  it("are refused unless masked, but not beyond a sequence's end", () => {
    expect(() => make().scan(xs)).toThrow("scan: expected finite numbers in xs [3,1,1], got NaN at step 1");
    const [ys] = make().scan(xs, undefined, { lengths: [1] });
    expect(numbers(ys).every(Number.isFinite)).toBe(true);
  });

  it("masked, say nothing: as an input of zero", () => {
    const r = make({ missing: "mask" });
    const zeroed = tensor([0.5, 0, -0.5], { shape: [3, 1, 1], dtype: "float64" });
    expect(r.scan(xs)[0].toArray()).toEqual(r.scan(zeroed)[0].toArray());
    expect(r.whyEager(xs)).toBe(null);
  });
});

describe("memory capacity", () => {
  it("of a linear ring is nearly the number of units; never more, but for chance", () => {
    const ring = make({ topology: "ring", activation: "linear", spectralRadius: 0.9, inputScale: 0.1 });
    const { total, byLag } = memoryCapacity(ring, { steps: 4000, generator: new Generator(1) });
    expect(total > 17 && total <= 21, `${total}`).toBe(true);
    expect(byLag.length).toBe(40);
    expect((byLag[0] as number) > 0.95 && (byLag[39] as number) < 0.05).toBe(true);
  });

  it("of one linear unit: r² of lag k is (1 − w²) w^(2k)", () => {
    const one = make({ hiddenSize: 1, connections: 1, topology: "ring", activation: "linear", spectralRadius: 0.6 });
    const { byLag } = memoryCapacity(one, { steps: 40000, lags: 4, generator: new Generator(2) });
    byLag.forEach((r, k) => {
      expect(Math.abs(r - 0.64 * 0.36 ** (k + 1)) <= 0.02, `${byLag}`).toBe(true);
    });
  });

  test("refuses more than one input", () => {
    expect(() => memoryCapacity(make({ inputSize: 2 }))).toThrow(ArgumentError);
  });
});

describe("intrinsic plasticity", () => {
  it("brings mean and deviation of the activity near those wanted", () => {
    const xs = new Generator(3).uniform([1500, 1, 1], -1, 1, "float64");
    const spread = (r: Reservoir) => {
      const ys = numbers(r.scan(xs)[0]).slice(2000);
      const mean = ys.reduce((a, b) => a + b, 0) / ys.length;
      return [mean, Math.sqrt(ys.reduce((sum, y) => sum + (y - mean) ** 2, 0) / ys.length)] as const;
    };
    const r = make({ inputScale: 2, biasScale: 0.8, spectralRadius: 0.5 });
    const before = spread(r);
    expect(before[1] > 0.45).toBe(true);
    intrinsicPlasticity(r, xs, { mean: 0.1, std: 0.2, rate: 2e-3, epochs: 2 });
    const after = spread(r);
    expect(Math.abs(after[0] - 0.1) < 0.05 && Math.abs(after[1] - 0.2) < 0.05, `${before} ${after}`).toBe(true);
  });

  it("one step of one unit, by hand", () => {
    const r = make({ hiddenSize: 1, connections: 1, spectralRadius: 0.5, inputScale: 0 });
    assign(r.weightIh, [0.8]);
    intrinsicPlasticity(r, tensor([0.5], { shape: [1, 1, 1], dtype: "float64" }), { rate: 0.01, mean: 0.1, std: 0.3 });
    const y = Math.tanh(0.4);
    const db = -0.01 * (-0.1 / 0.09 + (y / 0.09) * (0.18 + 1 - y * y + 0.1 * y));
    expect(Math.abs((numbers(r.bias)[0] as number) - db) <= 1e-14).toBe(true);
    expect(Math.abs((numbers(r.gain)[0] as number) - (1 + 0.01 + db * 0.4)) <= 1e-14).toBe(true);
  });

  it("refuses units that are not tanh, batches, and rates at which gains run away, whose reservoir stays as it was", () => {
    const xs = new Generator(3).uniform([5, 1, 1], -1, 1, "float64");
    expect(() => intrinsicPlasticity(make(), xs, { rate: 2 })).toThrow("intrinsicPlasticity: expected rate in (0, 1], got 2");
    const r = make();
    const before = [numbers(r.gain), numbers(r.bias)];
    expect(() => intrinsicPlasticity(r, xs, { rate: 1, std: 1e-160 })).toThrow(
      "intrinsicPlasticity: expected a rate at which gains stay finite",
    );
    expect([numbers(r.gain), numbers(r.bias)]).toEqual(before);
    expect(() => intrinsicPlasticity(make({ activation: "relu" }), xs)).toThrow(ArgumentError);
    expect(() => intrinsicPlasticity(make(), new Generator(3).uniform([5, 2, 1], -1, 1, "float64"))).toThrow(ShapeError);
  });
});

describe("noise in the state", () => {
  const xs = new Generator(7).uniform([12, 2, 1], -1, 1, "float64");

  it("is off in step, scan and streams, and draws nothing there", () => {
    const [quiet, loud] = [make(), make({ noise: 0.1 })];
    const before = loud.generator.state;
    expect(numbers(loud.scan(xs)[0])).toEqual(numbers(quiet.scan(xs)[0]));
    expect(loud.generator.state).toEqual(before);
    expect(new Stream(loud).whyEager).toBeNull();
  });

  it("asked for, is added to what f says, uniform up to ν, and scaled like it: by what an equal generator draws", () => {
    for (const options of [{ noise: 0.1 }, { noise: 0.02, leak: 0.3 }]) {
      const loud = make(options);
      const plain = make({ ...options, noise: 0 });
      loud.noisy = true;
      // Weights are drawn from the same seed, so both generators stand at the same place.
      const [hs] = loud.scan(xs);
      let h = plain.initialState(2);
      const rows = hs.toArray() as number[][][];
      rows.forEach((row, t) => {
        const [quiet] = plain.step(tensor((xs.toArray() as number[][][])[t] as number[][], { dtype: "float64" }), h);
        const drawn = plain.generator.uniform([2, 20], -options.noise, options.noise, "float64").toArray() as number[][];
        const want = (quiet.toArray() as number[][]).map((r, b) => r.map((v, i) => v + plain.leak * (drawn[b]?.[i] as number)));
        row.flat().forEach((v, i) => {
          expect(Math.abs(v - (want.flat()[i] as number)) <= 1e-15).toBe(true);
        });
        h = tensor(row, { dtype: "float64" });
      });
    }
  });

  it("asked for, is in a stream as well, new at every step", () => {
    const loud = make({ noise: 0.1, spectralRadius: 0 });
    loud.noisy = true;
    const stream = new Stream(loud);
    const [a, b] = [Array.from(stream.step([0]), Number), Array.from(stream.step([0]), Number)];
    expect(a).not.toEqual(b);
    for (const v of [...a, ...b]) expect(Math.abs(v) <= 0.1).toBe(true);
  });

  it("is no negative number, and no text", () => {
    expect(() => make({ noise: -0.1 })).toThrow("Reservoir: expected noise of at least 0, got -0.1");
    expect(() => make({ noise: Number.NaN })).toThrow(ArgumentError);
  });
});

describe("a rate besides the leak", () => {
  it("multiplies what f says: Jaeger's and Haas's equation, worked out by hand", () => {
    const r = make({ leak: 0.4, rate: 0.5, hiddenSize: 3, connections: 2, biasScale: 0.2 });
    const W = toDense(r.weightHh).toArray() as number[][];
    const [win, b] = [numbers(r.weightIh), numbers(r.bias)];
    const h = [0.3, -0.2, 0.9];
    const [y] = r.step(tensor([[0.7]], { dtype: "float64" }), tensor([h], { dtype: "float64" }));
    numbers(y).forEach((v, i) => {
      const net = (win[i] as number) * 0.7 + (b[i] as number) + h.reduce((sum, hj, j) => sum + (W[i]?.[j] as number) * hj, 0);
      expect(Math.abs(v - (0.6 * (h[i] as number) + 0.5 * Math.tanh(net))) <= 1e-15).toBe(true);
    });
  });

  it("equal to the leak is what the leak alone is; the radius asked for is that of (1 − a) I + γ W", () => {
    expect(numbers(make({ leak: 0.3, rate: 0.3 }).weightHh.values)).toEqual(numbers(make({ leak: 0.3 }).weightHh.values));
    const r = make({ leak: 0.4, rate: 0.7, spectralRadius: 0.95 });
    const all = eigenvalues(toDense(r.weightHh).toArray() as number[][]);
    const radius = Math.max(...all.map(({ re, im }) => Math.sqrt((0.6 + 0.7 * re) ** 2 + (0.7 * im) ** 2)));
    expect(Math.abs(radius - 0.95) <= 1e-9).toBe(true);
    expect(Math.abs(r.report.effectiveRadius - radius) <= 1e-9).toBe(true);
    expect(Math.abs(r.report.weightRadius - Math.max(...all.map(({ re, im }) => Math.sqrt(re * re + im * im)))) <= 1e-9).toBe(true);
    const weights = make({ leak: 0.4, rate: 0.7, spectralRadius: 0.95, radiusOf: "weights" });
    expect(Math.abs(weights.report.weightRadius - 0.95) <= 1e-9).toBe(true);
    expect(() => make({ rate: 0 })).toThrow("Reservoir: expected rate above 0, got 0");
  });
});
