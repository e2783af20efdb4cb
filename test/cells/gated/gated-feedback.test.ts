import { describe, expect, it } from "vitest";
import { GatedFeedbackGRU, GatedFeedbackLSTM, GatedFeedbackRNN } from "../../../src/cells/gated/gated-feedback.ts";
import type { Cell } from "../../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../../src/recurrence/rnn.ts";
import type { State } from "../../../src/recurrence/state.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { logistic, type Matrix, plus, rows, times } from "../../oracle/numbers.ts";
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
type Unit = GatedFeedbackRNN | GatedFeedbackLSTM | GatedFeedbackGRU;
type Layer = Unit["layers"][number];

const vector = (t: Tensor) => Array.from(t.data(), Number);
const part = (v: readonly number[], k: number, size: number) => v.slice(k * size, (k + 1) * size);
const each = (f: (...xs: number[]) => number, ...vs: (readonly number[])[]) =>
  (vs[0] as readonly number[]).map((_, i) => f(...vs.map((v) => v[i] as number)));

/** Σ_i g^(i→j) U^(i→j) h_i, pair by pair: the gate is on the product. */
function feedback(layer: Layer, below: readonly number[], hs: readonly (readonly number[])[], forced?: number): number[] {
  let first = 0;
  const terms = hs.map((h, i) => {
    const U = rows(layer.weightFh).map((row) => row.slice(first, first + h.length));
    first += h.length;
    const dot = (w: Tensor, v: readonly number[]) => times([rows(w)[i] as number[]], v)[0] as number;
    const g = forced ?? logistic(dot(layer.weightGi as Tensor, below) + dot(layer.weightGh as Tensor, hs.flat()));
    return times(U, h).map((v) => g * v);
  });
  return plus(...terms);
}

/** New outputs and cells of all layers, from the paper. */
function oracle(
  net: Unit,
  x: readonly number[],
  hs: readonly number[][],
  cs: readonly number[][],
  forced?: number,
): [number[][], number[][]] {
  const [h1, c1]: [number[][], number[][]] = [[], []];
  for (const [j, layer] of net.layers.entries()) {
    const below = h1[j - 1] ?? x;
    const [h, n] = [hs[j] as number[], (hs[j] as number[]).length];
    const Wx = plus(times(rows(layer.weightIh), below), vector(layer.bias));
    const Uh = layer.weightHh ? times(rows(layer.weightHh), h) : [];
    const back = feedback(layer, below, hs, forced);
    if (net instanceof GatedFeedbackRNN) {
      h1.push(plus(Wx, back).map(Math.tanh));
    } else if (net instanceof GatedFeedbackGRU) {
      const [r, z] = [0, 1].map((k) => plus(part(Wx, k, n), part(Uh, k, n)).map(logistic)) as [number[], number[]];
      const candidate = each((w, ri, b) => Math.tanh(w + ri * b), part(Wx, 2, n), r, back);
      h1.push(each((old, zi, fresh) => (1 - zi) * old + zi * fresh, h, z, candidate));
    } else {
      const [i, f, o] = [0, 1, 3].map((k, g) => plus(part(Wx, k, n), part(Uh, g, n)).map(logistic)) as [number[], number[], number[]];
      const content = plus(part(Wx, 2, n), back).map(Math.tanh);
      c1.push(each((fi, c, ii, u) => fi * c + ii * u, f, cs[j] as number[], i, content));
      h1.push(each((oi, c) => oi * Math.tanh(c), o, c1[j] as number[]));
    }
  }
  return [h1, c1];
}

function follow(net: Unit, forced?: number): void {
  const xs = new Generator(3).uniform([6, 1, 3], -1, 1, "float64");
  let hs = net.layers.map((layer) => new Array<number>(layer.weightFh.dim(0)).fill(0));
  let cs = hs;
  const [ys] = (net as Cell<State>).scan(xs);
  for (let t = 0; t < 6; t++) {
    [hs, cs] = oracle(net, part(vector(xs), t, 3), hs, cs, forced);
    const top = hs.at(-1) as number[];
    expectClose(part(vector(ys), t, top.length), top, 1e-12, `h(${t})`);
  }
}

describe("gated feedback", () => {
  it.each(Object.entries(units))("%s: gradients of the equations, steps that equal the scan", (_, Net) => {
    accept(new Net(options()) as Cell<State>);
    accept(new Net(options("own")) as Cell<State>);
    accept(new Net(options("learned", [4])) as Cell<State>);
  });

  it.each(Object.entries(units))("%s: follows the paper's equations, gates learned or open", (_, Net) => {
    follow(new Net(options("learned", [4, 3, 2])));
    follow(new Net(options("open", [4, 3, 2])), 1);
  });

  it("with open gates is a fully connected stack: one network of all units, of which the second layer sees the first at once", () => {
    const net = new GatedFeedbackRNN(options("open"));
    const [below, above] = net.layers as [Layer, Layer];
    const xs = new Generator(3).uniform([6, 1, 3], -1, 1, "float64");
    let h = new Array<number>(7).fill(0);
    const joint = rows(below.weightFh).concat(rows(above.weightFh));
    for (let t = 0; t < 6; t++) {
      const back = times(joint, h);
      const first = plus(times(rows(below.weightIh), part(vector(xs), t, 3)), vector(below.bias), back.slice(0, 4)).map(Math.tanh);
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
