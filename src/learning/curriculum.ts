/** Curricula: examples get harder as learning proceeds. */

import { checkNumber, checkOneOf, checkWhole, isRecord, optionsOf } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";

/** How to choose the difficulty of an example from the present level. */
export type CurriculumStrategy = "baseline" | "naive" | "mixed" | "combined";

export interface CurriculumOptions {
  /** Difficulty of the easiest and of the hardest examples, as whole numbers: lengths, depths of nesting. */
  readonly least?: number;
  readonly most: number;
  /** Default "combined". */
  readonly strategy?: CurriculumStrategy;
  /** How much harder the next level is; default 1. */
  readonly step?: number;
  /** The next level begins when the mean of the last `window` metrics passes this value. */
  readonly threshold: number;
  /** Whether metrics must rise above the threshold (accuracy, default) or fall below it (loss). */
  readonly better?: "higher" | "lower";
  /** Number of recent metrics that count, all from the present level; default 10. */
  readonly window?: number;
  /** Source of random draws; default: the default generator. */
  readonly generator?: Generator;
}

/** The state of a curriculum. */
export interface CurriculumState {
  readonly level: number;
  readonly recent: readonly number[];
}

/**
 * Chooses the difficulty of the next example, and moves on when a level is learned. At level l,
 *
 *   baseline: most      naive: l      mixed: uniform from 1 … most      combined: naive or mixed, by a coin each time
 *
 * Naive curricula can be worse than none: units settle on short examples and must be freed again. The combined one keeps hard examples
 * in sight from the start.
 * @throws ArgumentError for levels that are not whole numbers, or out of order
 * @see Bengio, Louradour, Collobert and Weston, "Curriculum learning", 2009; strategies: Zaremba and Sutskever, "Learning to execute", 2014,
 * section 4
 * Deviates: the papers' levels are (length, nesting), with their own schedules; here a level is one number, and a metric advances it.
 * @example
 * const lessons = new Curriculum({ least: 2, most: 20, threshold: 0.9, generator });
 * const loss = lossOf(examples(lessons.draw()));
 * lessons.report(accuracy);
 */
export class Curriculum {
  readonly least: number;
  readonly most: number;
  readonly strategy: CurriculumStrategy;
  readonly #step: number;
  readonly #threshold: number;
  readonly #better: "higher" | "lower";
  readonly #window: number;
  readonly #generator: Generator;
  #level: number;
  #recent: number[] = [];

  constructor(options: CurriculumOptions) {
    const {
      least = 1,
      most,
      strategy = "combined",
      step = 1,
      threshold,
      better = "higher",
      window = 10,
    } = optionsOf("Curriculum", options, ["least", "most", "strategy", "step", "threshold", "better", "window", "generator"]);
    checkWhole("Curriculum", "least", least);
    checkWhole("Curriculum", "most", most, { least });
    checkWhole("Curriculum", "step", step, { least: 1 });
    checkWhole("Curriculum", "window", window, { least: 1 });
    checkNumber("Curriculum", "threshold", threshold);
    checkOneOf("Curriculum", "strategy", strategy, ["baseline", "naive", "mixed", "combined"]);
    checkGenerator("Curriculum", options.generator);
    checkOneOf("Curriculum", "better", better, ["higher", "lower"]);
    this.least = least;
    this.most = most;
    this.strategy = strategy;
    this.#step = step;
    this.#threshold = threshold;
    this.#better = better;
    this.#window = window;
    this.#generator = options.generator ?? defaultGenerator();
    this.#level = strategy === "baseline" ? most : least;
  }

  /** The present difficulty of "naive" examples. */
  get level(): number {
    return this.#level;
  }

  /** Whether the last level has been reached. */
  get finished(): boolean {
    return this.#level === this.most;
  }

  /** The difficulty of the next example. */
  draw(): number {
    if (this.strategy === "baseline" || this.strategy === "naive") return this.#level;
    if (this.strategy === "combined" && this.#among(0, 1) === 0) return this.#level;
    return this.#among(this.least, this.most);
  }

  /** Reports the result of an example at the present level. Returns true if the next level begins. @throws ArgumentError for NaN; leaves everything unchanged */
  report(metric: number): boolean {
    checkNumber("report", "metric", metric);
    this.#recent = [...this.#recent, metric].slice(-this.#window);
    const mean = this.#recent.reduce((a, b) => a + b, 0) / this.#recent.length;
    const learned = this.#better === "higher" ? mean > this.#threshold : mean < this.#threshold;
    if (this.finished || !learned || this.#recent.length < this.#window) return false;
    this.#level = Math.min(this.most, this.#level + this.#step);
    this.#recent = [];
    return true;
  }

  /** The state as plain data, without that of the generator. */
  get state(): CurriculumState {
    return { level: this.#level, recent: [...this.#recent] };
  }

  /** Continues from a saved state. @throws FormatError for a state that this curriculum cannot have been in; leaves everything unchanged */
  set state(state: CurriculumState) {
    if (!isRecord(state)) throw new FormatError(`Curriculum: expected a state with level and recent, got ${quote(state)}`);
    const { level, recent } = state;
    const fits = Number.isInteger(level) && level >= this.least && level <= this.most;
    const known = Array.isArray(recent) && recent.length <= this.#window && recent.every(Number.isFinite);
    if (!fits || !known)
      throw new FormatError(
        `Curriculum: expected a level in [${this.least}, ${this.most}] and its last metrics, got level ${quote(level)}`,
      );
    this.#level = level;
    this.#recent = [...recent];
  }

  #among(least: number, most: number): number {
    return this.#generator.integers([1], least, most + 1).item();
  }
}
