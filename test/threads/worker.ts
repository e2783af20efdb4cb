/** The program of a thread, built as the package has it: threads do not read TypeScript. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll } from "vitest";
import { useThreads } from "../../src/threads/index.ts";
import { tuning } from "../../src/threads/pool.ts";
import { program } from "../../src/threads/workers.ts";

export const RELAXED: boolean = process.env.TAPELOOP_KERNELS === "relaxed";

/** Bundles one file of src for Node; returns where it lies. */
async function bundled(folder: string, source: string, name: string): Promise<URL> {
  const outfile = join(folder, name);
  const entry = fileURLToPath(new URL(`../../src/${source}`, import.meta.url));
  await build({ entryPoints: [entry], outfile, bundle: true, format: "esm", platform: "node", logLevel: "error" });
  return pathToFileURL(outfile);
}

/** Lets the tests of a file use threads; they end after each test, or after all. */
export function withWorkers(ends: typeof afterEach | typeof afterAll = afterEach): { readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), "tapeloop-pool-"));
  // Whatever is enough work is shared, whether the others sleep or not.
  tuning.waking = 0;
  beforeAll(async () => {
    program.url = await bundled(folder, "threads/worker-node.ts", "worker-node.mjs");
  });
  ends(async () => {
    await useThreads(1);
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  return { folder };
}
