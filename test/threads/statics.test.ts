/** Static memory that kernels write to belongs to a thread: what is not declared so must be known to be read only, or shared on purpose. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const folder = new URL("../../assembly/", import.meta.url);

/** Zeros and digits of 2/π are read; the words are what threads share. */
const SHARED = ["gemm/tile.ts: ZEROS", "math/sin.ts: TWO_OVER_PI", "threads.ts: WORDS"];

it("is every thread's own", () => {
  const files = (readdirSync(folder, { recursive: true, encoding: "utf8" }) as string[]).filter(
    (f) => f.endsWith(".ts") && !f.endsWith(".gen.ts"),
  );
  const uses = files.flatMap((file) => {
    const lines = readFileSync(new URL(file, folder), "utf8").split("\n");
    return lines
      .filter((line) => line.includes("memory.data") && !line.startsWith("//"))
      .map((line) => ({ file: file.replaceAll("\\", "/"), line }));
  });
  const shared = uses.filter(({ line }) => !/= own\(memory\.data\(\d+, \d+\)\);$/.test(line));
  expect(shared.map(({ file, line }) => `${file}: ${/const (\w+) =/.exec(line)?.[1]}`).sort()).toEqual(SHARED);
  expect(uses.length).toBeGreaterThan(SHARED.length + 10);
});
