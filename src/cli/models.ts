/** The commands about model files: info, convert, check. */

import { writeAtomic } from "../io/files.ts";
import { serialize } from "../io/safetensors.ts";
import { sameShape, show, sizeOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fileError, UserError } from "./errors.ts";
import { inspect, type ModelFile, outputsOf, readModel } from "./model-files.ts";
import type { CheckOptions, ConvertOptions } from "./options.ts";

type Out = { write(text: string): unknown };

const plain = (text: string): string => text.replace(/\p{Cc}/gu, "�");

/** Lists the tensors of a file. */
export async function info(path: string, out: Out): Promise<void> {
  const { format, bytes, parts, unreadable, notes } = await inspect(path);
  const elements = parts.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const wide = Math.max(0, ...parts.map(({ name }) => plain(name).length));
  const lines = [
    `${path}: ${format}, ${bytes.toLocaleString("en")} bytes, ${parts.length} tensors of ${elements.toLocaleString("en")} elements`,
    ...notes,
    ...parts.map(({ name, dtype, shape }) => `  ${name.padEnd(wide)}  ${dtype.padEnd(7)}  ${show(shape)}`),
    ...Array.from(unreadable, ([name, reason]) => `  ${name}: cannot be read: ${reason}`),
  ];
  out.write(`${lines.map(plain).join("\n")}\n`);
}

/** Writes the tensors of a file as safetensors. */
export async function convert({ source, target, float16 }: ConvertOptions, out: Out): Promise<void> {
  if (!target.endsWith(".safetensors"))
    throw new UserError(`${target}: expected a name that ends in .safetensors, the format that is written`);
  const file = await readModel(source);
  const bytes = written(source, file, float16);
  await writeAtomic(target, bytes).catch((error: unknown) => {
    throw fileError(target, error);
  });
  out.write(`${target}: ${file.tensors.size} tensors, ${bytes.length.toLocaleString("en")} bytes\n`);
}

function written(source: string, { tensors, parts, unreadable, metadata }: ModelFile, float16: boolean): Uint8Array {
  const lost = [...unreadable.keys(), ...parts.map(({ name }) => name).filter((name) => !tensors.has(name))];
  if (lost.length > 0)
    throw new UserError(`${source}: expected tensors that can be written, got ${lost.slice(0, 8).map(plain).join(", ")}`);
  try {
    return serialize(tensors, metadata, { float16 });
  } catch (error) {
    throw new UserError(`${source}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Compares two files by tensor; or, where the other file holds all inputs of a model, what the model makes of them with the outputs there.
 * @returns the exit code: 0 where every difference is within the tolerance
 */
export async function check({ file, reference, tolerance }: CheckOptions, out: Out): Promise<number> {
  const { tensors: expected } = await readModel(reference);
  const ran = await outputsOf(file, expected);
  const { tensors, unreadable } = ran === null ? await readModel(file) : { tensors: ran, unreadable: new Map<string, string>() };
  // A reference need not hold all outputs of a model.
  const own = ran === null ? tensors : new Map([...tensors].filter(([name]) => expected.has(name)));
  const problems = [
    ...[...expected.keys()]
      .filter((name) => !own.has(name))
      .map((name) => `${name}: missing${unreadable.has(name) ? ", it cannot be read" : ""}`),
    ...[...own.keys()].filter((name) => !expected.has(name)).map((name) => `${name}: not in ${reference}`),
  ];
  let [largest, where] = [0, ""];
  for (const [name, e] of expected) {
    const a = own.get(name);
    if (a === undefined) continue;
    if (!sameShape(a.shape, e.shape)) problems.push(`${name}: ${show(a.shape)} for ${show(e.shape)}`);
    else {
      const error = largestError(a, e);
      // NaN stays the largest.
      if (!(Number.isNaN(largest) || error <= largest)) [largest, where] = [error, name];
    }
  }
  for (const problem of problems) out.write(`${plain(problem)}\n`);
  out.write(`largest error ${largest}${where === "" ? "" : ` in ${plain(where)}`}, tolerance ${tolerance}\n`);
  return problems.length === 0 && largest <= tolerance ? 0 : 1;
}

/** The largest |a − e|; NaN equals NaN, an infinity the same one. NaN for a NaN on one side alone. */
function largestError(a: Tensor, e: Tensor): number {
  const expected = e.data();
  let largest = 0;
  for (const [i, value] of a.data().entries()) {
    const right = expected[i] as number;
    const error = Object.is(value, right) || value === right ? 0 : Math.abs(value - right);
    if (!(error <= largest)) largest = error;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}
