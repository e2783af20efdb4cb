/** Streams of models: frame by frame against runs of the whole, with whole numbers that change, and what is refused. */

import { describe, expect, it } from "vitest";
import { graph, initializer, model, node } from "../../bench/rivals/onnx.mjs";
import { loadModel } from "../../src/onnx/session.ts";
import { zeros } from "../../src/tensor/create.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

const wave = (n: number, seed: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 1.7 + seed));
const [I, H] = [3, 4];

/** An LSTM of one step; by the number n, what comes out of it is doubled or negated. */
const gated = model({
  nodes: [
    node("Unsqueeze", ["x", "zero"], ["xs"]),
    node("LSTM", ["xs", "W", "R", "B", "", "h", "c"], ["", "h1", "c1"], { hidden_size: H }),
    node("Equal", ["n", "two"], ["same"]),
    node("If", ["same"], ["y"], {
      then_branch: { graph: graph({ nodes: [node("Add", ["h1", "h1"], ["z"])], inputs: {}, outputs: { z: null } }) },
      else_branch: { graph: graph({ nodes: [node("Neg", ["h1"], ["z"])], inputs: {}, outputs: { z: null } }) },
    }),
    node("ReduceSum", ["y"], ["total"], { keepdims: 0 }),
  ],
  initializers: [
    initializer("zero", [1], BigInt64Array.of(0n), "int64"),
    initializer("two", [], BigInt64Array.of(2n), "int64"),
    initializer("W", [1, 4 * H, I], wave(4 * H * I, 1)),
    initializer("R", [1, 4 * H, H], wave(4 * H * H, 2)),
    initializer("B", [1, 8 * H], wave(8 * H, 3)),
  ],
  inputs: { x: ["batch", I], n: { type: "int64", shape: [] }, h: [1, "batch", H], c: [1, "batch", H] },
  outputs: { y: null, total: null, h1: null, c1: null },
});
const session = loadModel(gated);
const links = { h: "h1", c: "c1" };
const number = (n: number): Tensor => tensor([n], { shape: [], dtype: "int32" });
const frame = (t: number): Float32Array => wave(I, 10 + t);

/** What runs one after the other give. */
function* runs(numberAt: (t: number) => number): Generator<Record<string, Float32Array>> {
  let state: Record<string, Tensor> = { h: zeros([1, 1, H]), c: zeros([1, 1, H]) };
  for (let t = 0; ; t++) {
    const { y, total, h1, c1 } = session.run({ x: tensor(frame(t), { shape: [1, I] }), n: number(numberAt(t)), ...state });
    state = { h: h1 as Tensor, c: c1 as Tensor };
    yield { y: y?.data() as Float32Array, total: total?.data() as Float32Array };
  }
}

const streamed = () => session.stream(links, { x: zeros([1, I]), n: number(2) });

describe("a stream of a model", () => {
  it("is replayed, and equals its runs to the bit", () => {
    const stream = streamed();
    const expected = runs(() => 2);
    for (let t = 0; t < 5; t++) expect(stream.step({ x: frame(t) })).toEqual(expected.next().value);
    expect(stream.whyEager).toBeNull();
  });

  it("goes the other way when a whole number changes, and back", () => {
    const stream = streamed();
    const numberAt = (t: number): number => (t % 3 === 1 ? 5 : 2);
    const expected = runs(numberAt);
    for (let t = 0; t < 7; t++) expect(stream.step({ x: frame(t), n: number(numberAt(t)) })).toEqual(expected.next().value);
    expect(stream.whyEager).toBeNull();
  });

  it("continues from bytes, starts again, and begins where it is told", () => {
    const stream = streamed();
    const first = Array.from({ length: 4 }, (_, t) => stream.step({ x: frame(t) }).y);
    stream.reset();
    stream.step({ x: frame(0) });
    const saved = stream.toBytes();
    const [h, c] = [stream.state.h, stream.state.c] as [Tensor, Tensor];
    const other = streamed();
    other.fromBytes(saved);
    expect(other.step({ x: frame(1) }).y).toEqual(first[1]);
    const begun = session.stream(links, { x: zeros([1, I]), n: number(2), h, c });
    expect(begun.step({ x: frame(1) }).y).toEqual(first[1]);
    begun.reset();
    expect(begun.state.h?.toArray()).toEqual(h.toArray());
  });

  it("says why its own frames are not replayed, whatever runs between them", () => {
    const own = loadModel(gated);
    const stream = own.stream(links, { x: zeros([1, I]), n: number(2) });
    for (let t = 0; t < 3; t++) stream.step({ x: frame(t) });
    const state = zeros([1, 2, H]);
    own.run({ x: zeros([2, I]), n: number(2), h: state, c: state });
    expect([own.whyEager, stream.whyEager]).toEqual(["its inputs are new", null]);
  });

  it("takes tensors, and keeps what is not given", () => {
    const stream = streamed();
    const [first, second] = [0, 0].map(() => stream.step({ x: tensor(frame(0), { shape: [1, I] }) }).y);
    const same = streamed();
    same.step({ x: frame(0) });
    expect(same.step({}).y).toEqual(second);
    expect(first).not.toEqual(second);
  });

  it("allocates nothing from step to step", () => {
    const stream = streamed();
    const x = frame(1);
    for (let t = 0; t < 3; t++) stream.step({ x });
    const before = memory();
    for (let t = 0; t < 100; t++) stream.step({ x });
    expect(memory()).toEqual(before);
  });

  it.each([
    [() => session.stream({ g: "h1" }, { x: zeros([1, I]), n: number(2) }), 'expected links from inputs x, n, h, c, got "g"'],
    [() => session.stream({ h: "h2" }, { x: zeros([1, I]), n: number(2) }), 'expected "h" linked to one of y, total, h1, c1, got "h2"'],
    [() => session.stream(links, { x: zeros([1, I]) }), "expected a tensor as input n, got none"],
    [() => session.stream(links, { x: zeros([1, I + 1]), n: number(2) }), "expected input x of shape [batch=1,3], got [1,4]"],
    [() => session.stream(links, { x: 3 as never, n: number(2) }), "stream: input x: expected a tensor, got a number"],
    [() => session.stream({ h: "y", c: "total" }, { x: zeros([1, I]), n: number(2) }), "expected total for c [1,1,4], got []"],
    [() => streamed().step({ x: [1, 2] }), "expected 3 values for x, got [1,2]"],
    [() => streamed().step({ z: [1, 2, 3] }), 'expected inputs x, n, got "z"'],
    [() => streamed().step(undefined as never), "step: expected inputs as an object, got undefined"],
    [() => streamed().step({ x: null as never }), "step: expected 3 values for x, got null"],
    [() => streamed().step({ n: tensor([2], { shape: [] }) }), "expected n of int32, got float32"],
  ])("refuses what does not fit: %#", (make, message) => {
    expect((thrown(make) as Error).message).toContain(message);
  });

  it("that reads values on the host is run node by node", () => {
    const counting = loadModel(
      model({
        nodes: [node("ArgMax", ["x"], ["k"], { axis: 0, keepdims: 0 }), node("Add", ["k", "n"], ["m"])],
        inputs: { x: [4], n: { type: "int64", shape: [] } },
        outputs: { k: null, m: null },
      }),
    );
    const stream = counting.stream({ n: "m" }, { x: zeros([4]) });
    const picks = [2, 0, 3].map((k) => stream.step({ x: Float32Array.from({ length: 4 }, (_, i) => Number(i === k)) }).k?.[0]);
    expect(picks).toEqual([2, 0, 3]);
    expect(stream.whyEager).not.toBeNull();
    expect(stream.state.n?.toArray()).toBe(5);
  });

  it("outlives the scope it was made in", () => {
    const stream = scope(streamed);
    expect(stream.step({ x: frame(0) }).y).toEqual(runs(() => 2).next().value.y);
  });
});
