/** Runs a model under a gradient algorithm: its recurrences scan by it, and nothing around them notices. */

import { isGradEnabled } from "../autodiff/tape.ts";
import { checkFunction, checkMethods, finished } from "../base/checks.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { isRecurrence, type Recurrence, type ScanOptions } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";

/** The outermost recurrences of a model: those that are not part of another. */
export function outermostRecurrences(model: Module): Recurrence[] {
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
 * An algorithm is a rule for the derivative of a scan. If `fn` takes single steps, they are backpropagated through under any algorithm.
 * @throws ArgumentError for a model without a recurrence; StateError if `fn` takes single steps of a trained recurrence, with
 *   gradients, and never scans it (except under `bptt`, which such steps use anyway)
 * @example
 * const loss = usingGradients(rtrl(), model, () => mseLoss(model.forward(xs), ys));
 * backward(loss);
 */
export function usingGradients<R>(algorithm: GradientAlgorithm, model: Module, fn: () => R): R {
  checkMethods("usingGradients", "an algorithm", algorithm, ["scan"]);
  checkModule("usingGradients", model);
  checkFunction("usingGradients", "fn", fn);
  const recurrences = outermostRecurrences(model);
  if (recurrences.length === 0) throw new ArgumentError(`${algorithm.name}: expected a model with a recurrence, got none`);
  const uses = recurrences.map((recurrence): Use => ({ recurrence, scanned: false, stepped: false }));
  const restore = uses.map((use) => replaceScan(use, algorithm));
  try {
    const result = finished("usingGradients", fn());
    refuseSteps(algorithm, uses);
    return result;
  } finally {
    for (const undo of restore) undo();
  }
}

/** Objects that currently use their own methods, in spite of replacements. */
const onTheirOwn = new WeakSet<object>();

/** Runs `fn` with an object's own methods, since an algorithm's rule runs while the algorithm may have replaced the scan. */
export function byItself<R>(object: object, fn: () => R): R {
  if (onTheirOwn.has(object)) return fn();
  onTheirOwn.add(object);
  try {
    return fn();
  } finally {
    onTheirOwn.delete(object);
  }
}

/** How a function has run a recurrence with gradients. */
interface Use {
  readonly recurrence: Recurrence;
  scanned: boolean;
  stepped: boolean;
}

/** Replaces a recurrence's scan by the algorithm's, which itself sees the original while it runs. Notes single steps from outside. */
function replaceScan(use: Use, algorithm: GradientAlgorithm): () => void {
  const { recurrence } = use;
  return replaceMethods(recurrence, {
    scan(xs: Tensor, state?: State, options?: ScanOptions) {
      use.scanned ||= isGradEnabled();
      return algorithm.scan(recurrence, xs, state, options);
    },
    step(x: Tensor, state: State) {
      use.stepped ||= isGradEnabled();
      return recurrence.step(x, state);
    },
  });
}

/** Refuses single steps instead of a scan: their gradient would be backpropagation's, under the algorithm's name. */
function refuseSteps({ name, coversSteps = false }: GradientAlgorithm, uses: readonly Use[]): void {
  if (coversSteps) return;
  const passed = uses.find((use) => use.stepped && !use.scanned && use.recurrence.parameters().some((p) => p.requiresGrad));
  if (passed === undefined) return;
  throw new StateError(
    `${name}: expected ${passed.recurrence.constructor.name} to be run by scan, whose derivative the algorithm gives, got calls of step alone`,
  );
}

/**
 * Replaces methods of an object; while a replacement runs, it sees the originals.
 * @returns a function that restores the originals
 */
export function replaceMethods<M extends object>(object: M, methods: Partial<M>): () => void {
  let running = false;
  const undo = (Object.keys(methods) as (keyof M & string)[]).map((name) => {
    const before = Object.getOwnPropertyDescriptor(object, name);
    const own = object[name] as (...args: unknown[]) => unknown;
    const method = methods[name] as (...args: unknown[]) => unknown;
    const value = (...args: unknown[]): unknown => {
      if (running || onTheirOwn.has(object)) return own.apply(object, args);
      running = true;
      try {
        return method(...args);
      } finally {
        running = false;
      }
    };
    Object.defineProperty(object, name, { value, configurable: true, enumerable: false, writable: true });
    return () => {
      if (before === undefined) delete object[name];
      else Object.defineProperty(object, name, before);
    };
  });
  return () => {
    for (const restore of undo) restore();
  };
}
