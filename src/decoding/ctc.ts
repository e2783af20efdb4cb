/** Decodes the output of networks trained by connectionist temporal classification: best path, beam search, alignment. */

import { checkFunction, checkNumber, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkedLabels, checkLogProbs, lengthsOf } from "../nn/ctc-loss.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { logAdd } from "./log-add.ts";

export interface CtcDecodingOptions {
  /** Class that means "no label here"; default 0. */
  readonly blank?: number;
  /** Steps of each sequence, at most T; default T. */
  readonly lengths?: Tensor | ArrayLike<number>;
}

/** One label of a path, and its steps: from `start` up to, but not including, `end`. */
export interface CtcSpan {
  readonly label: number;
  readonly start: number;
  readonly end: number;
}

/** A path (one class per step) and the labels read from it. */
export interface CtcPath {
  readonly labels: readonly number[];
  /** The class at each step, including blanks. */
  readonly path: readonly number[];
  /** The steps of each label. */
  readonly spans: readonly CtcSpan[];
  /** Log-probability of the path: Σ_t log p_t(π_t). */
  readonly logProbability: number;
}

/** A labelling, summed over all its paths. */
export interface CtcHypothesis {
  readonly labels: readonly number[];
  /** log Σ of the probabilities of its paths that the beam kept; −`ctcLoss` if it kept all. */
  readonly logProbability: number;
  /** The value by which it is ranked: logProbability + languageWeight·Σ log p(label | labels before) + insertionBonus·(number of labels). */
  readonly score: number;
}

/** log p(label | labels before it); −∞ for an impossible label. */
export type LabelModel = (before: readonly number[], label: number) => number;

export interface CtcBeamOptions extends CtcDecodingOptions {
  /** Number of labellings to keep after each step. */
  readonly width: number;
  /** Most hypotheses to return for each sequence; default 1. */
  readonly best?: number;
  /** A language model. It is called once for each labelling and following label, however many steps the label may follow at. */
  readonly languageModel?: LabelModel;
  /** α, the factor of the language model's log-probabilities; default 1. */
  readonly languageWeight?: number;
  /** β, added for each label; default 0. */
  readonly insertionBonus?: number;
}

/** Rows [C] of one sequence, step by step. */
type Steps = readonly ArrayLike<number>[];

/** Rounding may lift logSoftmax above 0, but less than this; larger values must be logits. */
const MOST = 1e-3;

/** The rows of each sequence up to its end. @throws ArgumentError for NaN and for values that are no log-probabilities */
function stepsOf(op: string, logProbs: Tensor, lengths: ArrayLike<number>): Steps[] {
  const [, N, C] = logProbs.shape as [number, number, number];
  const values = logProbs.data();
  return Array.from(lengths, (length, n) =>
    Array.from({ length }, (_, t) => {
      const start = (t * N + n) * C;
      const row = values.subarray(start, start + C);
      const wrong = row.findIndex((p: number) => !(p <= MOST));
      if (wrong < 0) return row;
      throw new ArgumentError(
        `${op}: expected log-probabilities, at most 0, as logSoftmax gives them, got ${row[wrong]} for class ${wrong} at step ${t} of sequence ${n}`,
      );
    }),
  );
}

function sequences(op: string, logProbs: Tensor, { blank = 0, lengths }: CtcDecodingOptions): Steps[] {
  checkLogProbs(op, logProbs, blank);
  const [T, N] = logProbs.shape as [number, number, number];
  return stepsOf(op, logProbs, lengths === undefined ? new Int32Array(N).fill(T) : lengthsOf(op, "lengths", lengths, N, T));
}

/** Reads a path: repetitions give one label, blanks give none. */
function read(path: readonly number[], blank: number): CtcSpan[] {
  const spans: { label: number; start: number; end: number }[] = [];
  path.forEach((label, t) => {
    if (label === blank) return;
    const last = spans.at(-1);
    if (last !== undefined && last.label === label && last.end === t) last.end++;
    else spans.push({ label, start: t, end: t + 1 });
  });
  return spans;
}

function pathOf(path: readonly number[], rows: Steps, blank: number): CtcPath {
  const spans = read(path, blank);
  const logProbability = path.reduce((total, c, t) => total + ((rows[t] as ArrayLike<number>)[c] as number), 0);
  return { labels: spans.map(({ label }) => label), path, spans, logProbability };
}

function indexOfGreatest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/**
 * The best path of each sequence: the likeliest class at each step, without repetitions and then without blanks. Among equals, the first class.
 * It need not belong to the likeliest labelling, which has many paths: `ctcBeamSearch` adds them up.
 * @param logProbs log-probabilities [T,N,C], usually `logSoftmax` of logits
 * @throws ArgumentError for NaN, for logits, for lengths out of range
 * @see Graves, Fernández, Gomez and Schmidhuber, "Connectionist temporal classification: labelling unsegmented sequence data with
 * recurrent neural networks", 2006, section 3.2 (best path decoding)
 * @example const [{ labels, spans }] = ctcGreedy(logSoftmax(logits, -1), { lengths: [50] });
 */
export function ctcGreedy(logProbs: Tensor, options: CtcDecodingOptions = {}): CtcPath[] {
  const { blank = 0 } = optionsOf("ctcGreedy", options, ["blank", "lengths"]);
  return sequences("ctcGreedy", logProbs, options).map((rows) => pathOf(rows.map(indexOfGreatest), rows, blank));
}

/** A labelling as a node in the tree of all labellings. It keeps its data even while it is outside the beam. */
class Prefix {
  readonly parent: Prefix | null;
  readonly label: number;
  /** α·log p_LM + β·length. */
  readonly bonus: number;
  readonly #longer = new Map<number, Prefix>();
  /** Log-probabilities of the paths so far that end in a blank, and of those that end in the last label. */
  blank = Number.NEGATIVE_INFINITY;
  spoken = Number.NEGATIVE_INFINITY;
  /** Log-probability of both together. */
  total = Number.NEGATIVE_INFINITY;
  /** The same after the current step. */
  nextBlank = Number.NEGATIVE_INFINITY;
  nextSpoken = Number.NEGATIVE_INFINITY;

  constructor(parent: Prefix | null, label: number, bonus: number) {
    this.parent = parent;
    this.label = label;
    this.bonus = bonus;
  }

  get score(): number {
    return this.total + this.bonus;
  }

  get labels(): number[] {
    const labels: number[] = [];
    for (let p: Prefix = this; p.parent !== null; p = p.parent) labels.push(p.label);
    return labels.reverse();
  }

  /** The labelling with one more label. */
  longer(label: number, gain: (before: readonly number[], label: number) => number): Prefix {
    const known = this.#longer.get(label);
    if (known !== undefined) return known;
    const made = new Prefix(this, label, this.bonus + gain(this.labels, label));
    this.#longer.set(label, made);
    return made;
  }

  /** Sets the log-probabilities of its paths. */
  set(blank: number, spoken: number): void {
    this.blank = blank;
    this.spoken = spoken;
    this.total = logAdd(blank, spoken);
  }

  /** Ends the step: the new values become the present ones. */
  advance(): void {
    this.set(this.nextBlank, this.nextSpoken);
    this.nextBlank = Number.NEGATIVE_INFINITY;
    this.nextSpoken = Number.NEGATIVE_INFINITY;
  }

  /** Leaves the beam: its paths no longer count. */
  leave(): void {
    this.set(Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY);
  }
}

/** Passes the probability of a labelling's paths on to the labellings after one more step, and adds those it reaches to the set. */
function spread(prefix: Prefix, row: ArrayLike<number>, blank: number, gain: LabelModel, reached: Set<Prefix>): void {
  const { total, blank: afterBlank, spoken, label: last, parent } = prefix;
  for (let c = 0; c < row.length; c++) {
    const p = row[c] as number;
    if (p === Number.NEGATIVE_INFINITY) continue;
    if (c === blank) {
      prefix.nextBlank = logAdd(prefix.nextBlank, total + p);
      reached.add(prefix);
      continue;
    }
    const again = parent !== null && c === last;
    if (again) {
      prefix.nextSpoken = logAdd(prefix.nextSpoken, spoken + p);
      reached.add(prefix);
    }
    // A label can follow itself only after a blank.
    const way = again ? afterBlank : total;
    if (way === Number.NEGATIVE_INFINITY) continue;
    const longer = prefix.longer(c, gain);
    longer.nextSpoken = logAdd(longer.nextSpoken, way + p);
    reached.add(longer);
  }
}

function beam(rows: Steps, blank: number, width: number, gain: LabelModel): Prefix[] {
  const root = new Prefix(null, blank, 0);
  root.set(0, Number.NEGATIVE_INFINITY);
  let kept = [root];
  for (const row of rows) {
    const reached = new Set<Prefix>();
    for (const prefix of kept) spread(prefix, row, blank, gain, reached);
    for (const prefix of reached) prefix.advance();
    const ranked = [...reached].filter((p) => p.score > Number.NEGATIVE_INFINITY).sort((a, b) => b.score - a.score);
    const left = new Set(ranked.slice(0, width));
    for (const prefix of [...reached, ...kept]) if (!left.has(prefix)) prefix.leave();
    kept = [...left];
  }
  return kept;
}

/** α·log p_LM + β of one label; checks the model's numbers. */
function gainOf({ languageModel, languageWeight = 1, insertionBonus = 0 }: CtcBeamOptions): LabelModel {
  return (before, label) => {
    if (languageModel === undefined) return insertionBonus;
    const p: unknown = languageModel(before, label);
    if (typeof p !== "number") throw new DTypeError(`ctcBeamSearch: expected the language model to give numbers, got ${quote(p)}`);
    if (!(p < Number.POSITIVE_INFINITY))
      throw new ArgumentError(`ctcBeamSearch: expected log-probabilities of the language model, got ${p}`);
    // 0·(−∞) would be NaN; without weight the model has no say.
    return (languageWeight === 0 ? 0 : languageWeight * p) + insertionBonus;
  };
}

/**
 * Prefix beam search: the likeliest labellings of each sequence, best first, each summed over all its paths.
 *
 * The beam holds two probabilities per labelling: of the paths that end in a blank, and of those that end in its last label. At each step
 *
 *   p_b'(l) = p(l)·y(blank)      p_nb'(l) = p_nb(l)·y(last label)      p_nb'(l + c) += (p_b(l) if c is the last label, else p(l))·y(c)
 *
 * and the `width` best labellings by log p + α·log p_LM + β·length stay. With a beam as wide as there are labellings this is enumeration.
 * Takes O(T·width·C) operations per sequence. Among equals, the one reached first wins.
 * @param logProbs log-probabilities [T,N,C], usually `logSoftmax` of logits
 * @returns for each sequence at most `best` hypotheses; none if every path has probability 0
 * @throws ArgumentError for NaN, for logits, for a width below 1, lengths out of range, a language model that returns NaN or +∞
 * @see Graves, "Supervised sequence labelling with recurrent neural networks", 2012, section 7.5; language model and insertion bonus: Hannun,
 * Maas, Jurafsky and Ng, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs", 2014, algorithm 1
 * Deviates: the language model scores labels, not words. Its factor is kept apart from the probability of the paths, so both are known.
 * @example const [[best]] = ctcBeamSearch(logSoftmax(logits, -1), { width: 10 });
 */
export function ctcBeamSearch(logProbs: Tensor, options: CtcBeamOptions): CtcHypothesis[][] {
  checkTensor("ctcBeamSearch", logProbs);
  const {
    width,
    blank = 0,
    best = 1,
    languageModel,
    languageWeight = 1,
    insertionBonus = 0,
  } = optionsOf("ctcBeamSearch", options, ["width", "best", "languageModel", "languageWeight", "insertionBonus", "blank", "lengths"]);
  if (languageModel !== undefined) checkFunction("ctcBeamSearch", "languageModel", languageModel);
  checkSizes("ctcBeamSearch", { width, best });
  checkNumber("ctcBeamSearch", "languageWeight", languageWeight, { least: 0 });
  checkNumber("ctcBeamSearch", "insertionBonus", insertionBonus);
  const gain = gainOf(options);
  return sequences("ctcBeamSearch", logProbs, options).map((rows) =>
    beam(rows, blank, width, gain)
      .slice(0, best)
      .map(({ labels, total, score }) => ({ labels, logProbability: total, score })),
  );
}

/** The labels with blanks around and between them. */
function extended(labels: readonly number[], blank: number): number[] {
  return [blank, ...labels.flatMap((label) => [label, blank])];
}

/** Among the places that lead to s, the one with the greatest value; the nearest of equals. */
function before(values: ArrayLike<number>, s: number, maySkip: boolean): number {
  let from = s;
  if (s > 0 && (values[s - 1] as number) > (values[from] as number)) from = s - 1;
  if (maySkip && (values[s - 2] as number) > (values[from] as number)) from = s - 2;
  return from;
}

/** The likeliest path for the labels; null if none has a probability. */
function align(rows: Steps, labels: readonly number[], blank: number): number[] | null {
  const read = extended(labels, blank);
  const S = read.length;
  if (rows.length === 0) return labels.length === 0 ? [] : null;
  const emission = (t: number, s: number): number => (rows[t] as ArrayLike<number>)[read[s] as number] as number;
  let values = Float64Array.from(read, (_, s) => (s < 2 ? emission(0, s) : Number.NEGATIVE_INFINITY));
  const origins: Int32Array[] = [];
  for (let t = 1; t < rows.length; t++) {
    const last = values;
    const from = Int32Array.from(read, (c, s) => before(last, s, s > 1 && c !== blank && c !== read[s - 2]));
    origins.push(from);
    values = Float64Array.from(from, (f, s) => (last[f] as number) + emission(t, s));
  }
  let s = S > 1 && (values[S - 2] as number) > (values[S - 1] as number) ? S - 2 : S - 1;
  if (values[s] === Number.NEGATIVE_INFINITY) return null;
  const path = [s];
  for (const from of origins.reverse()) {
    s = from[s] as number;
    path.push(s);
  }
  return path.reverse().map((at) => read[at] as number);
}

/**
 * Forced alignment: the likeliest path of each sequence for given labels, with the steps of each label.
 * @param logProbs log-probabilities [T,N,C]
 * @param targets int32 labels, padded [N,S] or concatenated [sum of targetLengths], as for `ctcLoss`
 * @returns for each sequence its path; null if none fits into the steps, or none has a probability
 * @throws ArgumentError for NaN, for logits, for a label that is the blank or no class, lengths out of range
 * @see Graves, "Supervised sequence labelling with recurrent neural networks", 2012, section 7.3, with a maximum in place of each sum
 * @example const [path] = ctcAlign(logProbs, tensor([[3, 1]], { dtype: "int32" }), [50], [2]); // path.spans: [{ label: 3, start: 4, end: 7 }, …]
 */
export function ctcAlign(
  logProbs: Tensor,
  targets: Tensor,
  inputLengths: Tensor | ArrayLike<number>,
  targetLengths: Tensor | ArrayLike<number>,
  options: Pick<CtcDecodingOptions, "blank"> = {},
): (CtcPath | null)[] {
  const { blank = 0 } = optionsOf("ctcAlign", options, ["blank"]);
  const checked = checkedLabels("ctcAlign", logProbs, targets, inputLengths, targetLengths, blank);
  const width = checked.targets.dim(1);
  const [all, lengths] = [checked.targets.data(), checked.targetLengths.data()];
  return stepsOf("ctcAlign", logProbs, checked.inputLengths.data()).map((rows, n) => {
    const labels = Array.from(all.subarray(n * width, n * width + (lengths[n] as number)));
    const path = align(rows, labels, blank);
    return path && pathOf(path, rows, blank);
  });
}
