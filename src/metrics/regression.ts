/** Metrics of regression and of language models. */

import { checkOptions, checkSizes } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { show } from "../tensor/shape.ts";
import { MASK, type MaskOptions, places, read, readAlike, type Values } from "./elements.ts";

/** Predictions and targets of the elements that count. */
function pairs(op: string, predicted: Values, target: Values, options: MaskOptions): [y: number, goal: number][] {
  const [own, goal] = readAlike(op, "predictions", predicted, target);
  return places(op, goal, options, () => true).map((i) => [own.values[i] as number, goal.values[i] as number]);
}

function meanOver(list: readonly [number, number][], error: (y: number, goal: number) => number): number {
  return list.reduce((sum, [y, goal]) => sum + error(y, goal), 0) / list.length;
}

/**
 * Root of the mean squared error.
 * @param predicted numbers in the targets' shape
 * @throws ShapeError for another shape, ArgumentError if no element counts
 * @example rmse([1, 2], [1, 4]) // √2
 */
export function rmse(predicted: Values, target: Values, options: MaskOptions = {}): number {
  checkOptions("rmse", options, MASK);
  return Math.sqrt(meanOver(pairs("rmse", predicted, target, options), (y, goal) => (y - goal) ** 2));
}

/**
 * Mean absolute error.
 * @example mae([1, 2], [1, 4]) // 1
 */
export function mae(predicted: Values, target: Values, options: MaskOptions = {}): number {
  checkOptions("mae", options, MASK);
  return meanOver(pairs("mae", predicted, target, options), (y, goal) => Math.abs(y - goal));
}

/**
 * Mean absolute error relative to the target: 0.1 is 10 %.
 * @throws ArgumentError for a target of 0
 * @example mape([90, 220], [100, 200]) // 0.1
 */
export function mape(predicted: Values, target: Values, options: MaskOptions = {}): number {
  checkOptions("mape", options, MASK);
  const list = pairs("mape", predicted, target, options);
  if (list.some(([, goal]) => goal === 0))
    throw new ArgumentError("mape: expected targets other than 0, got 0: mask them, or use smape or mase");
  return meanOver(list, (y, goal) => Math.abs((y - goal) / goal));
}

/**
 * Its symmetric form: the error relative to the mean size of both, from 0 to 2; 0 where both are 0.
 * @see Makridakis, "Accuracy measures: theoretical and practical concerns", International Journal of Forecasting 9, 1993
 * @example smape([100], [300]) // 1
 */
export function smape(predicted: Values, target: Values, options: MaskOptions = {}): number {
  checkOptions("smape", options, MASK);
  return meanOver(pairs("smape", predicted, target, options), (y, goal) => {
    return y === goal ? 0 : (2 * Math.abs(y - goal)) / (Math.abs(y) + Math.abs(goal));
  });
}

export interface MaseOptions extends MaskOptions {
  /** Steps per season; the naive forecast repeats the value from this many steps earlier (default 1). */
  readonly season?: number;
}

/**
 * Mean absolute error divided by that of the naive forecast on the training series; below 1 the model beats repeating the last season.
 * @param training the model's training series, in order of time
 * @throws ArgumentError for a series no longer than a season, or one that repeats exactly
 * @see Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22, 2006
 * @example mase([5, 6], [5, 7], [1, 2, 3, 4]) // 0.5
 */
export function mase(predicted: Values, target: Values, training: Values, options: MaseOptions = {}): number {
  const op = "mase";
  checkOptions(op, options, [...MASK, "season"]);
  const { season = 1 } = options;
  checkSizes(op, { season });
  const { shape, values } = read(op, "training", training);
  if (shape.length !== 1) throw new ShapeError(`${op}: expected one series for training, got ${show(shape)}`);
  if (values.length <= season)
    throw new ArgumentError(`${op}: expected a training series of more than ${season} steps, got ${values.length}`);
  const naive = Array.from({ length: values.length - season }, (_, i): [number, number] => {
    return [values[i] as number, values[i + season] as number];
  });
  const scale = meanOver(naive, (y, goal) => Math.abs(y - goal));
  if (scale === 0)
    throw new ArgumentError(`${op}: expected a training series that changes, got one that repeats itself every ${season} steps`);
  return meanOver(pairs(op, predicted, target, options), (y, goal) => Math.abs(y - goal)) / scale;
}

/**
 * The perplexity of a mean negative log-likelihood in nats, as from `crossEntropy`: the equivalent number of equally likely symbols.
 * @example perplexity(Math.log(8)) // 8
 */
export function perplexity(loss: number): number {
  return Math.exp(checked("perplexity", loss));
}

/**
 * Converts a mean negative log-likelihood in nats to bits per symbol.
 * @example bitsPerSymbol(Math.log(8)) // 3
 */
export function bitsPerSymbol(loss: number): number {
  return checked("bitsPerSymbol", loss) / Math.LN2;
}

function checked(op: string, loss: number): number {
  if (typeof loss === "number") return loss;
  throw new ArgumentError(`${op}: expected a loss in nats as a number, such as loss.item(), got ${typeof loss}`);
}
