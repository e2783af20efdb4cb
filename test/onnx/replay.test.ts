/** Runs that are captured: the same bits as call by call, for values they have not seen, and where that cannot be. */

import { describe, expect, it } from "vitest";
import { graph, initializer, model, node } from "../../bench/rivals/onnx.mjs";
import { loadModel, type NamedTensors, type Session } from "../../src/onnx/session.ts";
import { transpose } from "../../src/ops/shape.ts";
import { Cell } from "../../src/recurrence/recurrence.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const f32 = (...values: number[]): Float32Array => Float32Array.from(values);
const wave = (n: number, seed: number): Float32Array => Float32Array.from({ length: n }, (_, i) => Math.sin(1.7 * i + seed));
const whole = (...values: number[]): Tensor => tensor(values, { dtype: "int32" });

/** The outputs' elements. */
function elements(session: Session, inputs: NamedTensors): number[][] {
  return scope(() => Object.values(session.run(inputs)).map((t) => Array.from(t.data())));
}

/** Runs several times on other values each time, and compares with a session that runs for the first time. */
function expectSameBits(bytes: Uint8Array, inputsOf: (k: number) => NamedTensors, eager: string | null = null): void {
  const session = loadModel(bytes);
  for (let k = 0; k < 4; k++) {
    expect(elements(session, inputsOf(k))).toEqual(elements(loadModel(bytes), inputsOf(k)));
    if (k > 0) expect(session.whyEager).toBe(eager);
  }
}

/** Convolution, LSTM and a choice by a whole number, as in a voice detector. */
const branch = (op: string): Uint8Array =>
  graph({ nodes: [node(op, ["h1", "two"], ["z"])], initializers: [initializer("two", [], f32(2))], inputs: {}, outputs: { z: null } });
const detector = model({
  nodes: [
    node("Conv", ["x", "k", "kb"], ["c"], { strides: { ints: [2] }, pads: { ints: [1, 0] } }),
    node("Relu", ["c"], ["r"]),
    node("Transpose", ["r"], ["steps"], { perm: { ints: [2, 0, 1] } }),
    node("LSTM", ["steps", "W", "R", "", "", "h0", "c0"], ["", "h1", "c1"], { hidden_size: 3 }),
    node("Equal", ["rate", "high"], ["is"]),
    node("If", ["is"], ["y"], { then_branch: { graph: branch("Add") }, else_branch: { graph: branch("Mul") } }),
    node("Shape", ["c"], ["n"]),
  ],
  initializers: [
    initializer("k", [4, 2, 3], wave(24, 1)),
    initializer("kb", [4], wave(4, 2)),
    initializer("W", [1, 12, 4], wave(48, 3)),
    initializer("R", [1, 12, 3], wave(36, 4)),
    initializer("high", [1], BigInt64Array.of(16000n), "int64"),
  ],
  inputs: { x: [1, 2, "time"], h0: [1, 1, 3], c0: [1, 1, 3], rate: { type: "int64", shape: [1] } },
  outputs: { n: null, y: null, h1: null, c1: null },
});

function inputsOf(k: number, length = 9, rate = 16000): NamedTensors {
  const state = (seed: number) => tensor(wave(3, seed), { shape: [1, 1, 3] });
  return { x: tensor(wave(2 * length, k), { shape: [1, 2, length] }), h0: state(k + 5), c0: state(k + 6), rate: whole(rate) };
}

describe("captured runs", () => {
  it("give the bits of runs call by call", () => expectSameBits(detector, inputsOf));

  it("read inputs of any strides", () => {
    const product = model({
      nodes: [node("MatMul", ["x", "w"], ["y"])],
      initializers: [initializer("w", [2, 2], wave(4, 0))],
      inputs: { x: [3, 2] },
      outputs: { y: null },
    });
    expectSameBits(product, (k) => ({ x: transpose(tensor(wave(6, k), { shape: [2, 3] })) }));
  });

  it("are told apart by whole numbers and by shapes, however these take turns", () => {
    const session = loadModel(detector);
    for (let k = 0; k < 18; k++) {
      const inputs = inputsOf(k, [9, 9, 7][k % 3], k % 2 === 0 ? 16000 : 8000);
      expect(elements(session, inputs)).toEqual(elements(loadModel(detector), inputs));
    }
  });

  it("of more shapes than are remembered are right, too", () => {
    const session = loadModel(detector);
    for (let k = 0; k < 24; k++)
      expect(elements(session, inputsOf(k, 5 + (k % 8)))).toEqual(elements(loadModel(detector), inputsOf(k, 5 + (k % 8))));
  });

  it("give outputs that the next run leaves alone", () => {
    const session = loadModel(detector);
    const outputs = [0, 1, 2, 3].map((k) => session.run(inputsOf(k)));
    outputs.forEach((got, k) => {
      expect(Array.from(got.y?.data() ?? [])).toEqual(elements(loadModel(detector), inputsOf(k))[1]);
    });
  });

  it("allocate nothing that stays", () => {
    const session = loadModel(detector);
    for (let k = 0; k < 3; k++) elements(session, inputsOf(0));
    const inputs = inputsOf(1);
    const before = memory();
    for (let k = 0; k < 20; k++) elements(session, inputs);
    expect(memory()).toEqual(before);
  });
});

describe("a constant that is an input", () => {
  const parts = {
    nodes: [node("Mul", ["k", "two"], ["k2"]), node("Mul", ["x", "k2"], ["y"])],
    initializers: [initializer("k", [2], f32(3, 4)), initializer("two", [], f32(2))],
    inputs: { x: [2], k: [2] },
    outputs: { y: null },
  };
  const elementsFor = (session: Session, inputs: NamedTensors) => elements(session, { x: tensor([1, 10]), ...inputs })[0];

  it("is what it is unless a run gives another value, replayed either way", () => {
    const session = loadModel(model(parts));
    expect([session.inputs, session.overridable].map((values) => values.map(({ name }) => name))).toEqual([["x"], ["k"]]);
    for (let t = 0; t < 4; t++) {
      expect(elementsFor(session, {})).toEqual([6, 80]);
      expect(session.whyEager === null).toBe(t > 0);
      expect(elementsFor(session, { k: tensor([t, 1]) })).toEqual([2 * t, 20]);
      expect(session.whyEager === null).toBe(t > 0);
    }
  });

  it("is checked like any input, and stays a constant in old files", () => {
    const session = loadModel(model(parts));
    expect(() => elementsFor(session, { k: tensor([1]) })).toThrow("run: expected input k of shape [2], got [1]");
    expect(() => elementsFor(session, { k: whole(1, 2) })).toThrow("run: expected input k of float32, got int32");
    expect(() => elementsFor(session, { two: tensor(1) })).toThrow('got "two"');
    const old = loadModel(model({ ...parts, format: 3 }));
    expect([old.overridable, elementsFor(old, {})]).toEqual([[], [6, 80]]);
    expect(() => elementsFor(old, { k: tensor([1, 1]) })).toThrow('run: expected inputs x, got "k"');
  });

  it("is where the state of a stream begins", () => {
    const counter = model({
      nodes: [node("Add", ["x", "s"], ["s1"]), node("Identity", ["s1"], ["y"])],
      initializers: [initializer("s", [1], f32(5))],
      inputs: { x: [1], s: [1] },
      outputs: { y: null, s1: null },
    });
    const stream = loadModel(counter).stream({ s: "s1" }, { x: tensor([1]) });
    expect([1, 2, 3, 4].map(() => stream.step({}).y?.[0])).toEqual([6, 7, 8, 9]);
    stream.reset();
    expect(stream.step({ x: [10] }).y?.[0]).toBe(15);
  });
});

it("two inputs that share a length are both named where they disagree", () => {
  const sum = model({ nodes: [node("Add", ["a", "b"], ["y"])], inputs: { a: ["n", 1], b: [1, "n"] }, outputs: { y: null } });
  const zeros = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b)), { shape });
  expect(() => loadModel(sum).run({ a: zeros(3, 1), b: zeros(1, 4) })).toThrow(
    "run: expected input b of shape [1,n=3], as a has it, got [1,4]",
  );
  expect(() => loadModel(sum).run({ a: zeros(3, 2), b: zeros(1, 3) })).toThrow("run: expected input a of shape [n=3,1], got [3,2]");
});

describe("runs that cannot be captured", () => {
  it("because a branch depends on floats", () => {
    const chosen = model({
      nodes: [
        node("ReduceSum", ["x"], ["s"], { keepdims: 0 }),
        node("Greater", ["s", "zero"], ["is"]),
        node("Identity", ["x"], ["h1"]),
        node("If", ["is"], ["y"], { then_branch: { graph: branch("Add") }, else_branch: { graph: branch("Mul") } }),
      ],
      initializers: [initializer("zero", [], f32(0))],
      inputs: { x: [2] },
      outputs: { y: null },
    });
    expectSameBits(chosen, (k) => ({ x: tensor([k % 2 === 0 ? 1 : -1, 0.5]) }), "reads values on the host");
  });

  it("because outputs are truth values or whole numbers only", () => {
    const compared = model({
      nodes: [node("Greater", ["x", "zero"], ["y"]), node("Shape", ["x"], ["n"])],
      initializers: [initializer("zero", [], f32(0))],
      inputs: { x: [2] },
      outputs: { y: null, n: null },
    });
    expectSameBits(compared, (k) => ({ x: tensor([k - 1.5, 1]) }), "its outputs are no floats");
  });

  it("because whole numbers are many", () => {
    const embedded = model({
      nodes: [node("Gather", ["w", "ids"], ["y"])],
      initializers: [initializer("w", [30, 2], wave(60, 0))],
      inputs: { ids: { type: "int64", shape: [20] } },
      outputs: { y: null },
    });
    const session = loadModel(embedded);
    for (let k = 0; k < 3; k++) {
      const ids = whole(...Array.from({ length: 20 }, (_, i) => (i * 7 + k) % 30));
      expect(elements(session, { ids })).toEqual(elements(loadModel(embedded), { ids }));
      expect(session.whyEager).toBe("it takes more than 16 whole numbers");
    }
  });

  it("because a scan is being traced", () => {
    const doubled = model({
      nodes: [node("Mul", ["x", "two"], ["y"])],
      initializers: [initializer("two", [], f32(2))],
      inputs: { x: [1, 2] },
      outputs: { y: null },
    });
    const session = loadModel(doubled);
    for (let k = 0; k < 3; k++) elements(session, { x: tensor([[1, 2]]) });
    const reasons: (string | null)[] = [];
    class Doubling extends Cell<Tensor> {
      readonly inputSize = 2;
      readonly outputSize = 2;
      initialState(batch: number): Tensor {
        return tensor(new Float32Array(2 * batch), { shape: [batch, 2] });
      }
      step(x: Tensor): [Tensor, Tensor] {
        const { y } = session.run({ x });
        reasons.push(session.whyEager);
        return [y as Tensor, y as Tensor];
      }
    }
    const xs = tensor(wave(10, 0), { shape: [5, 1, 2] });
    expect(Array.from(new Doubling().scan(xs)[0].data())).toEqual(Array.from(wave(10, 0), (v) => 2 * v));
    expect(reasons.at(0)).toBe("the call around it is being traced");
  });
});
