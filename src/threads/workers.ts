/** Workers of the host: node:worker_threads where there are any, else those of the web. */

import type { Worker as NodeWorker } from "node:worker_threads";
import type { Enlistment, Report } from "./serve.ts";

/** A worker that has been started. */
export interface Port {
  post(enlistment: Enlistment): void;
  /** Sets whether it keeps the program running. */
  hold(needed: boolean): void;
  /** Ends it, wherever it is. */
  terminate(): unknown;
}

/** What a port calls: with each report, and once with the reason if the worker ends by itself. */
export interface Listener {
  report(report: Report): void;
  end(reason: string): void;
}

interface WebWorker {
  postMessage(message: unknown): void;
  addEventListener(type: string, listener: (event: { readonly data?: unknown; readonly message?: string }) => void): void;
  terminate(): void;
}

declare const Worker: (new (url: URL, options: { readonly type: "module" }) => WebWorker) | undefined;

/** Names, so that bundlers for pages do not look for the modules. */
const NODE_WORKERS = "node:worker_threads";
const NODE_OS = "node:os";

const isNode = (): boolean => typeof process === "object" && typeof process.versions?.node === "string";

/** Edge hosts, which run every request on one thread, whatever else they define. */
const isEdge = (): boolean =>
  (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === "Cloudflare-Workers" || "EdgeRuntime" in globalThis;

const ISOLATION = "the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp";

/** What the host lacks for threads; null if it has all. */
export function missing(): string | null {
  if (isEdge()) return "the host is an edge runtime, which has no threads";
  if (typeof SharedArrayBuffer !== "function" || typeof Atomics !== "object") {
    return `the host has no shared memory: a page needs ${ISOLATION}`;
  }
  if ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === false && !isNode()) {
    return `the page is not cross-origin isolated: it needs ${ISOLATION}`;
  }
  return isNode() || typeof Worker === "function" ? null : "the host has no workers";
}

/** How many threads the machine runs at once, as far as the host says. */
export async function cores(): Promise<number> {
  if (!isNode())
    return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? Number.POSITIVE_INFINITY;
  const { availableParallelism } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ NODE_OS)) as typeof import("node:os");
  return availableParallelism();
}

/** Where the program of a thread is, instead of beside this file. @internal */
export const program: { url: URL | null } = { url: null };

/** Starts a worker. */
export async function startWorker(listener: Listener): Promise<Port> {
  return isNode() ? startNode(listener) : startWeb(listener);
}

async function startNode(listener: Listener): Promise<Port> {
  const threads = (await import(/* @vite-ignore */ /* webpackIgnore: true */ NODE_WORKERS)) as { readonly Worker: typeof NodeWorker };
  // Without the options of this process: loaders and inspectors would be started once more for each thread.
  const worker = new threads.Worker(program.url ?? new URL("./worker-node.js", import.meta.url), { execArgv: [] });
  worker.on("message", (report: Report) => listener.report(report));
  worker.on("error", (error: Error) => listener.end(`a worker failed: ${error.message}`));
  worker.on("exit", (code) => listener.end(`a worker ended with ${code}`));
  return {
    post: (enlistment) => worker.postMessage(enlistment),
    hold: (needed) => (needed ? worker.ref() : worker.unref()),
    terminate: () => worker.terminate(),
  };
}

function startWeb(listener: Listener): Port {
  if (typeof Worker !== "function") throw new TypeError("no workers");
  // Bundlers recognise a worker by this form.
  const worker = new Worker(new URL("./worker-web.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => listener.report(data as Report));
  worker.addEventListener("error", ({ message }) => listener.end(`a worker failed: ${message ?? "it could not be loaded"}`));
  return {
    post: (enlistment) => worker.postMessage(enlistment),
    hold: () => undefined,
    terminate: () => worker.terminate(),
  };
}
