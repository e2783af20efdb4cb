/** The small entry for ONNX models: a bundle without derivatives that gives the bits of the whole library. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
// @ts-expect-error: a script has no declarations
import { smallEntry } from "../../scripts/small-entry.mjs";
import { LIBRARY } from "../../src/base/library.onnx.ts";
import type * as Small from "../../src/onnx/inference.ts";
import * as whole from "../../src/onnx/inference.ts";
import { thrown } from "../thrown.ts";
import { cases, type Input, modelOf, type OperatorCase } from "./cases.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let small: typeof Small;
let code: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tapeloop-onnx-"));
  const outfile = join(folder, "small.mjs");
  const source = "src/onnx/inference.ts";
  const plugins = [smallEntry(root, source) as Plugin];
  const options = { bundle: true, format: "esm", platform: "neutral", target: "es2022", minifySyntax: true, metafile: true } as const;
  const { metafile } = await build({ ...options, absWorkingDir: root, entryPoints: [source], outfile, plugins });
  code = Object.keys(metafile.inputs).join("\n");
  small = (await import(/* @vite-ignore */ pathToFileURL(outfile).href)) as typeof Small;
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const DTYPES: Readonly<Record<string, "float32" | "float64" | "bool">> = { float: "float32", double: "float64", bool: "bool" };

/** What a library makes of a node, three times: call by call, captured, replayed. Elements are bytes. */
function outputsOf(library: typeof Small, spec: OperatorCase, constants: ReadonlySet<number>): unknown {
  const tensorOf = ({ type, shape, values }: Input) => library.tensor([...values], { shape, dtype: DTYPES[type] ?? "int32" });
  return library.scope(() => {
    const session = library.loadModel(modelOf(spec, constants));
    const given = spec.inputs.flatMap((input, i) => (input === null || constants.has(i) ? [] : [[`x${i}`, tensorOf(input)] as const]));
    return [0, 1, 2].map(() =>
      Object.entries(session.run(Object.fromEntries(given))).map(([name, t]) => {
        const { buffer } = t.data();
        return [name, t.dtype, t.shape, Array.from(new Uint8Array(buffer))];
      }),
    );
  });
}

describe("the small entry", () => {
  it.each(cases)("gives the bits of the whole library: $name", (spec) => {
    const after = new Set(spec.inputs.flatMap((input, i) => (input === null || i === 0 ? [] : [i])));
    for (const constants of [new Set<number>(), after]) {
      expect(outputsOf(small, spec, constants)).toEqual(outputsOf(whole, spec, constants));
    }
  });

  it("holds no tape, sweep or forward mode", () => {
    expect(code).toContain("src/autodiff/values-only.ts");
    expect(code).not.toMatch(/src\/autodiff\/(tape|sweep|primitive|define-op|fused|composed)\.ts/);
  });

  it("names itself where a tensor of the other copy comes", () => {
    const spec = cases.find(({ op }) => op === "Neg") as OperatorCase;
    const error = thrown(() => small.loadModel(modelOf(spec, new Set())).run({ x0: whole.tensor([1]) as never }));
    expect(error).toMatchObject({ name: "StateError", code: "ERR_STATE" });
    expect((error as Error).message).toContain(`expected a tensor of this copy of the library (${LIBRARY}), got one of tapeloop 0.1.0`);
  });
});
