// Timing in a process of its own: warm-up, then samples by the `benchmark` package; lines of JSON on standard output.

import { writeSync } from "node:fs";
import Benchmark from "benchmark";

/** Engines compile a kernel for speed only after it has run for a while. */
const WARM_UP_SECONDS = 0.3;

/** A run slower than this is timed by itself: the package would take minutes. */
const SLOW_SECONDS = 2;

export const emit = (line) => void writeSync(1, `${JSON.stringify(line)}\n`);

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Distance of the quartiles over the median. */
export function spread(values) {
  if (values.length < 4) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const quantile = (q) => sorted[Math.round(q * (sorted.length - 1))];
  return (quantile(0.75) - quantile(0.25)) / median(values);
}

const now = () => performance.now() / 1000;

/**
 * Seconds of each sampled run of `run`, which may be asynchronous, and the share of the core that the process had meanwhile.
 * Samples are short, so that the median is of undisturbed ones as long as other processes take less than half of the core.
 */
export async function sample(run, seconds, warmUpSeconds = Math.max(WARM_UP_SECONDS, seconds / 2)) {
  const once = await warmUp(run, warmUpSeconds);
  if (once > SLOW_SECONDS) return { samples: [once], core: 1 };
  const [wall, cpu] = [now(), process.cpuUsage()];
  const samples = await sampleRuns(run, seconds);
  const { user, system } = process.cpuUsage(cpu);
  return { samples, core: Math.min(1, (user + system) / 1e6 / (now() - wall)) };
}

async function sampleRuns(run, seconds) {
  const asynchronous = run() instanceof Promise;
  const fn = asynchronous ? (deferred) => run().then(() => deferred.resolve()) : run;
  return new Promise((resolve, reject) => {
    // Between samples of an asynchronous run the package waits a millisecond, which must not count for much.
    const minTime = asynchronous ? 0.02 : 0.002;
    const options = { fn, maxTime: seconds, minSamples: 5, minTime, delay: 0.001, async: asynchronous, defer: asynchronous };
    const benchmark = new Benchmark(options);
    benchmark.on("error", () => reject(benchmark.error));
    benchmark.on("complete", () => resolve(benchmark.stats.sample));
    benchmark.run({ async: asynchronous });
  });
}

/** Runs for a time, at least twice unless that is slow; returns the seconds of the last run. */
async function warmUp(run, seconds) {
  const start = now();
  let last;
  for (let count = 0; count < 2 || now() - start < seconds; count++) {
    const before = now();
    await run();
    last = now() - before;
    if (last > SLOW_SECONDS) break;
  }
  return last;
}
