/** What an experiment of the literature is: what was reported, how it is repeated, what has to come out. */

/** What one seed gives: numbers by name. */
export type Figures<K extends string = string> = Readonly<Record<K, number>>;

/** One run of an experiment, for one seed. */
export interface Run {
  readonly seed: number;
  /** Whether this is the short form, which takes seconds and only has to show that the system learns. */
  readonly short: boolean;
  /** To be called now and then with the part that is done, 0 to 1, and the loss where there is one. */
  progress(done: number, loss?: number): void;
  /** Hands over a picture, SVG text; the first seed's is kept. */
  picture(name: string, svg: string): void;
}

/** What the seeds' figures come to. */
export interface Verdict {
  readonly pass: boolean;
  /** Why, in a few words: "4 of 5 seeds". */
  readonly reason: string;
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
  /** What has to come out, with the baseline it is compared with. */
  readonly claim: string;
  /** What each figure is and in which unit, in the order in which they are shown. */
  readonly figures: Readonly<Record<K, string>>;
  /** How many seeds, 0 and up, are run (default 5). */
  readonly seeds?: number;
  /** What differs from the paper, or was tried where the claim is not reached. */
  readonly remarks?: string;
  run(run: Run): Figures<NoInfer<K>>;
  /** Whether the claim holds for the figures of all seeds. */
  verdict(all: readonly Figures<NoInfer<K>>[]): Verdict;
  /** Whether the figures of a short run show that the system learns. */
  learns(figures: Figures<NoInfer<K>>): boolean;
}

/** An experiment whose run and verdict have the figures that it names. */
export function experiment<K extends string>(definition: Experiment<K>): Experiment {
  return definition;
}

/** A claim that holds seed by seed, for at least `needed` of them (for all if fewer are run). */
export function inSeeds<K extends string>(needed: number, all: readonly Figures<K>[], holds: (figures: Figures<K>) => boolean): Verdict {
  const count = all.filter(holds).length;
  return { pass: count >= Math.min(needed, all.length), reason: `${count} of ${all.length} seeds` };
}

/** A claim about all seeds together. */
export function together(all: readonly Figures[], pass: boolean): Verdict {
  return { pass, reason: `${all.length} seeds together` };
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
