/** A learning rate, found by trying: the loss while the rate grows from step to step. */

import { checkIterable, checkNumber, checkOptions, checkWhole } from "../base/checks.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import { passOver } from "../data/batches.ts";
import type { Module } from "../nn/module.ts";
import { exp, log } from "../numerics/scalar.ts";
import type { State } from "../recurrence/state.ts";
import { Shadow } from "../tensor/shadow.ts";
import { type Continuing, type FitOptions, fit } from "./fit.ts";
import { modesOf, setModes } from "./modes.ts";

export interface RateRangeOptions<M extends Module, B, S extends State>
  extends Pick<FitOptions<M, B, S>, "loss" | "clipNorm" | "gradients"> {
  /** Fresh, and used up by this: its moments belong to the trial. */
  readonly optimizer: FitOptions<M, B, S>["optimizer"];
  /** The first rate (default 1e-6). */
  readonly from?: number;
  /** The last rate (default 1). */
  readonly to?: number;
  /** Steps from the first to the last (default 100). */
  readonly steps?: number;
}

/** The losses of a sweep over learning rates, and the rate that they suggest. */
export interface RateRange {
  /** The rate of each step that was taken. */
  readonly rates: readonly number[];
  /** The loss before each step, averaged over the steps before it. */
  readonly losses: readonly number[];
  /** A tenth of the rate at which the loss is least: a good start. */
  readonly suggestion: number;
}

/** Share of the old mean that the running mean of the losses keeps at each step. */
const SMOOTHING = 0.9;
/** A loss of so many times the least one has blown up, after the first steps. */
const BLOWN_UP = 4;
const FIRST_STEPS = 10;

/**
 * Tries learning rates: trains with a rate that grows by the same factor at every step, until the loss blows up. The model is as before when it is
 * done.
 * @throws ArgumentError for batches that end before ten steps, and for an empty range
 * @see Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3; smoothing and suggestion as in
 * fastai (from memory)
 * @example
 * const { rates, losses, suggestion } = await findLearningRate(model, batches, { optimizer: new Adam(model.parameters()), loss });
 */
export async function findLearningRate<M extends Module, B extends object, S extends State = State>(
  model: M,
  batches: Iterable<B & Continuing>,
  options: RateRangeOptions<M, B, S>,
): Promise<RateRange> {
  const op = "findLearningRate";
  checkOptions(op, options, ["optimizer", "loss", "clipNorm", "gradients", "from", "to", "steps"]);
  const { from = 1e-6, to = 1, steps = 100, ...training } = options;
  checkNumber(op, "from", from, { above: 0 });
  checkNumber(op, "to", to, { above: from });
  checkWhole(op, "steps", steps, { least: FIRST_STEPS });
  const growth = log(to / from) / (steps - 1);
  checkIterable(op, "batches", batches);
  const pass = passOver(batches);
  const run = fit(model, pass, { ...training, maxSteps: steps, schedule: (step) => from * exp(step * growth) });
  const modes = modesOf(model);
  const shadow = new Shadow();
  shadow.take(new Set([...model.stateDict().values(), ...options.optimizer.params]));
  const range = new Range();
  try {
    for await (const { loss, lr } of run) if (!range.add(lr, loss)) break;
  } catch (error) {
    // A loss that is no number ends the trial, as one that blows up does.
    if (!(error instanceof StateError) || range.rates.length < FIRST_STEPS) throw error;
  } finally {
    shadow.putBack();
    setModes(modes);
    // A training keeps its source open to go on; this one is over.
    pass.return?.();
  }
  if (range.rates.length < FIRST_STEPS) {
    throw new ArgumentError(`${op}: expected batches for at least ${FIRST_STEPS} steps, got ${range.rates.length}`);
  }
  return { rates: range.rates, losses: range.losses, suggestion: range.suggestion };
}

/** Losses over growing rates. */
class Range {
  readonly rates: number[] = [];
  readonly losses: number[] = [];
  #mean = 0;
  #weight = 0;
  #least = Number.POSITIVE_INFINITY;

  /** @returns whether it goes on */
  add(rate: number, loss: number): boolean {
    this.#mean = SMOOTHING * this.#mean + (1 - SMOOTHING) * loss;
    this.#weight = SMOOTHING * this.#weight + (1 - SMOOTHING);
    const smooth = this.#mean / this.#weight;
    this.rates.push(rate);
    this.losses.push(smooth);
    this.#least = Math.min(this.#least, smooth);
    return this.rates.length < FIRST_STEPS || smooth <= BLOWN_UP * this.#least;
  }

  get suggestion(): number {
    return (this.rates[this.losses.indexOf(this.#least)] as number) / 10;
  }
}
