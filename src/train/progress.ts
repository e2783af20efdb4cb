/** The loop's own part of a checkpoint: reported steps, evaluations, learning rates. */

import { isRecord } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Json } from "../io/checkpoint.ts";

/** The report of a step. */
export interface TrainingStep {
  /** Number of steps done, including this one. */
  readonly step: number;
  readonly loss: number;
  /** Norm of all gradients, before clipping. */
  readonly gradNorm: number;
  readonly lr: number;
  /** Result of `evaluate`, at steps that ran it; of several numbers the monitored one. */
  readonly evaluation?: number;
  /** All of them, by name, where there are several. */
  readonly metrics?: Readonly<Record<string, number>>;
}

/** The loop's memory of its last step and its evaluations. */
export interface Progress {
  readonly last: TrainingStep | null;
  /** The step of the last evaluation. */
  readonly evaluated: number;
  readonly best: number | null;
  readonly bestStep: number;
  /** Number of evaluations since the best. */
  readonly stale: number;
}

export const NOTHING_YET: Progress = { last: null, evaluated: 0, best: null, bestStep: 0, stale: 0 };

/** Reads the progress of a run after some steps. @throws FormatError for data that no run has written */
export function readProgress(value: Json, steps: number): Progress {
  const { last = null, evaluated, best = null, bestStep, stale } = isRecord(value) ? value : {};
  const counts = [evaluated, bestStep, stale].every((n) => Number.isSafeInteger(n) && (n as number) >= 0 && (n as number) <= steps);
  if (!counts || !(best === null || Number.isFinite(best)) || !isLast(last, steps)) {
    throw new FormatError(
      `checkpoint: expected the progress of a run of ${steps} steps (last, evaluated, best, bestStep, stale), got ${quote(value)}`,
    );
  }
  const [e, b, s] = [evaluated, bestStep, stale] as [number, number, number];
  return { last, evaluated: e, best: best as number | null, bestStep: b, stale: s };
}

/** The number of ended passes over the batches; 0 in files that do not have it. @throws FormatError */
export function readEpoch(value: Json, epochs: number): number {
  const epoch = (isRecord(value) ? value.epoch : undefined) ?? 0;
  if (Number.isSafeInteger(epoch) && (epoch as number) >= 0 && (epoch as number) < epochs) return epoch as number;
  throw new FormatError(`checkpoint: expected an epoch in [0, ${epochs}), got ${quote(epoch)}`);
}

function isLast(last: unknown, steps: number): last is TrainingStep | null {
  if (steps === 0) return last === null;
  if (!isRecord(last) || last.step !== steps) return false;
  return [last.loss, last.gradNorm, last.lr].every(Number.isFinite) && Object.keys(last).length === 4;
}
