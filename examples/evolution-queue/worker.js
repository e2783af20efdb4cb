// A worker process: as many as there are cores, on as many machines as reach the same Redis.

import { Worker } from "bullmq";
import { decode, encode } from "./numbers.js";
import { cost } from "./problem.js";
import { connectionOf, REDIS } from "./queue.js";

/** Milliseconds that an evaluation takes at least: for tests, which have to hit one. */
const SLOW = Number(process.env.EVALUATION_MS ?? 0);

const worker = new Worker(
  process.env.QUEUE ?? "evolution",
  async (job) => {
    const value = cost(decode(job.data.candidate));
    if (SLOW > 0) await new Promise((resolve) => setTimeout(resolve, SLOW));
    return encode([value]);
  },
  {
    connection: connectionOf(REDIS),
    // A worker that dies leaves its lock to expire; then the job is given to another, however often that happens.
    lockDuration: 2000,
    stalledInterval: 1000,
    maxStalledCount: 1000,
  },
);

worker.on("active", (job) => process.send?.({ active: job.id }));
worker.on("completed", (job) => process.send?.({ completed: job.id }));
// A lost connection is made again; a lock that was lost means that another has the job.
worker.on("error", (error) => process.env.VERBOSE && console.error(`worker ${process.pid}: ${error.message}`));

for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => worker.close().then(() => process.exit(0)));
