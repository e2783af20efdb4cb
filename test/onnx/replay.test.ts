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
