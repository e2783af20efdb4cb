/** How well a cell learns to add. */

import { noGrad } from "../src/autodiff/tape.ts";
import { mseLoss } from "../src/nn/losses.ts";
import type { Parameter } from "../src/nn/module.ts";
import type { Recurrence } from "../src/recurrence/recurrence.ts";
import type { State } from "../src/recurrence/state.ts";
import type { Generator } from "../src/tensor/random.ts";
import { scope, type Tensor } from "../src/tensor/tensor.ts";
import type { Run } from "./experiment.ts";
import { Net } from "./net.ts";
import { type AddingBatch, addingBatch } from "./tasks/adding.ts";
import { streams } from "./tasks/dice.ts";
import { train } from "./training.ts";

export interface AddingSetting {
  readonly steps: number;
  /** Where the values lie (default [−1, 1]). */
  readonly range?: readonly [number, number];
  /** Sequences of a batch (default 32). */
  readonly batch?: number;
  readonly updates: number;
  readonly lr: number;
  readonly decay?: { readonly every: number; readonly factor: number };
  readonly part: readonly [number, number];
  /** After each update. */
  readonly after?: () => void;
}

/** What puts out a number [B,1] after the last step of xs [T,B,2]. */
export interface Adder {
  readonly parameters: readonly Parameter[];
  final(xs: Tensor): Tensor;
}

/** As `adderError`, for a cell and a linear layer that reads it. */
export function addingError<S extends State>(run: Run, cell: Recurrence<S>, setting: AddingSetting): number {
  const { weights } = streams(run.seed);
  return adderError(run, new Net(cell, 1, weights), setting);
}

/** Mean squared error on 1,000 fresh sequences after training with clipped gradients. */
export function adderError(
  run: Run,
  net: Adder,
  { steps, updates, lr, decay, part, after, batch = 32, range = [-1, 1] }: AddingSetting,
): number {
  const { training, test } = streams(run.seed);
  const draw = (generator: Generator, size: number): AddingBatch => addingBatch(generator, { steps, batch: size, range });
  const error = ({ xs, targets }: AddingBatch) => mseLoss(net.final(xs), targets);
  const loss = () => error(draw(training.generator, batch));
  train(run, { parameters: net.parameters, updates, lr, clip: 1, part, loss, ...(decay && { decay }), ...(after && { after }) });
  return scope(() => noGrad(() => error(draw(test.generator, 1000)).item()));
}
