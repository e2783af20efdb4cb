/**
 * Learning rates over time: a schedule is a function of the step number and the base rate, nothing more,
 * and `Scheduler` writes its value into an optimiser's groups.
 */

import { ArgumentError, FormatError } from "../base/errors.ts";
import { power, requireAtLeast } from "./optimizer.ts";
import { cos } from "./scalar.ts";

/** The learning rate of step t = 0, 1, …, from the rate the optimiser was made with. */
export type Schedule = (step: number, baseLr: number) => number;

/** What has learning rates: every optimiser. */
export interface HasRates {
  readonly groups: readonly { lr: number }[];
}

export interface SchedulerState {
  readonly step: number;
  readonly baseLrs: readonly number[];
}

/**
 * Runs a schedule. The rate of step 0 is set at once; call `step` after each of the optimiser's.
 * @example
 * const scheduler = new Scheduler(optimizer, warmUp(100, cosineAnnealingLR({ tMax: 1000 })));
 * optimizer.step();
 * scheduler.step();
 */
export class Scheduler {
  readonly #optimizer: HasRates;
  readonly #schedule: Schedule;
  #baseLrs: readonly number[];
  #step = 0;

  constructor(optimizer: HasRates, schedule: Schedule) {
    this.#optimizer = optimizer;
    this.#schedule = schedule;
    this.#baseLrs = optimizer.groups.map((group) => group.lr);
    this.#apply();
  }

  /** The first group's rate. */
  get lr(): number {
    return this.#optimizer.groups[0]?.lr ?? Number.NaN;
  }

  /** Goes on to the next step's rate. */
  step(): void {
    this.#step++;
    this.#apply();
  }

  stateDict(): SchedulerState {
    return { step: this.#step, baseLrs: this.#baseLrs };
  }

  loadStateDict(state: SchedulerState): void {
    if (state.baseLrs.length !== this.#baseLrs.length) {
      throw new FormatError(`Scheduler: expected ${this.#baseLrs.length} base rates, got ${state.baseLrs.length}`);
    }
    this.#step = state.step;
    this.#baseLrs = [...state.baseLrs];
    this.#apply();
  }

  #apply(): void {
    this.#optimizer.groups.forEach((group, i) => {
      group.lr = this.#schedule(this.#step, this.#baseLrs[i] as number);
    });
  }
}

/** base·factor before step `totalIters`, base from there on. By default one rate for ever. */
export function constantLR(options: { readonly factor?: number; readonly totalIters?: number } = {}): Schedule {
  const { factor = 1, totalIters = Number.POSITIVE_INFINITY } = options;
  return (t, base) => (t < totalIters ? base * factor : base);
}

/** base·f(t). */
export function lambdaLR(factor: (step: number) => number): Schedule {
  return (t, base) => base * factor(t);
}

/** base·gamma^⌊t/stepSize⌋; gamma 0.1 by default. */
export function stepLR({ stepSize, gamma = 0.1 }: { readonly stepSize: number; readonly gamma?: number }): Schedule {
  requireSteps("stepLR", "stepSize", stepSize);
  return (t, base) => base * power(gamma, Math.floor(t / stepSize));
}

/** base·gamma^(milestones reached); gamma 0.1 by default. A milestone given twice counts twice. */
export function multiStepLR({ milestones, gamma = 0.1 }: { readonly milestones: readonly number[]; readonly gamma?: number }): Schedule {
  return (t, base) => base * power(gamma, milestones.filter((m) => m <= t).length);
}

/** base·gamma^t. */
export function exponentialLR({ gamma }: { readonly gamma: number }): Schedule {
  return (t, base) => base * power(gamma, t);
}

/** From base·startFactor to base·endFactor in totalIters equal steps; by default from a third to the whole in 5. */
export function linearLR(
  options: { readonly startFactor?: number; readonly endFactor?: number; readonly totalIters?: number } = {},
): Schedule {
  const { startFactor = 1 / 3, endFactor = 1, totalIters = 5 } = options;
  requireSteps("linearLR", "totalIters", totalIters);
  return (t, base) => base * (startFactor + (endFactor - startFactor) * (Math.min(t, totalIters) / totalIters));
}

/** From one value (progress 0) to another (progress 1) along half a cosine. */
function anneal(from: number, to: number, progress: number): number {
  return to + ((from - to) * (1 + cos(Math.PI * progress))) / 2;
}

/**
 * etaMin + (base − etaMin)·(1 + cos(π·t/tMax))/2, rising again after tMax; etaMin 0 by default.
 * @see Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017
 */
export function cosineAnnealingLR({ tMax, etaMin = 0 }: { readonly tMax: number; readonly etaMin?: number }): Schedule {
  requireSteps("cosineAnnealingLR", "tMax", tMax);
  return (t, base) => anneal(base, etaMin, t / tMax);
}

/**
 * Cosine annealing that starts again after t0 steps, then after t0·tMult, t0·tMult², …; tMult 1 and etaMin 0 by default.
 * @see Loshchilov, Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017
 */
export function cosineAnnealingWarmRestarts(options: { readonly t0: number; readonly tMult?: number; readonly etaMin?: number }): Schedule {
  const { t0, tMult = 1, etaMin = 0 } = options;
  requireSteps("cosineAnnealingWarmRestarts", "t0", t0);
  requireSteps("cosineAnnealingWarmRestarts", "tMult", tMult);
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
  /** The top, whatever the base rate. */
  readonly maxLr: number;
  readonly totalSteps: number;
  /** Share of the steps in which the rate rises (default 0.3). */
  readonly pctStart?: number;
  /** The first rate is maxLr/divFactor (default 25). */
  readonly divFactor?: number;
  /** The last rate is that divided by finalDivFactor (default 10⁴). */
  readonly finalDivFactor?: number;
  readonly annealStrategy?: "cos" | "linear";
}

/**
 * One rise to maxLr and one fall to almost nothing. The last rate stays after totalSteps.
 * @see Smith, Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2019
 */
export function oneCycleLR(options: OneCycleOptions): Schedule {
  const { maxLr, totalSteps, pctStart = 0.3, divFactor = 25, finalDivFactor = 1e4, annealStrategy = "cos" } = options;
  requireSteps("oneCycleLR", "totalSteps", totalSteps);
  if (!(pctStart >= 0 && pctStart <= 1)) throw new ArgumentError(`oneCycleLR: expected pctStart in [0, 1], got ${pctStart}`);
  const between = annealStrategy === "cos" ? anneal : (from: number, to: number, progress: number) => from + (to - from) * progress;
  const first = maxLr / divFactor;
  const last = first / finalDivFactor;
  const top = pctStart * totalSteps - 1;
  const end = totalSteps - 1;
  return (t) => {
    if (t < top) return between(first, maxLr, t / top);
    return between(maxLr, last, Math.min(1, (t - top) / (end - top)));
  };
}

/** base·(t + 1)/steps in the first steps, then another schedule, whose step 0 is the first one after them. */
export function warmUp(steps: number, next: Schedule = constantLR()): Schedule {
  requireSteps("warmUp", "steps", steps);
  return (t, base) => (t < steps ? (base * (t + 1)) / steps : next(t - steps, base));
}

export interface PlateauOptions {
  /** Whether the metric is to fall ("min", default) or to rise. */
  readonly mode?: "min" | "max";
  /** What the rate is multiplied by (default 0.1). */
  readonly factor?: number;
  /** Steps without improvement that are put up with (default 10). */
  readonly patience?: number;
  /** Improvements smaller than this do not count (default 1e-4). */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value ("rel", default) or a difference. */
  readonly thresholdMode?: "rel" | "abs";
  /** Steps after a reduction in which nothing is counted (default 0). */
  readonly cooldown?: number;
  readonly minLr?: number;
  /** Smaller changes of the rate are not made (default 1e-8). */
  readonly eps?: number;
}

export interface PlateauState {
  readonly best: number;
  readonly badSteps: number;
  readonly coolingSteps: number;
  readonly lrs: readonly number[];
}

/** Lowers the learning rate when a metric has stopped improving. */
export class ReduceLROnPlateau {
  readonly #optimizer: HasRates;
  readonly #options: Required<PlateauOptions>;
  #best: number;
  #badSteps = 0;
  #coolingSteps = 0;

  constructor(optimizer: HasRates, options: PlateauOptions = {}) {
    this.#optimizer = optimizer;
    this.#options = {
      mode: "min",
      factor: 0.1,
      patience: 10,
      threshold: 1e-4,
      thresholdMode: "rel",
      cooldown: 0,
      minLr: 0,
      eps: 1e-8,
      ...options,
    };
    const { factor, patience, cooldown } = this.#options;
    if (!(factor > 0 && factor < 1)) throw new ArgumentError(`ReduceLROnPlateau: expected a factor in (0, 1), got ${factor}`);
    requireAtLeast("ReduceLROnPlateau", "patience", patience, 0);
    requireAtLeast("ReduceLROnPlateau", "cooldown", cooldown, 0);
    this.#best = this.#options.mode === "min" ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  /** @param metric this evaluation's value */
  step(metric: number): void {
    const { patience, cooldown } = this.#options;
    if (this.#improves(metric)) {
      this.#best = metric;
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

  loadStateDict({ best, badSteps, coolingSteps, lrs }: PlateauState): void {
    const { groups } = this.#optimizer;
    if (lrs.length !== groups.length) throw new FormatError(`ReduceLROnPlateau: expected ${groups.length} rates, got ${lrs.length}`);
    this.#best = best;
    this.#badSteps = badSteps;
    this.#coolingSteps = coolingSteps;
    groups.forEach((group, i) => {
      group.lr = lrs[i] as number;
    });
  }

  #improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.#options;
    const best = this.#best;
    const sign = mode === "min" ? -1 : 1;
    // A share of an infinite best (there is none yet) would not be a number.
    const share = Number.isFinite(best) ? threshold * best : 0;
    const bar = best + sign * (thresholdMode === "rel" ? share : threshold);
    return sign * metric > sign * bar;
  }

  #reduce(): void {
    const { factor, minLr, eps } = this.#options;
    for (const group of this.#optimizer.groups) {
      const lower = Math.max(group.lr * factor, minLr);
      if (group.lr - lower > eps) group.lr = lower;
    }
  }
}

function requireSteps(op: string, name: string, value: number): void {
  if (!(Number.isInteger(value) && value >= 1)) throw new ArgumentError(`${op}: expected a whole ${name} of at least 1, got ${value}`);
}
