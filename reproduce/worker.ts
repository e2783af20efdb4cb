/** What one thread does: one seed of one experiment. */

import { parentPort } from "node:worker_threads";
import type { Experiment, Run } from "./experiment.ts";
import type { Job, Message } from "./pool.ts";

const INTERVAL = 200;

function tell(message: Message): void {
  parentPort?.postMessage(message);
}

/** A run whose progress is told now and then. */
function toldRun(seed: number): Run {
  let told = 0;
  return {
    seed,
    short: false,
    progress(done, loss) {
      if (Date.now() - told < INTERVAL) return;
      told = Date.now();
      tell({ kind: "progress", done, loss: loss ?? null });
    },
    picture: (name, svg) => tell({ kind: "picture", name, svg }),
  };
}

export function work(experiments: readonly Experiment[], { name, seed }: Job): void {
  const experiment = experiments.find((e) => e.name === name) as Experiment;
  tell({ kind: "result", figures: experiment.run(toldRun(seed)) });
}
