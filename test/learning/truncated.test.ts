/** Gradients that are cut off: truncated backpropagation through time, and LSTM's original gradient. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import { type GradientAlgorithm, type Learner, truncated, truncatedLstm, usingGradients } from "../../src/learning/index.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { matmul } from "../../src/ops/linear.ts";
import { sigmoid, tanh } from "../../src/ops/math.ts";
import { select, slice, stack, transpose } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";
import { truncatedBptt } from "../../src/wrappers/index.ts";
import { every } from "../recurrence/every.ts";
import { expectEqual, largest } from "./recurrences.ts";

const dtype = "float64";
const [T, B, I, H] = [7, 2, 3, 4];
const xs = new Generator(4).uniform([T, B, I], -1, 1, dtype);
const make = (name: string): Recurrence => every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
const weightsFor = (ys: Tensor): Tensor => new Generator(5).uniform([...ys.shape], -1, 1, dtype);

function gradientsBy(cell: Recurrence, algorithm: GradientAlgorithm | null, options: ScanOptions = {}): (Tensor | null)[] {
  const run = (): Tensor => {
    const [ys] = cell.scan(xs, undefined, options);
    return sum(mul(ys, weightsFor(ys)));
  };
  const loss = algorithm === null ? run() : usingGradients(algorithm, cell, run);
  return gradients([loss], cell.parameters(), [onesLike(loss)]);
}

describe("truncated backpropagation", () => {
  const cells = ["GRUCell, true", "LSTMCell", "MinGRU", "StackedRNN", 'SLSTM, "exp"', "LearnedInitialState"];

  it.each(cells)("is the whole gradient where it goes back to the start, by any h′: %s", (name) => {
    const cell = make(name);
    for (const options of [{}, { lengths: [T, 3] }, { lengths: [4, T], reverse: true }]) {
      const expected = gradientsBy(cell, null, options);
      for (const hPrime of [1, 2, 3, T]) {
        expectEqual(gradientsBy(cell, truncated({ steps: [Math.max(T, hPrime), hPrime] }), options), expected, 1e-12);
      }
    }
  });

  it.each(cells)("is the sum of windows: %s", (name) => {
    const cell = make(name);
    for (const [h, hPrime] of [
      [1, 1],
      [3, 1],
      [3, 2],
      [2, 2],
    ] as const) {
      cell.zeroGrad();
      const loss = (ys: Tensor, from: number): Tensor => {
        const all = weightsFor(zeros([T, B, cell.outputSize], dtype));
        return sum(mul(ys, slice(all, 0, from, from + ys.dim(0))));
      };
      truncatedBptt(cell, xs, { k1: hPrime, k2: h, loss });
      expectEqual(
        gradientsBy(cell, truncated({ steps: [h, hPrime] })),
        cell.parameters().map((p) => p.grad),
        1e-12,
      );
    }
  });

  it("cuts h steps back by hand: the last error through two steps of a linear unit", () => {
    // h_t = u·h_{t−1} + w·x_t with u = 0.5, w = 2, x = 1, 1, 1: h = 2, 3, 3.5. E = h_3, BPTT(2; 1): dE/du = h_2 + u·h_1 = 4, dE/dw = 1 + u = 1.5.
    const cell = make('IndRNN, "relu"') as Recurrence & { weightIh: Tensor; weightHh: Tensor; bias: Tensor };
    assign(
      cell.weightIh,
      new Float64Array(cell.weightIh.size).map((_, i) => (i === 0 ? 2 : 0)),
    );
    assign(cell.weightHh, new Float64Array(H).fill(0.5));
    assign(cell.bias, new Float64Array(H));
    const x = track(zeros([3, 1, I], dtype));
    assign(x, [1, 0, 0, 1, 0, 0, 1, 0, 0]);
    const [ys] = truncated({ steps: [2, 1] }).scan(cell, x);
    const last = sum(slice(ys, 0, 2, 3));
    const [du, dw, dx] = gradients([last], [cell.weightHh, cell.weightIh, x], [onesLike(last)]) as [Tensor, Tensor, Tensor];
    expect(du.data()[0]).toBeCloseTo(4, 12);
    expect(dw.data()[0]).toBeCloseTo(1.5, 12);
    expect([0, 3, 6].map((i) => dx.data()[i])).toEqual([0, 1, 2]);
  });

  it("refuses lengths that are none, and recurrences that it has no meaning for", () => {
    for (const steps of [[2, 3], [0, 0], [2.5, 1], [2], 3, undefined]) expect(() => truncated({ steps } as never)).toThrow(ArgumentError);
    for (const name of ["LSTM", "Bidirectional", "Reversed", "DetachEvery"]) {
      const cell = make(name);
      expect(() => truncated({ steps: [2, 1] }).scan(cell, xs)).toThrow(ArgumentError);
    }
    const dropped = make("RecurrentDropoutLSTM");
    expect(() => gradientsBy(dropped, truncated({ steps: [2, 1] }))).toThrow(StateError);
  });
});

/** The LSTM by hand, with what enters gates and cells from blocks cut off, or not. */
function lstmByHand(cell: LSTMCell, { cut }: { readonly cut: boolean }): Tensor {
  const state = { h: zeros([B, cell.outputSize], dtype), c: zeros([B, H], dtype) };
  const ys: Tensor[] = [];
  const rows = (w: Tensor, k: number): Tensor => slice(w, 0, k * H, (k + 1) * H);
  const seen = (t: Tensor): Tensor => (cut ? t.detach() : t);
  for (let t = 0; t < T; t++) {
    const before = seen(state.h);
    const sums = (k: number): Tensor => {
      const fromInputs = add(matmul(select(xs, 0, t), transpose(rows(cell.weightIh, k))), rows(cell.biasIh as Tensor, k));
      return add(add(fromInputs, matmul(before, transpose(rows(cell.weightHh, k)))), rows(cell.biasHh as Tensor, k));
    };
    const peep = (k: number, c: Tensor): Tensor =>
      cell.weightPeephole === null ? zeros([1], dtype) : mul(select(cell.weightPeephole, 0, k), seen(c));
    const i = sigmoid(add(sums(0), peep(0, state.c)));
    const f = sigmoid(add(sums(1), peep(1, state.c)));
    state.c = add(mul(f, state.c), mul(i, tanh(sums(2))));
    const out = mul(sigmoid(add(sums(3), peep(2, state.c))), tanh(state.c));
    state.h = cell.weightHr === null ? out : matmul(out, transpose(cell.weightHr));
    ys.push(state.h);
  }
  return stack(ys);
}

describe("LSTM's original gradient", () => {
  const makeCell = (options = {}): LSTMCell =>
    new LSTMCell({ inputSize: I, hiddenSize: H, dtype, generator: new Generator(2), ...options });
  const any = (cell: unknown): Recurrence => cell as Recurrence;

  it.each([
    ["plain", {}],
    ["with peepholes", { peepholes: true }],
    ["projected", { projSize: 2 }],
  ])("is that of the graph cut where blocks feed gates and cells: %s", (_, options) => {
    const cell = makeCell(options);
    const ys = lstmByHand(cell, { cut: true });
    const loss = sum(mul(ys, weightsFor(ys)));
    const expected = gradients([loss], cell.parameters(), [onesLike(loss)]);
    const found = gradientsBy(any(cell), truncatedLstm());
    expectEqual(found, expected, 1e-12);
    const whole = gradientsBy(any(cell), null);
    expectEqual(gradients([sum(mul(lstmByHand(cell, { cut: false }), weightsFor(ys)))], cell.parameters(), [onesLike(loss)]), whole, 1e-12);
    expect(Math.max(...found.map((g, i) => largest(add(g as Tensor, mul(whole[i] as Tensor, -1)))))).toBeGreaterThan(1e-3);
  });

  it("is the whole gradient where gates and cells see inputs alone", () => {
    const cell = makeCell();
    assign(cell.weightHh, new Float64Array(cell.weightHh.size));
    expectEqual(gradientsBy(any(cell), truncatedLstm()), gradientsBy(any(cell), null), 1e-12);
  });

  it("is that of a layer, over ragged batches, and step by step", () => {
    const layer = new LSTM({ inputSize: I, hiddenSize: H, dtype, generator: new Generator(2) });
    const cell = makeCell();
    cell.parameters().forEach((p, i) => {
      assign(p, layer.parameters()[i] as Tensor);
    });
    for (const options of [{}, { lengths: [3, T] }, { reverse: true }]) {
      expectEqual(gradientsBy(any(layer), truncatedLstm(), options), gradientsBy(any(cell), truncatedLstm(), options), 1e-12);
    }
    const expected = gradientsBy(any(cell), truncatedLstm());
    const learner = truncatedLstm().begin?.(cell, B) as Learner<LstmState>;
    const all = weightsFor(zeros([T, B, H], dtype));
    for (let t = 0; t < T; t++) learner.step(select(xs, 0, t), () => select(all, 0, t));
    expectEqual(
      cell.parameters().map((p) => p.grad),
      expected,
      1e-12,
    );
  });

  it("is refused for everything else", () => {
    const others = [
      new GRUCell({ inputSize: I, hiddenSize: H, dtype }),
      new LSTM({ inputSize: I, hiddenSize: H, numLayers: 2, dtype }),
      new LSTM({ inputSize: I, hiddenSize: H, bidirectional: true, dtype }),
      make("MinLSTM"),
    ].map(any);
    for (const cell of others) {
      expect(() => truncatedLstm().scan(cell, xs)).toThrow(ArgumentError);
      expect(() => truncatedLstm().begin?.(cell)).toThrow(ArgumentError);
    }
    expect(() => backward(sum(truncatedLstm().scan(makeCell(), track(xs))[0]))).toThrow(ArgumentError);
  });
});
