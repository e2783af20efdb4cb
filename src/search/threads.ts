/** Evaluation in threads, for Node, Deno and Bun. */

import { Worker } from "node:worker_threads";
import { optionsOf } from "../base/checks.ts";
import { addressText, EvaluationPool, type ModuleAddress, POOL, type PoolOptions, type WorkerPort } from "./pool.ts";

export interface WorkerOptions extends PoolOptions {
  /** Name of the module's export that evaluates: (candidate, { evaluation }) to a cost, or a promise of one (default "evaluate"). */
  readonly name?: string;
}

/**
 * An evaluator with threads that call a function exported by a module. Candidates (vectors, genomes, graphs) are copied into the thread.
 * Threads start when there is work, and do not keep the program running without work; `close` ends them.
 * @param module its URL: `new URL("./cost.js", import.meta.url)`, in a form that the host's threads can load
 * @throws ArgumentError for options out of their range; evaluations reject with a WorkerError (see `EvaluationPool`)
 * @example
 * await using threads = evaluationThreads<Float64Array>(new URL("./cost.js", import.meta.url), { workers: 8 });
 * await evolve(search, threads, { maxEvaluations: 10_000 });
 */
export function evaluationThreads<C>(module: ModuleAddress, options: WorkerOptions = {}): EvaluationPool<C> {
  const { name = "evaluate", ...pool } = optionsOf("evaluationThreads", options, ["name", ...POOL]);
  const source = { module: addressText("evaluationThreads", module), name };
  const spawn = (): WorkerPort => {
    const worker = new Worker(new URL("./worker-node.js", import.meta.url));
    worker.postMessage(source);
    return {
      post: (message) => worker.postMessage(message),
      listen(message, end) {
        worker.on("message", message);
        worker.on("messageerror", (error) => end(`its answer cannot be read: ${error.message}`));
        worker.on("error", (error: Error) => end(`its worker failed: ${error.message}`));
        worker.on("exit", (code) => end(`its worker ended with ${code}`));
      },
      terminate: () => worker.terminate(),
      hold: (busy) => (busy ? worker.ref() : worker.unref()),
    };
  };
  return new EvaluationPool<C>("evaluationThreads", spawn, pool);
}
