/** Algorithms that are exact give the gradients of backpropagation through time, over every recurrence. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import { type GradientAlgorithm, hybrid, rtrl, usingGradients } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { Recurrence, ScanOptions } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, restoreState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { fit } from "../../src/train/fit.ts";
import { every } from "../recurrence/every.ts";
import { expectEqual, largest, NOT_FORWARD } from "./recurrences.ts";

const [T, B] = [4, 2];

interface Found {
  readonly parameters: readonly (Tensor | null)[];
  readonly state: readonly (Tensor | null)[];
}

/** Gradients of a loss of all outputs and of the last state, by parameters and first state. */
function gradientsOf(cell: Recurrence, options: ScanOptions, algorithm?: GradientAlgorithm): Found {
  const generator = new Generator(4);
  const dtype = "float64";
  const xs = generator.uniform([T, B, cell.inputSize], -1, 1, dtype);
  const start = mapState((s) => (isFloat(s.dtype) ? track(s.detach()) : s), cell.initialState(B));
  const floats = stateTensors(start).filter((s) => isFloat(s.dtype));
  const loss = (): Tensor => {
    const [ys, last] = cell.scan(xs, restoreState(start, stateTensors(start)) as State, options);
    const weights = new Generator(5).uniform([...ys.shape], -1, 1, dtype);
    const ends = stateTensors(last).filter((s) => isFloat(s.dtype));
    return ends.reduce((total, s) => add(total, sum(mul(s, s))), sum(mul(ys, weights)));
  };
  const value = algorithm === undefined ? loss() : usingGradients(algorithm, cell, loss);
  const found = gradients([value], [...cell.parameters(), ...floats], [onesLike(value)]);
  const n = found.length - floats.length;
  return { parameters: found.slice(0, n), state: found.slice(n) };
}

const make = (name: string): Recurrence => every[name]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;
const forward = Object.keys(every).filter((name) => !(name in NOT_FORWARD));

describe("exact algorithms", () => {
  it.each(forward)("give the gradients of backpropagation: %s", (name) => {
    const cell = make(name);
    const isDecoder = "encoder" in cell;
    const ragged: ScanOptions = isDecoder ? {} : { lengths: [T, 2] };
    for (const options of [{}, ragged]) {
      scope(() => {
        const expected = gradientsOf(cell, options);
        expect(expected.parameters.some((g) => largest(g) > 0) || cell.parameters().length === 0).toBe(true);
        for (const algorithm of [rtrl(), hybrid(3)]) {
          const got = gradientsOf(cell, options, algorithm);
          expectEqual(got.parameters, expected.parameters);
          expectEqual(got.state, expected.state);
        }
      });
    }
  });

  it.each(Object.entries(NOT_FORWARD))("refuse what is no steps in time: %s %s", (name) => {
    const cell = make(name);
    const run = () => scope(() => gradientsOf(cell, {}, rtrl()));
    expect(run).toThrow(name === "DetachEvery" ? ArgumentError : StateError);
    expect(run).toThrow(/steps (that )?follow each other/);
  });

  it("read backwards, over ragged batches and in blocks of any length", () => {
    const cell = make("GRUCell, true");
    for (const options of [{ reverse: true }, { lengths: [0, 3], reverse: true }]) {
      const expected = gradientsOf(cell, options);
      for (const h of [1, 2, 3, T, 100]) expectEqual(gradientsOf(cell, options, hybrid(h)).parameters, expected.parameters);
    }
  });

  it("take a batch without sequences, and leave running statistics as one scan leaves them", () => {
    const cell = make("GRUCell, true");
    const [ys] = rtrl().scan(cell, zeros([3, 0, cell.inputSize], "float64"));
    expect(gradients([sum(ys)], cell.parameters(), [zeros([], "float64")]).map(largest)).toEqual(cell.parameters().map(() => 0));
    const statistics = (algorithm?: GradientAlgorithm): number[] => {
      const normed = make('DeepIndRNN, "sequence"');
      const xs = new Generator(4).uniform([T, 1, normed.inputSize], -1, 1, "float64");
      const [out] = algorithm === undefined ? normed.scan(xs) : algorithm.scan(normed, xs);
      backward(sum(out));
      const buffers = [...normed.stateDict()].filter(([name]) => name.includes("running"));
      expect(buffers.length).toBeGreaterThan(0);
      return buffers.flatMap(([, t]) => Array.from(t.data()));
    };
    expect(statistics(hybrid(T))).toEqual(statistics());
  });

  it("leave frozen parameters alone", () => {
    const cell = make("GRUCell, true");
    const [first] = cell.parameters();
    (first as Tensor).requiresGrad = false;
    const expected = gradientsOf(cell, {});
    const got = gradientsOf(cell, {}, rtrl());
    expect(got.parameters[0]).toBeNull();
    expectEqual(got.parameters, expected.parameters);
  });
});

class Tagger extends Module {
  readonly rnn: GRUCell;
  readonly head: Linear;

  constructor(generator: Generator) {
    super();
    this.rnn = new GRUCell({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator });
    this.head = new Linear(3, 1, { dtype: "float64", generator });
  }

  forward(xs: Tensor): Tensor {
    return this.head.forward(this.rnn.scan(xs)[0]);
  }
}

describe("models under another algorithm", () => {
  const xs = new Generator(6).uniform([5, 2, 2], -1, 1, "float64");
  const lossOf = (model: Tagger): Tensor => sum(mul(model.forward(xs), model.forward(xs)));

  it("keep heads, losses and what is called twice", () => {
    const [a, b] = [new Tagger(new Generator(1)), new Tagger(new Generator(1))];
    backward(lossOf(a));
    backward(usingGradients(rtrl(), b, () => lossOf(b)));
    expectEqual(
      b.parameters().map((p) => p.grad),
      a.parameters().map((p) => p.grad),
    );
  });

  it("take their gradients while the algorithm is in place as they do afterwards", () => {
    let scans = 0;
    const counted: GradientAlgorithm = {
      ...rtrl(),
      scan(...args) {
        scans++;
        return rtrl().scan(...args);
      },
    };
    const gradientsWith = (inside: boolean) => {
      const model = new Tagger(new Generator(1));
      const loss = usingGradients(counted, model, () => {
        const value = lossOf(model);
        if (inside) backward(value);
        return value;
      });
      if (!inside) backward(loss);
      return model.parameters().map((p) => p.grad);
    };
    expectEqual(gradientsWith(true), gradientsWith(false));
    expect(scans).toBe(4);
  });

  it("train with fit as with backpropagation", async () => {
    const losses = async (gradients?: GradientAlgorithm): Promise<number[]> => {
      const model = new Tagger(new Generator(1));
      const optimizer = new Adam(model.parameters(), { lr: 1e-2 });
      const all: number[] = [];
      for await (const { loss } of fit(model, [{ xs }, { xs }, { xs }], { optimizer, loss: lossOf, gradients })) all.push(loss);
      return all;
    };
    const expected = await losses();
    const got = await losses(rtrl());
    expect(expected.length).toBe(3);
    expected.forEach((e, i) => {
      expect(!(Math.abs((got[i] as number) - e) <= 1e-9 * Math.abs(e))).toBe(false);
    });
  });

  it("have their own scan again afterwards, whatever happens", () => {
    const model = new Tagger(new Generator(1));
    const before = model.rnn.scan;
    expect(() =>
      usingGradients(rtrl(), model, () => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(model.rnn.scan).toBe(before);
    expect(Object.hasOwn(model.rnn, "scan")).toBe(false);
  });

  it("are refused without a recurrence, over trained inputs, for promises and a second derivative", () => {
    expect(() => usingGradients(rtrl(), new Linear(2, 3), () => 0)).toThrow(ArgumentError);
    const model = new Tagger(new Generator(1));
    expect(() => usingGradients(rtrl(), model, () => model.rnn.scan(track(xs)))).toThrow(/inputs that are data/);
    expect(() => usingGradients(rtrl(), model, async () => 0)).toThrow(StateError);
    const loss = usingGradients(rtrl(), model, () => lossOf(model));
    expect(() => gradients([loss], model.parameters(), [onesLike(loss)], { createGraph: true })).toThrow(/differentiated once/);
    expect(() => hybrid(0)).toThrow(ArgumentError);
    expect(() => hybrid(1.5)).toThrow(ArgumentError);
  });

  it("run stacked layers, whose batch is the second axis of their state", () => {
    const lstm = new LSTM({ inputSize: 3, hiddenSize: 2, numLayers: 2, dtype: "float64", generator: new Generator(2) });
    const expected = gradientsOf(lstm as unknown as Recurrence, { lengths: [4, 1] });
    const got = gradientsOf(lstm as unknown as Recurrence, { lengths: [4, 1] }, rtrl());
    expectEqual(got.parameters, expected.parameters);
    expectEqual(got.state, expected.state);
  });
});
