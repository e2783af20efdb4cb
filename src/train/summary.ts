/** The result of a training. */

import { checkOneOf, checkOptions, checkText, isRecord } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { list, quote } from "../base/quote.ts";
import { metricOf } from "../optim/metric.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { TrainingStep } from "./progress.ts";

/** A number, or a tensor of one element. */
export type Metric = number | Tensor;

/** Which metric decides how good a model is. */
export interface Monitor {
  /** Its name among those that `evaluate` returns; unused for a single number. */
  readonly metric?: string;
  /** Default "min". */
  readonly mode?: "min" | "max";
}

/** @throws ArgumentError, DTypeError */
export function checkMonitor(op: string, monitor: Monitor | undefined): void {
  if (monitor === undefined) return;
  checkOptions(`${op}: monitor`, monitor, ["metric", "mode"]);
  if (monitor.metric !== undefined) checkText(op, "monitor.metric", monitor.metric);
  if (monitor.mode !== undefined) checkOneOf(op, "monitor.mode", monitor.mode, ["min", "max"]);
}

/** The result of an evaluation. */
export interface Measured {
  /** The monitored number. */
  readonly value: number;
  /** All numbers by name; undefined for a single number. */
  readonly metrics: Readonly<Record<string, number>> | undefined;
}

/** Reads the result of `evaluate`. @throws ArgumentError for anything but a number or numbers by name, and if the monitored one is missing */
export function measured(result: unknown, monitor: Monitor | undefined): Measured {
  const wanted = monitor?.metric;
  if (!isRecord(result) || result instanceof Tensor) {
    const value = metricOf("fit: evaluate", result);
    if (wanted !== undefined)
      throw new ArgumentError(`fit: expected evaluate to return metrics by name, ${quote(wanted)} among them, got a number`);
    return { value, metrics: undefined };
  }
  const metrics = Object.fromEntries(Object.entries(result).map(([name, metric]) => [name, metricOf(`fit: evaluate: ${name}`, metric)]));
  const value = wanted === undefined ? Object.values(metrics)[0] : Object.hasOwn(metrics, wanted) ? metrics[wanted] : undefined;
  if (value !== undefined) return { value, metrics };
  throw new ArgumentError(
    `fit: expected evaluate to return ${wanted === undefined ? "a metric" : quote(wanted)}, got ${list(Object.keys(metrics))}`,
  );
}

/** A number over steps, for `lineChart`. */
export interface HistoryLine {
  readonly name: string;
  /** Steps. */
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** The course of a training, with one line per number. */
export interface History {
  readonly loss: HistoryLine;
  readonly gradNorm: HistoryLine;
  readonly lr: HistoryLine;
  /** Results of `evaluate`, by name; a single number is called "evaluation". */
  readonly metrics: Readonly<Record<string, HistoryLine>>;
}

/** What a training comes to. */
export interface TrainingSummary {
  /** Total number of steps, including those before a resumed checkpoint. */
  readonly steps: number;
  /** Why it ended: after `maxSteps`, by early stopping, or because there were no more batches. */
  readonly reason: "maxSteps" | "earlyStopping" | "batches";
  /** That of the last step; null without any step. */
  readonly loss: number | null;
  /** The best evaluation and its step. */
  readonly best: { readonly value: number; readonly step: number } | null;
  /** Number of steps of this run that failed and were skipped by `onError`. */
  readonly skipped: number;
  /** The course of the steps of this run, whether awaited or iterated. */
  readonly history: History;
}

class Growing implements HistoryLine {
  readonly name: string;
  readonly x: number[] = [];
  readonly y: number[] = [];

  constructor(name: string) {
    this.name = name;
  }

  add(step: number, value: number): void {
    this.x.push(step);
    this.y.push(value);
  }
}

/** Collects a history, step by step. */
export class Recorder {
  readonly #loss = new Growing("loss");
  readonly #gradNorm = new Growing("gradient norm");
  readonly #lr = new Growing("learning rate");
  readonly #metrics = new Map<string, Growing>();

  add({ step, loss, gradNorm, lr, evaluation, metrics }: TrainingStep): void {
    // A step may be reported again, with its evaluation.
    if (this.#loss.x.at(-1) !== step) {
      this.#loss.add(step, loss);
      this.#gradNorm.add(step, gradNorm);
      this.#lr.add(step, lr);
    }
    if (evaluation === undefined) return;
    for (const [name, value] of Object.entries(metrics ?? { evaluation })) {
      const line = this.#metrics.get(name) ?? new Growing(name);
      this.#metrics.set(name, line);
      line.add(step, value);
    }
  }

  get lines(): History {
    return { loss: this.#loss, gradNorm: this.#gradNorm, lr: this.#lr, metrics: Object.fromEntries(this.#metrics) };
  }
}
