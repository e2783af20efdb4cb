/** A model under a gradient algorithm: its recurrences scan by it, and nothing around them knows. */

import { finished } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Module } from "../nn/module.ts";
import { isRecurrence, type Recurrence, type ScanOptions } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";

/** The recurrences of a model that are no part of another one. */
function outermostRecurrences(model: Module): Recurrence[] {
  const inner = new Set<Module>();
  const found: Recurrence[] = [];
  for (const module of model.modules()) {
    if (inner.has(module) || !isRecurrence(module)) continue;
    found.push(module);
    for (const part of module.modules()) if (part !== module) inner.add(part);
  }
  return found.filter((module) => !inner.has(module));
}

/**
 * Runs `fn` with the outermost recurrences of a model scanning by an algorithm: what `fit(…, { gradients })` does with a loss.
 * @throws ArgumentError for a model without a recurrence
 * @example
 * const loss = usingGradients(rtrl(), model, () => mseLoss(model.forward(xs), ys));
 * backward(loss);
 */
export function usingGradients<R>(algorithm: GradientAlgorithm, model: Module, fn: () => R): R {
  const recurrences = outermostRecurrences(model);
  if (recurrences.length === 0) throw new ArgumentError(`${algorithm.name}: expected a model with a recurrence, got none`);
  const restore = recurrences.map((recurrence) => replaceScan(recurrence, algorithm));
  try {
    return finished("usingGradients", fn());
  } finally {
    for (const undo of restore) undo();
  }
}

/** Puts the algorithm's scan in the place of a recurrence's own, which the algorithm finds again while it runs. */
function replaceScan(recurrence: Recurrence, algorithm: GradientAlgorithm): () => void {
  let running = false;
  const scan = (xs: Tensor, state?: State, options?: ScanOptions): [ys: Tensor, last: State] => {
    if (running) return own.call(recurrence, xs, state, options);
    running = true;
    try {
      return algorithm.scan(recurrence, xs, state, options);
    } finally {
      running = false;
    }
  };
  const own = recurrence.scan;
  const before = Object.getOwnPropertyDescriptor(recurrence, "scan");
  Object.defineProperty(recurrence, "scan", { value: scan, configurable: true, enumerable: false, writable: true });
  return () => {
    if (before === undefined) delete (recurrence as { scan?: unknown }).scan;
    else Object.defineProperty(recurrence, "scan", before);
  };
}
