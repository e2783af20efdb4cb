import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tapeloop-"));
const library = join(folder, "tapeloop.mjs");

beforeAll(async () => {
  await build({ entryPoints: [at("../../src/index.ts")], outfile: library, bundle: true, format: "esm", platform: "neutral" });
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Done {
  readonly times: number;
  readonly error: string | null;
  readonly linearBytes: number;
}

/** What a program in a process of its own says, in which nobody can ask for a collection. */
function run(program: string, ...args: readonly string[]): Done {
  const { stdout, stderr } = spawnSync(process.execPath, [at(`programs/${program}`), library, ...args], { encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Done;
}

describe("without scopes, in a host that collects when it likes, memory stays flat", () => {
  it("over 16,000 requests that make 10 kB tensors and more", () => {
    const { times, error, linearBytes } = run("requests.mjs", "inference", "16000", "32");
    expect({ times, error }).toEqual({ times: 16_000, error: null });
    expect(linearBytes).toBeLessThan(24 * 2 ** 20);
  }, 120_000);

  it.each([
    ["training", 500],
    ["models", 300],
    ["streams", 250],
    ["optimizers", 300],
  ])(
    "over %s, %i times",
    (kind, count) => {
      const { times, error, linearBytes } = run("requests.mjs", kind, String(count), "64");
      expect({ times, error }).toEqual({ times: count, error: null });
      expect(linearBytes).toBeLessThan(48 * 2 ** 20);
    },
    120_000,
  );
});

it("where nothing can be collected, in a loop without a turn of the event loop, the error names scope, and afterwards all is well", () => {
  const { error, linearBytes } = run("at-once.mjs", "32");
  expect(error).toMatch(
    /^ERR_MEMORY_LIMIT memory: expected to stay within 33554432 bytes, got .* bytes wait for the garbage collector, which has its turn between tasks; scope\(/,
  );
  expect(linearBytes).toBeLessThanOrEqual(32 * 2 ** 20);
}, 120_000);
