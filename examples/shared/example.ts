/** What every program of the gallery takes and gives, and how it trains. */

import { type Continuing, type FitOptions, fit, type Module, parseSafetensors, serializeSafetensors } from "tapeloop";

/** How far a training is. */
export interface Progress {
  /** What is trained. */
  readonly stage: string;
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
}

/** Where trainings that were interrupted keep their checkpoints, by stage. */
export interface Checkpoints {
  read(stage: string): Uint8Array | undefined;
  write(stage: string, bytes: Uint8Array): void;
}

export interface RunOptions {
  /** Determines weights, orders and generated data (default 0). */
  readonly seed?: number;
  /** A few seconds, to see that everything works; the figures mean nothing. */
  readonly quick?: boolean;
  /** More data or steps than the usual three minutes allow. */
  readonly full?: boolean;
  /** The stored weights, to use them instead of training. */
  readonly load?: Uint8Array | undefined;
  /** Path of the real data, where the program does not bring it along. */
  readonly data?: string | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly checkpoints?: Checkpoints | undefined;
}

/** One number of the table. */
export interface Figure {
  /** What is measured, with its unit: "RMSE one month ahead, ppm". Figures of one metric are shown together. */
  readonly metric: string;
  /** Whose: "LSTM", "persistence". */
  readonly of: string;
  readonly value: number;
  /** 95 % interval, by bootstrap where the test part is small. */
  readonly interval?: readonly [low: number, high: number] | undefined;
}

/** What the model has to reach. */
export interface Gate {
  readonly what: string;
  readonly passed: boolean;
}

export interface Result {
  readonly figures: readonly Figure[];
  readonly gates: readonly Gate[];
  /** Whether all gates are. */
  readonly passed: boolean;
  /** Which data, and its licence. */
  readonly data: string;
  /** By file name: SVG as text, other files (WAV, MIDI, PNG) as bytes. */
  readonly pictures: Readonly<Record<string, string | Uint8Array>>;
  /** The trained weights as float16; stored as `weights.safetensors` by `--save`. */
  readonly weights: Uint8Array;
}

/** A program of the gallery. */
export type Run = (options?: RunOptions) => Promise<Result>;

/** The result of a run that trained, or loaded, `model`. */
export function resultOf(model: Module, parts: Omit<Result, "passed" | "weights">): Result {
  const weights = serializeSafetensors(model.stateDict(), {}, { float16: true });
  return { ...parts, passed: parts.gates.every(({ passed }) => passed), weights };
}

/** Gives the model its stored weights, if there are any. @returns whether it has them */
export function restored(model: Module, { load }: RunOptions): boolean {
  if (load === undefined) return false;
  model.loadStateDict(parseSafetensors(load).tensors);
  return true;
}

type Source<B> = Iterable<B & Continuing> & { readonly epochs?: number; readonly batchesPerEpoch?: number };

/**
 * `fit`, told to the caller step by step, and taken up again where it was interrupted.
 * @param stage names the training among those of its program
 */
export async function train<M extends Module, B extends object>(
  stage: string,
  model: M,
  batches: Source<B>,
  options: FitOptions<M, B, never>,
  { progress, signal, checkpoints }: RunOptions,
): Promise<void> {
  const training = fit(model, batches, { ...options, signal, resume: checkpoints?.read(stage) });
  const steps = options.maxSteps ?? (batches.epochs ?? 1) * (batches.batchesPerEpoch ?? Number.NaN);
  try {
    for await (const { step, loss } of training) progress?.({ stage, step, steps, loss });
  } finally {
    // After the last step too, so that a program with several trainings goes on with the next one.
    if (training.step > 0) checkpoints?.write(stage, training.checkpoint());
  }
}
