import { describe, expect, it } from "vitest";
import { FormatError, ShapeError } from "../../src/base/errors.ts";
import { Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { linear } from "../../src/ops/linear.ts";
import { tanh } from "../../src/ops/math.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { Cell, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { stateFromBytes, stateToBytes } from "../../src/recurrence/state-bytes.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const generator = new Generator(5);

/** h' = tanh(W x + U h + b), with a delayed copy of h as a second state tensor. */
class Delayed extends Cell<readonly Tensor[]> {
  readonly inputSize = 3;
  readonly outputSize = 5;
  readonly w = new Parameter(generator.uniform([5, 3], -1, 1));
  readonly u = new Parameter(generator.uniform([5, 5], -1, 1));
  readonly b1 = new Parameter(generator.uniform([5], -1, 1));
  readonly b2 = new Parameter(generator.uniform([5], -1, 1));
  readonly host: boolean;
  constructor(host = false) {
    super();
    this.host = host;
  }
  initialState(batch: number): readonly Tensor[] {
    return [zeros([batch, 5]), zeros([batch, 5])];
  }
  step(x: Tensor, [h, old]: readonly Tensor[]): [Tensor, readonly Tensor[]] {
    const scale = this.host ? 1 + 0 * zeros([1]).item() : 1;
    const next = tanh(mul(add(linear(x, this.w, add(this.b1, this.b2)), linear(old as Tensor, this.u)), scale));
    return [add(next, h as Tensor), [next, h as Tensor]];
  }
}

const models = {
  LSTM: () => new LSTM({ inputSize: 3, hiddenSize: 5, numLayers: 2, generator }),
  "LSTM with a projection": () => new LSTM({ inputSize: 3, hiddenSize: 5, projSize: 2, generator }),
  GRU: () => new GRU({ inputSize: 3, hiddenSize: 6, generator }),
  RNN: () => new RNN({ inputSize: 3, hiddenSize: 17, generator }),
  "a cell of one's own": () => new Delayed(),
  "a cell that cannot be captured": () => new Delayed(true),
};

describe.each(Object.entries(models))("stream of %s", (name, make) => {
  it.each([1, 3])("is the whole sequence to the bit, batch %i", (batch) => {
    const model = make();
    const T = 9;
    const xs = generator.uniform([T, batch, 3], -1, 1);
    const [ys] = model.scan(xs, undefined as never);
    const all = xs.data();
    const stream = new Stream<never>(model as never, { batch });
    const n = batch * 3;
    const got = Array.from({ length: T }, (_, t) => Array.from(stream.step(all.subarray(t * n, (t + 1) * n)))).flat();
    expect(got).toEqual(Array.from(ys.data()));
  });

  it("goes on from bytes in another stream, and starts anew after reset", () => {
    const model = make();
    const [a, b] = [new Stream<never>(model as never), new Stream<never>(model as never)];
    const xs = Array.from({ length: 6 }, () => Array.from(generator.uniform([3], -1, 1).data()));
    const first = xs.map((x) => Array.from(a.step(x)));
    for (const x of xs.slice(0, 3)) b.step(x);
    const c = new Stream<never>(model as never);
    c.fromBytes(b.toBytes());
    expect(xs.slice(3).map((x) => Array.from(c.step(x)))).toEqual(first.slice(3));
    a.reset();
    expect(xs.map((x) => Array.from(a.step(x)))).toEqual(first);
  });

  it("is replayed unless its step reads values on the host", () => {
    expect(new Stream<never>(make() as never).whyEager).toBe(name.includes("cannot") ? "reads a value on the host" : null);
  });

  it("takes new weights on refresh", () => {
    const model = make();
    const stream = new Stream<never>(model as never);
    for (const p of model.parameters()) assign(p, generator.uniform(p.shape, -1, 1));
    stream.refresh();
    const x = generator.uniform([1, 1, 3], -1, 1);
    const [ys] = model.scan(x, undefined as never);
    expect(Array.from(stream.step(x.data()))).toEqual(Array.from(ys.data()));
  });

  it("allocates nothing in linear memory from step to step", () => {
    const stream = new Stream<never>(make() as never);
    const x = new Float32Array(3);
    stream.step(x);
    const { liveBytes, blocks } = memory();
    for (let i = 0; i < 100; i++) stream.step(x);
    expect(memory()).toMatchObject({ liveBytes, blocks });
  });

  it("survives growth of the memory", () => {
    const stream = new Stream<never>(make() as never);
    const y = Array.from(stream.step([1, 2, 3]));
    stream.reset();
    zeros([memory().linearBytes / 4]).dispose();
    expect(Array.from(stream.step([1, 2, 3]))).toEqual(y);
  });
});

describe("what a stream refuses", () => {
  const stream = new Stream<LstmState>(new LSTM({ inputSize: 3, hiddenSize: 4, generator }));

  it("inputs and states of the wrong size", () => {
    expect(() => stream.step([1, 2])).toThrow(/expected 3 values for x \[1,3\], got 2/);
    expect(() => {
      stream.state = { h: zeros([1, 1, 5]), c: zeros([1, 1, 4]) };
    }).toThrow(ShapeError);
    expect(() => new Stream(new LSTM({ inputSize: 3, hiddenSize: 4, bidirectional: true, generator }) as never)).toThrow(/bidirectional/);
    expect(() => new Stream<LstmState>(new LSTM({ inputSize: 3, hiddenSize: 4, generator }), { batch: 0 })).toThrow(/at least 1, got 0/);
  });

  it("bytes that are no such state, leaving the state as it was", () => {
    stream.step([1, 2, 3]);
    const good = stream.toBytes();
    const cases: [Uint8Array, RegExp][] = [
      [good.slice(0, 3), /got the end after 3 bytes/],
      [good.slice(0, good.length - 5), /expected \d+ bytes, got/],
      [Uint8Array.of(...good, 0), /expected \d+ bytes, got/],
      [good.map((b, i) => (i === 0 ? b ^ 1 : b)), /magic number/],
      [good.map((b, i) => (i === 4 ? 9 : b)), /version 1, got 9/],
      [good.map((b, i) => (i === good.length - 6 ? b ^ 4 : b)), /checksum/],
      [new Uint8Array(0), /end after 0 bytes/],
    ];
    for (const [bytes, message] of cases) {
      expect(() => stream.fromBytes(bytes)).toThrow(FormatError);
      expect(() => stream.fromBytes(bytes)).toThrow(message);
    }
    expect(stream.toBytes()).toEqual(good);
    const other = new Stream<LstmState>(new LSTM({ inputSize: 3, hiddenSize: 5, generator }));
    expect(() => other.fromBytes(good)).toThrow(/shape \[1,1,5\], got \[1,1,4\]/);
  });

  it("round trips states of every structure", () => {
    const state = { a: generator.uniform([2, 3]), b: [generator.uniform([1], 0, 1, "float64")] };
    const back = stateFromBytes(stateToBytes(state), state);
    expect(back.a.toArray()).toEqual(state.a.toArray());
    expect((back.b[0] as Tensor).toArray()).toEqual((state.b[0] as Tensor).toArray());
    // Node's Buffer is a Uint8Array with another `slice`, and lies in a larger buffer.
    expect(stateFromBytes(Buffer.from(stateToBytes(state)), state).a.toArray()).toEqual(state.a.toArray());
    expect(scope(() => scanSteps(new Delayed(), generator.uniform([2, 1, 3]))[0]).shape).toEqual([2, 1, 5]);
  });
});
