/** Every operator against what onnxruntime makes of the same node, with its inputs given and with them as constants. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type DType, isFloat } from "../../src/base/dtype.ts";
import { DOMAINS } from "../../src/onnx/operators/table.ts";
import { loadModel } from "../../src/onnx/session.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { relativeError } from "../conformance/compare.ts";
import { cases, type Input, modelOf, type OperatorCase } from "./cases.ts";

interface Expected {
  readonly type: string;
  readonly shape: readonly number[];
  readonly values: readonly (number | string)[];
}

const file = new URL("./expected.json", import.meta.url);
const expected = JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, Expected>>;

/** Both sides compute in float32, in different orders. */
const LIMIT = 2e-6;

const DTYPES: Readonly<Record<string, DType>> = { float32: "float32", float64: "float64", bool: "bool" };
const INPUTS: Readonly<Record<string, DType>> = { float: "float32", double: "float64", bool: "bool" };

const tensorOf = ({ type, shape, values }: Input): Tensor => tensor([...values], { shape, dtype: INPUTS[type] ?? "int32" });

function compare(found: Tensor, { type, shape, values }: Expected): void {
  expect(found.shape).toEqual(shape);
  expect(found.dtype).toBe(DTYPES[type] ?? "int32");
  const [a, e] = [Array.from(found.data()), values.map(Number)];
  if (isFloat(found.dtype)) expect(relativeError(a, e)).toBeLessThanOrEqual(LIMIT);
  else expect(a).toEqual(e);
}

function check(spec: OperatorCase, constants: ReadonlySet<number>): void {
  scope(() => {
    const session = loadModel(modelOf(spec, constants));
    const given = spec.inputs.flatMap((input, i) => (input === null || constants.has(i) ? [] : [[`x${i}`, tensorOf(input)] as const]));
    const wanted = expected[spec.name] as Record<string, Expected>;
    // Call by call, captured, replayed.
    for (let i = 0; i < 3; i++) {
      const outputs = session.run(Object.fromEntries(given));
      expect(Object.keys(outputs)).toEqual(Object.keys(wanted));
      for (const [name, value] of Object.entries(wanted)) compare(outputs[name] as Tensor, value);
    }
  });
}

/** Operators whose bodies are graphs, and what onnxruntime rounds where this library does not: they have tests of their own. */
const ELSEWHERE = ["If", "Loop", "Scan", "DynamicQuantizeLSTM"];

it("has a case of every operator, and a value for every case", () => {
  const names = Object.values(DOMAINS).flatMap((operators) => Object.keys(operators));
  const tested = new Set([...cases.map(({ op }) => op), ...ELSEWHERE]);
  expect(names.filter((name) => !tested.has(name))).toEqual([]);
  expect(Object.keys(expected)).toEqual(cases.map(({ name }) => name));
});

describe.each(cases.filter(({ name }) => name in expected))("$name", (spec) => {
  const all = spec.inputs.flatMap((input, i) => (input === null ? [] : [i]));
  it("of inputs", () => check(spec, new Set()));
  it("of constants after the first input", () => check(spec, new Set(all.slice(1))));
  it("of constants", () => check(spec, new Set(all)));
});
