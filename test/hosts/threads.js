// The runs whose bits are compared, on two threads: before, during and after.

import { useThreads } from "tapeloop/threads";
import { inference, shortRuns } from "./program.js";

export async function exercise() {
  const reports = [];
  for (const threads of [2, 1]) {
    const got = await useThreads(threads);
    if (got.threads !== threads) throw new Error(`threads: expected ${threads}, got ${got.threads}: ${got.reason}`);
    reports.push(JSON.stringify({ ...(await inference()), short: await shortRuns() }));
  }
  if (reports[0] !== reports[1]) throw new Error(`threads: expected the bits of one thread, ${reports[1]}, got ${reports[0]}`);
  return JSON.parse(reports[0]);
}
