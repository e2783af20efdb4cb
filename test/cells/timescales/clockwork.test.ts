import { describe, expect, it } from "vitest";
import { ClockworkRNN } from "../../../src/cells/timescales/clockwork.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { select } from "../../../src/ops/shape.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

describe("ClockworkRNN", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => {
    const cell = new ClockworkRNN({ ...SIZES, periods: [1, 3], dtype: "float64", generator: new Generator(2) });
    accept(cell, { state: { h: new Generator(4).uniform([2, 4], -1, 1, "float64"), wait: cell.initialState(2).wait } });
  });

  it("is the update of section 3 from any state of units and clocks, values and derivatives", () =>
    holdAgainst(new ClockworkRNN({ ...SIZES, periods: [1, 3], dtype: "float64" }), (p, x, [h, wait]) => {
      // Units 0 and 1 are the fast module, which sees all; 2 and 3 the slow one, which sees itself.
      const U = p.matrix("weight_hh", 4).map((row, i) => row.map((u, j) => (i >= 2 && j < 2 ? 0 : u)));
      const updated = plus(times(p.matrix("weight_ih", 3), x), times(U, h as Vector), p.vector("bias")).map(Math.tanh);
      const next = each((w, old, fresh) => (w < 0.5 ? fresh : old), wait as Vector, h as Vector, updated);
      return [next, [next, each((w, period) => (w < 0.5 ? period - 1 : w - 1), wait as Vector, [1, 1, 3, 3])]];
    }));

  it("updates each module at multiples of its period, from itself and the slower ones", () => {
    const periods = [1, 2, 5];
    const cell = new ClockworkRNN({ inputSize: 3, hiddenSize: 6, periods, dtype: "float64", generator: new Generator(2) });
    const xs = new Generator(3).uniform([12, 1, 3], -1, 1, "float64");
    const ys = cell.scan(xs)[0];
    // The recurrent matrix without the blocks that read faster modules.
    const u = rows(cell.weightHh).map((row, i) => row.map((v, j) => (Math.floor(j / 2) >= Math.floor(i / 2) ? v : 0)));
    let h = new Array<number>(6).fill(0);
    for (let t = 0; t < 12; t++) {
      const x = Array.from(xs.data()).slice(3 * t, 3 * t + 3);
      const updated = plus(times(rows(cell.weightIh), x), times(u, h), Array.from(cell.bias.data())).map(Math.tanh);
      h = h.map((old, i) => (t % (periods[Math.floor(i / 2)] as number) === 0 ? (updated[i] as number) : old));
      expectClose(select(ys, 0, t), h, 1e-12, `step ${t}`);
    }
  });

  it("goes on where it was left", () => {
    const cell = new ClockworkRNN({ inputSize: 1, hiddenSize: 4, periods: [2, 3], dtype: "float64", generator: new Generator(2) });
    const xs = new Generator(3).uniform([10, 2, 1], -1, 1, "float64");
    const [whole] = cell.scan(xs);
    let state = cell.initialState(2);
    for (let t = 0; t < 10; t++) {
      const [y, next] = cell.step(select(xs, 0, t), state);
      expectClose(y, Array.from(select(whole, 0, t).data()), 1e-12);
      state = next;
    }
  });

  it("uses as many weights as published for eight modules of eight units: 2497 with one input and one output", () => {
    const cell = new ClockworkRNN({ inputSize: 1, hiddenSize: 64, periods: [1, 2, 4, 8, 16, 32, 64, 128] });
    const head = new Linear(64, 1);
    const used = cell.mask.data().filter((m) => m === 1).length;
    expect(used + cell.weightIh.size + cell.bias.size + head.weight.size + 1).toBe(2497);
  });

  it.each([[[2, 1]], [[1, 2, 3]], [[1, 1]], [[0, 1]], [[1, 2.5]], [[]]])("refuses the periods %j for four units", (periods) => {
    expect(() => new ClockworkRNN({ inputSize: 1, hiddenSize: 4, periods })).toThrow(
      /^ClockworkRNN: expected (rising whole periods|periods to be whole numbers of at least 1)/,
    );
  });

  it("learns to remember, which its initial weights do not", () => {
    const cell = () => new ClockworkRNN({ inputSize: 1, hiddenSize: 12, periods: [1, 2, 4], generator: new Generator(1) });
    expect(recall(cell(), { steps: 12, frozen: true })).toBeGreaterThan(0.5);
    expect(recall(cell(), { steps: 12 })).toBeLessThan(0.1);
  });
});
