/** What one thread does: one seed of one experiment. */

import { getPriority, setPriority } from "node:os";
import { parentPort } from "node:worker_threads";
import { type Experiment, type Run, tunedRate } from "./experiment.ts";
import type { Job, Message } from "./pool.ts";

const INTERVAL = 200;
/** Below everything else the machine has to do. */
const NICE = 5;

function tell(message: Message): void {
  parentPort?.postMessage(message);
}

/** A run whose progress is told now and then. */
function toldRun(experiment: Experiment, { seed, rate }: Job): Run {
  let told = 0;
  return {
    seed,
    short: false,
    rate: (system) => rate ?? tunedRate(experiment, system),
    progress(done, loss) {
      if (Date.now() - told < INTERVAL) return;
      told = Date.now();
      tell({ kind: "progress", done, loss: loss ?? null });
    },
    picture: (name, svg) => tell({ kind: "picture", name, svg }),
  };
}

export function work(experiments: readonly Experiment[], job: Job): void {
  // On Linux this is the priority of this thread alone. One that was asked for, as by `nice`, stays.
  if (getPriority() === 0) setPriority(NICE);
  const experiment = experiments.find((e) => e.name === job.name) as Experiment;
  tell({ kind: "result", figures: experiment.run(toldRun(experiment, job)) });
}
