/** Every public function and class takes what is no argument at all with an error of the library, never with one of the language. */

import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as errors from "../../src/base/errors.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { Generator } from "../../src/tensor/random.ts";
import { every } from "../recurrence/every.ts";

const WRONG: readonly unknown[] = [null, undefined, 3, "x", {}, []];
const KNOWN = Object.values(errors);

/** The subpaths, by the files that they are made of. */
const entries = [...readdirSync("src").filter((folder) => existsSync(`src/${folder}/index.ts`)), "node", "web", "inference"].map((name) =>
  existsSync(`src/${name}.ts`) ? `../../src/${name}.ts` : `../../src/${name}/index.ts`,
);

const show = (value: unknown): string => (value === undefined ? "undefined" : JSON.stringify(value));

/** What an error of the language says, or null where the library's own came, or none. */
async function complaint(call: () => unknown): Promise<string | null> {
  try {
    const result = (await call()) as { [Symbol.asyncIterator]?: () => AsyncIterator<unknown> } | null | undefined;
    // What works only when it is iterated fails there.
    if (typeof result === "object") await result?.[Symbol.asyncIterator]?.().next();
    return null;
  } catch (error) {
    // A file that is not there is the system's to tell.
    const own = KNOWN.some((known) => error instanceof known) || (error as { syscall?: string }).syscall !== undefined;
    return own ? null : String(error);
  }
}

async function complaintsAbout(name: string, value: (...args: unknown[]) => unknown): Promise<string[]> {
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  const found: string[] = [];
  for (const wrong of WRONG) {
    const call = () => (isClass ? Reflect.construct(value, [wrong]) : value(wrong));
    const said = await complaint(call);
    if (said !== null) found.push(`${isClass ? "new " : ""}${name}(${show(wrong)}): ${said}`);
  }
  return found;
}

describe.each(entries)("%s", (file) => {
  it("refuses null, undefined, 3, a text, {} and [] in its own words", async () => {
    const all = (await import(/* @vite-ignore */ file)) as Record<string, unknown>;
    const found: string[] = [];
    for (const [name, value] of Object.entries(all)) {
      if (typeof value === "function") found.push(...(await complaintsAbout(name, value as never)));
    }
    expect(found).toEqual([]);
  });
});

describe("every recurrence", () => {
  it.each(Object.keys(every))("%s refuses the same as a sequence, an input and a batch", async (name) => {
    const cell = every[name]?.({ generator: new Generator(1) }) as Recurrence;
    const state = cell.initialState(2);
    const found: string[] = [];
    for (const wrong of WRONG) {
      const calls = {
        scan: () => cell.scan(wrong as never),
        step: () => cell.step(wrong as never, state),
        initialState: () => cell.initialState(wrong as never),
      };
      for (const [method, call] of Object.entries(calls)) {
        const said = await complaint(call);
        if (said !== null) found.push(`${method}(${show(wrong)}): ${said}`);
      }
    }
    expect(found).toEqual([]);
  });
});
