/** Predicts the memory that a recurrence needs for sequences of a given size. */

import { gradients } from "../autodiff/sweep.ts";
import { noGrad } from "../autodiff/tape.ts";
import { optionsOf } from "../base/checks.ts";
import type { Module } from "../nn/module.ts";
import { onesLike, zeros } from "../tensor/create.ts";
import { dryRun, type MemoryPlan } from "../tensor/dry-run.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface PlanOptions {
  /** Batch size B. */
  readonly batch: number;
  /** Steps per sequence, T. */
  readonly time: number;
  /** Whether to include gradients of all parameters (default: whether the model is in training). */
  readonly training?: boolean;
}

/** The part of a recurrence that a plan uses. */
interface Scannable extends Module {
  readonly inputSize: number;
  scan(xs: Tensor): readonly [ys: Tensor, last: unknown];
}

/** The memory for one scan over [T,B,I] and its gradients, in addition to what is live now. Computes nothing. */
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
