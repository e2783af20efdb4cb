/** Intervals for metrics of small test parts. */

import { checkFunction, checkNumber, checkOptions, checkSizes, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";

export interface BootstrapOptions {
  /** How many times cases are drawn (default 1000). */
  readonly resamples?: number;
  /** How often the interval should hold the value, between 0 and 1 (default 0.95). */
  readonly level?: number;
  /** Draws the cases (default the default generator). */
  readonly generator?: Generator;
}

/**
 * Where a metric would lie on other test parts of the same size: `cases` of the test part's cases are drawn with replacement, again and again,
 * and the interval holds the middle `level` of the results (the percentile method).
 *
 * A case is what was drawn independently: a whole sequence, a speaker or a patient, not a step.
 * @param cases number of cases in the test part
 * @param metric the metric over the cases with these indices, some of them several times
 * @returns both ends, quantiles between neighbours interpolated linearly
 * @throws ArgumentError for a metric that is NaN
 * @see Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7, 1979; Efron and Tibshirani, "An introduction to the
 *   bootstrap", 1993, chapter 13
 * @example
 * const [low, high] = bootstrapInterval(guesses.length, (cases) => accuracy(cases.map((i) => guesses[i]), cases.map((i) => truth[i])));
 */
export function bootstrapInterval(
  cases: number,
  metric: (cases: number[]) => number,
  options: BootstrapOptions = {},
): readonly [low: number, high: number] {
  const op = "bootstrapInterval";
  checkOptions(op, options, ["resamples", "level", "generator"]);
  const { resamples = 1000, level = 0.95, generator = defaultGenerator() } = options;
  checkSizes(op, { cases });
  checkFunction(op, "metric", metric);
  checkWhole(op, "resamples", resamples, { least: 1 });
  checkNumber(op, "level", level, { above: 0, below: 1 });
  checkGenerator(op, generator);
  const values = Float64Array.from({ length: resamples }, () => {
    const value = metric(scope(() => Array.from(generator.integers([cases], 0, cases).data())));
    if (typeof value === "number" && !Number.isNaN(value)) return value;
    throw new ArgumentError(`${op}: expected a metric that is a number, got ${value}`);
  }).sort();
  return [quantile(values, (1 - level) / 2), quantile(values, (1 + level) / 2)];
}

/** Between the two nearest of sorted values, as NumPy's default. */
function quantile(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const low = sorted[below] as number;
  const high = sorted[Math.min(below + 1, sorted.length - 1)] as number;
  return at === below ? low : low + (at - below) * (high - low);
}
