/** What lies beyond the end of a sequence is never read: whatever stands there, results and gradients are the same to the bit. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { type FloatDType, isFloat } from "../../src/base/dtype.ts";
import { ShapeError } from "../../src/base/errors.ts";
import { MLSTM, type MLSTMState, OdysseyLSTM } from "../../src/cells/index.ts";
import { Encoder, LuongDecoder } from "../../src/encoder-decoder/index.ts";
import { BidirectionalLanguageModel, ELMo } from "../../src/models/elmo.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Embedding } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { zeroBeyond } from "../../src/nn/padding.ts";
import { add, div, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { log, sqrt, tanh } from "../../src/ops/math.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { Cell, type Recurrence, type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { full, ones } from "../../src/tensor/create.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { MooreMachine } from "../../src/wrappers/machines.ts";
import { every, type Make } from "./every.ts";

const T = 4;
const lengths = [4, 0, 2, 3];
const B = lengths.length;

type Run = (recurrence: Recurrence, xs: Tensor, options: ScanOptions) => readonly [ys: Tensor, last: unknown];

const runs: Readonly<Record<string, Run>> = {
  captured: (recurrence, xs, options) => recurrence.scan(xs, undefined, options),
  eager: (recurrence, xs, options) => scanSteps(recurrence, xs, undefined, options),
};

const fillings = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -1e30];

/** Random sequences [T,B,I] whose padding is `filling`. */
function padded(I: number, dtype: FloatDType, filling: number): Tensor {
  const values = new Generator(8).uniform([T, B, I], -1, 1, dtype).data();
  for (let i = 0; i < values.length; i++) {
    const [t, b] = [Math.floor(i / (B * I)), Math.floor(i / I) % B];
    if (t >= (lengths[b] as number)) values[i] = filling;
  }
  return requireGrad(tensor(values, { shape: [T, B, I] }));
}

/** A number that each of the tensors' elements has a part in. */
function weighed(tensors: readonly Tensor[]): Tensor {
  const g = new Generator(9);
  return tensors
    .filter((t) => isFloat(t.dtype))
    .map((t) => sum(mul(t, g.uniform(t.shape, 0.5, 1.5, t.dtype as FloatDType))))
    .reduce(add);
}

interface Outcome {
  readonly ys: ArrayLike<number>;
  readonly last: readonly ArrayLike<number>[];
  readonly dxs: ArrayLike<number>;
  readonly dParameters: readonly (ArrayLike<number> | null)[];
}

function outcome(make: Make, run: Run, dtype: FloatDType, filling: number, reverse: boolean): Outcome {
  return scope(() => {
    manualSeed(1);
    const recurrence = make({ dtype, generator: new Generator(3) });
    const xs = padded(recurrence.inputSize, dtype, filling);
    const [ys, last] = run(recurrence, xs, { lengths, reverse });
    const states = stateTensors(last as never);
    const wanted = [xs, ...recurrence.parameters()];
    const [dxs, ...dParameters] = gradients([weighed([ys, ...states])], wanted, [ones([], dtype)]);
    return {
      ys: ys.data(),
      last: states.map((s) => s.data()),
      dxs: (dxs as Tensor).data(),
      dParameters: dParameters.map((d) => d?.data() ?? null),
    };
  });
}

const numbersOf = ({ ys, last, dxs, dParameters }: Outcome) => [ys, dxs, ...last, ...dParameters].flatMap((part) => Array.from(part ?? []));

/** Rows of [T,B,…] beyond the ends. */
function beyond(values: ArrayLike<number>): number[] {
  const width = values.length / (T * B);
  return Array.from(values).filter((_, i) => Math.floor(i / width / B) >= (lengths[Math.floor(i / width) % B] as number));
}

const oneWay = (make: Make) =>
  scope(() => {
    const recurrence = make({}) as Recurrence & { readonly bidirectional?: boolean };
    // What reads a whole sequence in an order of its own is not defined by its step.
    return recurrence.bidirectional !== true && !["Bidirectional", "Reversed", "DetachEvery"].includes(recurrence.constructor.name);
  });

describe.each(Object.entries(every))("%s", (name, make) => {
  const modes = Object.entries(runs).filter(([mode]) => mode === "captured" || oneWay(make));
  const cases = modes.flatMap(([mode]) =>
    (["float32", "float64"] as const).flatMap((dtype) => [false, true].map((reverse) => ({ mode, dtype, reverse }))),
  );

  it.each(cases)("$mode, $dtype, reverse $reverse: padding is not read", ({ mode, dtype, reverse }) => {
    const run = runs[mode] as Run;
    const expected = outcome(make, run, dtype, 0, reverse);
    expect(numbersOf(expected).every(Number.isFinite)).toBe(true);
    expect(beyond(expected.ys).every((y) => y === 0)).toBe(true);
    expect(beyond(expected.dxs).every((d) => d === 0)).toBe(true);
    expect(expected.dParameters.flatMap((d) => Array.from(d ?? [])).some((d) => d !== 0) || expected.dParameters.length === 0).toBe(true);
    // Step by step, operation by operation, two say as much as five.
    for (const filling of mode === "eager" ? [Number.NaN, 1e30] : fillings) {
      expect(outcome(make, run, dtype, filling, reverse)).toEqual(expected);
    }
  });

  // The adaptive solver refuses a slope that is not finite, a reservoir such an input.
  const solves = name === 'CTRNN, "bogacki-shampine"';
  const late = /^(Reservoir|EchoStateNetwork|LiquidStateMachine)/.test(name) ? [0, 1e30] : [0, Number.NaN, Number.POSITIVE_INFINITY, 1e30];
  it.runIf((oneWay(make) || name === "DetachEvery") && !solves)("an output does not read what comes after it", () => {
    scope(() =>
      noGrad(() => {
        const recurrence = make({ generator: new Generator(3) }).eval() as Recurrence;
        const I = recurrence.inputSize;
        const outputs = late.map((value) => {
          const values = new Generator(8)
            .uniform([5, 1, I], -1, 1)
            .data()
            .fill(value, 3 * I);
          return slice(recurrence.scan(tensor(values, { shape: [5, 1, I] }))[0], 0, 0, 3).data();
        });
        for (const ys of outputs) expect(ys).toEqual(outputs[0]);
      }),
    );
  });

  it.each([false, true])("reverse %s: sequences of a batch are as each by itself", (reverse) => {
    scope(() =>
      noGrad(() => {
        const recurrence = make({ dtype: "float64", generator: new Generator(3) }).eval() as Recurrence;
        const xs = padded(recurrence.inputSize, "float64", Number.NaN);
        const [ys, last] = recurrence.scan(xs, undefined, { lengths, reverse });
        // A solver that chooses its steps for all sequences at once, to 1e-6, chooses others for one.
        const tolerance = name === 'CTRNN, "bogacki-shampine"' ? 1e-5 : 1e-12;
        for (const [b, n] of lengths.entries()) {
          if (n === 0) continue;
          const [alone, end] = recurrence.scan(slice(slice(xs, 0, 0, n), 1, b, b + 1), undefined, { reverse });
          const pairs = [[slice(select(ys, 1, b), 0, 0, n), alone] as const, ...lastPairs(last, end, b)];
          for (const [got, expected] of pairs) {
            const wanted = expected.data();
            got.data().forEach((v, i) => expect(Math.abs(Number(v) - Number(wanted[i]))).toBeLessThanOrEqual(tolerance));
          }
        }
      }),
    );
  });
});

/** Of sequence b in a batch, and of a batch of one: layers' states have the batch as their second axis. */
function lastPairs(last: unknown, alone: unknown, b: number): (readonly [Tensor, Tensor])[] {
  const single = stateTensors(alone as never);
  return stateTensors(last as never).map((s, i) => {
    const axis = s.shape.findIndex((n, a) => n !== (single[i] as Tensor).shape[a]);
    return [select(s, axis, b), single[i] as Tensor] as const;
  });
}

/** A cell whose step is undefined at 0: what stands in for padding has to be of the sequence's own kind. */
class Logarithmic extends Cell<Tensor> {
  readonly inputSize = 2;
  readonly outputSize = 2;
  readonly weight = new Parameter(tensor([0.5, -0.25]));

  initialState(batch: number): Tensor {
    return ones([batch, 2]);
  }

  step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const size = sqrt(sum(mul(x, x), { axis: 1, keepDim: true }));
    const next = tanh(add(div(x, size), mul(mul(this.weight, log(x)), h)));
    return [next, next];
  }
}

describe("a cell of one's own", () => {
  const lengths = [3, 0, 1];
  const run = (cell: Cell<Tensor>, filling: number, scan: (cell: Cell<Tensor>, xs: Tensor, options: ScanOptions) => [Tensor, Tensor]) =>
    scope(() => {
      const values = new Generator(5).uniform([3, 3, 2], 0.5, 2).data();
      for (const [i] of values.entries()) if (Math.floor(i / 6) >= (lengths[Math.floor(i / 2) % 3] as number)) values[i] = filling;
      const xs = requireGrad(tensor(values, { shape: [3, 3, 2] }));
      const [ys, last] = scan(cell, xs, { lengths });
      return [ys, last, ...gradients([weighed([ys, last])], [xs, ...cell.parameters()], [ones([])])].map((t) =>
        Array.from(t?.data() ?? []),
      );
    });

  it.each([true, false])("that divides by its input, and takes its logarithm; captured %s", (isCaptured) => {
    const scan = isCaptured
      ? (cell: Cell<Tensor>, xs: Tensor, options: ScanOptions) => cell.scan(xs, undefined, options)
      : (cell: Cell<Tensor>, xs: Tensor, options: ScanOptions) => scanSteps(cell, xs, undefined, options);
    const cell = new Logarithmic();
    expect(cell.whyEager(ones([3, 3, 2]), undefined, { lengths })).toBeNull();
    const expected = run(cell, 0, scan);
    expect(expected.flat().every(Number.isFinite)).toBe(true);
    for (const filling of fillings) expect(run(cell, filling, scan)).toEqual(expected);
  });

  it("whose readout divides by what it reads", () => {
    class Reciprocal extends Module {
      forward(h: Tensor): Tensor {
        return div(1, h);
      }
    }
    const cell = new GRUCell({ inputSize: 2, hiddenSize: 2, generator: new Generator(2) });
    const machine = new MooreMachine(cell, new Reciprocal()) as unknown as Cell<Tensor>;
    const expected = run(machine, 0, (c, xs, options) => c.scan(xs, undefined, options));
    expect(expected.flat().every(Number.isFinite)).toBe(true);
  });

  it("no sequence has a step: the initial state and zeros", () => {
    const [ys, last] = new Logarithmic().scan(full([2, 3, 2], Number.NaN), undefined, { lengths: [0, 0, 0] });
    expect(Array.from(ys.data())).toEqual(new Array(12).fill(0));
    expect(Array.from(last.data())).toEqual(new Array(6).fill(1));
  });
});

describe("states", () => {
  const cell = new OdysseyLSTM({ inputSize: 2, hiddenSize: 3, generator: new Generator(1) });
  const g = new Generator(2);
  const [h, c, xs] = [g.uniform([2, 3], -1, 1), g.uniform([2, 3], -1, 1), g.uniform([4, 2, 2], -1, 1)];

  it.each([undefined, [4, 2]])("are told by name, whatever their order; lengths %s", (lengths) => {
    const options = lengths && { lengths };
    const [expected, end] = cell.scan(xs, { h, c }, options);
    const [ys, last] = cell.scan(xs, { c, h }, options);
    expect(ys.data()).toEqual(expected.data());
    expect([last.h.data(), last.c.data()]).toEqual([end.h.data(), end.c.data()]);
  });

  it("of another structure are refused", () => {
    expect(() => cell.scan(xs, { h } as never)).toThrow(/scan: expected a state of the structure that initialState has, got a part less/);
    expect(() => cell.scan(xs, { h, c: { h } } as never)).toThrow(ShapeError);
  });

  it("of layers have the batch as their second axis, also where there are as many layers as sequences", () => {
    const layers = new GRU({ inputSize: 2, hiddenSize: 3, numLayers: 2, dtype: "float64", generator: new Generator(4) });
    const lengths = [4, 1];
    const input = cast(xs, "float64");
    const [expected, end] = layers.scan(input, undefined, { lengths });
    const [ys, last] = scanSteps<Tensor>(layers, input, undefined, { lengths });
    for (const [got, wanted] of [
      [ys, expected],
      [last, end],
    ] as const)
      got.data().forEach((v, i) => expect(Math.abs(v - (wanted.data()[i] as number))).toBeLessThanOrEqual(1e-12));
  });
});

describe("beside scans", () => {
  it.each([undefined, 3])("batch normalisation over sequences, steps %s", (steps) => {
    const lengths = [3, 0, 2];
    const run = (filling: number, isTraining: boolean) =>
      scope(() => {
        const norm = new SequenceBatchNorm(2, steps === undefined ? {} : { steps });
        if (!isTraining) norm.eval();
        const values = new Generator(5).uniform([3, 3, 2], -1, 2).data();
        for (const [i] of values.entries()) if (Math.floor(i / 6) >= (lengths[Math.floor(i / 2) % 3] as number)) values[i] = filling;
        const xs = requireGrad(tensor(values, { shape: [3, 3, 2] }));
        const ys = zeroBeyond(norm.forward(xs, { lengths }), lengths);
        const slopes = gradients([weighed([ys])], [xs, ...norm.parameters()], [ones([])]);
        return [ys, norm.runningMean, norm.runningVar, ...slopes].map((t) => Array.from(t?.data() ?? []));
      });
    for (const isTraining of [true, false]) {
      const expected = run(0, isTraining);
      expect(expected.flat().every(Number.isFinite)).toBe(true);
      for (const filling of fillings) expect(run(filling, isTraining)).toEqual(expected);
    }
  });

  it.each(["dot", "general", "concat"] as const)("attention over a source that somebody else made, %s", (score) => {
    const lengths = [3, 1];
    const encoder = new Encoder(new GRUCell({ inputSize: 2, hiddenSize: 4, generator: new Generator(1) }));
    const cell = new GRUCell({ inputSize: 6, hiddenSize: 4, generator: new Generator(2) });
    const decoder = new LuongDecoder({ encoder, cell, score, generator: new Generator(3) });
    const run = (filling: number) =>
      scope(() => {
        const values = new Generator(5).uniform([3, 2, 4], -1, 1).data();
        for (const [i] of values.entries()) if (Math.floor(i / 8) >= (lengths[Math.floor(i / 4) % 2] as number)) values[i] = filling;
        const states = requireGrad(tensor(values, { shape: [3, 2, 4] }));
        const [ys] = decoder.scan(ones([2, 2, 2]), decoder.start({ states, lengths, last: ones([2, 4]) }));
        return [ys, ...gradients([weighed([ys])], [states, ...decoder.parameters()], [ones([])])].map((t) => Array.from(t?.data() ?? []));
      });
    const expected = run(0);
    expect(expected.flat().every(Number.isFinite)).toBe(true);
    for (const filling of fillings) expect(run(filling)).toEqual(expected);
  });

  it("layers of a language model: words beyond a sentence's end are zeros, and the mixture's gradient does not read them", () => {
    const generator = new Generator(1);
    const encoder = Object.assign(new Embedding(4, 2, { generator }), { outputSize: 2 });
    const model = new BidirectionalLanguageModel({ encoder, vocabSize: 4, hiddenSize: 3, generator });
    const run = (filling: number) =>
      scope(() => {
        const values = new Generator(5).uniform([3, 2, 2], -1, 1).data();
        values.set([filling, filling], 10);
        const mixture = new ELMo(3);
        const ys = mixture.forward(model.layers(tensor(values, { shape: [3, 2, 2] }), { lengths: [3, 2] }));
        return [ys, ...gradients([weighed([ys])], [...mixture.parameters(), ...model.parameters()], [ones([])])].map((t) =>
          Array.from(t?.data() ?? []),
        );
      });
    const expected = run(0);
    expect(expected.flat().every(Number.isFinite)).toBe(true);
    for (const filling of fillings) expect(run(filling)).toEqual(expected);
  });

  it("a later step is not read by earlier outputs: whole sequences of MLSTM are as its steps", () => {
    const cell = new MLSTM({ inputSize: 2, hiddenSize: 4, heads: 2, generator: new Generator(1) });
    const values = new Generator(5).uniform([6, 1, 2], -1, 1).data();
    for (const late of [1e30, -1e30, 1e37, Number.POSITIVE_INFINITY, Number.NaN]) {
      const xs = tensor(values.with(6, late), { shape: [6, 1, 2] });
      const [ys, stepped] = [cell.scan(xs)[0], scanSteps<MLSTMState>(cell, xs)[0]].map((t) => slice(t, 0, 0, 3).data()) as [
        Float32Array,
        Float32Array,
      ];
      ys.forEach((y, i) => expect(Math.abs(y - (stepped[i] as number))).toBeLessThanOrEqual(1e-6));
      const isLost = (t: Tensor) => Array.from(slice(t, 0, 3).data(), (y) => !Number.isFinite(y));
      if (!Number.isFinite(late)) expect(isLost(cell.scan(xs)[0])).toEqual(isLost(scanSteps<MLSTMState>(cell, xs)[0]));
    }
  });
});
