/** A stream is a snapshot of its recurrence: of the weights, options and modes it had when the stream was made or refreshed. */

import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { DTypeError, ShapeError, StateError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { type Module, Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { tanh } from "../../src/ops/math.ts";
import { select, slice, transpose } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { Cell, type Recurrence, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM } from "../../src/recurrence/rnn.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { full, ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, empty, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "./every.ts";

const B = 2;

/** Other values in every tensor of a module. */
function scramble(model: Module, seed: number): void {
  const g = new Generator(seed);
  for (const t of model.stateDict().values()) {
    if (t.dtype === "float32" || t.dtype === "float64") assign(t, g.uniform(t.shape, -0.5, 0.5, t.dtype));
  }
}

const make = (maker: Make) => maker({ dtype: "float32", generator: new Generator(3) }).eval() as Recurrence;

/** Steps of a stream as plain numbers, from the initial state or from where it is. */
function run(stream: Stream<State>, inputSize: number, steps: number, seed: number): number[][] {
  const g = new Generator(seed);
  return Array.from({ length: steps }, () => Array.from(stream.step(g.uniform([B, inputSize], -1, 1).data())));
}

const bytes = (stream: Stream<State>) => Array.from(stream.toBytes());

/** Those with steps: layers in both directions and others that read a sequence backwards have none. */
const streamable = Object.entries(every).filter(([, maker]) => {
  try {
    const model = make(maker);
    return scope(() => noGrad(() => model.step(zeros([B, model.inputSize]), model.initialState(B)))).length === 2;
  } catch {
    return false;
  }
});

describe("every recurrence with steps", () => {
  it("is most of them", () => {
    expect(streamable.length).toBeGreaterThan(70);
  });

  it.each(streamable)("%s: goes on with the weights it was made with, and takes the new ones on refresh", (_, maker) => {
    const [model, twin] = [make(maker), make(maker)];
    const [stream, same] = [new Stream<State>(model, { batch: B }), new Stream<State>(twin, { batch: B })];
    const I = model.inputSize;
    expect(run(stream, I, 2, 1)).toEqual(run(same, I, 2, 1));
    scramble(model, 7);
    if (stream.whyEager !== null) scramble(twin, 7); // A step that is run as it is follows its module.
    expect(run(stream, I, 3, 2)).toEqual(run(same, I, 3, 2));
    expect(bytes(stream)).toEqual(bytes(same));
    stream.reset();
    same.reset();
    expect(bytes(stream)).toEqual(bytes(same));
    expect(run(stream, I, 3, 3)).toEqual(run(same, I, 3, 3));

    scramble(model, 8);
    stream.refresh();
    expect(bytes(stream)).toEqual(bytes(same));
    const fresh = new Stream<State>(model, { batch: B });
    fresh.fromBytes(stream.toBytes());
    expect(run(stream, I, 3, 4)).toEqual(run(fresh, I, 3, 4));
    stream.reset();
    const got = run(stream, I, 4, 5).flat();
    const xs = new Generator(5);
    const steps = Array.from({ length: 4 }, () => Array.from(xs.uniform([B, I], -1, 1).data()));
    const [ys] = noGrad(() => scanSteps(model, tensor(steps.flat(), { shape: [4, B, I] }), model.initialState(B)));
    expect(got).toEqual(Array.from(ys.data()));
  });
});

/** h' = tanh(slope·(inner(x) + h) + b), with an initial state of its own. */
class Own extends Cell<Tensor> {
  readonly inputSize = 3;
  readonly outputSize = 3;
  slope = 1;
  inner: Linear = new Linear(3, 3, { generator: new Generator(4) });
  b = new Parameter(new Generator(5).uniform([3], -1, 1));
  start = new Parameter(new Generator(6).uniform([1, 3], -1, 1));
  initialState(batch: number): Tensor {
    return mul(this.start, ones([batch, 1], this.b.dtype as "float32"));
  }
  step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const y = tanh(add(mul(add(this.inner.forward(x), h), this.inner.training ? this.slope : -this.slope), this.b));
    return [y, y];
  }
}

const steps = (stream: Stream<Tensor>) => [1, 2, 3].map((i) => Array.from(stream.step([i, -i, 0.5])));

describe("what refresh sees", () => {
  const changes: Record<string, (cell: Own) => void> = {
    "a number": (cell) => {
      cell.slope = 2;
    },
    "a submodule's mode": (cell) => void cell.inner.eval(),
    "a submodule that was replaced": (cell) => {
      cell.inner = new Linear(3, 3, { bias: false, generator: new Generator(9) });
    },
    "a weight that was replaced": (cell) => {
      cell.b = new Parameter(full([3], 0.25));
    },
    "the parameter of the initial state": (cell) => {
      assign(cell.start, [0.1, 0.2, 0.3]);
    },
  };

  it.each(Object.entries(changes))("%s: and nothing sees it before", (_, change) => {
    const [cell, unchanged] = [new Own(), new Stream(new Own())];
    const stream = new Stream(cell);
    change(cell);
    expect(steps(stream)).toEqual(steps(unchanged));
    stream.reset();
    unchanged.reset();
    expect(steps(stream)).toEqual(steps(unchanged));
    stream.refresh();
    stream.reset();
    const fresh = new Stream(cell);
    expect(stream.whyEager).toBeNull();
    const now = steps(fresh);
    expect(steps(stream)).toEqual(now);
    expect(now).not.toEqual(steps(new Stream(new Own())));
    // Back to a step that was captured before, with other values.
    cell.slope = 1;
    stream.refresh();
    stream.reset();
    expect(steps(stream)).toEqual(steps(new Stream(cell)));
  });

  it("a state of another dtype is refused, and the stream goes on as it was", () => {
    const cell = new Own();
    const [stream, unchanged] = [new Stream(cell), new Stream(new Own())];
    cell.b = new Parameter(cast(cell.b, "float64"));
    cell.start = new Parameter(cast(cell.start, "float64"));
    cell.inner = new Linear(3, 3, { dtype: "float64" });
    expect(() => stream.refresh()).toThrow(StateError);
    expect(() => stream.refresh()).toThrow(/expected a state of float32\[1,3\].*got float64\[1,3\]/);
    expect(steps(stream)).toEqual(steps(unchanged));
  });

  it("other tensors stay as they are while a step's layers shrink and grow", () => {
    const cell = new Own();
    const stream = new Stream(cell);
    const others = Array.from({ length: 200 }, (_, i) => full([1 + (i % 64)], i));
    for (const width of [3, 1, 3]) {
      cell.b = new Parameter(full([width], 0.5));
      stream.refresh();
      stream.reset();
      expect(steps(stream)).toEqual(steps(new Stream(cell)));
    }
    expect(others.every((t, i) => t.data().every((v) => v === i))).toBe(true);
  });
});

describe("a step that counts its calls", () => {
  class Counting extends Own {
    count = 0;
    override step(x: Tensor, h: Tensor): [Tensor, Tensor] {
      this.count++;
      const [y] = super.step(mul(x, this.count), h);
      return [y, y];
    }
  }

  it("is run as it is, once a step, from the count it had", () => {
    const [cell, twin] = [new Counting(), new Counting()];
    const stream = new Stream(cell);
    expect(stream.whyEager).toBe("sets fields of its module");
    let h = twin.initialState(1);
    for (let i = 1; i <= 5; i++) {
      const y = stream.step([1, 2, 3]);
      [, h] = noGrad(() => twin.step(tensor([[1, 2, 3]]), h));
      expect(Array.from(y)).toEqual(Array.from(h.data()));
      expect(cell.count).toBe(i);
    }
  });
});

describe("what a stream takes", () => {
  const model = new GRU({ inputSize: 3, hiddenSize: 4, generator: new Generator(2) });
  const [a, b] = [new Stream<Tensor>(model, { batch: 2 }), new Stream<Tensor>(model, { batch: 2 })];
  const values = Float32Array.from([1, -2, 3, 0.5, 0.25, -1]);
  const x = tensor(values, { shape: [2, 3] });

  const restarted = (use: (stream: Stream<Tensor>) => ArrayLike<number>) => {
    a.reset();
    b.reset();
    expect(Array.from(use(a))).toEqual(Array.from(b.step(values)));
  };

  it.each<[string, () => ArrayLike<number> | Tensor]>([
    ["a matrix", () => x],
    ["its elements on one axis", () => reshape(x, [6])],
    ["a transposed view", () => transpose(reshape(tensor([1, 0.5, -2, 0.25, 3, -1]), [3, 2]), 0, 1)],
    [
      "columns of a wider matrix",
      () =>
        slice(
          tensor([
            [9, 1, -2, 3, 9],
            [9, 0.5, 0.25, -1, 9],
          ]),
          1,
          1,
          4,
        ),
    ],
    [
      "every second element",
      () =>
        select(
          tensor([
            [1, 9],
            [-2, 9],
            [3, 9],
            [0.5, 9],
            [0.25, 9],
            [-1, 9],
          ]),
          1,
          0,
        ),
    ],
    ["a Float64Array", () => Float64Array.from(values)],
    ["an array", () => Array.from(values)],
    ["doubled, an Int8Array after halving", () => Float32Array.from(Int8Array.of(4, -8, 12, 2, 1, -4), (v) => v / 4)],
  ])("%s", (_, input) => {
    restarted((stream) => stream.step(input()));
  });

  it("NaN, which is a value", () => {
    a.reset();
    expect(
      Array.from(a.step([Number.NaN, 0, 0, 0, 0, 0]))
        .slice(0, 4)
        .every(Number.isNaN),
    ).toBe(true);
    a.reset();
  });

  it.each<[string, unknown, new (...args: never[]) => Error, RegExp]>([
    ["float64 for float32", tensor(Float64Array.from(values), { shape: [2, 3] }), DTypeError, /x of float32, got float64/],
    ["int32 for float32", tensor(Int32Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3] }), DTypeError, /x of float32, got int32/],
    ["a matrix on its side", zeros([3, 2]), ShapeError, /x \[2,3\], got \[3,2\]/],
    ["a longer one", zeros([2, 4]), ShapeError, /6 values for x \[2,3\], got \[2,4\]/],
    ["too few numbers", [1, 2, 3], ShapeError, /6 values for x \[2,3\], got 3/],
    ["bigints", BigInt64Array.of(1n, 2n, 3n, 4n, 5n, 6n), DTypeError, /numbers as x, got bigint/],
    ["strings", ["1", "2", "3", "4", "5", "6"], DTypeError, /numbers as x, got string/],
    ["a string", "123456", DTypeError, /numbers as x, got string/],
    ["holes", new Array(6), DTypeError, /numbers as x, got undefined at position 0/],
    ["nothing", undefined, ShapeError, /6 values for x \[2,3\], got undefined/],
    ["null", null, ShapeError, /got null/],
  ])("not %s: and is as it was", (_, input, kind, message) => {
    a.reset();
    a.step(values);
    const before = a.toBytes();
    expect(() => a.step(input as Tensor)).toThrow(kind);
    expect(() => a.step(input as Tensor)).toThrow(message);
    expect(a.toBytes()).toEqual(before);
  });

  it("not a tensor that was released", () => {
    const gone = zeros([2, 3]);
    gone.dispose();
    expect(() => a.step(gone)).toThrow(StateError);
  });

  it("whole numbers where the recurrence reads int32", () => {
    class Ids extends Cell<Tensor> {
      readonly inputSize = 1;
      readonly outputSize = 1;
      initialState(batch: number): Tensor {
        return zeros([batch, 1]);
      }
      step(id: Tensor, h: Tensor): [Tensor, Tensor] {
        const y = add(mul(cast(id, "float32"), 2), h);
        return [y, y];
      }
    }
    const stream = new Stream(new Ids(), { dtype: "int32" });
    expect(Array.from(stream.step([21]))).toEqual([42]);
    for (const bad of [1.5, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY]) {
      expect(() => stream.step([bad])).toThrow(DTypeError);
      expect(() => stream.step(Float64Array.of(bad))).toThrow(DTypeError);
    }
    expect(() => stream.step(ones([1, 1]))).toThrow(DTypeError);
    expect(Array.from(stream.step(tensor(Int32Array.of(1), { shape: [1, 1] })))).toEqual([44]);
  });

  it("states by name, of any strides, and none of another form", () => {
    const lstm = new LSTM({ inputSize: 3, hiddenSize: 4, generator: new Generator(2) });
    const stream = new Stream<LstmState>(lstm, { batch: 2 });
    const g = new Generator(1);
    const [h, c] = [g.uniform([1, 2, 4], -1, 1), g.uniform([1, 2, 4], -1, 1)];
    const turned = (t: Tensor) => transpose(tensor(transpose(t, 1, 2).data(), { shape: [1, 4, 2] }), 1, 2);
    stream.state = { c: turned(c), h: turned(h) };
    expect(stream.state.h.toArray()).toEqual(h.toArray());
    expect(stream.state.c.toArray()).toEqual(c.toArray());
    const before = stream.toBytes();
    const gone = zeros([1, 2, 4]);
    gone.dispose();
    const cases: [unknown, RegExp][] = [
      [{ h, c: cast(c, "float64") }, /state\.c of float32, got float64/],
      [{ h: cast(h, "int32"), c }, /state\.h of float32, got int32/],
      [{ h, c: zeros([1, 4, 2]) }, /state\.c \[1,2,4\], got \[1,4,2\]/],
      [{ h, c: empty([1, 2, 5]) }, /state\.c \[1,2,4\], got \[1,2,5\]/],
      [{ h }, /state of h, c, got h/],
      [{ h, c, d: c }, /state of h, c, got h, c, d/],
      [{ h, c: [c] }, /a tensor as state\.c, got object/],
      [[h, c], /state of h, c, got 0, 1/],
      [h, /state of h, c/],
      [undefined, /state of h, c, got undefined/],
      [{ h: ones([1, 2, 4]), c: gone }, /live tensor/],
    ];
    for (const [state, message] of cases) {
      expect(() => {
        stream.state = state as LstmState;
      }).toThrow(message);
      expect(stream.toBytes()).toEqual(before);
    }
    expect(stateTensors(stream.state).every((t) => t.dtype === "float32")).toBe(true);
  });
});
