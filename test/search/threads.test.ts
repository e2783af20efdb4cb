/** Evaluation in threads as it is published: a bundle, and the threads that it starts. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CMAES, type EvaluationPool, evolve } from "../../src/search/index.ts";
import type { WorkerOptions } from "../../src/search/threads.ts";
import { Generator } from "../../src/tensor/random.ts";
import { run, sphere } from "./functions.ts";

const folder = mkdtempSync(join(tmpdir(), "tapeloop-threads-"));
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const COST = new URL("./workers/cost.js", import.meta.url);
const built = (name: string) => pathToFileURL(join(folder, `${name}.mjs`));

beforeAll(async () => {
  const entry = (name: string) => ({ in: file(`../../src/search/${name}.ts`), out: name });
  const names = ["threads", "worker-node", "web-workers", "worker-web"];
  await build({
    entryPoints: names.map(entry),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    logLevel: "error",
    plugins: [
      {
        name: "names",
        setup(plugin) {
          // The bundles are called .mjs, so that this folder needs no package.json.
          plugin.onLoad({ filter: /\/(threads|web-workers)\.ts$/ }, async ({ path }) => {
            const { readFile } = await import("node:fs/promises");
            return { contents: (await readFile(path, "utf8")).replace(/(\.\/worker-\w+)\.js/, "$1.mjs"), loader: "ts" };
          });
        },
      },
    ],
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

type Threads = <C>(module: URL | string, options?: WorkerOptions) => EvaluationPool<C>;

async function threads<C>(options: WorkerOptions = {}): Promise<EvaluationPool<C>> {
  const { evaluationThreads } = (await import(/* @vite-ignore */ built("threads").href)) as { evaluationThreads: Threads };
  return evaluationThreads<C>(COST, options);
}

const search = () => new CMAES({ start: [1, -2, 0.5], sigma: 0.5, maxGenerations: 15, generator: new Generator(1) });
const context = (evaluation = 0, signal = new AbortController().signal) => ({ evaluation, signal });

describe("evaluationThreads", () => {
  it("gives what one thread gives, to the bit", async () => {
    const [alone, side] = [search(), search()];
    run(alone, sphere);
    const pool = await threads<Float64Array>({ workers: 2 });
    const { stop } = await evolve(side, pool);
    await pool.close();
    expect(stop).toEqual({ reason: "generations", value: 15 });
    expect(side.toBytes()).toEqual(alone.toBytes());
  });

  it("passes on what is thrown, as a WorkerError, and goes on", async () => {
    const pool = await threads<number[]>({ workers: 1, name: "troubled" });
    await expect(pool.evaluate([3], context(8))).rejects.toMatchObject({
      name: "WorkerError",
      code: "ERR_WORKER",
      message: expect.stringContaining("for evaluation 8, got none: it threw RangeError: no cost for 8"),
    });
    expect(await pool.evaluate([0, 2, 1], context())).toBe(5);
    await expect(evolve(search(), { concurrency: 1, evaluate: () => pool.evaluate([5], context()) })).rejects.toThrow(
      'expected the evaluation to give a number, got "seven"',
    );
    await pool.close();
  });

  it("begins an evaluation again whose thread died, and gives up after the retries", async () => {
    const pool = await threads<unknown>({ workers: 2, name: "once", retries: 1 });
    const marks = [join(folder, "a"), join(folder, "b")];
    expect(await Promise.all(marks.map((mark, i) => pool.evaluate({ file: mark, cost: i }, context(i))))).toEqual([0, 1]);
    await pool.close();
    const dies = await threads<number[]>({ workers: 2, name: "troubled", retries: 2 });
    const results = await Promise.allSettled([
      dies.evaluate([1], context(4)),
      dies.evaluate([0, 3], context(5)),
      dies.evaluate([4], context(6)),
    ]);
    expect(results.map((r) => r.status)).toEqual(["rejected", "fulfilled", "rejected"]);
    expect((results[0] as PromiseRejectedResult).reason.message).toBe(
      "evaluationThreads: expected a cost for evaluation 4, got none after 3 attempts: its worker ended with 3",
    );
    expect((results[2] as PromiseRejectedResult).reason.message).toMatch("after 3 attempts: its worker failed: later");
    await dies.close();
  });

  it("ends a thread that does not answer in time", async () => {
    const pool = await threads<number[]>({ workers: 1, name: "troubled", retries: 0, timeout: 1500 });
    const [hangs, waits] = [pool.evaluate([2], context(1)), pool.evaluate([0, 1], context(2))];
    await expect(hangs).rejects.toThrow("got none: it did not answer within 1500 ms");
    expect(await waits).toBe(1);
    await pool.close();
  });

  it("ends what is aborted and what is under way when it is closed", async () => {
    const pool = await threads<number[]>({ workers: 1, name: "troubled" });
    const stop = new AbortController();
    const [running, waiting] = [pool.evaluate([6], context(1, stop.signal)), pool.evaluate([6], context(2, stop.signal))];
    stop.abort(new Error("unwanted"));
    for (const result of await Promise.allSettled([running, waiting]))
      expect((result as PromiseRejectedResult).reason.message).toBe("unwanted");
    await expect(pool.evaluate([0], context(3, stop.signal))).rejects.toThrow("unwanted");
    expect(await pool.evaluate([0, 4], context(4))).toBe(16);
    const last = pool.evaluate([6], context(5));
    const refused = expect(last).rejects.toMatchObject({ code: "ERR_STATE" });
    await pool.close();
    await refused;
    await expect(pool.evaluate([0], context(6))).rejects.toThrow("got one that was closed");
  });

  it("says when the module cannot be used: none there, no such export, nothing that can be sent", async () => {
    const { evaluationThreads } = (await import(/* @vite-ignore */ built("threads").href)) as { evaluationThreads: Threads };
    const missing = evaluationThreads<number[]>(new URL("./workers/none.js", import.meta.url), { retryErrors: true });
    await expect(missing.evaluate([0], context())).rejects.toThrow(/got none: it threw Error: Cannot find module/);
    const nameless = evaluationThreads<unknown>(COST, { name: "nothing" });
    await expect(nameless.evaluate([0], context())).rejects.toThrow('expected an export "nothing" that is a function, got undefined');
    await expect(nameless.evaluate(() => 0, context())).rejects.toThrow("its candidate cannot be sent");
    await Promise.all([missing.close(), nameless.close()]);
    expect(() => evaluationThreads(COST, { workers: 0 })).toThrow("evaluationThreads: expected workers");
    expect(() => evaluationThreads(COST, { timeout: 0 })).toThrow("evaluationThreads: expected timeout above 0");
  });

  it("lets the program end when nobody waits for it", async () => {
    const code = `
      import { evaluationThreads } from ${JSON.stringify(built("threads").href)};
      const pool = evaluationThreads(${JSON.stringify(COST.href)}, { workers: 2 });
      console.log(await pool.evaluate([3, 4], { evaluation: 0, signal: new AbortController().signal }));`;
    const program = join(folder, "program.mjs");
    writeFileSync(program, code);
    const { stdout } = await promisify(execFile)(process.execPath, [program], { timeout: 30_000 });
    expect(stdout).toBe("25\n");
  });
});

/** What a page has, as far as it is used, over a thread: no browser is asked here. */
class PageWorker {
  readonly #thread: Worker;
  constructor(url: URL, options: { type: string }) {
    expect(options).toEqual({ type: "module" });
    const code = `
      const { parentPort, workerData } = require("node:worker_threads");
      globalThis.postMessage = (m) => parentPort.postMessage(m);
      const early = [];
      parentPort.on("message", (data) => (globalThis.onmessage ? globalThis.onmessage({ data }) : early.push(data)));
      import(workerData).then(() => early.forEach((data) => globalThis.onmessage({ data })));`;
    this.#thread = new Worker(code, { eval: true, workerData: url.href });
  }
  postMessage(message: unknown): void {
    this.#thread.postMessage(message);
  }
  addEventListener(type: string, listener: (event: object) => void): void {
    this.#thread.on(type, (value: { message: string }) => listener(type === "error" ? { message: value.message } : { data: value }));
  }
  terminate(): void {
    void this.#thread.terminate();
  }
}

describe("evaluationWorkers", () => {
  it("gives the same in web workers, over a Worker like a page's", async () => {
    vi.stubGlobal("Worker", PageWorker);
    const { evaluationWorkers } = (await import(/* @vite-ignore */ built("web-workers").href)) as { evaluationWorkers: Threads };
    const [alone, side] = [search(), search()];
    run(alone, sphere);
    const pool = evaluationWorkers<Float64Array>(COST, { workers: 2 });
    await evolve(side, pool);
    expect(side.toBytes()).toEqual(alone.toBytes());
    await pool.close();
    const troubled = evaluationWorkers<number[]>(COST, { workers: 1, name: "troubled", retries: 0 });
    await expect(troubled.evaluate([4], context(2))).rejects.toThrow("evaluation 2, got none: its worker failed: later");
    expect(await troubled.evaluate([0, 2], context())).toBe(4);
    await troubled.close();
    vi.unstubAllGlobals();
  });
});
