/** Seeds of experiments, run side by side in threads of their own. */

import { Worker } from "node:worker_threads";
import type { Figures } from "./experiment.ts";

/** One seed of one experiment. */
export interface Job {
  readonly name: string;
  readonly seed: number;
  /** The learning rate that every system of the experiment is tried with; the tuned ones unless given. */
  readonly rate?: number;
}

export interface SeedResult {
  readonly seed: number;
  readonly figures: Figures;
}

/** What a thread tells. */
export type Message =
  | { readonly kind: "progress"; readonly done: number; readonly loss: number | null }
  | { readonly kind: "picture"; readonly name: string; readonly svg: string }
  | { readonly kind: "result"; readonly figures: Figures };

export interface PoolOptions {
  /** Threads at once. */
  readonly threads: number;
  readonly onMessage: (job: Job, message: Message) => void;
}

/** Runs every job; rejects with the first that fails, after its fellows were stopped. */
export async function runJobs(script: URL, jobs: readonly Job[], { threads, onMessage }: PoolOptions): Promise<void> {
  const queue = [...jobs];
  const running = new Set<Worker>();
  const lane = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) await runJob(script, job, running, onMessage);
  };
  try {
    await Promise.all(Array.from({ length: Math.min(threads, jobs.length) }, lane));
  } finally {
    queue.length = 0;
    await Promise.all([...running].map((worker) => worker.terminate()));
  }
}

function runJob(script: URL, job: Job, running: Set<Worker>, onMessage: PoolOptions["onMessage"]): Promise<void> {
  const worker = new Worker(script, { workerData: job });
  running.add(worker);
  return new Promise<void>((resolve, reject) => {
    worker.on("message", (message: Message) => onMessage(job, message));
    worker.on("error", reject);
    worker.on("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${job.name}, seed ${job.seed}: its thread ended with ${code}`)),
    );
  }).finally(() => running.delete(worker));
}
