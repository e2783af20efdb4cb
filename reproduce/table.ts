/** Every experiment there is; each file of reproduce/experiments adds its own. */

import type { Experiment } from "./experiment.ts";
import { elman } from "./experiments/elman.ts";
import { fullyRecurrent } from "./experiments/fully-recurrent.ts";
import { jordan } from "./experiments/jordan.ts";

export const experiments: readonly Experiment[] = [
  // One line each.
  elman,
  fullyRecurrent,
  jordan,
].flat();
