/** Starting, stopping and losing threads. */

import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";
import { ArgumentError, StateError, WorkerError } from "../../src/base/errors.ts";
import { matmul } from "../../src/ops/linear.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, tensor } from "../../src/tensor/tensor.ts";
import { poolInUse, useThreads } from "../../src/threads/index.ts";
import { program } from "../../src/threads/workers.ts";
import { init, memory, realHost } from "../../src/wasm/host.ts";
import { RELAXED, withWorkers } from "./worker.ts";

const { folder } = withWorkers();

const g = new Generator(1);
const a = g.uniform([120, 90], -1, 1);
const b = g.uniform([90, 110], -1, 1);
/** A product that threads share. */
const values = () => scope(() => Array.from(matmul(a, b).data()));

describe.skipIf(RELAXED)("useThreads", () => {
  it("says how many there are", async () => {
    expect(await useThreads(1)).toEqual({ threads: 1, reason: null });
    expect(await useThreads(2)).toEqual({ threads: 2, reason: null });
    const pool = poolInUse();
    expect(await useThreads(2)).toEqual({ threads: 2, reason: null });
    expect(poolInUse()).toBe(pool);
  });

  it("refuses what is no number of threads, and changes nothing", async () => {
    for (const threads of [0, -1, 1.5, Number.NaN, 65, "2", undefined]) {
      await expect(useThreads(threads as number), String(threads)).rejects.toThrow(ArgumentError);
    }
    await expect(useThreads(2, { timeout: 0 })).rejects.toThrow(ArgumentError);
    await expect(useThreads(2, { time: 1 } as never)).rejects.toThrow(/useThreads: expected options among timeout, got "time"/);
    expect(poolInUse()).toBeNull();
  });

  it("moves the memory and gives it back, without a change of a tensor or of the books", async () => {
    const before = values();
    const [{ liveBytes, blocks }, kept] = [memory(), tensor([1.5, -2, 3])];
    await useThreads(3);
    expect(realHost().memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    const made = tensor([4, 5]);
    expect(Array.from(kept.data())).toEqual([1.5, -2, 3]);
    expect(values()).toEqual(before);
    // Grows in shared memory.
    const large = scope(() => g.uniform([3, 1 << 20], -1, 1));
    const sample = large.data().slice(-5);
    await useThreads(1);
    expect(realHost().memory.buffer).toBeInstanceOf(ArrayBuffer);
    expect(large.data().slice(-5)).toEqual(sample);
    expect(Array.from(made.data())).toEqual([4, 5]);
    expect(values()).toEqual(before);
    for (const t of [kept, made, large]) t.dispose();
    expect(memory()).toMatchObject({ liveBytes, blocks });
  });

  it("keeps streams going through every change", async () => {
    const lstm = new LSTM({ inputSize: 5, hiddenSize: 96, generator: new Generator(2) });
    const [one, other] = [new Stream(lstm), new Stream(lstm)];
    const x = (t: number) => Float32Array.from({ length: 5 }, (_, i) => Math.sin(t + i));
    const expected = Array.from({ length: 12 }, (_, t) => Array.from(one.step(x(t))));
    for (let t = 0; t < 12; t++) {
      if (t % 3 === 0) await useThreads([1, 2, 4, 1][t / 3] as number);
      expect(Array.from(other.step(x(t)))).toEqual(expected[t]);
    }
  });

  it("takes calls one after the other", async () => {
    const results = await Promise.all([useThreads(2), useThreads(3), useThreads(1), useThreads(2)]);
    expect(results.map(({ threads }) => threads)).toEqual([2, 3, 1, 2]);
    expect(poolInUse()?.count).toBe(2);
  });

  it("keeps other kernels out while it is there", async () => {
    await useThreads(2);
    expect(() => init(new Uint8Array())).toThrow(StateError);
  });

  it("ends a call with an error when a worker is gone, and every later one, until it is called again", async () => {
    const expected = values();
    await useThreads(3, { timeout: 300 });
    await poolInUse()?.kill(1);
    expect(values).toThrow(WorkerError);
    expect(values).toThrow(/threads: expected 3 threads at work, got/);
    expect(() => tensor([1]).data()).not.toThrow();
    await useThreads(2);
    expect(values()).toEqual(expected);
    // Killed without a turn of the event loop in which its end could be heard.
    await useThreads(3, { timeout: 300 });
    void poolInUse()?.kill(2);
    expect(values).toThrow(WorkerError);
    await useThreads(1);
    expect(values()).toEqual(expected);
  });

  it("stays as it was when a worker cannot start", async () => {
    const [before, { liveBytes }] = [program.url, memory()];
    const expected = values();
    try {
      program.url = pathToFileURL(join(folder, "nowhere.mjs"));
      await expect(useThreads(3)).rejects.toThrow(WorkerError);
    } finally {
      program.url = before;
    }
    expect(poolInUse()).toBeNull();
    expect(memory().liveBytes).toBe(liveBytes);
    expect(values()).toEqual(expected);
  });

  it("starts and stops again and again", { timeout: 3_600_000 }, async () => {
    const expected = values();
    const rounds = Number(process.env.TAPELOOP_SOAK ?? 5);
    for (let i = 0; i < rounds; i++) {
      await useThreads(2 + (i % 3));
      expect(values()).toEqual(expected);
      if (i % 2 === 0) await useThreads(1);
    }
  });

  it("does not keep a program running", async () => {
    const outfile = join(folder, "program.mjs");
    const from = (path: string) => JSON.stringify(fileURLToPath(new URL(`../../src/${path}`, import.meta.url)));
    const contents = `
      import { useThreads } from ${from("threads/index.ts")};
      import { matmul, ones } from ${from("index.ts")};
      const { threads } = await useThreads(3);
      const x = matmul(ones([100, 100]), ones([100, 100]));
      console.log(threads, x.shape.join());`;
    await build({
      stdin: { contents, resolveDir: folder, loader: "ts" },
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      logLevel: "error",
    });
    // In the package the program lies beside what starts it.
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    writeFileSync(join(folder, "worker-node.js"), 'import "./worker-node.mjs";');
    const { stdout } = await promisify(execFile)(process.execPath, [outfile], { timeout: 50_000 });
    expect(stdout.trim()).toBe("3 100,100");
  });
});
