/** The schedules of scheduled sampling: how often training uses the teacher's input as it proceeds. */

import { checkNumber, optionsOf } from "../base/checks.ts";
import { exp, log } from "../numerics/scalar.ts";

/** ε, the probability of the teacher's input, at update i = 0, 1, … */
export type TruthSchedule = (update: number) => number;

export interface LinearDecayOptions {
  /** k: ε at update 0; default 1. */
  readonly start?: number;
  /** c: the decrease per update. */
  readonly slope: number;
  /** ε_min; default 0. */
  readonly least?: number;
}

/**
 * ε_i = max(ε_min, k − c·i).
 * @throws ArgumentError for a start or a least value outside [0, 1], or a slope below 0
 * @see Bengio, Vinyals, Jaitly and Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", 2015, section 2.4
 * @example linearDecay({ slope: 1e-3, least: 0.25 })(500) // 0.5
 */
export function linearDecay(options: LinearDecayOptions): TruthSchedule {
  const { start = 1, slope, least = 0 } = optionsOf("linearDecay", options, ["start", "slope", "least"]);
  checkNumber("linearDecay", "start", start, { least: 0, most: 1 });
  checkNumber("linearDecay", "slope", slope, { least: 0 });
  checkNumber("linearDecay", "least", least, { least: 0, most: 1 });
  return (i) => Math.max(least, start - slope * updateOf("linearDecay", i));
}

/**
 * ε_i = kⁱ for k < 1.
 * @throws ArgumentError for k outside (0, 1)
 * @see Bengio et al. 2015, section 2.4
 * @example exponentialDecay(0.999)(0) // 1
 */
export function exponentialDecay(k: number): TruthSchedule {
  checkNumber("exponentialDecay", "k", k, { above: 0, below: 1 });
  return (i) => exp(updateOf("exponentialDecay", i) * log(k));
}

/**
 * ε_i = k / (k + e^(i/k)) for k ≥ 1: near 1 for a while, 1/2 at i = k·ln k, then near 0.
 * @throws ArgumentError for k below 1
 * @see Bengio et al. 2015, section 2.4
 * @example inverseSigmoidDecay(300)(0) // 300/301
 */
export function inverseSigmoidDecay(k: number): TruthSchedule {
  checkNumber("inverseSigmoidDecay", "k", k, { least: 1 });
  return (i) => k / (k + exp(updateOf("inverseSigmoidDecay", i) / k));
}

function updateOf(op: string, i: number): number {
  checkNumber(op, "update", i, { least: 0 });
  return i;
}
