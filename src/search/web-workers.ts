/** Evaluation in web workers, for browsers. */

import { optionsOf } from "../base/checks.ts";
import { addressText, EvaluationPool, type ModuleAddress, POOL, type PoolOptions, type WorkerPort } from "./pool.ts";

export interface WebWorkerOptions extends PoolOptions {
  /** Name of the module's export that evaluates: (candidate, { evaluation }) to a cost, or a promise of one (default "evaluate"). */
  readonly name?: string;
}

/** The part of a web worker that we use. */
interface WebWorker {
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: { readonly data?: unknown; readonly message?: string }) => void): void;
  terminate(): void;
}

declare const Worker: new (url: URL, options: { readonly type: "module" }) => WebWorker;

/**
 * An evaluator with web workers that call a function exported by a module. Workers start when there is work; `close` ends them.
 * @param module its URL, from which workers of this page may import
 * @throws ArgumentError for options out of their range; evaluations reject with a WorkerError (see `EvaluationPool`)
 * @example await evolve(search, evaluationWorkers<Float64Array>(new URL("./cost.js", import.meta.url), { workers: 4 }));
 */
export function evaluationWorkers<C>(module: ModuleAddress, options: WebWorkerOptions = {}): EvaluationPool<C> {
  const { name = "evaluate", ...pool } = optionsOf("evaluationWorkers", options, ["name", ...POOL]);
  const source = { module: addressText("evaluationWorkers", module), name };
  const spawn = (): WorkerPort => {
    // Bundlers recognise a worker by this form.
    const worker = new Worker(new URL("./worker-web.js", import.meta.url), { type: "module" });
    worker.postMessage(source);
    return {
      post: (message) => worker.postMessage(message),
      listen(message, end) {
        worker.addEventListener("message", ({ data }) => message(data));
        worker.addEventListener("messageerror", () => end("its answer cannot be read"));
        worker.addEventListener("error", (event) => end(`its worker failed: ${event.message ?? "it could not be loaded"}`));
      },
      terminate: () => worker.terminate(),
    };
  };
  return new EvaluationPool<C>("evaluationWorkers", spawn, pool);
}
