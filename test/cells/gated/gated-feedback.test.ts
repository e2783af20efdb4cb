import { describe, expect, it } from "vitest";
import { GatedFeedbackGRU, GatedFeedbackLSTM, GatedFeedbackRNN } from "../../../src/cells/gated/gated-feedback.ts";
import type { Cell } from "../../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../../src/recurrence/rnn.ts";
import type { State } from "../../../src/recurrence/state.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { type Equations, holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, type Matrix, part, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose } from "../acceptance.ts";
import { recall } from "../recall.ts";

const SIZES = [4, 3];
const options = (gates?: "learned" | "open" | "own", hiddenSizes: readonly number[] = SIZES) => ({
  inputSize: 3,
  hiddenSizes,
  ...(gates ? { gates } : {}),
  dtype: "float64" as const,
  generator: new Generator(2),
});
const units = { tanh: GatedFeedbackRNN, LSTM: GatedFeedbackLSTM, GRU: GatedFeedbackGRU };
type Layer = GatedFeedbackRNN["layers"][number];

const vector = (t: Tensor) => Array.from(t.data(), Number);
const HEIGHTS = [5, 2];

/** Section 3: layers of a unit, each connection through one number g^(i→j), which is learned, 1, or 1 within a layer and 0 between them. */
function chung(unit: keyof typeof units, gates: "learned" | "open" | "own"): Equations {
  return (p, x, state) => {
    const [hs, cs] = [state.slice(0, 2), state.slice(2)];
    const [h1, c1]: [Vector[], Vector[]] = [[], []];
    for (const [j, n] of HEIGHTS.entries()) {
      const [below, h] = [h1[j - 1] ?? x, hs[j] as Vector];
      const at = (name: string) => `layers.${j}.${name}`;
      const gate = (i: number) => {
        if (gates === "open") return 1;
        const dot = (name: string, v: Vector) => times([p.matrix(at(name), v.length)[i] as Vector], v)[0] as number;
        return logistic(dot("weight_gi", below) + dot("weight_gh", hs.flat()));
      };
      // U^(i→j) h_i, pair by pair.
      const product = (i: number) => {
        const U = p.matrix(at("weight_fh"), from(2)).map((row) => row.slice(from(i), from(i) + (HEIGHTS[i] as number)));
        return times(U, hs[i] as Vector).map((v) => gate(i) * v);
      };
      const back = gates === "own" ? times(p.matrix(at("weight_fh"), n), h) : plus(...HEIGHTS.map((_, i) => product(i)));
      const Wx = plus(times(p.matrix(at("weight_ih"), below.length), below), p.vector(at("bias")));
      const block = (k: number, g: number) => {
        const Uh = times(p.matrix(at("weight_hh"), n), h);
        return plus(Wx.slice(k * n, (k + 1) * n), Uh.slice(g * n, (g + 1) * n)).map(logistic);
      };
      if (unit === "tanh") {
        h1.push(plus(Wx, back).map(Math.tanh));
      } else if (unit === "GRU") {
        const candidate = each((w, r, b) => Math.tanh(w + r * b), part(Wx, 2, 3), block(0, 0), back);
        h1.push(each((old, z, fresh) => (1 - z) * old + z * fresh, h, block(1, 1), candidate));
      } else {
        const content = plus(part(Wx, 2, 4), back).map(Math.tanh);
        c1.push(each((f, c, i, u) => f * c + i * u, block(1, 1), cs[j] as Vector, block(0, 0), content));
        h1.push(each((o, c) => o * Math.tanh(c), block(3, 2), c1[j] as Vector));
      }
    }
    return [h1.at(-1) as Vector, [...h1, ...c1]];
  };
}

/** Where layer i begins among all units. */
const from = (i: number) => HEIGHTS.slice(0, i).reduce((a, b) => a + b, 0);

describe("gated feedback", () => {
  it.each(Object.entries(units))("%s: gradients of the equations, steps that equal the scan", (_, Net) => {
    accept(new Net(options()) as Cell<State>);
    accept(new Net(options("own")) as Cell<State>);
    accept(new Net(options("learned", [4])) as Cell<State>);
  });

  it.each(
    (["tanh", "LSTM", "GRU"] as const).flatMap((unit) => (["learned", "open", "own"] as const).map((gates) => [unit, gates] as const)),
  )("%s: is section 3 from any state, values and derivatives; gates %s", (unit, gates) =>
    holdAgainst(new units[unit](options(gates, HEIGHTS)) as Cell<State>, chung(unit, gates)),
  );

  it("with open gates is a fully connected stack: one network of all units, of which the second layer sees the first at once", () => {
    const net = new GatedFeedbackRNN(options("open"));
    const [below, above] = net.layers as [Layer, Layer];
    const xs = new Generator(3).uniform([6, 1, 3], -1, 1, "float64");
    let h = new Array<number>(7).fill(0);
    const joint = rows(below.weightFh).concat(rows(above.weightFh));
    for (let t = 0; t < 6; t++) {
      const back = times(joint, h);
      const first = plus(times(rows(below.weightIh), part(vector(xs), t, 6)), vector(below.bias), back.slice(0, 4)).map(Math.tanh);
      const second = plus(times(rows(above.weightIh), first), vector(above.bias), back.slice(4)).map(Math.tanh);
      h = [...first, ...second];
    }
    const [, last] = net.scan(xs);
    expectClose(last.flatMap(vector), h, 1e-12);
  });

  it("with each layer seeing itself alone is the conventional stack", () => {
    const xs = new Generator(3).uniform([6, 2, 3], -1, 1, "float64");
    const stacks = { RNN, LSTM, GRU };
    const nets = { RNN: GatedFeedbackRNN, LSTM: GatedFeedbackLSTM, GRU: GatedFeedbackGRU };
    for (const name of ["RNN", "LSTM", "GRU"] as const) {
      const net = new nets[name](options("own", [4, 4]));
      const stack = new stacks[name]({ inputSize: 3, hiddenSize: 4, numLayers: 2, dtype: "float64" });
      stack.loadStateDict(new Map(net.layers.flatMap((layer, l) => asPyTorch(name, layer, l))));
      expectClose((net as Cell<State>).scan(xs)[0], vector(stack.scan(xs)[0]), 1e-12, name);
    }
  });

  it("refuses no layers and sizes below 1", () => {
    expect(() => new GatedFeedbackRNN(options("learned", []))).toThrow("GatedFeedbackRNN: expected layers");
    expect(() => new GatedFeedbackLSTM(options("learned", [3, 0]))).toThrow("GatedFeedbackLSTM: expected hiddenSizes[1]");
  });

  it.each(Object.entries(units))("%s: learns to remember", (_, Net) => {
    const cell = new Net({ inputSize: 1, hiddenSizes: [6, 6], generator: new Generator(1) });
    expect(recall(cell as Cell<State>, { updates: 200 })).toBeLessThan(0.1);
  });
});

/** The parameters of a layer that sees itself alone under PyTorch's names, blocks in PyTorch's order. */
function asPyTorch(name: "RNN" | "LSTM" | "GRU", { weightIh, bias, weightHh, weightFh }: Layer, l: number): [string, Tensor][] {
  const H = 4;
  const matrix = (m: Matrix) => tensor(m.flat(), { shape: [m.length, (m[0] as readonly number[]).length], dtype: "float64" });
  const own = weightHh ? rows(weightHh) : [];
  const hidden = {
    RNN: () => rows(weightFh),
    LSTM: () => [...own.slice(0, 2 * H), ...rows(weightFh), ...own.slice(2 * H)],
    GRU: () => [...own, ...rows(weightFh)],
  }[name]();
  // PyTorch's z keeps what this one's replaces: 1 − σ(a) = σ(−a).
  const turned = (row: number, value: number) => (name === "GRU" && row >= H && row < 2 * H ? -value : value);
  const turn = (m: Matrix) => m.map((values, row) => values.map((v) => turned(row, v)));
  return [
    [`weight_ih_l${l}`, matrix(turn(rows(weightIh)))],
    [`weight_hh_l${l}`, matrix(turn(hidden))],
    [
      `bias_ih_l${l}`,
      tensor(
        vector(bias).map((v, row) => turned(row, v)),
        { dtype: "float64" },
      ),
    ],
    [
      `bias_hh_l${l}`,
      tensor(
        vector(bias).map(() => 0),
        { dtype: "float64" },
      ),
    ],
  ];
}
