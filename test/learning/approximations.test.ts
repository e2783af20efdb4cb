/** Approximations of real-time recurrent learning: right on the average, or exact where they say so. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import * as cells from "../../src/cells/index.ts";
import { eprop, type GradientAlgorithm, kfRtrl, type Learner, rflo, rtrl, snap, uoro } from "../../src/learning/index.ts";
import { settingOf } from "../../src/learning/influence.ts";
import { Reach } from "../../src/learning/reach.ts";
import { Parameter } from "../../src/nn/module.ts";
import { add, mul, sub } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { linear } from "../../src/ops/linear.ts";
import { sigmoid, tanh } from "../../src/ops/math.ts";
import { chunk, select, stack } from "../../src/ops/shape.ts";
import { Cell, type Recurrence, type ScanOptions } from "../../src/recurrence/recurrence.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/index.ts";
import { every } from "../recurrence/every.ts";
import { NOT_FORWARD } from "./recurrences.ts";

const dtype = "float64";

interface Task {
  readonly T?: number;
  readonly B?: number;
  readonly options?: ScanOptions;
}

/** A loss of all outputs and of the last state. */
function lossOf(ys: Tensor, last: readonly Tensor[]): Tensor {
  const weights = new Generator(5).uniform([...ys.shape], -1, 1, dtype);
  return last.reduce((total, s) => add(total, sum(mul(s, s))), sum(mul(mul(ys, ys), weights)));
}

/** The gradient of that loss by all parameters, as one list of numbers. */
function gradientOf(cell: Recurrence, algorithm: GradientAlgorithm | null, { T = 3, B = 1, options = {} }: Task = {}): number[] {
  return scope(() => {
    const xs = new Generator(4).uniform([T, B, cell.inputSize], -1, 1, dtype);
    const [ys, last] = algorithm === null ? cell.scan(xs, undefined, options) : algorithm.scan(cell, xs, undefined, options);
    const loss = lossOf(
      ys,
      stateTensors(last).filter((s) => isFloat(s.dtype)),
    );
    return flat(cell, gradients([loss], cell.parameters(), [onesLike(loss)]));
  });
}

function flat(cell: Recurrence, found: readonly (Tensor | null)[]): number[] {
  return cell.parameters().flatMap((p, i) => Array.from((found[i] ?? zeros(p.shape, dtype)).data()));
}

function expectClose(got: readonly number[], expected: readonly number[], tolerance: number): void {
  const scale = Math.max(1, ...expected.map(Math.abs));
  expect(got.length).toBe(expected.length);
  got.forEach((g, i) => {
    expect(!(Math.abs(g - (expected[i] as number)) <= tolerance * scale), `element ${i}: ${g} and ${expected[i]}`).toBe(false);
  });
}

function largestDifference(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number))));
}

/** Signs from a list, in place of random ones. */
class Signs extends Generator {
  used = 0;
  readonly #bits: (place: number) => 0 | 1;

  constructor(bits: (place: number) => 0 | 1) {
    super();
    this.#bits = bits;
  }

  override bernoulli(shape: Shape): Tensor {
    const n = shape.reduce((a, b) => a * b, 1);
    return tensor(
      Array.from({ length: n }, () => this.#bits(this.used++)),
      { shape: [...shape], dtype },
    );
  }
}

/** The mean gradient over all signs that an algorithm may draw. */
function meanOverSigns(cell: Recurrence, make: (generator: Generator) => GradientAlgorithm, task: Task = {}): number[] {
  const counting = new Signs(() => 0);
  gradientOf(cell, make(counting), task);
  const runs = 2 ** counting.used;
  expect(runs).toBeGreaterThan(1);
  let total: number[] = [];
  for (let code = 0; code < runs; code++) {
    const g = gradientOf(cell, make(new Signs((place) => ((code >> place) & 1) as 0 | 1)), task);
    total = code === 0 ? g : total.map((t, i) => t + (g[i] as number));
  }
  return total.map((t) => t / runs);
}

const o = (seed = 3) => ({ dtype, generator: new Generator(seed) }) as const;
const small = { inputSize: 2, hiddenSize: 2 };
const any = <S>(cell: S) => cell as unknown as Recurrence;
const rnn = (seed?: number) => any(new RNNCell({ ...small, ...o(seed) }));
const lstm = (seed?: number) => any(new LSTMCell({ ...small, ...o(seed) }));
const leaky = (tau = 3) => any(new cells.LeakyRNN({ ...small, tau, ...o() }));

describe("uoro", () => {
  const systems: Record<string, () => Recurrence> = {
    RNNCell: rnn,
    LSTMCell: lstm,
    "GRUCell, reset after": () => any(new GRUCell({ ...small, ...o() })),
    "GRUCell, reset before": () => any(new GRUCell({ ...small, resetAfter: false, ...o() })),
    LeakyRNN: leaky,
    FullyRecurrentNetwork: () => any(new cells.FullyRecurrentNetwork({ inputSize: 2, units: 3, outputSize: 1, ...o() })),
    SecondOrderRNN: () => any(new cells.SecondOrderRNN({ ...small, ...o() })),
    MinGRU: () => any(new cells.MinGRU({ ...small, ...o() })),
  };

  it.each(Object.keys(systems))("is real-time recurrent learning on the average of all signs: %s", (name) => {
    const cell = systems[name]?.() as Recurrence;
    const expected = gradientOf(cell, rtrl());
    expectClose(
      meanOverSigns(cell, (generator) => uoro({ generator, epsilon: 0 })),
      expected,
      1e-12,
    );
    expectClose(
      meanOverSigns(cell, (generator) => uoro({ generator })),
      expected,
      1e-5,
    );
  });

  it("has signs of its own for each sequence of a batch, ragged and backwards", () => {
    const task = { B: 2, options: { lengths: [3, 2], reverse: true } };
    expectClose(
      meanOverSigns(rnn(), (generator) => uoro({ generator, epsilon: 0 }), task),
      gradientOf(rnn(), rtrl(), task),
      1e-12,
    );
  });

  it("is noisy, repeats itself with its generator, and moves it", () => {
    const one = gradientOf(rnn(), uoro({ generator: new Generator(1) }));
    expect(gradientOf(rnn(), uoro({ generator: new Generator(1) }))).toEqual(one);
    expect(largestDifference(one, gradientOf(rnn(), rtrl()))).toBeGreaterThan(1e-3);
    const generator = new Generator(1);
    gradientOf(rnn(), uoro({ generator }));
    expect(generator.state.counter).toBeGreaterThan(0);
  });

  it("refuses an epsilon below zero", () => {
    expect(() => uoro({ epsilon: -1 })).toThrow(ArgumentError);
    expect(() => uoro({ epsilon: Number.NaN })).toThrow(ArgumentError);
  });
});

/** A recurrent highway network of depth 1 (Zilly et al., 2017, eq. 6-9), its carry gate tied to the other: s' = h∘t + s∘(1 − t). */
class HighwayCell extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor({ inputSize, hiddenSize }: { readonly inputSize: number; readonly hiddenSize: number }) {
    super();
    const [weight, generator] = [(shape: number[]) => new Parameter(generator.uniform(shape, -1, 1, dtype)), new Generator(3)];
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.weightIh = weight([2 * hiddenSize, inputSize]);
    this.weightHh = weight([2 * hiddenSize, hiddenSize]);
    this.bias = weight([2 * hiddenSize]);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], dtype);
  }

  step(x: Tensor, s: Tensor): [y: Tensor, next: Tensor] {
    const [h, t] = chunk(add(linear(x, this.weightIh, this.bias), linear(s, this.weightHh)), 2, 1) as [Tensor, Tensor];
    const next = add(s, mul(sigmoid(t), sub(tanh(h), s)));
    return [next, next];
  }
}

/** One of depth 2: the second layer's weights see what the first has made of the state. */
class DeepHighwayCell extends HighwayCell {
  readonly weightDeep: Parameter = new Parameter(new Generator(4).uniform([2 * this.outputSize, this.outputSize], -1, 1, dtype));

  override step(x: Tensor, state: Tensor): [y: Tensor, next: Tensor] {
    const [s] = super.step(x, state);
    const [h, t] = chunk(linear(s, this.weightDeep), 2, 1) as [Tensor, Tensor];
    const next = add(s, mul(sigmoid(t), sub(tanh(h), s)));
    return [next, next];
  }
}

describe("kfRtrl", () => {
  const shared = (name: string) => () => every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
  const systems: Record<string, () => Recurrence> = {
    LSTM1997: shared('LSTM1997, "none"'),
    OdysseyLSTM: shared('OdysseyLSTM, "NP"'),
    HiddenDelayNetwork: shared("HiddenDelayNetwork"),
    GatedStore: shared("GatedStore"),
    RNNCell: rnn,
    SimpleRecurrentNetwork: () => any(new cells.SimpleRecurrentNetwork({ ...small, ...o() })),
    LeakyRNN: leaky,
    LSTMCell: lstm,
    "a recurrent highway network": () => any(new HighwayCell(small)),
    "LSTMCell without biases": () => any(new LSTMCell({ ...small, bias: false, ...o() })),
  };

  it.each(Object.keys(systems))("is real-time recurrent learning on the average of all signs: %s", (name) => {
    const cell = systems[name]?.() as Recurrence;
    expectClose(
      meanOverSigns(cell, (generator) => kfRtrl({ generator }), { T: 4 }),
      gradientOf(cell, rtrl(), { T: 4 }),
      1e-12,
    );
  });

  it("has less noise than uoro", () => {
    const cell = any(new RNNCell({ inputSize: 3, hiddenSize: 8, ...o() }));
    const task = { T: 6 };
    const exact = gradientOf(cell, rtrl(), task);
    const noise = (make: (generator: Generator) => GradientAlgorithm): number => {
      const errors = Array.from({ length: 40 }, (_, seed) => {
        const g = gradientOf(cell, make(new Generator(seed)), task);
        return g.reduce((total, x, i) => total + (x - (exact[i] as number)) ** 2, 0);
      });
      return errors.reduce((a, b) => a + b) / errors.length;
    };
    expect(noise((generator) => kfRtrl({ generator }))).toBeLessThan(0.5 * noise((generator) => uoro({ generator })));
  });

  it("refuses weights that do more than multiply the input and the output", () => {
    const refused = [
      new GRUCell({ ...small, ...o() }),
      new LSTMCell({ ...small, peepholes: true, ...o() }),
      new cells.SecondOrderRNN({ ...small, ...o() }),
      new cells.MGU({ ...small, ...o() }),
    ];
    for (const cell of [...refused, new DeepHighwayCell(small)]) expect(() => gradientOf(any(cell), kfRtrl())).toThrow(ArgumentError);
    expect(() => gradientOf(any(refused[0]), kfRtrl())).toThrow(/kfRtrl: expected .* got GRUCell, whose weights do more/);
  });
});

describe("snap", () => {
  it.each([2, 3, 9])("of %s steps reaches everything in a dense network, and is real-time recurrent learning", (k) => {
    const task = { T: 5, B: 2, options: { lengths: [5, 3] } };
    for (const cell of [rnn(), lstm(), any(new GRUCell({ ...small, ...o() }))]) {
      expectClose(gradientOf(cell, snap(k), task), gradientOf(cell, rtrl(), task), 1e-12);
    }
  });

  it("of one step keeps each weight's own unit in a simple network, as written out by hand", () => {
    const cell = new RNNCell({ inputSize: 2, hiddenSize: 3, ...o() });
    const xs = new Generator(4).uniform([4, 1, 2], -1, 1, dtype);
    const [T, H, I] = [4, 3, 2];
    const x = (t: number, i: number) => xs.data()[t * I + i] as number;
    const [W, U] = [cell.weightIh.data(), cell.weightHh.data()];
    const b = Array.from({ length: H }, (_, i) => (cell.biasIh?.data()[i] as number) + (cell.biasHh?.data()[i] as number));
    let h = [0, 0, 0];
    const trace = Array.from({ length: H }, () => new Array<number>(H).fill(0));
    const gradient = Array.from({ length: H }, () => new Array<number>(H).fill(0));
    for (let t = 0; t < T; t++) {
      const next = h.map((_, i) => {
        const own = Array.from({ length: I }, (_x, j) => (W[i * I + j] as number) * x(t, j)).reduce((p, q) => p + q);
        return Math.tanh(own + (b[i] as number) + h.map((hj, j) => (U[i * H + j] as number) * hj).reduce((p, q) => p + q));
      });
      const slope = next.map((y) => 1 - y * y);
      const error = t === T - 1 ? next.map((y) => 2 * y) : [0, 0, 0];
      const lambda = h.map((_, j) =>
        next.map((_y, i) => (error[i] as number) * (slope[i] as number) * (U[i * H + j] as number)).reduce((p, q) => p + q),
      );
      for (let i = 0; i < H; i++) {
        for (let j = 0; j < H; j++) {
          const row = gradient[i] as number[];
          const own = trace[i] as number[];
          const direct = (slope[i] as number) * (h[j] as number);
          row[j] = (row[j] as number) + (lambda[i] as number) * (own[j] as number) + (error[i] as number) * direct;
          own[j] = (slope[i] as number) * (U[i * H + i] as number) * (own[j] as number) + direct;
        }
      }
      h = next;
    }
    const [ys] = snap(1).scan(any(cell), xs);
    const end = select(ys, 0, T - 1);
    const [got] = gradients([sum(mul(end, end))], [cell.weightHh], [zeros([], dtype)]);
    const loss = sum(mul(end, end));
    const [found] = gradients([loss], [cell.weightHh], [onesLike(loss)]);
    expect(got).not.toBeNull();
    expectClose(Array.from((found as Tensor).data()), gradient.flat(), 1e-12);
    const [whole] = rtrl().scan(any(cell), xs);
    const exact = sum(mul(select(whole, 0, T - 1), select(whole, 0, T - 1)));
    const [g] = gradients([exact], [cell.weightHh], [onesLike(exact)]);
    expect(largestDifference(Array.from((g as Tensor).data()), gradient.flat())).toBeGreaterThan(1e-4);
  });

  it("takes two steps to turn a pair of a complex unit, and is exact with them", () => {
    const cell = any(new cells.LRU({ inputSize: 2, hiddenSize: 3, ...o() }));
    expectClose(gradientOf(cell, snap(2), { T: 5 }), gradientOf(cell, rtrl(), { T: 5 }), 1e-12);
  });

  it("follows the connections of a masked network", () => {
    // A ring of four units, each seeing itself and the one before; the input goes to all.
    const [I, n] = [1, 4];
    const ring = Array.from({ length: n }, (_, i) => [
      1,
      1,
      ...Array.from({ length: n }, (_x, j) => (j === i || j === (i + n - 1) % n ? 1 : 0)),
    ]);
    const mask = tensor(ring.flat(), { shape: [n, I + 1 + n], dtype });
    const cell = any(new cells.FullyRecurrentNetwork({ inputSize: I, units: n, mask, ...o() }));
    const parameters = cell.parameters();
    const [P, S] = [n * (I + 1 + n), n];
    const reach = Reach.of({
      name: "test",
      recurrence: cell,
      parameters,
      P,
      S,
      dtype,
      state: cell.initialState(1),
      columns: P,
      start: null,
    });
    for (const k of [1, 2, 3, 4, 7]) {
      const { starts, rows } = reach.within(k);
      for (let p = 0; p < P; p++) {
        const unit = Math.floor(p / (I + 1 + n));
        const isConnected = mask.data()[p] === 1;
        const expected = isConnected ? Array.from({ length: Math.min(k, n) }, (_, d) => (unit + d) % n).sort() : [];
        expect(Array.from(rows.subarray(starts[p], starts[p + 1]))).toEqual(expected);
      }
    }
    const task = { T: 7 };
    const exact = gradientOf(cell, rtrl(), task);
    const errors = [1, 2, 3, 4].map((k) => largestDifference(gradientOf(cell, snap(k), task), exact));
    expect(errors[0]).toBeGreaterThan(errors[2] as number);
    expect(errors[2]).toBeGreaterThan(1e-9);
    expect(errors[3]).toBeLessThan(1e-12);
  });

  it.each(['RNNCell, "relu"', 'DeepIndRNN, "none"', "NeuralDeque", "PushdownAutomaton, 2", "PearlmutterNetwork, delays"])(
    "finds the same places for any weights of %s, and continues from the bytes of others",
    (name) => {
      const made = [3, 4].map((seed) => {
        const cell = every[name]?.({ dtype, generator: new Generator(seed) }) as Recurrence;
        const parameters = cell.parameters();
        const before = parameters.map((p) => ({ values: p.toArray(), write: p.storage.lastWrite }));
        const reach = Reach.of(settingOf("test", cell, parameters, cell.initialState(1), "fixed"));
        expect(parameters.map((p) => ({ values: p.toArray(), write: p.storage.lastWrite }))).toEqual(before);
        return { cell, patterns: [reach.within(1), reach.within(2)] };
      });
      expect(made[1]?.patterns).toEqual(made[0]?.patterns);
      const [one, other] = made.map(({ cell }) => snap(1).begin?.(cell)) as [Learner, Learner];
      const xs = new Generator(5).normal([3, 1, made[0]?.cell.inputSize as number], 0, 1, dtype);
      for (let t = 0; t < 3; t++) one.step(select(xs, 0, t));
      other.fromBytes(one.toBytes());
      expect(other.toBytes()).toEqual(one.toBytes());
    },
  );

  it("finds what weights reach that were zero at first", () => {
    const cell = new RNNCell({ ...small, ...o() });
    const weights = Float64Array.from(cell.weightHh.data());
    assign(cell.weightHh, zeros(cell.weightHh.shape, dtype));
    gradientOf(any(cell), snap(2));
    assign(cell.weightHh, weights);
    gradientOf(any(cell), snap(2));
    expectClose(gradientOf(any(cell), snap(2)), gradientOf(any(cell), rtrl()), 1e-12);
  });

  it("sees which parameters are frozen, though as many are", () => {
    const [below, above] = [new RNNCell({ ...small, ...o(1) }), new RNNCell({ ...small, ...o(2) })];
    const both = any(new StackedRNN([any(below), any(above)]));
    for (const frozen of [below, above]) {
      for (const p of both.parameters()) p.requiresGrad = !frozen.parameters().includes(p);
      expectClose(gradientOf(both, snap(9)), gradientOf(both, rtrl()), 1e-12);
    }
    const net = new cells.LeakyRNN({ inputSize: 2, hiddenSize: 2, ...o() });
    net.weightHh.requiresGrad = false;
    expectClose(gradientOf(any(net), snap(2)), gradientOf(any(net), rtrl()), 1e-12);
    assign(net.weightHh, zeros(net.weightHh.shape, dtype));
    expectClose(gradientOf(any(net), eprop()), gradientOf(any(net), rtrl()), 1e-12);
    expectClose(
      meanOverSigns(any(net), (generator) => kfRtrl({ generator })),
      gradientOf(any(net), rtrl()),
      1e-12,
    );
  });

  it("refuses steps below one", () => {
    expect(() => snap(0)).toThrow(ArgumentError);
    expect(() => snap(1.5)).toThrow(ArgumentError);
  });
});

/** The gradient of the loss where h goes to the next step's sums without a gradient: a loop with `detach` on those edges. */
function cutGradient(cell: Recurrence, step: (x: Tensor, state: Tensor[]) => Tensor[], start: Tensor[], T: number): number[] {
  return scope(() => {
    const xs = new Generator(4).uniform([T, 1, cell.inputSize], -1, 1, dtype);
    let state = start;
    const ys: Tensor[] = [];
    for (let t = 0; t < T; t++) {
      state = step(select(xs, 0, t), state);
      ys.push(state[0] as Tensor);
    }
    const loss = lossOf(stack(ys), state);
    return flat(cell, gradients([loss], cell.parameters(), [onesLike(loss)]));
  });
}

describe("local rules", () => {
  const T = 5;

  it("eprop on an LSTM is backpropagation with the edges from h to the gates cut", () => {
    for (const peepholes of [false, true]) {
      const cell = new LSTMCell({ inputSize: 2, hiddenSize: 3, peepholes, ...o() });
      const cut = (x: Tensor, state: Tensor[]): Tensor[] => {
        const [h, c] = state as [Tensor, Tensor];
        const gates = add(linear(x, cell.weightIh, cell.biasIh as Tensor), linear(h.detach(), cell.weightHh, cell.biasHh as Tensor));
        const [i, f, g, out] = chunk(gates, 4, 1) as [Tensor, Tensor, Tensor, Tensor];
        const peep = (k: number, memory: Tensor) => (peepholes ? mul(select(cell.weightPeephole as Tensor, 0, k), memory) : mul(memory, 0));
        const c1 = add(mul(sigmoid(add(f, peep(1, c))), c), mul(sigmoid(add(i, peep(0, c))), tanh(g)));
        return [mul(sigmoid(add(out, peep(2, c1))), tanh(c1)), c1];
      };
      const zero = () => zeros([1, 3], dtype);
      const expected = cutGradient(any(cell), cut, [zero(), zero()], T);
      expectClose(gradientOf(any(cell), eprop(), { T }), expected, 1e-12);
      expect(largestDifference(expected, gradientOf(any(cell), rtrl(), { T }))).toBeGreaterThan(1e-4);
    }
  });

  it("eprop and rflo on leaky units are backpropagation with the weights' edges from h cut", () => {
    const cell = new cells.LeakyRNN({ inputSize: 2, hiddenSize: 3, tau: 4, ...o() });
    const cut = (x: Tensor, [h]: Tensor[]): Tensor[] => {
      const rate = tanh(add(linear(x, cell.weightIh, cell.bias), linear((h as Tensor).detach(), cell.weightHh)));
      return [add(h as Tensor, mul(sub(rate, h as Tensor), 1 / 4))];
    };
    const expected = cutGradient(any(cell), cut, [zeros([1, 3], dtype)], T);
    for (const algorithm of [eprop(), rflo()]) expectClose(gradientOf(any(cell), algorithm, { T }), expected, 1e-12);
    expect(largestDifference(expected, gradientOf(any(cell), rtrl(), { T }))).toBeGreaterThan(1e-4);
  });

  it("are real-time recurrent learning where recurrent weights are zero", () => {
    const systems = [
      { cell: new cells.LeakyRNN({ ...small, tau: 3, ...o() }), rules: [rflo(), eprop()] },
      { cell: new RNNCell({ ...small, ...o() }), rules: [rflo(), eprop()] },
      { cell: new LSTMCell({ ...small, peepholes: true, ...o() }), rules: [eprop()] },
      { cell: new cells.OdysseyLSTM({ ...small, ...o() }), rules: [eprop()] },
    ];
    for (const { cell, rules } of systems) {
      const expectedBefore = gradientOf(any(cell), rtrl(), { T });
      assign(cell.weightHh, zeros(cell.weightHh.shape, dtype));
      const expected = gradientOf(any(cell), rtrl(), { T });
      for (const rule of rules) expectClose(gradientOf(any(cell), rule, { T, B: 1 }), expected, 1e-12);
      expect(largestDifference(expected, expectedBefore)).toBeGreaterThan(1e-6);
    }
  });

  it("eprop is real-time recurrent learning where units see of the past their own only", () => {
    for (const activation of ["relu", "tanh"] as const) {
      const cell = any(new cells.IndRNN({ inputSize: 3, hiddenSize: 4, activation, ...o() }));
      const task = { T, B: 2, options: { lengths: [5, 2] } };
      expectClose(gradientOf(cell, eprop(), task), gradientOf(cell, rtrl(), task), 1e-12);
    }
  });

  it("send the error back by random weights without losing the right side of most updates", () => {
    const cell = any(new cells.LeakyRNN({ inputSize: 2, hiddenSize: 8, tau: 4, ...o() }));
    const exact = gradientOf(cell, rtrl(), { T: 8 });
    const approximate = gradientOf(cell, rflo(), { T: 8 });
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((total, x, i) => total + x * (b[i] as number), 0);
    const cosine = dot(exact, approximate) / Math.sqrt(dot(exact, exact) * dot(approximate, approximate));
    expect(cosine).toBeGreaterThan(0.5);
    expect(cosine).toBeLessThan(0.9999);
  });

  it("refuse other recurrences by name", () => {
    const gru = any(new GRUCell({ ...small, ...o() }));
    expect(() => gradientOf(gru, rflo())).toThrow(/rflo: expected leaky rate units.*got GRUCell/);
    expect(() => gradientOf(lstm(), rflo())).toThrow(ArgumentError);
    expect(() => gradientOf(gru, eprop())).toThrow(/eprop: expected .*got GRUCell/);
    expect(() => gradientOf(any(new LSTMCell({ ...small, projSize: 1, ...o() })), eprop())).toThrow(ArgumentError);
  });
});

describe("step by step", () => {
  const T = 5;
  const rules: Record<string, (generator: Generator) => GradientAlgorithm> = {
    uoro: (generator) => uoro({ generator }),
    kfRtrl: (generator) => kfRtrl({ generator }),
    "snap(1)": () => snap(1),
    eprop: () => eprop(),
    rflo: () => rflo(),
  };

  /** The gradient of Σ(w∘y)² from a learner's steps, which is stored and restored in their midst. */
  function learned(cell: Recurrence, algorithm: GradientAlgorithm, xs: Tensor, weights: Tensor): number[] {
    cell.zeroGrad();
    const first = algorithm.begin?.(cell) as Learner;
    const second = algorithm.begin?.(cell) as Learner;
    for (let t = 0; t < T; t++) {
      if (t === 2) second.fromBytes(first.toBytes());
      (t < 2 ? first : second).step(select(xs, 0, t), (y) => mul(mul(select(weights, 0, t), y), 2));
    }
    const found = flat(
      cell,
      cell.parameters().map((p) => p.grad),
    );
    cell.zeroGrad();
    return found;
  }

  it.each(Object.keys(rules))("learn what they learn from whole sequences, with their state stored on the way: %s", (name) => {
    const rule = rules[name] as (generator: Generator) => GradientAlgorithm;
    const cell = name === "eprop" ? lstm() : leaky();
    const xs = new Generator(4).uniform([T, 1, 2], -1, 1, dtype);
    const weights = new Generator(5).uniform([T, 1, 2], -1, 1, dtype);
    const got = learned(cell, rule(new Generator(1)), xs, weights);
    // A learner draws after the last step, too; a scan knows where it ends. The signs before that are the same.
    const [ys] = rule(new Generator(1)).scan(cell, xs);
    const loss = sum(mul(weights, mul(ys, ys)));
    expectClose(got, flat(cell, gradients([loss], cell.parameters(), [onesLike(loss)])), 1e-12);
  });
});

/** What a recurrence of `every` is to the algorithms that are not for all. */
const LEAKY = /^(RNNCell|SimpleRecurrentNetwork|LeakyRNN)/;
const UNITS_OF_THEIR_OWN = /^(RNNCell|SimpleRecurrentNetwork|LeakyRNN|LSTMCell$|OdysseyLSTM|IndRNN)/;
const ONE_PRODUCT = /^(RNNCell|SimpleRecurrentNetwork|LeakyRNN|LSTM1997|OdysseyLSTM, "NP"|HiddenDelayNetwork|GatedStore$)/;
const DIAGONAL = /^(IndRNN|MinGRU|MinLSTM|SRU)/;
const TRAINED_START = /^LearnedInitialState/;

describe("every recurrence", () => {
  const make = (name: string): Recurrence => every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
  const popCount = (n: number): number => (n === 0 ? 0 : (n & 1) + popCount(n >> 1));

  /** The mean over the rows of Hadamard's matrix, whose second moments are those of all signs. One step draws, at most. */
  function meanOverRows(cell: Recurrence, algorithm: (generator: Generator) => GradientAlgorithm): number[] {
    const counting = new Signs(() => 0);
    let total = gradientOf(cell, algorithm(counting), { T: 2 }).map(() => 0);
    const rows = 2 ** Math.ceil(Math.log2(Math.max(2, counting.used)));
    for (let row = 0; row < rows; row++) {
      const g = gradientOf(cell, algorithm(new Signs((place) => (popCount(row & place) % 2) as 0 | 1)), { T: 2 });
      total = total.map((t, i) => t + (g[i] as number) / rows);
    }
    return total;
  }

  it.each(Object.keys(every).filter((name) => name in NOT_FORWARD || TRAINED_START.test(name)))("refused by all: %s", (name) => {
    // The search for places comes before the refusal: of adaptive steps it takes long.
    for (const algorithm of [uoro(), rflo(), eprop(), ...(name.includes("bogacki") ? [] : [kfRtrl(), snap(1)])]) {
      const run = () => gradientOf(make(name), algorithm, { T: 4, B: 2 });
      expect(run).toThrow(/expected/);
      expect([ArgumentError, StateError].some((kind) => thrownBy(run) instanceof kind)).toBe(true);
    }
  });

  it.each(Object.keys(every).filter((name) => !(name in NOT_FORWARD || TRAINED_START.test(name))))("each right, or refused: %s", (name) => {
    const cell = make(name);
    const exact = gradientOf(cell, null, { T: 2 });
    expectClose(gradientOf(cell, snap(99), { T: 2 }), exact, 1e-9);
    expectClose(
      meanOverRows(cell, (generator) => uoro({ generator, epsilon: 0 })),
      exact,
      1e-9,
    );
    const own = gradientOf(cell, snap(1), { T: 3 });
    if (DIAGONAL.test(name)) expectClose(own, gradientOf(cell, null, { T: 3 }), 1e-9);
    else expect(own.every(Number.isFinite)).toBe(true);
    if (ONE_PRODUCT.test(name)) {
      expectClose(
        meanOverRows(cell, (generator) => kfRtrl({ generator })),
        exact,
        1e-9,
      );
    } else if (cell.parameters().length > 0) expect(() => gradientOf(cell, kfRtrl(), { T: 2 })).toThrow(ArgumentError);
    const cases: [RegExp, GradientAlgorithm][] = [
      [LEAKY, rflo()],
      [UNITS_OF_THEIR_OWN, eprop()],
    ];
    for (const [able, algorithm] of cases) {
      const run = () => gradientOf(cell, algorithm, { T: 1 });
      // Of one step nothing is left out.
      if (able.test(name)) expectClose(run(), gradientOf(cell, null, { T: 1 }), 1e-9);
      else if (cell.parameters().length > 0) expect(run).toThrow(ArgumentError);
    }
  });
});

function thrownBy(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return null;
}
