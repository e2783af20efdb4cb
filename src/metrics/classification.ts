/** Metrics of classification. */

import { checkNumber, checkOneOf, checkOptions, checkSizes, checkWhole } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { type Elements, MASK, type MaskOptions, places, read, readAlike, type Values } from "./elements.ts";

export interface ClassMetricOptions extends MaskOptions {
  /** Targets with this value do not count (default −100, as in `crossEntropy`). */
  readonly ignoreIndex?: number;
}

const OPTIONS = [...MASK, "ignoreIndex"] as const;

export interface AverageOptions extends ClassMetricOptions {
  /**
   * "macro" (default): the mean over classes; "micro": over all elements together; "weighted": the mean, weighted by how often a class is the
   * target. Ignores classes that neither occur nor are predicted.
   */
  readonly average?: "macro" | "micro" | "weighted";
  /** Number of classes (default: one more than the largest class seen). */
  readonly classes?: number;
}

/** Classes, or scores with the classes on the last axis. */
interface Predictions {
  readonly classes: number | null;
  /** The predicted class for an element of the targets. */
  readonly at: (place: number) => number;
  /** The scores for an element; none if only classes are given. @throws ArgumentError for NaN */
  readonly scores: (place: number) => readonly number[];
}

function predictionsFor(op: string, predicted: Elements, target: Elements): Predictions {
  const { shape, values } = predicted;
  if (sameShape(shape, target.shape)) {
    return { classes: null, at: (place) => values[place] as number, scores: () => [] };
  }
  const C = shape.at(-1);
  if (C === undefined || C === 0 || !sameShape(shape.slice(0, -1), target.shape)) {
    const wanted = `classes ${show(target.shape)} as the targets, or scores [${[...target.shape, "C"].join(",")}]`;
    throw new ShapeError(`${op}: expected ${wanted}, got ${show(shape)}`);
  }
  const scores = (place: number) => {
    const own = Array.from({ length: C }, (_, c) => values[place * C + c] as number);
    const nan = own.findIndex(Number.isNaN);
    if (nan >= 0) throw new ArgumentError(`${op}: expected scores that are numbers, got NaN for class ${nan}`);
    return own;
  };
  return { classes: C, at: (place) => best(scores(place)), scores };
}

/** The index of the first largest score. */
function best(scores: readonly number[]): number {
  return scores.reduce((most, score, c) => (score > (scores[most] as number) ? c : most), 0);
}

interface Judged {
  readonly target: Elements;
  readonly predictions: Predictions;
  readonly counted: readonly number[];
}

function judge(op: string, predicted: Values, target: Values, options: ClassMetricOptions): Judged {
  const { ignoreIndex = -100 } = options;
  checkNumber(op, "ignoreIndex", ignoreIndex);
  const [own, goal] = [read(op, "predictions", predicted), read(op, "targets", target)];
  const predictions = predictionsFor(op, own, goal);
  return { target: goal, predictions, counted: places(op, goal, options, (value) => value !== ignoreIndex) };
}

/**
 * The share of elements with the right class.
 * @param predicted scores or logits […,C], whose largest counts, or classes […]
 * @param target classes […]
 * @throws ShapeError for other shapes, ArgumentError if no element counts and for scores of NaN
 * @example accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]) // 0.5
 * @example accuracy(logits, targets, { lengths }) // [T,B,C] and [T,B], without padding
 */
export function accuracy(predicted: Values, target: Values, options: ClassMetricOptions = {}): number {
  checkOptions("accuracy", options, OPTIONS);
  const { target: goal, predictions, counted } = judge("accuracy", predicted, target, options);
  return counted.filter((i) => predictions.at(i) === goal.values[i]).length / counted.length;
}

/**
 * The share of elements whose class is among the k largest scores. Among equal scores, lower classes come first.
 * @param scores […,C]
 * @example topKAccuracy([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], [1, 2], 2) // 0.5
 */
export function topKAccuracy(scores: Values, target: Values, k: number, options: ClassMetricOptions = {}): number {
  const op = "topKAccuracy";
  checkOptions(op, options, OPTIONS);
  const { target: goal, predictions, counted } = judge(op, scores, target, options);
  const { classes } = predictions;
  if (classes === null) throw new ShapeError(`${op}: expected scores […,C] for targets ${show(goal.shape)}, got classes`);
  checkWhole(op, "k", k, { least: 1, most: classes });
  const isAmong = (place: number): boolean => {
    const own = predictions.scores(place);
    const c = goal.values[place] as number;
    checkWhole(op, "a target", c, { least: 0, below: classes });
    const before = (score: number, other: number) => score > (own[c] as number) || (score === own[c] && other < c);
    return own.filter(before).length < k;
  };
  return counted.filter(isAmong).length / counted.length;
}

/**
 * Counts of predictions by class: row t, column p counts targets t predicted as p.
 * @example confusionMatrix([1, 1, 0], [1, 0, 0]) // [[1, 1], [0, 1]]
 */
export function confusionMatrix(
  predicted: Values,
  target: Values,
  options: ClassMetricOptions & Pick<AverageOptions, "classes"> = {},
): number[][] {
  checkOptions("confusionMatrix", options, [...OPTIONS, "classes"]);
  return countPairs("confusionMatrix", predicted, target, options);
}

function countPairs(op: string, predicted: Values, target: Values, options: AverageOptions): number[][] {
  const { target: goal, predictions, counted } = judge(op, predicted, target, options);
  const pairs = counted.map((i): [number, number] => [goal.values[i] as number, predictions.at(i)]);
  const { classes = predictions.classes ?? 1 + pairs.reduce((most, [t, p]) => Math.max(most, t, p), 0) } = options;
  checkSizes(op, { classes });
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  for (const [t, p] of pairs) {
    checkWhole(op, "a target", t, { least: 0, below: classes });
    checkWhole(op, "a predicted class", p, { least: 0, below: classes });
    const row = matrix[t] as number[];
    row[p] = (row[p] as number) + 1;
  }
  return matrix;
}

/** Counts of a class: correct predictions, all predictions, and targets. */
interface Counts {
  readonly hits: number;
  readonly predicted: number;
  readonly actual: number;
}

type Score = (counts: Counts) => number;

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const precisionOf: Score = ({ hits, predicted }) => ratio(hits, predicted);
const recallOf: Score = ({ hits, actual }) => ratio(hits, actual);
/** 2PR/(P + R). */
const f1Of: Score = ({ hits, predicted, actual }) => ratio(2 * hits, predicted + actual);

function countsOf(matrix: readonly (readonly number[])[]): Counts[] {
  return matrix.map((row, c) => ({
    hits: row[c] as number,
    predicted: matrix.reduce((sum, other) => sum + (other[c] as number), 0),
    actual: row.reduce((a, b) => a + b, 0),
  }));
}

function averaged(op: string, score: Score, predicted: Values, target: Values, options: AverageOptions): number {
  checkOptions(op, options, [...OPTIONS, "average", "classes"]);
  const { average = "macro" } = options;
  checkOneOf(op, "average", average, ["macro", "micro", "weighted"]);
  const seen = countsOf(countPairs(op, predicted, target, options)).filter((c) => c.predicted + c.actual > 0);
  const total = (name: keyof Counts) => seen.reduce((sum, counts) => sum + counts[name], 0);
  if (average === "micro") return score({ hits: total("hits"), predicted: total("predicted"), actual: total("actual") });
  if (average === "macro") return seen.reduce((sum, counts) => sum + score(counts), 0) / seen.length;
  return seen.reduce((sum, counts) => sum + counts.actual * score(counts), 0) / total("actual");
}

/**
 * The share of predictions of a class that are correct; 0 for a class that is never predicted.
 * @example precision([1, 1, 0], [1, 0, 0], { average: "macro" }) // (1/1 + 1/2) / 2
 */
export function precision(predicted: Values, target: Values, options: AverageOptions = {}): number {
  return averaged("precision", precisionOf, predicted, target, options);
}

/**
 * The share of targets of a class that are predicted correctly.
 * @example recall([1, 1, 0], [1, 0, 0]) // (1/2 + 1/1) / 2
 */
export function recall(predicted: Values, target: Values, options: AverageOptions = {}): number {
  return averaged("recall", recallOf, predicted, target, options);
}

/**
 * The harmonic mean of precision and recall.
 * @see van Rijsbergen, "Information Retrieval", 1979
 * @example f1([1, 1, 0], [1, 0, 0]) // 2/3
 */
export function f1(predicted: Values, target: Values, options: AverageOptions = {}): number {
  return averaged("f1", f1Of, predicted, target, options);
}

/** Precision, recall and F1 of one class. */
export interface ClassReport {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Number of targets of this class. */
  readonly support: number;
}

/**
 * Precision, recall and F1 of each class.
 * @example classReport(logits, targets)[2].f1
 */
export function classReport(
  predicted: Values,
  target: Values,
  options: ClassMetricOptions & Pick<AverageOptions, "classes"> = {},
): ClassReport[] {
  checkOptions("classReport", options, [...OPTIONS, "classes"]);
  return countsOf(countPairs("classReport", predicted, target, options)).map((counts) => {
    return { precision: precisionOf(counts), recall: recallOf(counts), f1: f1Of(counts), support: counts.actual };
  });
}

/**
 * The probability that a positive element has a higher score than a negative one, counting equal scores half: the area under the
 * receiver operating characteristic.
 * @param scores any numbers […], such as logits
 * @param target 1 or 0, […]
 * @throws ArgumentError if all targets are equal, for targets other than 0 and 1, and for scores of NaN
 * @see Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic (ROC) curve", Radiology 143, 1982
 * @example rocAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) // 0.75
 */
export function rocAuc(scores: Values, target: Values, options: MaskOptions = {}): number {
  const op = "rocAuc";
  checkOptions(op, options, MASK);
  const [own, goal] = readAlike(op, "scores", scores, target);
  const counted = places(op, goal, options, () => true);
  for (const i of counted) {
    const label = goal.values[i] as number;
    if (label !== 0 && label !== 1) throw new ArgumentError(`${op}: expected targets of 0 and 1, got ${label}`);
    if (Number.isNaN(own.values[i])) throw new ArgumentError(`${op}: expected scores that are numbers, got NaN at element ${i}`);
  }
  const positives = counted.filter((i) => goal.values[i] === 1).length;
  const negatives = counted.length - positives;
  if (positives === 0 || negatives === 0) {
    throw new ArgumentError(`${op}: expected targets of both kinds, got ${positives} of 1 and ${negatives} of 0`);
  }
  // The sum of the ranks of positive elements, where equal scores share the mean of their ranks (Mann and Whitney's U).
  const order = [...counted].sort((a, b) => (own.values[a] as number) - (own.values[b] as number));
  let ranks = 0;
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && own.values[order[end] as number] === own.values[order[start] as number]) end++;
    const mean = (start + 1 + end) / 2;
    for (let i = start; i < end; i++) if (goal.values[order[i] as number] === 1) ranks += mean;
    start = end;
  }
  return (ranks - (positives * (positives + 1)) / 2) / (positives * negatives);
}
