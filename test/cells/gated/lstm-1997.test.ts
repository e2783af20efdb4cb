import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { LSTM1997, type LSTM1997Options } from "../../../src/cells/gated/lstm-1997.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { bceWithLogits } from "../../../src/nn/losses.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { sum } from "../../../src/ops/broadcast.ts";
import { select } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, checkStepsEqualScan, expectClose, GOLDEN, GOLDEN_TOLERANCE, leaf, learn, runGolden } from "../acceptance.ts";

const cell = (options: Partial<LSTM1997Options> = {}) =>
  new LSTM1997({ inputSize: 3, blocks: 2, cellsPerBlock: 2, bound: 0.8, dtype: "float64", generator: new Generator(2), ...options });

const configurations: [string, Partial<LSTM1997Options>][] = [
  ["blocks of two", {}],
  ["blocks of one", { blocks: 4, cellsPerBlock: 1, inputGateBias: [-1, -2, -3, -4], outputGateBias: -1 }],
  ["gates fed back", { gateRecurrence: true, squashing: "tanh" }],
];

/** Section 4 of the paper, cell by cell; */
function oracle(net: LSTM1997, xs: Tensor, S: number): number[] {
  const J = net.blocks;
  const [W, U, b] = [rows(net.weightIh), rows(net.weightHh), Array.from(net.bias.data())];
  let u = new Array<number>(U[0]?.length as number).fill(0);
  const c = new Array<number>(J * S).fill(0);
  const [g, h] =
    net.squashing === "tanh" ? [Math.tanh, Math.tanh] : [(v: number) => 4 * logistic(v) - 2, (v: number) => 2 * logistic(v) - 1];
  let y: number[] = [];
  for (let t = 0; t < xs.dim(0); t++) {
    const net_ = plus(times(W, Array.from(select(select(xs, 0, t), 0, 0).data())), times(U, u), b);
    const inGate = net_.slice(0, J).map(logistic);
    const outGate = net_.slice(J, 2 * J).map(logistic);
    y = c.map((_, v) => {
      const j = Math.floor(v / S);
      c[v] = (c[v] as number) + (inGate[j] as number) * g(net_[2 * J + v] as number);
      return (outGate[j] as number) * h(c[v] as number);
    });
    u = net.gateRecurrence ? [...y, ...inGate, ...outGate] : y;
  }
  return [...u, ...c];
}

describe("LSTM1997", () => {
  it.each(configurations)("has the gradients of its equations, and steps that equal its scan: %s", (_, options) => accept(cell(options)));

  it.each(configurations)("is the paper's recurrence: %s", (_, options) => {
    const net = cell(options);
    const xs = new Generator(3).uniform([7, 1, 3], -1, 1, "float64");
    const [, { u, c }] = net.scan(xs);
    expect([net.gateRecurrence, net.squashing]).toEqual([options.gateRecurrence ?? false, options.squashing ?? "1997"]);
    expectClose([...u.data(), ...c.data()], oracle(net, xs, options.cellsPerBlock ?? 2), 1e-12);
  });

  it.each(["float32", "float64"] as const)("with tanh reaches the golden vector of an LSTM without a forget gate, %s", (dtype) => {
    const net = cell({ inputSize: GOLDEN.inputSize, blocks: 2, cellsPerBlock: 1, squashing: "tanh", dtype });
    // Published with rows i f g o and two biases; here rows i o c and one.
    const rowsOf = (s: number, width: number) =>
      [0, 1, 6, 7, 4, 5].flatMap((row) => Array.from({ length: width }, (_, j) => 0.5 * Math.sin(1 + 0.7 * (row * width + j) + 1.3 * s)));
    assign(net.weightIh, rowsOf(0, 3));
    assign(net.weightHh, rowsOf(1, 2));
    assign(net.bias, plus(rowsOf(2, 1), rowsOf(3, 1)));
    const { state } = runGolden(net, dtype);
    // From ../golden.test.ts.
    expectClose(state[0] as Tensor, [0.270162, 0.418086], GOLDEN_TOLERANCE[dtype]);
    expectClose(state[1] as Tensor, [0.690567, 0.774479], GOLDEN_TOLERANCE[dtype]);
  });

  it("truncated, keeps the values and carries errors through the inner states alone", () => {
    const [whole, cut] = [cell(), cell({ truncate: "1997" })];
    checkStepsEqualScan(cut);
    const g = new Generator(4);
    const [xs, u, c] = [leaf(g, 5, 2, 3), leaf(g, 2, 4), leaf(g, 2, 4)];
    expect(Array.from(cut.scan(xs, { u, c })[0].data())).toEqual(Array.from(whole.scan(xs, { u, c })[0].data()));
    for (const run of [() => cut.scan(xs, { u, c }), () => scanSteps(cut, xs, { u, c })]) {
      const [ys, last] = run();
      const [du, dc] = gradients([sum(last.c)], [u, c], [ones([], "float64")]);
      expect(Array.from(du?.data() ?? [0]).every((d) => d === 0)).toBe(true);
      // The constant error carousel: ∂c_T/∂c_0 = 1.
      expect(Array.from((dc as Tensor).data())).toEqual(new Array(8).fill(1));
      // ∂c_T/∂b_i = Σ_t i(1 − i)·g for the gate, as if u were data.
      const [db] = gradients([sum(last.c)], [cut.bias], [ones([], "float64")]) as [Tensor];
      expectClose(db, truncatedBiasGradient(cut, xs, u, ys), 1e-12);
    }
  });

  it.each(configurations)("truncated, has the gradients of its equations with the activations fed back as constants: %s", (_, options) => {
    const net = cell({ ...options, truncate: "1997" });
    const g = new Generator(6);
    const [steps, width] = [4, net.initialState(1).u.dim(1)];
    const leaves = [leaf(g, steps, 1, 3), leaf(g, 1, width), leaf(g, 1, 4)] as const;
    const weights = Array.from(g.uniform([4 * steps], -1, 1, "float64").data(), Number);
    const [xs, u0, c0] = leaves;
    const fed = [Array.from(u0.data(), Number)];
    const start = [net.weightIh, net.weightHh, net.bias, xs, u0, c0].map((t) => Array.from(t.data(), Number));
    /** Σ of the weighted outputs; what is fed back at each step is that of the first run. */
    const run = ([W, U, b, x, , c] = start as number[][], collect = false): number => {
      const matrix = (flat: number[], n: number) => Array.from({ length: flat.length / n }, (_, i) => flat.slice(n * i, n * i + n));
      let [cells, total] = [c as number[], 0];
      for (let t = 0; t < steps; t++) {
        const sums = plus(
          times(matrix(W as number[], 3), (x as number[]).slice(3 * t, 3 * t + 3)),
          times(matrix(U as number[], width), fed[t] as number[]),
          b as number[],
        );
        const gates = sums.slice(0, 2 * net.blocks).map(logistic);
        const [into, out] = [gates.slice(0, net.blocks), gates.slice(net.blocks)];
        const [squash, show] =
          options.squashing === "tanh" ? [Math.tanh, Math.tanh] : [(v: number) => 4 * logistic(v) - 2, (v: number) => 2 * logistic(v) - 1];
        const block = (k: number) => Math.floor((k * net.blocks) / 4);
        cells = cells.map((old, k) => old + (into[block(k)] as number) * squash(sums[2 * net.blocks + k] as number));
        const y = cells.map((v, k) => (out[block(k)] as number) * show(v));
        if (collect) fed.push(options.gateRecurrence ? [...y, ...gates] : y);
        total += y.reduce((sum_, v, k) => sum_ + v * (weights[4 * t + k] as number), 0);
      }
      return total;
    };
    run(undefined, true);
    const [ys] = net.scan(xs, { u: u0, c: c0 });
    const loss = sum(mul(ys, tensor(weights, { shape: [steps, 1, 4], dtype: "float64" })));
    expectClose(loss, [run()], 1e-9);
    const found = gradients([loss], [net.weightIh, net.weightHh, net.bias, xs, u0, c0], [ones([], "float64")]);
    for (const [i, values] of start.entries()) {
      const slopes = values.map((v, k) => {
        const at = (by: number) => run(start.with(i, values.with(k, v + by)));
        return (at(1e-5) - at(-1e-5)) / 2e-5;
      });
      expectClose(Array.from(found[i]?.data() ?? values.map(() => 0), Number), slopes, 1e-6, `derivatives by ${i}`);
    }
  });

  it.each(["none", "1997"] as const)("learns to carry one bit over noise, truncate = %s", (truncate) => {
    const net = new LSTM1997({
      inputSize: 2,
      blocks: 2,
      cellsPerBlock: 2,
      truncate,
      inputGateBias: -1,
      bound: 0.2,
      generator: new Generator(1),
    });
    const head = new Linear(4, 1, { generator: new Generator(2) });
    const optimizer = new Adam([...net.parameters(), ...head.parameters()], { lr: 3e-2 });
    const g = new Generator(3);
    const [steps, batch] = [20, 32];
    const error = learn(150, () => {
      const noise = g.uniform([steps, batch, 2], -1, 1).data();
      const bits = Array.from(g.uniform([batch]).data(), (r) => (r < 0.5 ? 0 : 1));
      // The second channel is the bit at first and zero later.
      for (let k = 0; k < steps * batch; k++) noise[2 * k + 1] = k < batch ? 2 * (bits[k] as number) - 1 : 0;
      const [, { u }] = net.scan(tensor(noise, { shape: [steps, batch, 2] }));
      const loss = bceWithLogits(head.forward(u), tensor(bits, { shape: [batch, 1], dtype: "float32" }));
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    expect(error).toBeLessThan(0.05);
  });

  it("names what it cannot use", () => {
    expect(() => cell({ inputGateBias: [1, 2, 3] })).toThrow("LSTM1997: expected inputGateBias to be a number or 2 of them, got 3");
    expect(() => cell({ blocks: 0 })).toThrow("LSTM1997: expected blocks");
  });
});

/** d Σc_T / d bias for a network whose fed-back activations are constants: rows i o c. */
function truncatedBiasGradient(net: LSTM1997, xs: Tensor, u0: Tensor, ys: Tensor): number[] {
  const [W, U, b] = [rows(net.weightIh), rows(net.weightHh), Array.from(net.bias.data())];
  const J = net.blocks;
  const total = new Array<number>(b.length).fill(0);
  for (let t = 0; t < xs.dim(0); t++) {
    const before = t === 0 ? rows(u0) : rows(select(ys, 0, t - 1));
    for (const [k, x] of rows(select(xs, 0, t)).entries()) {
      const sums = plus(times(W, x), times(U, before[k] as number[]), b);
      for (let v = 0; v < 4; v++) {
        const [j, s] = [Math.floor(v / 2), logistic(sums[2 * J + v] as number)];
        const i = logistic(sums[j] as number);
        total[j] = (total[j] as number) + i * (1 - i) * (4 * s - 2);
        total[2 * J + v] = (total[2 * J + v] as number) + i * 4 * s * (1 - s);
      }
    }
  }
  return total;
}
