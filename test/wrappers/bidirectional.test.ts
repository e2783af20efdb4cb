import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { JordanNetwork } from "../../src/cells/simple/jordan.ts";
import { slice } from "../../src/ops/shape.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { Bidirectional } from "../../src/wrappers/bidirectional.ts";
import { B, checkGradients, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, goldenInputs, T } from "../cells/acceptance.ts";
import { plus, rows, times } from "../oracle/numbers.ts";

const generator = new Generator(12);
const options = { dtype: "float64", generator } as const;
const xs = new Generator(3).uniform([T, B, 3], -1, 1, "float64");
const list = (t: Tensor) => Array.from(t.data());

describe("Bidirectional", () => {
  it("has right gradients", () => {
    checkGradients(
      new Bidirectional(new RNNCell({ inputSize: 3, hiddenSize: 4, ...options }), new GRUCell({ inputSize: 3, hiddenSize: 2, ...options })),
    );
  });

  it.each(["float32", "float64"] as const)("gives the golden vector, %s", (dtype) => {
    const net = new Bidirectional(new LSTMCell({ ...GOLDEN, dtype }), new LSTMCell({ ...GOLDEN, dtype }));
    fillGolden(net.forward as LSTMCell);
    fillGolden(net.backward as LSTMCell, 10);
    const [ys, last] = noGrad(() => net.scan(goldenInputs(dtype)));
    const out = list(ys);
    const tolerance = GOLDEN_TOLERANCE[dtype];
    expectClose(out.slice(0, 4), [0.073953, 0.057851, 0.196751, 0.139669], tolerance);
    expectClose(out.slice(12), [0.136258, 0.249471, 0.086881, 0.171077], tolerance);
    expectClose(last.backward.h, [0.196751, 0.139669], tolerance);
    expectClose(last.forward.h, [0.136258, 0.249471], tolerance);
  });

  it("is both recursions of the paper, written in plain loops within each sequence's own steps", () => {
    const [f, b] = [new RNNCell({ inputSize: 3, hiddenSize: 4, ...options }), new RNNCell({ inputSize: 3, hiddenSize: 2, ...options })];
    const lengths = [T, 4];
    const [ys, last] = new Bidirectional(f, b).scan(xs, undefined, { lengths });
    const at = (t: Tensor, time: number, batch: number) => list(slice(slice(t, 0, time, time + 1), 1, batch, batch + 1));
    for (const [i, length] of lengths.entries()) {
      const order = Array.from({ length }, (_, t) => t);
      const hf = recursion(f, order, (t) => at(xs, t, i));
      const hb = recursion(b, order.reverse(), (t) => at(xs, t, i));
      for (let t = 0; t < T; t++)
        expectClose(at(ys, t, i), t < length ? [...(hf[t] as number[]), ...(hb[t] as number[])] : new Array(6).fill(0), 1e-12);
      expectClose(slice(last.forward, 0, i, i + 1), hf[length - 1] as number[], 1e-12);
      expectClose(slice(last.backward, 0, i, i + 1), hb[0] as number[], 1e-12);
    }
  });

  it("ends where each direction ends, not at T - 1", () => {
    const net = new Bidirectional(
      new RNNCell({ inputSize: 3, hiddenSize: 4, ...options }),
      new RNNCell({ inputSize: 3, hiddenSize: 2, ...options }),
    );
    for (const lengths of [undefined, [3, T]]) {
      const [ys, last] = net.scan(xs, undefined, lengths ? { lengths } : {});
      const ends = net.ends(ys, lengths);
      expect(ends.shape).toEqual([B, 6]);
      expectClose(slice(ends, 1, 0, 4), list(last.forward), 0);
      expectClose(slice(ends, 1, 4), list(last.backward), 0);
    }
  });

  it("equals the bidirectional layer of nn, also reversed and with lengths, and continues from a state", () => {
    const layer = new LSTM({ inputSize: 3, hiddenSize: 4, bidirectional: true, dtype: "float64" });
    const cell = () => new LSTMCell({ inputSize: 3, hiddenSize: 4, ...options });
    const net = new Bidirectional(cell(), cell());
    fillGolden(layer);
    fillGolden(net);
    for (const scanOptions of [{}, { lengths: [2, 5] }, { lengths: [2, 5], reverse: true }]) {
      const [ys, last] = net.scan(xs, undefined, scanOptions);
      const [expected, state] = layer.scan(xs, undefined, scanOptions);
      expectClose(ys, list(expected), 0);
      expectClose([...list(last.forward.c), ...list(last.backward.c)], list(state.c), 0);
      expectClose(net.scan(xs, last, scanOptions)[0], list(layer.scan(xs, state, scanOptions)[0]), 0);
    }
  });

  it("takes any recurrence, and says what does not fit", () => {
    const jordan = new JordanNetwork({ inputSize: 3, hiddenSize: 4, outputSize: 2, ...options });
    const net = new Bidirectional(jordan, new GRUCell({ inputSize: 3, hiddenSize: 4, ...options }));
    expect(net.scan(xs)[0].shape).toEqual([T, B, 6]);
    expect(net.plan({ batch: B, time: T }).peakBytes).toBeGreaterThan(0);
    expect(() => net.step()).toThrow("step: expected a recurrence of one direction");
    expect(() => new Bidirectional(jordan, new GRUCell({ inputSize: 2, hiddenSize: 4 }))).toThrow(
      "Bidirectional: expected recurrences of one input size, got forward 3 and backward 2",
    );
  });
});

/** h = tanh(W x + b + U h + b′) over the steps in the given order; the values by step. */
function recursion(cell: RNNCell, order: readonly number[], x: (t: number) => number[]): number[][] {
  const bias = plus(list(cell.biasIh as Tensor), list(cell.biasHh as Tensor));
  const hs: number[][] = [];
  let h = new Array<number>(cell.hiddenSize).fill(0);
  for (const t of order) {
    h = plus(times(rows(cell.weightIh), x(t)), times(rows(cell.weightHh), h), bias).map(Math.tanh);
    hs[t] = h;
  }
  return hs;
}
