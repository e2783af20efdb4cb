/** Learning from sample to sample: the whole sequence's gradients, constant memory, all or nothing, and everything as bytes. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { MinGRU } from "../../src/cells/index.ts";
import { bptt, hybrid, rtrl, truncated } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { dropout } from "../../src/ops/dropout.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { fit, online } from "../../src/train/index.ts";
import { memory } from "../../src/wasm/host.ts";
import { expectEqual } from "../learning/recurrences.ts";

type Cell = new (options: { inputSize: number; hiddenSize: number; dtype: "float64"; generator: Generator }) => Recurrence;

class Tagger extends Module {
  readonly rnn: Recurrence;
  readonly head: Linear;

  constructor(cell: Cell = GRUCell as unknown as Cell) {
    super();
    const generator = new Generator(1);
    this.rnn = new cell({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator });
    this.head = new Linear(3, 1, { dtype: "float64", generator });
  }

  forward(xs: Tensor): Tensor {
    return this.head.forward(this.rnn.scan(xs)[0]);
  }
}

const T = 6;
const xs = new Generator(2).uniform([T, 1, 2], -1, 1, "float64");
const targets = new Generator(3).uniform([T, 1, 1], -1, 1, "float64");
const at = (t: number) => ({ x: slice(xs, 0, t, t + 1), y: slice(targets, 0, t, t + 1) });
type Sample = ReturnType<typeof at>;
const squares = (m: Tagger, { x, y }: Sample): Tensor => mseLoss(m.forward(x), y, { reduction: "sum" });
const weightsOf = (m: Module): number[] => m.parameters().flatMap((p) => Array.from(p.data()));

describe("online", () => {
  it.each([
    ["GRU", GRUCell],
    ["MinGRU", MinGRU],
  ])("steps by the gradient of the whole sequence: %s, heads among it", (_, cell) => {
    const [a, b] = [new Tagger(cell as unknown as Cell), new Tagger(cell as unknown as Cell)];
    const learning = online(a, { gradients: rtrl(), optimizer: new SGD(a.parameters(), { lr: 1 }), loss: squares, updateEvery: T });
    const losses = Array.from({ length: T }, (__, t) => learning.step(at(t)) as number);
    const before = b.parameters().map((p) => tensor(p.data(), { shape: p.shape, dtype: p.dtype }));
    const whole = mseLoss(b.forward(xs), targets, { reduction: "sum" });
    backward(whole);
    expect(Math.abs(losses.reduce((x, y) => x + y) - whole.item())).toBeLessThan(1e-12);
    expectEqual(
      a.parameters().map((p, i) => add(before[i] as Tensor, mul(p, -1))),
      b.parameters().map((p) => p.grad),
      1e-12,
    );
  });

  it("takes losses of fit, samples without targets, and sequences one after the other", () => {
    const [a, b] = [new Tagger(), new Tagger()];
    const make = (m: Tagger) => ({ gradients: rtrl(), optimizer: new SGD(m.parameters(), { lr: 0.1 }) });
    const first = online(a, { ...make(a), loss: (m: Tagger, s: Sample) => [squares(m, s), "a state"] as const });
    const second = online(b, {
      ...make(b),
      loss: (m: Tagger, s: Sample & { silent?: boolean }) => {
        const value = squares(m, s);
        return s.silent ? null : value;
      },
    });
    first.step(at(0));
    second.step(at(0));
    const trained = weightsOf(b);
    expect(second.step({ ...at(3), silent: true })).toBeNull();
    expect(weightsOf(b)).toEqual(trained);
    second.reset();
    first.reset();
    expect([second.step(at(1)), second.samples]).toEqual([first.step(at(1)), 3]);
    expect(weightsOf(b)).toEqual(weightsOf(a));
  });

  it("goes on from bytes, to the bit, in another model", () => {
    const start = () => {
      const model = new Tagger();
      const loss = (m: Tagger, s: Sample) => mseLoss(m.head.forward(dropout(m.rnn.scan(s.x)[0], 0.5)), s.y);
      return {
        model,
        learning: online(model, { gradients: rtrl(), optimizer: new Adam(model.parameters(), { lr: 0.1 }), loss, clipNorm: 1 }),
      };
    };
    const { model, learning } = start();
    for (let t = 0; t < 3; t++) learning.step(at(t));
    const bytes = learning.toBytes();
    const go = (l: typeof learning) => [3, 4, 5].map((t) => l.step(at(t)));
    const expected = [go(learning), weightsOf(model)];
    const other = start();
    other.learning.fromBytes(bytes);
    expect(other.learning.samples).toBe(3);
    expect([go(other.learning), weightsOf(other.model)]).toEqual(expected);
  });

  it("holds the same memory after 1,000 samples", () => {
    const model = new Tagger(MinGRU as unknown as Cell);
    const learning = online(model, { gradients: rtrl(), optimizer: new Adam(model.parameters()), loss: squares, updateEvery: 2 });
    const sample = at(0);
    const live = (n: number): number => {
      for (let i = 0; i < n; i++) learning.step(sample);
      return memory().liveBytes;
    };
    const before = live(10);
    expect(live(1000)).toBe(before);
  });

  it("leaves everything as it was where a sample fails", () => {
    const model = new Tagger();
    let bad: ((value: Tensor) => unknown) | null = null;
    const loss = (m: Tagger, s: Sample) => (bad === null ? squares(m, s) : (bad(squares(m, s)) as Tensor));
    const learning = online(model, { gradients: rtrl(), optimizer: new Adam(model.parameters()), loss, updateEvery: 2 });
    const reference = online(new Tagger(), {
      ...{ gradients: rtrl(), loss: squares, updateEvery: 2 },
      optimizer: new Adam([tensor([0], { requiresGrad: true })]),
    });
    learning.step(at(0));
    reference.step(at(0));
    const [weights, states, grads] = [
      weightsOf(model),
      learning.states.map(String),
      model.parameters().map((p) => Array.from(p.grad?.data() ?? [])),
    ];
    const failing: [(value: Tensor) => unknown, new (...args: never[]) => Error][] = [
      [(value) => mul(value, Number.NaN), StateError],
      [(value) => mul(value, Number.POSITIVE_INFINITY), StateError],
      [() => 3, ArgumentError],
      [() => Promise.resolve(3), ArgumentError],
      [() => model.forward(at(1).x), ArgumentError],
      [
        () => {
          throw new RangeError("stop");
        },
        RangeError,
      ],
    ];
    for (const [fn, kind] of failing) {
      bad = fn;
      expect(() => learning.step(at(1))).toThrow(kind);
      expect(weightsOf(model)).toEqual(weights);
      expect(learning.states.map(String)).toEqual(states);
      expect(model.parameters().map((p) => Array.from(p.grad?.data() ?? []))).toEqual(grads);
      expect(Object.hasOwn(model.rnn, "scan")).toBe(false);
    }
    bad = null;
    expect(learning.step(at(1))).toBe(reference.step(at(1)));
    expect(() => learning.step({ ...at(1), x: xs })).toThrow(ShapeError);
  });

  it("refuses what has no meaning, and bytes of anything else", () => {
    const model = new Tagger();
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const options = { gradients: rtrl(), optimizer, loss: squares };
    expect(() => online(model, { ...options, gradients: bptt() })).toThrow(ArgumentError);
    expect(() => online(model, { ...options, gradients: undefined as never })).toThrow(ArgumentError);
    expect(() => online(new Linear(2, 3), options as never)).toThrow(ArgumentError);
    for (const wrong of [{ batch: 0 }, { updateEvery: 0.5 }, { clipNorm: 0 }, { clipNorm: Number.NaN }]) {
      expect(() => online(model, { ...options, ...wrong })).toThrow(ArgumentError);
    }
    const stateful = online(model, {
      ...options,
      loss: (m: Tagger, s: Sample) => sum(m.rnn.step(select(s.x, 0, 0), m.rnn.initialState(1))[0]),
    });
    expect(() => stateful.step(at(0))).toThrow(/no state/);
    const learning = online(model, { ...options, updateEvery: 2 });
    learning.step(at(0));
    expect(() => learning.toBytes()).toThrow(StateError);
    learning.step(at(1));
    const bytes = learning.toBytes();
    const other = new Tagger(MinGRU as unknown as Cell);
    const foreign = online(other, { ...options, optimizer: new SGD(other.parameters(), { lr: 0.1 }) });
    const before = foreign.toBytes();
    expect(() => foreign.fromBytes(bytes)).toThrow(FormatError);
    expect(() => foreign.fromBytes(bytes.slice(0, 40))).toThrow(FormatError);
    expect(foreign.toBytes()).toEqual(before);
  });

  it("learns from errors that wait, of the last samples where the sequence ends", () => {
    for (const gradients of [hybrid(4), truncated({ steps: [T, 4] })]) {
      const [a, b] = [new Tagger(), new Tagger()];
      const learning = online(a, { gradients, optimizer: new SGD(a.parameters(), { lr: 1 }), loss: squares, updateEvery: 10 });
      for (let t = 0; t < T; t++) learning.step(at(t));
      expect(() => learning.toBytes()).toThrow(StateError);
      learning.finish();
      expect(learning.samples).toBe(T);
      backward(mseLoss(b.forward(xs), targets, { reduction: "sum" }));
      new SGD(b.parameters(), { lr: 1 }).step();
      expectEqual(a.parameters(), b.parameters(), 1e-12);
      // Nothing waits any more, and the next sequence begins anew.
      const bytes = learning.toBytes();
      learning.finish();
      expect(learning.toBytes()).toEqual(bytes);
      const [first, second] = [learning.step(at(0)), learning.step(at(1))];
      learning.fromBytes(bytes);
      expect([learning.step(at(0)), learning.step(at(1))]).toEqual([first, second]);
    }
  });

  it("moves the weights of the head at once and those below with their window", () => {
    const model = new Tagger();
    const learning = online(model, {
      gradients: truncated({ steps: [4, 2] }),
      optimizer: new SGD(model.parameters(), { lr: 0.1 }),
      loss: squares,
    });
    const below = () => Array.from(model.rnn.parameters()[0]?.data() ?? []);
    const before = below();
    learning.step(at(0));
    expect(below()).toEqual(before);
    learning.step(at(1));
    expect(below()).not.toEqual(before);
  });

  it("is what fit does with one step a batch", async () => {
    const [a, b] = [new Tagger(), new Tagger()];
    const learning = online(a, { gradients: rtrl(), optimizer: new SGD(a.parameters(), { lr: 0.1 }), loss: squares });
    const first = scope(() => learning.step(at(0)));
    for await (const { loss } of fit(b, [at(0)], { optimizer: new SGD(b.parameters(), { lr: 0.1 }), loss: squares }))
      expect(loss).toBe(first);
    expectEqual(a.parameters(), b.parameters(), 1e-14);
  });
});
