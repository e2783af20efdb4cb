/** The models under onnx/ of a conformance folder, run whole: outputs against those stored with them. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseModel, parseTensor } from "../../src/onnx/model.ts";
import { loadModel } from "../../src/onnx/session.ts";
import { asTensor } from "../../src/onnx/values.ts";
import { sameShape, show } from "../../src/tensor/shape.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { relativeError } from "./compare.ts";
import type { Check } from "./runner.ts";

/** Of the data's README; not ours to change. */
const LIMIT = 1e-4;

/** The stored tensors `input_0.pb`, `input_1.pb`, …, or outputs. */
export function storedTensors(folder: string, kind: "input" | "output"): Tensor[] {
  const files = readdirSync(folder).filter((file) => file.startsWith(`${kind}_`));
  return files.map((_, i) => asTensor(parseTensor(readFileSync(join(folder, `${kind}_${i}.pb`))).value, kind));
}

function wrong(name: string, actual: Tensor | undefined, expected: Tensor): string[] {
  if (actual === undefined) return [`${name}: expected this output, got none`];
  if (!sameShape(actual.shape, expected.shape)) return [`${name}: expected shape ${show(expected.shape)}, got ${show(actual.shape)}`];
  if (actual.dtype !== expected.dtype) return [`${name}: expected ${expected.dtype}, got ${actual.dtype}`];
  const whole = expected.dtype === "int32" || expected.dtype === "bool";
  const error = relativeError(actual.data(), expected.data());
  const limit = whole ? 0 : LIMIT;
  return error <= limit ? [] : [`${name}: expected an error of at most ${limit}, got ${error.toExponential(2)}`];
}

/** What is wrong with a case, a line each. */
function problems(folder: string): string[] {
  const bytes = readFileSync(join(folder, "model.onnx"));
  const session = loadModel(bytes);
  const sets = readdirSync(folder).filter((name) => name.startsWith("test_data_set_"));
  if (sets.length === 0) return ["expected a test_data_set, got none"];
  const names = parseModel(bytes).inputs.map(({ name }) => name);
  return sets.flatMap((set) =>
    scope(() => {
      const inputs = storedTensors(join(folder, set), "input");
      const outputs = session.run(Object.fromEntries(inputs.map((t, i) => [names[i] as string, t])));
      const expected = storedTensors(join(folder, set), "output");
      return session.outputs.flatMap(({ name }, i) => wrong(name, outputs[name], expected[i] as Tensor));
    }),
  );
}

function check(group: string, name: string, run: () => string[]): Check {
  const caught = (): string[] => {
    try {
      return scope(run);
    } catch (error) {
      return [error instanceof Error ? `${error.name}: ${error.message}` : String(error)];
    }
  };
  return { group, name, precision: "f32", run: caught };
}

function casesOf(folder: string, manifest: string, cases: string, group: string): Check[] {
  const file = join(folder, "onnx", manifest);
  if (!existsSync(file)) return [check(group, "", () => [`expected the manifest onnx/${manifest}, got none`])];
  const listed = JSON.parse(readFileSync(file, "utf8")) as { readonly case: string }[];
  if (listed.length === 0) return [check(group, "", () => ["expected cases, got none"])];
  return listed.map(({ case: name }) => check(group, name, () => problems(join(folder, "onnx", cases, name))));
}

/** Every case of a conformance folder. */
export function onnxChecks(folder: string): Check[] {
  return [
    ...casesOf(folder, "node_cases.json", "node", "onnx/node"),
    ...casesOf(folder, "exported/cases.json", "exported", "onnx/exported"),
  ];
}
