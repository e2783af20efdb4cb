/** What an experiment of the literature is: what was reported, how it is repeated, what has to come out and how often. */

/** What one seed gives: numbers by name. */
export type Figures<K extends string = string> = Readonly<Record<K, number>>;

/** The first of the seeds that claims are shown on. Settings are tuned on seeds 0 to 9, and on none from here on. */
export const FIRST_COUNTED = 100;

/** One run of an experiment, for one seed. */
export interface Run {
  readonly seed: number;
  /** Whether this is the short form, which takes seconds and only has to show that the system learns. */
  readonly short: boolean;
  /** The learning rate of one of the systems compared: the tuned one, or the one that is tried. */
  rate(system: string): number;
  /** To be called now and then with the part that is done, 0 to 1, and the loss where there is one. */
  progress(done: number, loss?: number): void;
  /** Hands over a picture, SVG text; the first seed's is kept. */
  picture(name: string, svg: string): void;
}

/** What has to hold for a single seed, and in which part of the seeds. */
export interface Claim<K extends string = string> {
  /** What it says, where an experiment makes several claims: "distilled". */
  readonly what?: string;
  /** The least part of the seeds, 0.9 for nine in ten. */
  readonly rate: number;
  holds(figures: Figures<K>): boolean;
}

/**
 * How the learning rates of the systems compared were chosen: each system's is the best of one grid, after the same number of updates, on seeds
 * that are not counted. `npm run reproduce -- NAME --tune` repeats that; what it found is in reproduce/results/tuning.
 */
export interface Tuning<K extends string = string> {
  readonly grid: readonly number[];
  /** Seeds that the grid is tried on (default 0 and 1). */
  readonly seeds?: readonly number[];
  /** Updates of every system. */
  readonly updates: number;
  /** Which figure is the better one. */
  readonly better: "lower" | "higher";
  /** The rate that was taken for each system, by the figure that judges it. */
  readonly rates: Readonly<Partial<Record<K, number>>>;
}

export interface Experiment<K extends string = string> {
  /** In kebab case, the system first: "jordan-serial-order". */
  readonly name: string;
  readonly system: string;
  /** Where the system is written: "src/cells/simple/jordan.ts". */
  readonly file: string;
  /** Authors, year, title. */
  readonly paper: string;
  /** The task, with its sizes, in a sentence or two. */
  readonly task: string;
  /** What the paper reports, with its numbers where it gives any. */
  readonly reported: string;
  /** What has to come out of a seed, with the baseline it is compared with. */
  readonly claim: string;
  /** The same as conditions, each with the part of the seeds it has to hold in. */
  readonly claims: readonly Claim<NoInfer<K>>[];
  /** What each figure is and in which unit, in the order in which they are shown. */
  readonly figures: Readonly<Record<K, string>>;
  /** How many seeds from `FIRST_COUNTED` on are shown (default 10). */
  readonly seeds?: number;
  /** How learning rates were chosen, where systems are compared. */
  readonly tuning?: Tuning<NoInfer<K>>;
  /** What differs from the paper, or was tried where the claim is not reached. */
  readonly remarks?: string;
  run(run: Run): Figures<NoInfer<K>>;
  /** Whether the figures of a short run show that the system learns. */
  learns(figures: Figures<NoInfer<K>>): boolean;
}

/** An experiment whose run and claims have the figures that it names. */
export function experiment<K extends string>(definition: Experiment<K>): Experiment {
  return definition;
}

/** The seeds that an experiment's claim is shown on. */
export function countedSeeds({ seeds = 10 }: Experiment): number[] {
  return Array.from({ length: seeds }, (_, i) => FIRST_COUNTED + i);
}

/** The rate of a system as it was tuned. */
export function tunedRate({ name, tuning }: Experiment, system: string): number {
  const rate = tuning?.rates[system];
  if (rate === undefined) throw new Error(`${name}: no tuned rate for "${system}"`);
  return rate;
}

/** In how many seeds a claim held. */
export interface Outcome {
  readonly what?: string;
  readonly successes: number;
  readonly seeds: number;
  readonly rate: number;
  /** The 95 % interval of the share of seeds that succeed. */
  readonly interval: readonly [low: number, high: number];
}

/** What the seeds' figures come to. */
export interface Verdict {
  /** Whether every claim held in as many seeds as it says. */
  readonly pass: boolean;
  readonly outcomes: readonly Outcome[];
}

export function judge(experiment: Experiment, all: readonly Figures[]): Verdict {
  const outcomes = experiment.claims.map(({ what, rate, holds }): Outcome => {
    const successes = all.filter(holds).length;
    return { ...(what !== undefined && { what }), successes, seeds: all.length, rate, interval: wilson(successes, all.length) };
  });
  return { pass: outcomes.every(({ successes, seeds, rate }) => successes >= needed(rate, seeds)), outcomes };
}

/** How many of `seeds` a rate asks for. */
export function needed(rate: number, seeds: number): number {
  return Math.ceil(rate * seeds - 1e-9);
}

/**
 * The 95 % interval of a share from `successes` in `n`.
 * @see Wilson, "Probable inference, the law of succession, and statistical inference", 1927
 */
export function wilson(successes: number, n: number): [low: number, high: number] {
  const z = 1.959964;
  const p = successes / n;
  const centre = p + (z * z) / (2 * n);
  const half = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  const scale = 1 + (z * z) / n;
  const digits = (share: number) => Math.round(Math.min(1, Math.max(0, share)) * 1e6) / 1e6;
  return [digits((centre - half) / scale), digits((centre + half) / scale)];
}

/** A figure of every seed. */
export function column<K extends string>(all: readonly Figures<K>[], name: K): number[] {
  return all.map((figures) => figures[name]);
}

export function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** How many of the verdicts are good, as a part of all. */
export function share(verdicts: readonly boolean[]): number {
  return verdicts.filter(Boolean).length / verdicts.length;
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
