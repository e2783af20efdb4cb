/** Records what gates do over time: every value to which a step gives a name. */

import type { ObservedLayer } from "../autodiff/observer.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkFunction, finished } from "../base/checks.ts";
import { arrayOf, type FloatDType, isFloat, type TypedArray } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { cat, unstack } from "../ops/shape.ts";
import { type Shape, sameShape } from "../tensor/shape.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { Watch } from "./watch.ts";

/** What one layer, or one cell, did over one sequence. */
export interface GateTrace {
  /** The module's name in the state dict; "" for the model itself. */
  readonly module: string;
  /** The layer and direction, as at the end of its parameters' names: "l0", "l1_reverse"; null for a cell. */
  readonly layer: string | null;
  /** Gates and other named values, each [T,B,…], in the order in which a step computes them; NaN where a sequence has ended. */
  readonly gates: Readonly<Record<string, Tensor>>;
}

/** A named value at one step: a copy of [B,…]. */
interface Copy {
  readonly dtype: FloatDType;
  readonly shape: Shape;
  readonly values: TypedArray;
}

/** The values of one layer or cell by name, then by step. */
interface Run {
  readonly module: string;
  readonly layer: string | null;
  readonly steps: Map<string, Copy[]>;
}

/** Collects the values that steps name. */
class Recorder {
  readonly #watch: Watch;
  readonly runs: Run[] = [];
  /** What a layer that runs by itself has named so far, step by step. */
  #within: Map<string, Tensor[]> | null = null;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  ran(): void {}

  pulls(): void {}

  named(name: string, value: Tensor): void {
    if (this.#within !== null) listOf(this.#within, name).push(value);
    else if (value.rank > 1) this.#note(null, name, [this.#copy(value)]);
  }

  layer<R>({ name: layer, reverse, lengths, unpack }: ObservedLayer, run: () => R): R {
    const within = new Map<string, Tensor[]>();
    this.#within = within;
    try {
      return run();
    } finally {
      this.#within = null;
      for (const [name, walked] of within) {
        const steps = unstack(unpack(cat(reverse ? walked.toReversed() : walked)));
        this.#note(
          layer,
          name,
          steps.map((value, t) => this.#copy(value, (b) => t < (lengths?.[b] ?? steps.length))),
        );
      }
    }
  }

  /** Copies [B,…], with NaN for sequences that have ended. */
  #copy(value: Tensor, lasts: (b: number) => boolean = () => true): Copy {
    const { running } = this.#watch;
    const dtype = isFloat(value.dtype) ? value.dtype : "float32";
    const values = arrayOf(dtype, value.size);
    values.set(value.data());
    const B = value.dim(0);
    const size = values.length / B;
    for (let b = 0; b < B; b++) if (!lasts(b) || running?.[b] === false) values.fill(Number.NaN, b * size, (b + 1) * size);
    return { dtype, shape: value.shape, values };
  }

  /** Adds the values of one step, or of all. A step that is there already, or another shape, begins another run. */
  #note(layer: string | null, name: string, copies: readonly Copy[]): void {
    const { module, step } = this.#watch.place;
    if (module === null) return;
    const last = this.runs.findLast((run) => run.module === module && run.layer === layer);
    const before = last?.steps.get(name) ?? [];
    const first = copies.length === 1 ? (step ?? before.length) : 0;
    const fits = before.every(({ shape }) => sameShape(shape, (copies[0] as Copy).shape));
    const run = last !== undefined && fits && !(first in before) ? last : this.#begin(module, layer);
    const steps = listOf(run.steps, name);
    copies.forEach((copy, t) => {
      steps[first + t] = copy;
    });
  }

  #begin(module: string, layer: string | null): Run {
    const run = { module, layer, steps: new Map<string, Copy[]>() };
    this.runs.push(run);
    return run;
  }
}

/** The list under a name; a new one the first time. */
function listOf<T>(lists: Map<string, T[]>, name: string): T[] {
  const known = lists.get(name);
  if (known !== undefined) return known;
  const list: T[] = [];
  lists.set(name, list);
  return list;
}

/** All steps as one tensor [T,B,…]; NaN for steps that never ran. */
function joined(steps: readonly Copy[]): Tensor {
  const { dtype, shape, values } = steps.find((step) => step !== undefined) as Copy;
  const all = arrayOf(dtype, steps.length * values.length).fill(Number.NaN);
  steps.forEach((step, t) => {
    all.set(step.values, t * values.length);
  });
  return tensor(all, { shape: [steps.length, ...shape] });
}

/**
 * Runs `fn` and records the gates of a model's recurrences, step by step: `i f g o c h` of an `LSTM`, `r z n h` of a `GRU`, `h` of an `RNN`, the
 * gates of `tapeloop/cells`, and in a cell of your own each value [B,…] to which its step gives a name by `gate`. There is one trace for each
 * cell, and for each layer and direction of a layer, in the order in which they ran; a second run over the same module gives another.
 * Values of sequences that have ended are NaN, which `gateChart` leaves blank.
 *
 * Meanwhile fused kernels run as basic operations, so it takes many times as long as the original run; values agree up to rounding.
 * Weights of int8 show no gates, and steps called one by one outside a `scan` count as the steps of one sequence.
 * @param fn a forward pass over the model; synchronous
 * @throws ArgumentError if nothing that ran names a value
 * @example
 * const [trace] = gateTrace(model, () => model.forward(xs));
 * const forget = trace.gates.f; // [T,B,H]
 * const svg = gateChart(trace);
 */
export function gateTrace(model: Module, fn: () => unknown): GateTrace[] {
  checkModule("gateTrace", model);
  checkFunction("gateTrace", "fn", fn);
  const watch = new Watch();
  const recorder = new Recorder(watch);
  scope(() => noGrad(() => void watch.run(model, recorder, () => finished("gateTrace", fn()))));
  if (recorder.runs.length === 0) {
    throw new ArgumentError("gateTrace: expected a run of recurrences of the model that name their gates (by `gate`), got none");
  }
  return recorder.runs.map(({ module, layer, steps }) => ({
    module,
    layer,
    gates: Object.fromEntries(Array.from(steps, ([name, copies]) => [name, joined(copies)])),
  }));
}
