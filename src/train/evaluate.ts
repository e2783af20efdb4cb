/** A model over a whole source of batches, without training it. */

import { noGrad } from "../autodiff/tape.ts";
import { checkFunction, checkIterable, checkNumber, checkOptions, finished, isRecord } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { list } from "../base/quote.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { metricOf } from "../optim/metric.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import { modesOf, setModes } from "./modes.ts";
import type { Metric } from "./summary.ts";

export interface EvaluateOptions<B> {
  /**
   * How much a batch counts in the mean: the number of elements that its metrics are means of. Default: the real steps of a batch of
   * `SequenceBatches` whose ys are padded, its sequences where they are not, and 1 for other batches.
   */
  readonly weight?: (batch: B) => number;
}

/** Runs `fn` with a model in evaluation mode and without recording. */
function evaluating<R>(model: Module, fn: () => R): R {
  const modes = modesOf(model);
  try {
    model.eval();
    return noGrad(fn);
  } finally {
    setModes(modes);
  }
}

/** What `fn` makes of each batch, which is made and used in a scope of its own. If `fn` fails the source is closed, as by a loop. */
function mapBatches<B, R>(batches: Iterable<B>, fn: (batch: B) => R): R[] {
  const results: R[] = [];
  const pass = batches[Symbol.iterator]();
  const next = (): { readonly result: R } | null => {
    const { value, done } = pass.next();
    return done ? null : { result: closingOnError(pass, () => fn(value)) };
  };
  for (let found = scope(next); found !== null; found = scope(next)) results.push(found.result);
  return results;
}

/** Runs `fn`, and closes a pass if that fails; what goes wrong with the closing is less than what went wrong before. */
function closingOnError<R>(pass: Iterator<unknown>, fn: () => R): R {
  try {
    return fn();
  } catch (error) {
    try {
      pass.return?.();
    } catch {}
    throw error;
  }
}

function elementsOf(batch: object): number {
  const { lengths, targetLengths, ys } = batch as { lengths?: unknown; targetLengths?: unknown; ys?: unknown };
  if (!Array.isArray(lengths) || !(ys instanceof Tensor)) return 1;
  return Array.isArray(targetLengths) ? targetLengths.reduce((sum: number, n: number) => sum + n, 0) : lengths.length;
}

/** Refuses batches with endless `epochs`. @throws ArgumentError */
function checkEnds(op: string, batches: object): void {
  if ((batches as { epochs?: unknown }).epochs !== Number.POSITIVE_INFINITY) return;
  throw new ArgumentError(`${op}: expected batches that end, got ones without end: give them epochs: 1`);
}

/**
 * Means over all batches of what `measure` returns for one: a number, or several by name. The model is in evaluation mode, nothing is recorded, and
 * each batch has a scope of its own.
 * @throws ArgumentError for no batches, for batches without end, and for metrics that are no numbers or have other names than before; StateError
 *   where `measure` is asynchronous
 * @example
 * const { loss, accuracy: right } = evaluate(model, batches, (m, { xs, ys, lengths }) => {
 *   const logits = m.forward(xs, { lengths });
 *   return { loss: crossEntropy(logits, ys), accuracy: accuracy(logits, ys) };
 * });
 */
export function evaluate<M extends Module, B extends object, K extends string>(
  model: M,
  batches: Iterable<B>,
  measure: (model: M, batch: B) => Readonly<Record<K, Metric>>,
  options?: EvaluateOptions<B>,
): Record<K, number>;
export function evaluate<M extends Module, B extends object>(
  model: M,
  batches: Iterable<B>,
  measure: (model: M, batch: B) => Metric,
  options?: EvaluateOptions<B>,
): number;
export function evaluate<M extends Module, B extends object>(
  model: M,
  batches: Iterable<B>,
  measure: (model: M, batch: B) => Metric | Readonly<Record<string, Metric>>,
  options: EvaluateOptions<B> = {},
): number | Record<string, number> {
  const op = "evaluate";
  checkOptions(op, options, ["weight"]);
  checkModule(op, model);
  checkIterable(op, "batches", batches);
  checkFunction(op, "measure", measure);
  const { weight = elementsOf } = options;
  checkFunction(op, "weight", weight);
  checkEnds(op, batches);
  return evaluating(model, () => {
    const means = new Means();
    mapBatches(batches, (batch) => means.add(finished(op, measure(model, batch)), weight(batch)));
    return means.result;
  });
}

/** Weighted means of numbers by name, or of one alone. */
class Means {
  readonly #sums = new Map<string, number>();
  #weight = 0;
  #isAlone = false;

  /** Adds the metrics of a batch. */
  add(metrics: unknown, weight: number): void {
    checkNumber("evaluate", "a batch's weight", weight, { least: 0 });
    const isFirst = this.#sums.size === 0;
    const isAlone = metrics instanceof Tensor || !isRecord(metrics);
    const numbers = Object.entries(isAlone ? { "": metrics } : metrics);
    if (!isFirst && (numbers.length !== this.#sums.size || numbers.some(([name]) => !this.#sums.has(name)))) {
      throw new ArgumentError(`evaluate: expected metrics ${list([...this.#sums.keys()])}, got ${list(numbers.map(([name]) => name))}`);
    }
    this.#isAlone = isAlone;
    for (const [name, metric] of numbers) {
      const sum = this.#sums.get(name) ?? 0;
      // A weight of 0 leaves the metric out, which may be NaN there.
      this.#sums.set(name, weight === 0 ? sum : sum + weight * metricOf("evaluate", metric));
    }
    this.#weight += weight;
  }

  get result(): number | Record<string, number> {
    if (this.#sums.size === 0 || this.#weight === 0)
      throw new ArgumentError("evaluate: expected batches with something that counts, got none");
    const means = Object.fromEntries(Array.from(this.#sums, ([name, sum]) => [name, sum / this.#weight]));
    return this.#isAlone ? (means[""] as number) : means;
  }
}

/**
 * What `fn` returns for each batch, in order: the model is in evaluation mode, nothing is recorded, and of each batch only the tensors in the result
 * are kept.
 * @throws ArgumentError for batches without end; StateError where `fn` is asynchronous
 * @example const classes = predict(model, batches, (m, { xs, lengths }) => argmax(m.forward(xs, { lengths }), { axis: -1 }).toArray()).flat();
 */
export function predict<M extends Module, B extends object, R>(model: M, batches: Iterable<B>, fn: (model: M, batch: B) => R): R[] {
  const op = "predict";
  checkModule(op, model);
  checkIterable(op, "batches", batches);
  checkFunction(op, "fn", fn);
  checkEnds(op, batches);
  return evaluating(model, () => mapBatches(batches, (batch) => finished(op, fn(model, batch))));
}
