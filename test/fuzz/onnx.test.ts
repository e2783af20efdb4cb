/** ONNX files against damage and malice; see fuzz.ts. */

import { describe, expect, it } from "vitest";
import { bytes, graph, initializer, int, joined, model, node } from "../../bench/rivals/onnx.mjs";
import { FormatError } from "../../src/base/errors.ts";
import { loadModel } from "../../src/onnx/session.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";
import { damage, feed, INPUTS, pick } from "./fuzz.ts";

const f32 = (n: number): Float32Array => Float32Array.from({ length: n }, (_, i) => i / 7 - 1);
const i64 = (...values: number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
const inner = graph({
  nodes: [node("Mul", ["h", "k"], ["z"])],
  initializers: [initializer("k", [], f32(1))],
  inputs: {},
  outputs: { z: null },
});
const layered = model({
  nodes: [
    node("LSTM", ["x", "W", "R", "", "", "", ""], ["y", "h"], { hidden_size: 2, direction: { text: "forward" } }),
    node("Unsqueeze", ["n", "axes"], ["m"]),
    node("Concat", ["m", "m"], ["shape"], { axis: 0 }),
    node("Slice", ["y", "m", "shape"], ["cut"]),
    node("If", ["c"], ["out"], { then_branch: { graph: inner }, else_branch: { graph: inner } }),
  ],
  initializers: [
    initializer("W", [1, 8, 3], f32(24)),
    initializer("R", [1, 8, 2], f32(16)),
    initializer("n", [], i64(2), "int64"),
    initializer("axes", [1], i64(0), "int64"),
  ],
  inputs: { x: ["time", 1, 3], c: { type: "bool", shape: [] } },
  outputs: { out: null, cut: null },
});
const plain = model({
  opset: 9,
  nodes: [
    node("Conv", ["x", "w"], ["a"], { pads: { ints: [1, 1] }, kernel_shape: { ints: [3] } }),
    node("Clip", ["a"], ["b"], { min: { float: -1 } }),
    node("Pad", ["b"], ["y"], { pads: { ints: [0, 0, 1, 0, 0, 1] }, mode: { text: "reflect" } }),
  ],
  initializers: [initializer("w", [1, 1, 3], f32(3))],
  inputs: { x: [1, 1, 5] },
  outputs: { y: { type: "float", shape: [1, 1, "n"] } },
});
const files: [Uint8Array, Uint8Array] = [layered, plain];

const load = (source: Uint8Array): void => {
  expect(loadModel(source).outputs.length).toBeGreaterThanOrEqual(0);
};

describe("ONNX models", () => {
  it("are taken or refused", () => {
    const taken = feed(load, files[0], 31, (random) => damage(random, pick(random, files), files), true);
    expect(taken).toBeLessThan(INPUTS);
  });

  it.each(files.map((file, i) => [i, file] as const))("cut off anywhere are refused, or lack what stood last: file %i", (_, file) => {
    const before = memory();
    for (let length = 0; length < file.length; length++) {
      const error = thrown(() => load(file.subarray(0, length)));
      if (error !== null) expect(error, `${length} bytes`).toBeInstanceOf(FormatError);
      // The graph comes before the opsets: all but a cut behind the first of these is refused.
      else expect(length).toBe(file.length - bytes(8, joined([bytes(1, "com.microsoft"), int(2, 1)])).length);
    }
    expect(memory().linearBytes - before.linearBytes).toBeLessThan(64 * 2 ** 20);
  });

  it("with a byte set to its highest value are taken or refused", () => {
    feed(load, plain, 32, (random) => plain.with(random(plain.length), 0xff), true);
  });
});

/** A model of constants only, through nodes that make much of little. */
const bomb = (nodes: readonly Uint8Array[], constants: readonly Uint8Array[], output = "y"): Uint8Array =>
  model({ opset: 18, nodes, initializers: constants, inputs: {}, outputs: { [output]: null } });
const sizes = (name: string, ...values: number[]): Uint8Array => initializer(name, [values.length], i64(...values), "int64");
const one = initializer("one", [1], f32(1));
const whole = initializer("whole", [1], i64(1), "int64");
const chain = (n: number, make: (from: string, to: string) => Uint8Array): Uint8Array[] =>
  Array.from({ length: n }, (_, i) => make(i === 0 ? "v0" : `v${i}`, i === n - 1 ? "y" : `v${i + 1}`));
const endless = graph({
  nodes: [node("Identity", ["c"], ["d"]), node("Add", ["s", "s"], ["t"])],
  inputs: { i: null, c: null, s: null },
  outputs: { d: null, t: null, s: null },
});

const BOMBS: Readonly<Record<string, Uint8Array>> = {
  "Expand to 2^29": bomb([node("Expand", ["one", "n"], ["a"]), node("Exp", ["a"], ["y"])], [one, sizes("n", 2 ** 29)]),
  "Expand of whole numbers": bomb([node("Expand", ["whole", "n"], ["y"])], [whole, sizes("n", 2 ** 29)]),
  "sizes of 2^31": bomb([node("ConstantOfShape", ["n"], ["y"])], [sizes("n", 2 ** 31, 2 ** 31)]),
  "sizes of 2^31 beside 0": bomb([node("ConstantOfShape", ["n"], ["a"]), node("Tile", ["a", "n"], ["y"])], [sizes("n", 0, 2 ** 31)]),
  "ConstantOfShape of 2^28": bomb([node("ConstantOfShape", ["n"], ["y"])], [sizes("n", 2 ** 28)]),
  "Range to 2^40": bomb(
    [node("Range", ["a", "b", "c"], ["y"])],
    [initializer("a", [], i64(0), "int64"), initializer("b", [], i64(2 ** 40), "int64"), initializer("c", [], i64(1), "int64")],
  ),
  "Tile by 2^30": bomb([node("Tile", ["one", "n"], ["y"])], [one, sizes("n", 2 ** 30)]),
  "OneHot of 2^31": bomb([node("OneHot", ["whole", "n", "v"], ["y"])], [whole, sizes("n", 2 ** 31), initializer("v", [2], f32(2))]),
  "Pad by 2^31": bomb([node("Pad", ["one", "n"], ["y"], { mode: { text: "edge" } })], [one, sizes("n", 2 ** 31, 2 ** 31)]),
  "Resize by 10^9": bomb([node("Resize", ["one", "", "s"], ["y"])], [one, initializer("s", [1], Float32Array.of(1e9))]),
  "Split into 2^31": bomb([node("Split", ["one"], ["y"], { num_outputs: 2 ** 31 })], [one]),
  "products of rows and columns": bomb(
    [node("Expand", ["one", "n"], ["a"]), node("Expand", ["one", "m"], ["b"]), node("Add", ["a", "b"], ["y"])],
    [one, sizes("n", 2 ** 14, 1), sizes("m", 1, 2 ** 14)],
  ),
  "a thousand sums of a million": bomb(
    [node("ConstantOfShape", ["n"], ["v0"]), ...chain(1000, (from, to) => node("Exp", [from], [to]))],
    [sizes("n", 2 ** 20)],
  ),
  "a thousand sums of a million whole numbers": bomb(
    [node("Expand", ["whole", "n"], ["v0"]), ...chain(1000, (from, to) => node("Add", [from, from], [to]))],
    [whole, sizes("n", 2 ** 20)],
  ),
  "a product of large views": bomb(
    [node("Expand", ["one", "n"], ["a"]), node("MatMul", ["a", "a"], ["y"])],
    [one, sizes("n", 2 ** 13, 2 ** 13)],
  ),
  "a loop without end": bomb([node("Loop", ["", "", "one"], ["s", "y"], { body: { graph: endless } })], [one]),
  "doubled without end": bomb(
    chain(60, (from, to) => node("Concat", [from, from], [to], { axis: 0 })),
    [initializer("v0", [64], f32(64))],
  ),
  "a list of ten thousand axes": model({
    nodes: [],
    initializers: [initializer("w", new Array(10_000).fill(1), f32(1))],
    inputs: {},
    outputs: {},
  }),
  "a hundred thousand empty nodes": joined([bytes(7, joined(Array.from({ length: 100_000 }, () => bytes(1, "")))), bytes(8, int(2, 14))]),
};

/** On a slow machine; a second on a quick one. */
const LONGEST_MS = 1500;

it.each(Object.entries(BOMBS))("%s is read or refused at once, in little memory", (_, source) => {
  const before = memory().linearBytes;
  const began = process.cpuUsage();
  const error = thrown(() => load(source));
  const { user, system } = process.cpuUsage(began);
  if (error !== null) expect(error).toBeInstanceOf(FormatError);
  expect(memory().linearBytes - before).toBeLessThan(64 * 2 ** 20);
  expect((user + system) / 1000).toBeLessThan(LONGEST_MS);
});
