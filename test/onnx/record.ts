/**
 * Writes expected.json: what onnxruntime-node (1.30) makes of cases.ts. Bundled beside an installed copy of that package (bench/rivals) and run:
 * `npx esbuild test/onnx/record.ts --bundle --platform=node --format=esm --outfile=bench/rivals/record.mjs`, then `node record.mjs FILE`.
 */

import { writeFileSync } from "node:fs";
import { arrayOf, cases, type Input, modelOf } from "./cases.ts";

interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: ArrayLike<number | bigint>;
}
interface Ort {
  readonly InferenceSession: {
    create(bytes: Uint8Array, options: object): Promise<{ run(inputs: object): Promise<Record<string, OrtTensor>> }>;
  };
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
}

const name = "onnxruntime-node";
const { default: ort } = (await import(name)) as { default: Ort };
const TYPES: Readonly<Record<string, string>> = { float: "float32", double: "float64" };

/** As JSON writes a number: what it cannot write as a text. */
function written(value: number | bigint): number | string {
  const number = Number(value);
  return Number.isFinite(number) ? Number(number.toPrecision(9)) : String(number);
}

const expected: Record<string, unknown> = {};
for (const spec of cases) {
  try {
    const session = await ort.InferenceSession.create(modelOf(spec, new Set()), { logSeverityLevel: 4 });
    const given = spec.inputs.flatMap((input, i) => {
      if (input === null) return [];
      const { type, shape } = input as Input;
      return [[`x${i}`, new ort.Tensor(TYPES[type] ?? type, arrayOf(input), shape)] as const];
    });
    const outputs = await session.run(Object.fromEntries(given));
    expected[spec.name] = Object.fromEntries(
      Object.entries(outputs).map(([key, { type, dims, data }]) => [key, { type, shape: dims, values: Array.from(data, written) }]),
    );
  } catch (error) {
    console.log(spec.name, String(error).slice(0, 200));
  }
}
writeFileSync(process.argv[2] as string, `${JSON.stringify(expected).replaceAll('},"', '},\n"')}\n`);
console.log(`${Object.keys(expected).length} of ${cases.length}`);
