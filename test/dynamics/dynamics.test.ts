import { describe, expect, it } from "vitest";
import { CTRNN } from "../../src/cells/timescales/ctrnn.ts";
import { fixedPoints, jacobianAt } from "../../src/dynamics/fixed-points.ts";
import { oscillation } from "../../src/dynamics/limit-cycle.ts";
import { lyapunovExponents } from "../../src/dynamics/lyapunov.ts";
import { eigenvalues } from "../../src/numerics/eigenvalues.ts";
import { add, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { linear } from "../../src/ops/linear.ts";
import { tanh } from "../../src/ops/math.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { Cell } from "../../src/recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const f64 = (data: number[] | number[][]) => tensor(data, { dtype: "float64" });

describe("fixedPoints", () => {
  it("of a flow: those of 3 tanh(y) − y", () => {
    const found = fixedPoints((y) => sub(mul(tanh(y), 3), y), { starts: [[-5], [-1], [0.1], [0.1], [4]] });
    expect(found.map((p) => p.stable)).toEqual([true, false, true]);
    for (const { point } of found) expect(3 * Math.tanh(point[0] as number)).toBeCloseTo(point[0] as number, 9);
    expect(found[1]?.eigenvalues[0]?.re).toBeCloseTo(2, 9);
  });

  it("of a map: those of the logistic map, stable below three", () => {
    const map = (r: number) => (y: Tensor) => mul(mul(y, r), sub(1, y));
    for (const [r, stable] of [
      [2.8, true],
      [3.2, false],
    ] as const) {
      const found = fixedPoints(map(r), { starts: [[0.01], [0.9]], kind: "map" });
      expect(found.map((p) => p.stable)).toEqual([false, stable]);
      expect(found[1]?.point[0]).toBeCloseTo(1 - 1 / r, 9);
      expect(found[1]?.eigenvalues[0]?.re).toBeCloseTo(2 - r, 9);
    }
  });

  it("of a network of three units, each a root of the field, with the Jacobian by hand", () => {
    const cell = new CTRNN({ inputSize: 1, hiddenSize: 3, bound: 8, centreCrossing: true, dtype: "float64", generator: new Generator(3) });
    const starts = Array.from({ length: 27 }, (_, i) => [i % 3, Math.floor(i / 3) % 3, Math.floor(i / 9)].map((v) => 6 * v - 6));
    const found = fixedPoints((y) => cell.slope(y), { starts });
    expect(found.length).toBeGreaterThan(0);
    for (const { point } of found) {
      for (const v of cell.slope(f64([...point])).data()) expect(Math.abs(v)).toBeLessThan(1e-10);
      const o = Array.from(cell.outputs(f64([...point])).data());
      const [w, logTau] = [cell.weightHh.data(), cell.logTau.data()];
      const expected = point.map((_, i) =>
        o.map((v, j) => ((w[3 * i + j] as number) * v * (1 - v) - Number(i === j)) / Math.exp(logTau[i] as number)),
      );
      for (const [i, row] of jacobianAt((y) => cell.slope(y), point).entries()) {
        row.forEach((v, j) => {
          expect(v).toBeCloseTo(expected[i]?.[j] as number, 10);
        });
      }
    }
  });

  it("finds none where there is none, and refuses starts of different lengths", () => {
    expect(fixedPoints((y) => sub(-1, square(y)), { starts: [[0.3]] })).toEqual([]);
    expect(() => fixedPoints((y) => y, { starts: [] })).toThrow("fixedPoints: expected starts of one length");
    expect(() => fixedPoints((y) => y, { starts: [[1], [1, 2]] })).toThrow("got lengths [1, 2]");
  });
});

/** y' = f(y) as a cell. */
class MapCell extends Cell<Tensor> {
  readonly inputSize = 1;
  readonly outputSize: number;
  readonly matrix: Tensor;
  readonly #f: (y: Tensor, matrix: Tensor) => Tensor;

  constructor(matrix: number[][], f: (y: Tensor, matrix: Tensor) => Tensor) {
    super();
    this.outputSize = matrix.length;
    this.matrix = keep(f64(matrix));
    this.#f = f;
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], "float64");
  }

  step(_: Tensor, y: Tensor): [y: Tensor, next: Tensor] {
    const next = this.#f(y, this.matrix);
    return [next, next];
  }
}

describe("fixedPoints at a double root", () => {
  it("finds it once, where it is, from both sides", () => {
    for (const [f, at] of [
      [(y: Tensor) => mul(y, y), 0],
      [(y: Tensor) => mul(sub(y, 2), sub(y, 2)), 2],
    ] as const) {
      const found = fixedPoints(f, { starts: [[at - 1], [at + 1], [at + 0.3], [at]] });
      expect(found.length).toBe(1);
      expect(Math.abs((found[0]?.point[0] as number) - at) < 1e-6).toBe(true);
      expect(Math.abs(found[0]?.eigenvalues[0]?.re as number) < 1e-6).toBe(true);
    }
  });
});

describe("lyapunovExponents", () => {
  it("of a linear map: the logarithms of its eigenvalues' sizes", () => {
    const matrix = [
      [0.9, 0.4, 0.1],
      [0, 0.5, 0.3],
      [0.2, 0, 1.2],
    ];
    const cell = new MapCell(matrix, (y, m) => linear(y, m));
    const expected = eigenvalues(matrix).map(({ re, im }) => Math.log(Math.hypot(re, im)));
    const found = lyapunovExponents(cell, { steps: 3000, transient: 50 });
    for (const [i, v] of expected.sort((a, b) => b - a).entries()) expect(found[i]).toBeCloseTo(v, 3);
  });

  it("of the logistic map with r = 4: ln 2", () => {
    const cell = new MapCell([[4]], (y, r) => mul(linear(y, r), sub(1, y)));
    const [found] = lyapunovExponents(cell, { steps: 20000, transient: 100, state: f64([[0.3]]) });
    expect(Math.abs((found as number) - Math.LN2)).toBeLessThan(0.01);
  });

  it("of the Hénon map: 0.419, and the sum is the logarithm of the area's shrinking", () => {
    // x' = 1 − 1.4 x² + y, y' = 0.3 x
    const henon = (y: Tensor, m: Tensor) => add(linear(y, m), mul(sub(1, mul(square(y), 1.4)), f64([1, 0])));
    const cell = new MapCell(
      [
        [0, 1],
        [0.3, 0],
      ],
      henon,
    );
    const found = lyapunovExponents(cell, { steps: 6000, transient: 100, state: f64([[0.1, 0.1]]) }) as [number, number];
    expect(Math.abs(found[0] - 0.419)).toBeLessThan(0.01);
    expect(found[0] + found[1]).toBeCloseTo(Math.log(0.3), 9);
  });

  it("at a fixed point of a flow: the real parts of the eigenvalues", () => {
    const cell = new CTRNN({ inputSize: 1, hiddenSize: 3, interval: 0.05, tau: [0.5, 2], dtype: "float64", generator: new Generator(5) });
    const [rest] = fixedPoints((y) => cell.slope(y), { starts: [[0, 0, 0]] });
    const found = lyapunovExponents(cell, { steps: 20000, transient: 600, interval: 0.05 });
    for (const [i, { re }] of (rest?.eigenvalues ?? []).entries()) expect(found[i]).toBeCloseTo(re, 2);
  });

  it("of an LSTM, whose state is two tensors: the largest exponents, which fall", () => {
    const cell = new LSTMCell({ inputSize: 1, hiddenSize: 3, dtype: "float64", generator: new Generator(1) });
    const found = lyapunovExponents<LstmState>(cell, { steps: 500, transient: 50, count: 3 });
    expect(found.every((v, i) => v < 0 && v <= (found[i - 1] ?? 0) + 1e-9)).toBe(true);
  });

  it("refuses more exponents than there are directions", () => {
    const cell = new RNNCell({ inputSize: 1, hiddenSize: 2 });
    expect(() => lyapunovExponents<Tensor>(cell, { steps: 10, count: 3 })).toThrow("count of at most 2");
    expect(() => lyapunovExponents<Tensor>(cell, { steps: 0 })).toThrow("steps");
  });
});

describe("oscillation", () => {
  it("of a sine", () => {
    const samples = Float64Array.from({ length: 1000 }, (_, i) => 2 + 3 * Math.sin(i * 0.1));
    const { period, amplitude } = oscillation(samples, { interval: 0.5 });
    expect(Math.abs((period as number) - 0.5 * 20 * Math.PI)).toBeLessThan(1e-2);
    expect(amplitude).toBeCloseTo(3, 2);
    expect(oscillation(samples, { level: 10 }).period).toBeNull();
    expect(oscillation([1, 1, 1])).toEqual({ period: null, amplitude: 0 });
    expect(() => oscillation([])).toThrow("oscillation: expected at least one sample");
  });
});
