import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import * as tapeloop from "../../src/index.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const blocks = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string);

/** Runs a block with the library's names in place of its import, and returns the names asked for. */
async function run(code: string, names: string[]): Promise<{ results: Record<string, unknown>; printed: unknown[][] }> {
  const body = code.replace(/import \{[^}]*\} from "tapeloop";/, "");
  const js = transformSync(body, { loader: "ts", target: "es2022" }).code;
  const printed: unknown[][] = [];
  const log = (...args: unknown[]) => printed.push(args);
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const fn = new AsyncFunction(
    "lib",
    "console",
    `const { ${Object.keys(tapeloop).join(", ")} } = lib; { ${js}\n return { ${names.join(", ")} }; }`,
  );
  return { results: await fn(tapeloop, { log }), printed };
}

describe("the examples of the README", () => {
  it("train and stream", async () => {
    const { results, printed } = await run(blocks[0] as string, ["hidden", "saved"]);
    expect(printed.map(([step]) => step)).toEqual([100, 200, 300]);
    expect(printed.at(-1)?.[1]).toBeLessThan(0.01);
    expect((results.hidden as Float32Array).length).toBe(16);
    expect(results.saved).toBeInstanceOf(Uint8Array);
  });

  it("define a cell whose step is captured", async () => {
    const { results } = await run(blocks[1] as string, ["Minimal"]);
    const cell = new (results.Minimal as new () => tapeloop.Cell<tapeloop.Tensor>)();
    const xs = new tapeloop.Generator(1).uniform([5, 2, 3]);
    expect(cell.whyEager(xs)).toBeNull();
    expect(cell.scan(xs)[0].toArray()).toEqual(tapeloop.scanSteps(cell, xs)[0].toArray());
  });
});
