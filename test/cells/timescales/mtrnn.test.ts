import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { MTRNN, type MTRNNOptions } from "../../../src/cells/timescales/mtrnn.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { sum } from "../../../src/ops/broadcast.ts";
import { select, slice } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { zeros } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, type Matrix, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, checkParameter, expectClose, learn } from "../acceptance.ts";

const SMALL = { maps: [2, 3], fastSize: 4, slowSize: 2, tau: { io: 2, fast: 3, slow: 20 }, bound: 1 } as const;
const net = (more: Partial<MTRNNOptions> = {}) => new MTRNN({ ...SMALL, dtype: "float64", generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());

/** What the paper leaves out at zero: IO maps see themselves and Cf, Cf sees all, Cs sees Cf and Cs. */
function connected(weight: Matrix): number[][] {
  const group = [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3];
  const sees = (to: number, from: number) => to === from || to === 2 || from === 2;
  return weight.map((row, i) => row.map((w, j) => (sees(group[i] as number, group[j] as number) ? w : 0)));
}

const softmax = (u: number[]) => u.map((v) => Math.exp(v) / u.reduce((s, w) => s + Math.exp(w), 0));
const activity = (u: number[]) => [...softmax(u.slice(0, 2)), ...softmax(u.slice(2, 5)), ...u.slice(5).map(logistic)];

describe("MTRNN", () => {
  it.each<[MTRNNOptions["ioActivation"], MTRNNOptions["contextActivation"], number]>([
    ["softmax", "logistic", 0],
    ["softmax", "logistic", 0.3],
    ["softmax", "tanh", 0.3],
    ["tanh", "logistic", 1],
    ["logistic", "tanh", 0.3],
  ])("is equations 5 to 7 from any state, values and derivatives: IO %s, context %s, own input %d", (io, context, own) =>
    holdAgainst(net({ ioActivation: io, contextActivation: context, ownInput: own } as Partial<MTRNNOptions>), (p, x, [u]) => {
      const functions = { tanh: Math.tanh, logistic };
      const put = (v: Vector) =>
        io === "softmax" ? [...softmax([...v.slice(0, 2)]), ...softmax([...v.slice(2, 5)])] : v.slice(0, 5).map(functions[io as "tanh"]);
      const seen = each((a, b) => (1 - own) * a + own * b, x, put(u as Vector));
      const all = [...seen, ...(u as Vector).slice(5).map(functions[context as "tanh"])];
      const tau = [2, 2, 2, 2, 2, 3, 3, 3, 3, 20, 20];
      const next = each((v, s, t) => (1 - 1 / t) * v + s / t, u as Vector, times(connected(p.matrix("weight", 11)), all), tau);
      return [put(next), [next]];
    }),
  );

  it("has the gradients of its equations, and steps that equal its scan", () => accept(net()));
  it("has them with its own output in its input, and with tanh units", () =>
    accept(net({ ownInput: 0.3, ioActivation: "tanh", contextActivation: "tanh" })));

  it("is the paper's equations 5 to 7, with a part of its own output in the input", () => {
    const cell = net({ ownInput: 0.25 });
    const xs = new Generator(3).uniform([7, 1, 5], 0, 1, "float64");
    const w = connected(rows(cell.weight));
    const tau = [2, 2, 2, 2, 2, 3, 3, 3, 3, 20, 20];
    let u = new Array<number>(11).fill(0);
    for (let t = 0; t < 7; t++) {
      const before = activity(u);
      const x = numbers(select(xs, 0, t)).map((v, i) => 0.75 * v + 0.25 * (before[i] as number));
      const drive = times(w, [...x, ...before.slice(5)]);
      u = u.map((v, i) => (1 - 1 / (tau[i] as number)) * v + (drive[i] as number) / (tau[i] as number));
    }
    const [ys, last] = cell.scan(xs);
    expectClose(last, u, 1e-12);
    expectClose(select(ys, 0, 6), activity(u).slice(0, 5), 1e-12);
    const { io, fast, slow } = cell.activities(last);
    expectClose([...numbers(io), ...numbers(fast), ...numbers(slow)], activity(u), 1e-12);
  });

  it("has the sizes and time constants of the paper by default", () => {
    const cell = new MTRNN({ maps: [64, 36], fastSize: 60, slowSize: 20 });
    expect(cell.weight.shape).toEqual([180, 180]);
    const taus = numbers(cell.rate).map((r) => Math.round(1 / r));
    expect([0, 99, 100, 159, 160, 179].map((i) => taus[i])).toEqual([2, 2, 5, 5, 70, 70]);
    expect(Math.max(...numbers(cell.weight).map(Math.abs))).toBeLessThanOrEqual(0.025);
  });

  it("has no connection of IO with slow context, nor of a map with another", () => {
    const cell = net();
    const loss = sum(cell.scan(new Generator(3).uniform([5, 2, 5], 0, 1, "float64"))[1]);
    backward(loss);
    const missing = connected(rows(cell.weight)).flat();
    for (const [k, d] of numbers(cell.weight.grad as Tensor).entries()) if (missing[k] === 0) expect(d).toBe(0);
    expect(missing.filter((w) => w === 0).length).toBe(2 * 2 * 3 + 2 * 5 * 2);
  });

  it("lets what it was told fade with the time constants, not faster", () => {
    const cell = net();
    assign(cell.weight, new Float64Array(121));
    const [, u] = cell.scan(zeros([10, 1, 5], "float64"), tensor([new Array(11).fill(1)], { dtype: "float64" }));
    const kept = [0.5, 2 / 3, 0.95].map((f) => f ** 10) as [number, number, number];
    expectClose(u, [...Array(5).fill(kept[0]), ...Array(4).fill(kept[1]), ...Array(2).fill(kept[2])], 1e-12);
  });

  it("has initial states of its own for each sequence, and derivatives by them", () => {
    const cell = net({ sequences: 3 });
    const start = cell.initialSlow as Tensor;
    assign(start, new Generator(5).uniform([3, 2], -1, 1, "float64"));
    expectClose(
      slice(cell.stateOf([2, 0, 2]), 1, 9),
      [2, 0, 2].flatMap((s) => numbers(start).slice(2 * s, 2 * s + 2)),
      0,
    );
    expectClose(slice(cell.stateOf([1]), 1, 0, 9), new Array(9).fill(0), 0);
    const xs = new Generator(3).uniform([4, 2, 5], 0, 1, "float64");
    checkParameter("initial_slow", cell.initialSlow as NonNullable<typeof cell.initialSlow>, () =>
      sum(cell.scan(xs, cell.stateOf([2, 0]))[0]),
    );
    expect(() => net().stateOf([0])).toThrow("MTRNN: expected the option `sequences`");
    expect(() => cell.stateOf([3])).toThrow();
  });

  it.each([{ maps: [] }, { maps: [0] }, { fastSize: 0 }, { tau: { slow: 0.5 } }, { ownInput: 2 }, { ownInput: -0.1 }])(
    "refuses %j",
    (wrong) => expect(() => net(wrong)).toThrow("MTRNN: expected"),
  );

  it("tells two sequences with one input apart by what it learned of their beginnings", () => {
    const cell = new MTRNN({
      maps: [1],
      fastSize: 8,
      slowSize: 2,
      tau: { slow: 20 },
      ioActivation: "tanh",
      contextActivation: "tanh",
      bound: 0.3,
      sequences: 2,
      generator: new Generator(1),
    });
    const target = tensor(
      Float32Array.from({ length: 40 }, (_, k) => (k % 2 === 0 ? 0.5 : -0.5)),
      { shape: [20, 2, 1] },
    );
    const optimizer = new Adam(cell.parameters(), { lr: 1e-2 });
    const error = learn(400, () => {
      const loss = mseLoss(cell.scan(zeros([20, 2, 1]), cell.stateOf([0, 1]))[0], target);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    // Without states of their own both would put out 0, the error 0.25.
    expect(error).toBeLessThan(0.05);
  });
});
