import { describe, expect, it } from "vitest";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { HiddenDelayNetwork, NARX } from "../../../src/cells/delays/narx.ts";
import { TeacherForced } from "../../../src/cells/simple/jordan.ts";
import { select } from "../../../src/ops/shape.ts";
import { ones, zeros } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, requireGrad, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { plus, times as product, rows, logistic as sigma, plus as sumOf, times } from "../../oracle/numbers.ts";
import { accept, B, checkStepsEqualScan, expectClose, T } from "../acceptance.ts";

const options = (more: Partial<ConstructorParameters<typeof NARX>[0]> = {}) => ({
  inputSize: 3,
  outputSize: 2,
  hiddenSize: 4,
  inputDelays: 2,
  outputDelays: 3,
  dtype: "float64" as const,
  generator: new Generator(2),
  ...more,
});

/** Row b of step t of [T,B,n]. */
function at(xs: Tensor, t: number, b: number): number[] {
  const n = xs.dim(2);
  return Array.from(xs.data()).slice((t * xs.dim(1) + b) * n, (t * xs.dim(1) + b + 1) * n);
}

/** y(t) by the definition, from whole histories of inputs and of what is fed back; zeros before the first step. */
function psi(net: NARX, us: readonly number[][], ys: readonly number[][], t: number): number[] {
  const past = (all: readonly number[][], k: number, width: number) => all[k] ?? new Array<number>(width).fill(0);
  const u = Array.from({ length: net.inputDelays + 1 }, (_, d) => past(us, t - d, net.inputSize)).flat();
  const y = Array.from({ length: net.outputDelays }, (_, d) => past(ys, t - 1 - d, net.outputSize)).flat();
  const sums = plus(times(rows(net.weightIh), u), times(rows(net.weightFh), y), Array.from(net.bias.data()));
  if (net.weightHo === null || net.biasO === null) return sums;
  return plus(times(rows(net.weightHo), sums.map(Math.tanh)), Array.from(net.biasO.data()));
}

describe("NARX", () => {
  it.each([
    ["a hidden layer and both lines", options()],
    ["no delayed input", options({ inputDelays: 0 })],
    ["one output fed back", options({ outputDelays: 1 })],
    ["one layer", options({ hiddenSize: 0, outputActivation: "tanh" })],
  ])("has the gradients of its equations, and steps that equal its scan: %s", (_, given) => accept(new NARX(given)));

  it.each([4, 0])(
    "is Narendra and Parthasarathy's model with any functions, from any state, values and derivatives; %d hidden units",
    (hiddenSize) =>
      holdAgainst(
        new NARX(options({ hiddenSize, activation: "logistic", outputActivation: "tanh", outputDelays: 2, inputDelays: 1 })),
        (p, u, [y, before, inputs]) => {
          const ofInputs = product(p.matrix("weight_ih", 2 * 3), [...u, ...(inputs as number[])]);
          const sums = sumOf(
            ofInputs,
            product(p.matrix("weight_fh", 2 * 2), [...(y as number[]), ...(before as number[])]),
            p.vector("bias"),
          );
          const out = hiddenSize === 0 ? sums : sumOf(product(p.matrix("weight_ho", 4), sums.map(sigma)), p.vector("bias_o"));
          const next = out.map(Math.tanh);
          return [next, [next, y as number[], u]];
        },
      ),
  );

  it.each([options(), options({ inputDelays: 0, outputDelays: 1 }), options({ hiddenSize: 0 })])(
    "in parallel mode sees its own outputs, newest first",
    (given) => {
      const net = new NARX(given);
      const xs = new Generator(3).uniform([8, B, 3], -1, 1, "float64");
      const [ys] = net.scan(xs);
      for (let b = 0; b < B; b++) {
        const us = Array.from({ length: 8 }, (_, t) => at(xs, t, b));
        const own: number[][] = [];
        for (let t = 0; t < 8; t++) {
          own.push(psi(net, us, own, t));
          expectClose(at(ys, t, b), own[t] as number[], 1e-12, `y(${t})`);
        }
      }
    },
  );

  it("in series-parallel mode sees the true outputs", () => {
    const net = new NARX(options());
    const forced = new TeacherForced(net);
    checkStepsEqualScan(forced);
    const xs = new Generator(3).uniform([T, 1, 5], -1, 1, "float64");
    const [ys] = forced.scan(xs);
    // An input names the output of the step before, so the history of outputs starts one step before that of inputs.
    const us = [[0, 0, 0], ...Array.from({ length: T }, (_, t) => at(xs, t, 0).slice(0, 3))];
    const ds = Array.from({ length: T }, (_, t) => at(xs, t, 0).slice(3));
    for (let t = 0; t < T; t++) expectClose(at(ys, t, 0), psi(net, us, ds, t + 1), 1e-12, `y(${t})`);
  });

  it("starts from the outputs and inputs it is given", () => {
    const net = new NARX(options({ inputSize: 1, outputSize: 1 }));
    const all = new Generator(4).uniform([10, 1, 1], -1, 1, "float64");
    const [ys] = net.scan(all);
    const line = (values: number[]) => tensor(values, { shape: [1, values.length, 1], dtype: "float64" });
    const y = Array.from(ys.data());
    const u = Array.from(all.data());
    const state = {
      y: tensor([[y[5] as number]], { dtype: "float64" }),
      outputs: line([y[4], y[3]] as number[]),
      inputs: line([u[5], u[4]] as number[]),
    };
    const [rest] = net.scan(tensor(u.slice(6), { shape: [4, 1, 1], dtype: "float64" }), state);
    expectClose(rest, y.slice(6), 1e-12);
  });

  it("passes gradients through a tap of delay D in steps of D alone", () => {
    const [D, w] = [3, 0.9];
    const net = new NARX({ inputSize: 1, outputSize: 1, outputDelays: D, dtype: "float64" });
    assign(net.weightIh, [1]);
    assign(net.bias, [0]);
    assign(net.weightFh, [0, 0, w]);
    const xs = requireGrad(zeros([10, 1, 1], "float64"));
    const [ys] = net.scan(xs);
    const [d] = gradients([select(ys, 0, 9)], [xs], [ones([1, 1], "float64")]);
    const expected = Array.from({ length: 10 }, (_, t) => ((9 - t) % D === 0 ? w ** ((9 - t) / D) : 0));
    expectClose(d as Tensor, expected, 1e-12);
  });

  it("refuses sizes and delays that are none", () => {
    expect(() => new NARX(options({ outputDelays: 0 }))).toThrow("NARX: expected outputDelays to be a whole number of at least 1, got 0");
    expect(() => new NARX(options({ inputDelays: -1 }))).toThrow("NARX: expected inputDelays to be a whole number of at least 0, got -1");
  });
});

describe("HiddenDelayNetwork", () => {
  const make = (hiddenDelays: number) =>
    new HiddenDelayNetwork({ inputSize: 3, hiddenSize: 4, hiddenDelays, dtype: "float64", generator: new Generator(2) });

  it.each([1, 3])("has the gradients of its equation, and steps that equal its scan: %d delays", (delays) => accept(make(delays)));

  it("has the activation that it is given, from any line of states, values and derivatives", () =>
    holdAgainst(
      new HiddenDelayNetwork({ inputSize: 3, hiddenSize: 4, hiddenDelays: 2, activation: "logistic", dtype: "float64" }),
      (p, x, [line]) => {
        const sums = sumOf(product(p.matrix("weight_ih", 3), x), product(p.matrix("weight_hh", 8), line as number[]), p.vector("bias"));
        const h = sums.map(sigma);
        return [h, [[...h, ...(line as number[]).slice(0, 4)]]];
      },
    ));

  it("sees its last states, newest first", () => {
    const net = make(3);
    const xs = new Generator(3).uniform([8, 1, 3], -1, 1, "float64");
    const [hs] = net.scan(xs);
    const U = rows(net.weightHh);
    const own: number[][] = [];
    for (let t = 0; t < 8; t++) {
      const fed = [1, 2, 3].map((d) =>
        times(
          U.map((row) => row.slice((d - 1) * 4, d * 4)),
          own[t - d] ?? [0, 0, 0, 0],
        ),
      );
      own.push(plus(times(rows(net.weightIh), at(xs, t, 0)), Array.from(net.bias.data()), ...fed).map(Math.tanh));
      expectClose(at(hs, t, 0), own[t] as number[], 1e-12, `h(${t})`);
    }
  });
});
