/** What a recurrence will need for sequences of a size. */

import { gradients } from "../autodiff/sweep.ts";
import { noGrad } from "../autodiff/tape.ts";
import { optionsOf } from "../base/checks.ts";
import type { Module } from "../nn/module.ts";
import { onesLike, zeros } from "../tensor/create.ts";
import { dryRun, type MemoryPlan } from "../tensor/dry-run.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface PlanOptions {
  /** Sequences side by side (B). */
  readonly batch: number;
  /** Steps of a sequence (T). */
  readonly time: number;
  /** Whether to compute gradients of all parameters too (default: whether the model is in training). */
  readonly training?: boolean;
}

/** What of a recurrence a plan needs. */
interface Scannable extends Module {
  readonly inputSize: number;
  scan(xs: Tensor): readonly [ys: Tensor, last: unknown];
}

/** The memory of one scan over [T,B,I], and of its gradients, besides what is live now; nothing is computed. */
export function planScan(model: Scannable, options: PlanOptions): MemoryPlan {
  const { batch, time, training = model.training } = optionsOf("plan", options, ["batch", "time", "training"]);
  const parameters = model.parameters();
  const run = () => model.scan(zeros([time, batch, model.inputSize], parameters[0]?.dtype))[0];
  return dryRun(() => {
    if (!training) return void noGrad(run);
    const ys = run();
    gradients([ys], parameters, [onesLike(ys)]);
  });
}
