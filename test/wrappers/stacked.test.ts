import { describe, expect, it } from "vitest";
import { MGU } from "../../src/cells/gated/mgu.ts";
import { select } from "../../src/ops/shape.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { Bidirectional } from "../../src/wrappers/bidirectional.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";
import { accept, B, checkGradients, expectClose, fillGolden, goldenInputs, T } from "../cells/acceptance.ts";
import { elman, holdAgainst } from "../oracle/equations.ts";
import { plus, rows, times, type Vector } from "../oracle/numbers.ts";

const generator = new Generator(11);
const options = { dtype: "float64", generator } as const;
const rnn = (inputSize: number, hiddenSize: number) => new RNNCell({ inputSize, hiddenSize, ...options });
const xs = new Generator(3).uniform([T, B, 3], -1, 1, "float64");

/** The paper's layer in plain loops: h = tanh(W x + b + U h + b′) over one sequence. */
function layer(cell: RNNCell, sequence: readonly number[][]): number[][] {
  const [w, u] = [rows(cell.weightIh), rows(cell.weightHh)];
  const bias = plus(Array.from((cell.biasIh as Tensor).data()), Array.from((cell.biasHh as Tensor).data()));
  let h = new Array<number>(cell.hiddenSize).fill(0);
  return sequence.map((x) => {
    h = plus(times(w, x), times(u, h), bias).map(Math.tanh);
    return h;
  });
}

/** Outputs of a stack for a batch of one, step by step. */
function run(stack: StackedRNN<Tensor>, sequence: readonly number[][]): number[][] {
  const x = tensor(sequence.flat(), { shape: [sequence.length, 1, sequence[0]?.length ?? 0], dtype: "float64" });
  const flat = Array.from(stack.scan(x)[0].data());
  return sequence.map((_, t) => flat.slice(t * stack.outputSize, (t + 1) * stack.outputSize));
}

const sequence = Array.from({ length: 5 }, (_, t) => [Math.sin(t), Math.cos(2 * t), 0.3 * t]);

describe("StackedRNN", () => {
  it("is accepted: of one kind, mixed, with skip and residual connections", () => {
    accept(new StackedRNN([rnn(3, 4), rnn(4, 4)]));
    accept(
      new StackedRNN<State>([
        new LSTMCell({ inputSize: 3, hiddenSize: 4, ...options }),
        new MGU({ inputSize: 4, hiddenSize: 3, ...options }),
      ]),
    );
    accept(new StackedRNN([rnn(3, 4), rnn(7, 2), rnn(5, 3)], { skip: true }));
    accept(new StackedRNN([rnn(3, 4), rnn(4, 4), rnn(4, 4)], { residual: true }));
  });

  it("feeds each layer from the one below", () => {
    const [a, b, c] = [rnn(3, 4), rnn(4, 5), rnn(5, 2)];
    expectClose(run(new StackedRNN([a, b, c]), sequence).flat(), layer(c, layer(b, layer(a, sequence))).flat(), 1e-12);
  });

  it.each([
    ["plain", {}],
    ["skip", { skip: true }],
    ["residual", { residual: true }],
  ] as const)("is a stack of three from any state, values and derivatives: %s", (kind, connections) => {
    const below = kind === "skip" ? 7 : 4;
    const stack = new StackedRNN<Tensor>([rnn(3, 4), rnn(below, 4), rnn(below, 4)], connections);
    expect(stack.outputSize).toBe(kind === "skip" ? 12 : 4);
    holdAgainst(stack, (p, x, hs) => {
      const states: Vector[] = [];
      const outputs: Vector[] = [];
      for (const [l, h] of hs.entries()) {
        const u = l === 0 ? x : kind === "skip" ? [...x, ...(outputs[l - 1] as Vector)] : (outputs[l - 1] as Vector);
        const next = elman(p, `layers.${l}.`, u, h);
        states.push(next);
        outputs.push(kind === "residual" && l > 0 ? plus(next, u) : next);
      }
      return [kind === "skip" ? outputs.flat() : (outputs[2] as Vector), states];
    });
  });

  it("equals the layers of nn: stacked, and stacked in both directions", () => {
    const lstm = new LSTM({ inputSize: 3, hiddenSize: 2, numLayers: 2, bidirectional: true, dtype: "float64" });
    const cell = (inputSize: number) => new LSTMCell({ inputSize, hiddenSize: 2, ...options });
    const both = (inputSize: number) => new Bidirectional(cell(inputSize), cell(inputSize));
    const stack = new StackedRNN([both(3), both(4)]);
    fillGolden(lstm);
    fillGolden(stack);
    const lengths = [6, 2];
    const { output, state } = lstm.forward(xs, { lengths });
    const [ys, [first, second]] = stack.scan(xs, undefined, { lengths });
    expectClose(ys, Array.from(output.data()), 0);
    const hs = [first, second].flatMap((s) => [s?.forward.h, s?.backward.h]).flatMap((h) => Array.from((h as Tensor).data()));
    expectClose(hs, Array.from(state.h.data()), 0);
    expect(() => stack.step(goldenInputs("float64"), stack.initialState(1))).toThrow("one direction");
  });

  it("does not share weights: exchanging two layers changes the output", () => {
    const stack = new StackedRNN([rnn(4, 4), rnn(4, 4)]);
    const x = new Generator(5).uniform([T, B, 4], -1, 1, "float64");
    const before = Array.from(stack.scan(x)[0].data());
    const weights = stack.stateDict();
    expect([...weights.keys()]).toContain("layers.1.weight_hh");
    const exchanged = new Map(
      [...weights].map(([name, t]) => [name.replace(/^layers\.([01])/, (_, l) => `layers.${1 - l}`), tensor(t.data(), { shape: t.shape })]),
    );
    stack.loadStateDict(exchanged);
    const after = Array.from(stack.scan(x)[0].data());
    expect(Math.max(...after.map((y, i) => Math.abs(y - (before[i] as number))))).toBeGreaterThan(0.01);
  });

  it("drops between layers in training only, by one mask a sequence where asked for", () => {
    const layer = (n: number) => new GRUCell({ inputSize: n, hiddenSize: n, ...options });
    const stack = (variational: boolean) =>
      new StackedRNN([layer(8), layer(8)], { dropout: 0.5, variational, generator: new Generator(1) });
    const x = new Generator(6).uniform([40, 1, 8], -1, 1, "float64");
    for (const variational of [false, true]) {
      const net = stack(variational);
      const { share, constant } = droppedShare(net, x);
      expect(constant).toBe(variational);
      if (!variational) expect(Math.abs(share - 0.5)).toBeLessThan(0.1);
      expect(Array.from(net.eval().scan(x)[0].data())).toEqual(Array.from(new StackedRNN(net.layers).scan(x)[0].data()));
    }
  });

  it("draws its masks from the generator that it is given; a step has one of its own", () => {
    const layer = (n: number) => new GRUCell({ inputSize: n, hiddenSize: n, ...options });
    const layers = [layer(8), layer(8)];
    const x = new Generator(6).uniform([4, 2, 8], -1, 1, "float64");
    for (const variational of [false, true]) {
      const run = (seed: number) => {
        const net = new StackedRNN(layers, { dropout: 0.5, variational, generator: new Generator(seed) });
        return [...net.scan(x)[0].data(), ...net.step(select(x, 0, 0), net.initialState(2))[0].data()];
      };
      expect(run(1)).toEqual(run(1));
      expect(run(1)).not.toEqual(run(2));
      // Sequences of equal inputs part by their masks.
      const net = new StackedRNN(layers, { dropout: 0.5, variational, generator: new Generator(1) });
      const [first, second] = net.step(ones([2, 8], "float64"), net.initialState(2))[0].toArray() as number[][];
      expect(first).not.toEqual(second);
    }
  });

  it("says what does not fit", () => {
    expect(() => new StackedRNN([])).toThrow("StackedRNN: expected at least one layer, got none");
    expect(() => new StackedRNN([rnn(3, 4), rnn(3, 4)])).toThrow("StackedRNN: expected layer 1 to read 4 values, got 3");
    expect(() => new StackedRNN([rnn(3, 4), rnn(4, 4)], { skip: true })).toThrow("expected layer 1 to read 7 values, got 4");
    expect(() => new StackedRNN([rnn(3, 4), rnn(4, 5)], { residual: true })).toThrow("expected layer 1 to put out 4 values");
    expect(() => new StackedRNN([rnn(3, 4)], { residual: true, skip: true })).toThrow("skip or residual, got both");
    for (const dropout of [1, -0.1, Number.NaN])
      expect(() => new StackedRNN([rnn(3, 4)], { dropout })).toThrow(`expected dropout in [0, 1), got ${dropout}`);
    expect(() => new StackedRNN([rnn(3, 4)]).scan(xs, undefined, { lengths: [1] })).toThrow("expected 2 lengths");
  });
});

describe("gradients of stacks over both directions", () => {
  it("are right", () => {
    const both = (inputSize: number) => new Bidirectional(rnn(inputSize, 2), rnn(inputSize, 2));
    checkGradients(new StackedRNN([both(3), both(4)], { residual: true }));
  });
});

/** What the upper layer was given: its share of zeros, and whether the zeros are the same at each step. */
function droppedShare(net: StackedRNN<Tensor>, x: Tensor): { share: number; constant: boolean } {
  const upper = net.layers[1] as GRUCell;
  let seen: number[][] = [];
  const scan = upper.scan.bind(upper);
  upper.scan = (u, ...rest) => {
    const flat = Array.from(u.data(), (v) => Number(v === 0));
    seen = Array.from({ length: u.dim(0) }, (_, t) => flat.slice(t * 8, t * 8 + 8));
    return scan(u, ...rest);
  };
  net.scan(x);
  const share = seen.flat().reduce((a, b) => a + b) / seen.flat().length;
  return { share, constant: seen.every((row) => row.join() === seen[0]?.join()) };
}
