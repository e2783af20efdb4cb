/** The loop that most experiments share. */

import { backward } from "../src/autodiff/backward.ts";
import type { Parameter } from "../src/nn/module.ts";
import { Adam } from "../src/optim/adam.ts";
import { clipGradNorm } from "../src/optim/clip.ts";
import type { Optimizer } from "../src/optim/optimizer.ts";
import { scope, type Tensor } from "../src/tensor/tensor.ts";
import type { Run } from "./experiment.ts";

export interface TrainOptions {
  readonly parameters: readonly Parameter[];
  readonly updates: number;
  /** Of Adam, which is used unless there is an `optimizer`. */
  readonly lr?: number;
  readonly optimizer?: Optimizer;
  /** Largest norm of the gradient; none unless given. */
  readonly clip?: number;
  /** The learning rate is multiplied by `factor` every `every` updates. */
  readonly decay?: { readonly every: number; readonly factor: number };
  /** The loss of the next batch. */
  readonly loss: (update: number) => Tensor;
  /** After each update; true ends training. */
  readonly after?: (update: number, loss: number) => unknown;
  /** Which part of the whole run this is (default [0, 1]). */
  readonly part?: readonly [from: number, to: number];
}

/** Trains; the mean loss of the last tenth of the updates. */
export function train(run: Run, options: TrainOptions): number {
  const { updates, lr = 1e-3, clip, decay, loss, after, part: [from, to] = [0, 1] } = options;
  const parameters = [...options.parameters];
  const optimizer = options.optimizer ?? new Adam(parameters, { lr });
  const losses: number[] = [];
  for (let update = 0; update < updates; update++) {
    const value = scope(() => step(optimizer, parameters, () => loss(update), clip));
    losses.push(value);
    if (decay !== undefined && (update + 1) % decay.every === 0) for (const group of optimizer.groups) group.lr *= decay.factor;
    run.progress(from + ((to - from) * (update + 1)) / updates, value);
    if (after?.(update, value) === true) break;
  }
  const tail = losses.slice(-Math.ceil(losses.length / 10));
  return tail.reduce((a, b) => a + b, 0) / tail.length;
}

function step(optimizer: Optimizer, parameters: Parameter[], loss: () => Tensor, clip: number | undefined): number {
  const value = loss();
  optimizer.zeroGrad();
  backward(value);
  if (clip !== undefined) clipGradNorm(parameters, clip);
  optimizer.step();
  return value.item();
}
