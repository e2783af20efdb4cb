/**
 * Learning rates over time. A schedule is just a function of the step number and the base rate,
 * and `Scheduler` writes its value into an optimiser's groups.
 */

import {
  checkFunction,
  checkList,
  checkNumber,
  checkOneOf,
  checkSizes,
  checkWhole,
  isRecord,
  optionsOf,
  withDefaults,
} from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { cos } from "../numerics/scalar.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { metricOf } from "./metric.ts";
import { power } from "./optimizer.ts";

/** The learning rate of step t = 0, 1, …, from the optimiser's original rate. */
export type Schedule = (step: number, baseLr: number) => number;

/** Anything with learning rates, such as every optimiser. */
export interface HasRates {
  readonly groups: readonly { lr: number }[];
}

/** Data for a schedule's rates. */
export interface RatesState {
  readonly baseLrs: readonly number[];
  /** The factor by which others have changed each group's rate (default 1). */
  readonly factors?: readonly number[] | undefined;
}

export interface SchedulerState extends RatesState {
  readonly step: number;
}

/**
 * The rates of an optimiser's groups under a schedule. Changes that others make to a rate persist: the factor
 * applies to all later rates.
 */
export class Rates {
  readonly #optimizer: HasRates;
  readonly #schedule: Schedule;
  #baseLrs: readonly number[];
  #factors: readonly number[];
  /** The rates as last written or found. */
  #written: readonly number[];

  constructor(optimizer: HasRates, schedule: Schedule) {
    checkList("Rates", "the optimizer's groups", (optimizer as { groups?: unknown } | undefined | null)?.groups);
    checkFunction("Rates", "a schedule", schedule);
    this.#optimizer = optimizer;
    this.#schedule = schedule;
    this.#baseLrs = this.#written = this.#present;
    this.#factors = this.#baseLrs.map(() => 1);
  }

  /** Sets every group's rate for a step. @throws ArgumentError if the schedule's value is no rate; leaves everything unchanged */
  set(step: number): void {
    const factors = this.#presentFactors();
    const written = this.#baseLrs.map((base, i) => rateOf(this.#schedule, step, base) * (factors[i] as number));
    this.#factors = factors;
    this.#write(written);
  }

  /** Remembers the rates; returns a function that restores them. */
  hold(): () => void {
    const [factors, written, present] = [this.#factors, this.#written, this.#present];
    return () => {
      this.#write(present);
      this.#factors = factors;
      this.#written = written;
    };
  }

  state(): CheckedRates {
    return { baseLrs: this.#baseLrs, factors: this.#presentFactors() };
  }

  /** Takes over a state, for groups with their present rates. */
  load({ baseLrs, factors }: CheckedRates): void {
    this.#baseLrs = baseLrs;
    this.#factors = factors;
    this.#written = this.#present;
  }

  get #present(): readonly number[] {
    return this.#optimizer.groups.map((group) => group.lr);
  }

  /** The factors, including changes to the rates since they were written. */
  #presentFactors(): readonly number[] {
    const present = this.#present;
    return this.#factors.map((factor, i) => {
      const [now, before] = [present[i] as number, this.#written[i] as number];
      // A rate of 0 has no factor to another rate.
      return now === before || before === 0 ? factor : factor * (now / before);
    });
  }

  #write(rates: readonly number[]): void {
    this.#written = rates;
    this.#optimizer.groups.forEach((group, i) => {
      group.lr = rates[i] as number;
    });
  }
}

/**
 * Runs a schedule. It sets the rate of step 0 at once; call `step` after each step of the optimiser.
 *
 * Changes that others make to a rate persist: a factor applied by `ReduceLROnPlateau`, or by you, multiplies
 * all later rates, so a warm-up and a plateau work together.
 * @throws ArgumentError if a schedule's value is no rate (negative, infinite, NaN); changes no group
 * @example
 * const scheduler = new Scheduler(optimizer, warmUp(100, cosineAnnealingLR({ tMax: 1000 })));
 * optimizer.step();
 * scheduler.step();
 */
export class Scheduler {
  readonly #optimizer: HasRates;
  readonly #rates: Rates;
  #step = 0;

  constructor(optimizer: HasRates, schedule: Schedule) {
    this.#optimizer = optimizer;
    this.#rates = new Rates(optimizer, schedule);
    this.#rates.set(0);
  }

  /** The first group's rate. */
  get lr(): number {
    return this.#optimizer.groups[0]?.lr ?? Number.NaN;
  }

  /** Sets the next step's rate. */
  step(): void {
    this.#rates.set(this.#step + 1);
    this.#step++;
  }

  stateDict(): SchedulerState {
    return { step: this.#step, ...this.#rates.state() };
  }

  /** @throws FormatError for a state of other groups, or an invalid one; leaves everything unchanged */
  loadStateDict(state: SchedulerState): void {
    const rates = readRates("Scheduler", state, this.#optimizer.groups.length);
    const { step } = state;
    if (!isCount(step)) throw new FormatError(`Scheduler: expected step to be a whole number of at least 0, got ${quote(step)}`);
    const [before, putBack] = [this.#rates.state(), this.#rates.hold()];
    try {
      this.#rates.load(rates);
      this.#rates.set(step);
    } catch (error) {
      this.#rates.load(before);
      putBack();
      throw error;
    }
    this.#step = step;
  }
}

/** Checks that a schedule's value is a rate. @throws ArgumentError */
function rateOf(schedule: Schedule, step: number, base: number): number {
  const rate = schedule(step, base);
  checkNumber("schedule", `the rate of step ${step}`, rate, { least: 0 });
  return rate;
}

/** Base rates and factors read from a state. */
export interface CheckedRates {
  readonly baseLrs: readonly number[];
  readonly factors: readonly number[];
}

/** Reads the base rates and factors of a number of groups. @throws FormatError for anything else */
export function readRates(op: string, state: unknown, groups: number): CheckedRates {
  const { baseLrs, factors = new Array<number>(groups).fill(1) } = isRecord(state) ? state : {};
  return { baseLrs: readNumbers(op, "base rates", baseLrs, groups), factors: readNumbers(op, "factors", factors, groups) };
}

/** A copy of a list of finite numbers of at least 0, one per group. @throws FormatError */
function readNumbers(op: string, what: string, value: unknown, groups: number): readonly number[] {
  if (!Array.isArray(value) || value.length !== groups) {
    throw new FormatError(`${op}: expected ${groups} ${what}, got ${Array.isArray(value) ? value.length : quote(value)}`);
  }
  if (!value.every((x) => Number.isFinite(x) && x >= 0))
    throw new FormatError(`${op}: expected ${what} of at least 0, got ${quote(value)}`);
  return [...value];
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** base·factor before step `totalIters`, then base. By default a constant rate. */
export function constantLR(options: { readonly factor?: number; readonly totalIters?: number } = {}): Schedule {
  const { factor = 1, totalIters = Number.POSITIVE_INFINITY } = optionsOf("constantLR", options, ["factor", "totalIters"]);
  checkNumber("constantLR", "factor", factor, { least: 0 });
  if (totalIters !== Number.POSITIVE_INFINITY) checkWhole("constantLR", "totalIters", totalIters);
  return (t, base) => (t < totalIters ? base * factor : base);
}

/** base·f(t). */
export function lambdaLR(factor: (step: number) => number): Schedule {
  checkFunction("lambdaLR", "factor", factor);
  return (t, base) => base * factor(t);
}

/** base·gamma^⌊t/stepSize⌋; gamma 0.1 by default. */
export function stepLR(options: { readonly stepSize: number; readonly gamma?: number }): Schedule {
  const { stepSize, gamma = 0.1 } = optionsOf("stepLR", options, ["stepSize", "gamma"]);
  checkWhole("stepLR", "stepSize", stepSize, { least: 1 });
  checkNumber("stepLR", "gamma", gamma, { least: 0 });
  return (t, base) => base * power(gamma, Math.floor(t / stepSize));
}

/** base·gamma^(milestones reached); gamma 0.1 by default. A repeated milestone counts twice. */
export function multiStepLR(options: { readonly milestones: readonly number[]; readonly gamma?: number }): Schedule {
  const { milestones, gamma = 0.1 } = optionsOf("multiStepLR", options, ["milestones", "gamma"]);
  checkList("multiStepLR", "milestones", milestones);
  const steps = [...milestones];
  for (const [i, m] of steps.entries()) checkWhole("multiStepLR", `milestones[${i}]`, m);
  checkNumber("multiStepLR", "gamma", gamma, { least: 0 });
  return (t, base) => base * power(gamma, steps.filter((m) => m <= t).length);
}

/** base·gamma^t. */
export function exponentialLR(options: { readonly gamma: number }): Schedule {
  const { gamma } = optionsOf("exponentialLR", options, ["gamma"]);
  checkNumber("exponentialLR", "gamma", gamma, { least: 0 });
  return (t, base) => base * power(gamma, t);
}

/** From base·startFactor to base·endFactor in totalIters equal steps; by default from a third to the full rate in 5. */
export function linearLR(
  options: { readonly startFactor?: number; readonly endFactor?: number; readonly totalIters?: number } = {},
): Schedule {
  const { startFactor = 1 / 3, endFactor = 1, totalIters = 5 } = optionsOf("linearLR", options, ["startFactor", "endFactor", "totalIters"]);
  checkWhole("linearLR", "totalIters", totalIters, { least: 1 });
  checkNumber("linearLR", "startFactor", startFactor, { least: 0 });
  checkNumber("linearLR", "endFactor", endFactor, { least: 0 });
  return (t, base) => base * (startFactor + (endFactor - startFactor) * (Math.min(t, totalIters) / totalIters));
}

/** From one value (progress 0) to another (progress 1) along half a cosine. */
function anneal(from: number, to: number, progress: number): number {
  return to + ((from - to) * (1 + cos(Math.PI * progress))) / 2;
}

/**
 * etaMin + (base − etaMin)·(1 + cos(π·t/tMax))/2, which rises again after tMax; etaMin 0 by default.
 * @see Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017
 */
export function cosineAnnealingLR(options: { readonly tMax: number; readonly etaMin?: number }): Schedule {
  const { tMax, etaMin = 0 } = optionsOf("cosineAnnealingLR", options, ["tMax", "etaMin"]);
  checkWhole("cosineAnnealingLR", "tMax", tMax, { least: 1 });
  checkNumber("cosineAnnealingLR", "etaMin", etaMin, { least: 0 });
  return (t, base) => anneal(base, etaMin, t / tMax);
}

/**
 * Cosine annealing that restarts after t0 steps, then after t0·tMult, t0·tMult², …; tMult 1 and etaMin 0 by default.
 * @see Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017
 */
export function cosineAnnealingWarmRestarts(options: { readonly t0: number; readonly tMult?: number; readonly etaMin?: number }): Schedule {
  const { t0, tMult = 1, etaMin = 0 } = optionsOf("cosineAnnealingWarmRestarts", options, ["t0", "tMult", "etaMin"]);
  checkSizes("cosineAnnealingWarmRestarts", { t0, tMult });
  checkNumber("cosineAnnealingWarmRestarts", "etaMin", etaMin, { least: 0 });
  return (t, base) => {
    let length = t0;
    let since = tMult === 1 ? t % t0 : t;
    while (since >= length) {
      since -= length;
      length *= tMult;
    }
    return anneal(base, etaMin, since / length);
  };
}

export interface OneCycleOptions {
  /** The highest rate; the base rate is ignored. */
  readonly maxLr: number;
  readonly totalSteps: number;
  /** Share of the steps during which the rate rises (default 0.3). */
  readonly pctStart?: number;
  /** The first rate is maxLr/divFactor (default 25). */
  readonly divFactor?: number;
  /** The last rate is that divided by finalDivFactor (default 10⁴). */
  readonly finalDivFactor?: number;
  readonly annealStrategy?: "cos" | "linear";
}

/**
 * Rises once to maxLr, which it reaches at step pctStart·totalSteps − 1, then falls to almost nothing. After totalSteps the last rate stays,
 * where PyTorch throws.
 * @see Smith, Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2019
 */
export function oneCycleLR(options: OneCycleOptions): Schedule {
  const {
    maxLr,
    totalSteps,
    pctStart = 0.3,
    divFactor = 25,
    finalDivFactor = 1e4,
    annealStrategy = "cos",
  } = optionsOf("oneCycleLR", options, ["maxLr", "totalSteps", "pctStart", "divFactor", "finalDivFactor", "annealStrategy"]);
  checkWhole("oneCycleLR", "totalSteps", totalSteps, { least: 1 });
  checkNumber("oneCycleLR", "maxLr", maxLr, { least: 0 });
  checkNumber("oneCycleLR", "pctStart", pctStart, { least: 0, most: 1 });
  checkNumber("oneCycleLR", "divFactor", divFactor, { above: 0 });
  checkNumber("oneCycleLR", "finalDivFactor", finalDivFactor, { above: 0 });
  checkOneOf("oneCycleLR", "annealStrategy", annealStrategy, ["cos", "linear"]);
  const between = annealStrategy === "cos" ? anneal : (from: number, to: number, progress: number) => from + (to - from) * progress;
  const first = maxLr / divFactor;
  const last = first / finalDivFactor;
  const top = pctStart * totalSteps - 1;
  const end = totalSteps - 1;
  return (t) => {
    const now = Math.min(t, end);
    if (now < top) return between(first, maxLr, now / top);
    return now <= top ? maxLr : between(maxLr, last, (now - top) / (end - top));
  };
}

/**
 * base·(t + 1)/steps in the first steps, then another schedule, which starts at its step 0.
 * @example const schedule = warmUp(100, cosineAnnealingLR({ tMax: 1000 }));
 */
export function warmUp(steps: number, next: Schedule = constantLR()): Schedule {
  checkWhole("warmUp", "steps", steps, { least: 1 });
  checkFunction("warmUp", "the next schedule", next);
  return (t, base) => (t < steps ? (base * (t + 1)) / steps : next(t - steps, base));
}

export interface PlateauOptions {
  /** Whether the metric should fall ("min", default) or rise ("max"). */
  readonly mode?: "min" | "max";
  /** Factor of a reduction (default 0.1). */
  readonly factor?: number;
  /** Number of steps without improvement to tolerate (default 10). */
  readonly patience?: number;
  /** Smallest improvement that counts (default 1e-4). */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value ("rel", default) or a difference. */
  readonly thresholdMode?: "rel" | "abs";
  /** Steps after a reduction that are not counted (default 0). */
  readonly cooldown?: number;
  readonly minLr?: number;
  /** Smallest change of the rate; smaller ones are skipped (default 1e-8). */
  readonly eps?: number;
}

export interface PlateauState {
  /** The best metric so far; null before the first. */
  readonly best: number | null;
  readonly badSteps: number;
  readonly coolingSteps: number;
  readonly lrs: readonly number[];
}

const PLATEAU: Required<PlateauOptions> = {
  mode: "min",
  factor: 0.1,
  patience: 10,
  threshold: 1e-4,
  thresholdMode: "rel",
  cooldown: 0,
  minLr: 0,
  eps: 1e-8,
};

/**
 * Lowers the learning rate when a metric has stopped improving. A metric that is not finite is never an improvement.
 *
 *     min: metric < best − bar,  max: metric > best + bar,  bar = threshold·|best| (rel) or threshold (abs)
 *
 * Deviates: PyTorch's relative bar is threshold·best, so for a negative best even some worse metrics count as improvements.
 * @example
 * const plateau = new ReduceLROnPlateau(optimizer, { patience: 3 });
 * plateau.step(validationLoss); // after each evaluation
 */
export class ReduceLROnPlateau {
  readonly #optimizer: HasRates;
  readonly #options: Required<PlateauOptions>;
  #best: number | null = null;
  #badSteps = 0;
  #coolingSteps = 0;

  constructor(optimizer: HasRates, options: PlateauOptions = {}) {
    checkList("ReduceLROnPlateau", "the optimizer's groups", (optimizer as { groups?: unknown } | undefined | null)?.groups);
    this.#optimizer = optimizer;
    this.#options = withDefaults(
      PLATEAU,
      optionsOf("ReduceLROnPlateau", options, ["mode", "factor", "patience", "threshold", "thresholdMode", "cooldown", "minLr", "eps"]),
    );
    const { mode, factor, patience, threshold, thresholdMode, cooldown, minLr, eps } = this.#options;
    const op = "ReduceLROnPlateau";
    checkOneOf(op, "mode", mode, ["min", "max"]);
    checkOneOf(op, "thresholdMode", thresholdMode, ["rel", "abs"]);
    checkNumber(op, "factor", factor, { above: 0, below: 1 });
    for (const [name, value] of Object.entries({ threshold, minLr, eps })) checkNumber(op, name, value, { least: 0 });
    for (const [name, value] of Object.entries({ patience, cooldown })) checkWhole(op, name, value);
  }

  /**
   * @param metric this evaluation's value, a number or a tensor of one element
   * @throws ArgumentError for anything but a number; NaN is allowed
   */
  step(metric: number | Tensor): void {
    const value = metricOf("ReduceLROnPlateau", metric);
    const { patience, cooldown } = this.#options;
    if (this.#improves(value)) {
      this.#best = value;
      this.#badSteps = 0;
    } else {
      this.#badSteps++;
    }
    if (this.#coolingSteps > 0) {
      this.#coolingSteps--;
      this.#badSteps = 0;
    }
    if (this.#badSteps > patience) {
      this.#reduce();
      this.#coolingSteps = cooldown;
      this.#badSteps = 0;
    }
  }

  stateDict(): PlateauState {
    const lrs = this.#optimizer.groups.map((group) => group.lr);
    return { best: this.#best, badSteps: this.#badSteps, coolingSteps: this.#coolingSteps, lrs };
  }

  /** @throws FormatError for a state of other groups, or an invalid one; leaves everything unchanged */
  loadStateDict(state: PlateauState): void {
    const { groups } = this.#optimizer;
    const { best, badSteps, coolingSteps, lrs } = (isRecord(state) ? state : {}) as Partial<PlateauState>;
    const rates = readNumbers("ReduceLROnPlateau", "rates", lrs, groups.length);
    if (best !== null && !Number.isFinite(best)) {
      throw new FormatError(`ReduceLROnPlateau: expected best to be a finite number or null, got ${quote(best)}`);
    }
    if (!isCount(badSteps) || !isCount(coolingSteps)) {
      throw new FormatError(
        `ReduceLROnPlateau: expected whole badSteps and coolingSteps, got ${quote(badSteps)} and ${quote(coolingSteps)}`,
      );
    }
    this.#best = best as number | null;
    this.#badSteps = badSteps;
    this.#coolingSteps = coolingSteps;
    groups.forEach((group, i) => {
      group.lr = rates[i] as number;
    });
  }

  #improves(metric: number): boolean {
    if (!Number.isFinite(metric)) return false;
    if (this.#best === null) return true;
    const { mode, threshold, thresholdMode } = this.#options;
    const bar = thresholdMode === "rel" ? threshold * Math.abs(this.#best) : threshold;
    return mode === "min" ? metric < this.#best - bar : metric > this.#best + bar;
  }

  #reduce(): void {
    const { factor, minLr, eps } = this.#options;
    for (const group of this.#optimizer.groups) {
      const lower = Math.max(group.lr * factor, minLr);
      if (group.lr - lower > eps) group.lr = lower;
    }
  }
}
