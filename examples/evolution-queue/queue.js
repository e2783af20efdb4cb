// The queue as an evaluator for `evolve`: a job an evaluation, worked off by whoever listens.

import { Queue, UnrecoverableError } from "bullmq";
import { decode, encode } from "./numbers.js";

/** Where Redis is. A connection that is lost is made again, and commands wait for it, however long. */
export const connectionOf = (url) => {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port || 6379), maxRetriesPerRequest: null, retryStrategy: (times) => Math.min(50 * times, 1000) };
};

export const REDIS = process.env.REDIS_URL ?? "redis://127.0.0.1:6379";

const POLL_MS = 50;
/** A worker that throws is tried again; one that dies leaves a stalled job, which does not count among these. */
const ATTEMPTS = 3;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Evaluates by a queue. A job is named by the run and the number of the evaluation: adding it again, after a lost connection or by a
 * coordinator that was started again, finds the job that is there, and its result if it has one.
 */
export class QueueEvaluator {
  /** @param run names the search: jobs of another do not count */
  constructor({ url = REDIS, name = "evolution", run = "run", concurrency = 64 } = {}) {
    this.queue = new Queue(name, { connection: connectionOf(url) });
    // The queue says so when its connection is lost; it is made again.
    this.queue.on("error", () => {});
    this.run = run;
    this.concurrency = concurrency;
  }

  async evaluate(candidate, { evaluation, signal }) {
    const jobId = `${this.run}-${evaluation}`;
    const data = { candidate: encode(candidate), evaluation };
    await this.queue.add("evaluate", data, { jobId, attempts: ATTEMPTS, backoff: { type: "fixed", delay: 100 } });
    for (;;) {
      signal.throwIfAborted();
      const job = await this.queue.getJob(jobId);
      if (job === undefined) throw new Error(`job ${jobId}: expected to be there, got none: was the queue emptied?`);
      if (job.data.candidate !== data.candidate)
        throw new Error(`job ${jobId}: expected this candidate, got that of another run of this name`);
      if (job.finishedOn !== undefined) {
        if (job.failedReason) throw new UnrecoverableError(`job ${jobId} failed: ${job.failedReason}`);
        return decode(job.returnvalue)[0];
      }
      await pause(POLL_MS);
    }
  }

  async close() {
    await this.queue.close();
  }
}
