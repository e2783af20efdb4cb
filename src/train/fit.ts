/** The training loop, as an asynchronous iteration over steps. */

import { backward } from "../autodiff/backward.ts";
import { noGrad } from "../autodiff/tape.ts";
import { ArgumentError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import type { Batches, Cursor } from "../data/batches.ts";
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type Json } from "../io/checkpoint.ts";
import type { Module } from "../nn/module.ts";
import { clipGradNorm } from "../optim/clip.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Schedule } from "../optim/schedules.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { keep, scope, Tensor } from "../tensor/tensor.ts";
import { nextTask } from "./next-task.ts";

/** A batch may say that it does not continue the one before: the carried state is dropped. */
export interface Continuing {
  readonly fresh?: boolean;
}

export interface EarlyStopping {
  /** Evaluations without improvement after which training ends. */
  readonly patience: number;
  /** What counts as an improvement (default 0: any). */
  readonly minDelta?: number;
  /** Whether the model ends with the weights of its best evaluation (default true). */
  readonly restoreBest?: boolean;
}

export interface FitOptions<M extends Module, B, S extends State> {
  readonly optimizer: Optimizer;
  /**
   * The scalar to be made small, of one batch. A recurrent model returns its last state beside it and is given it
   * with the next batch, cut off from the tape (truncated backpropagation through time).
   */
  readonly loss: (model: M, batch: B, state: S | undefined) => Tensor | readonly [loss: Tensor, state: S];
  /** Ends after this many steps, counted over all resumed runs; otherwise with the batches. */
  readonly maxSteps?: number;
  /** Aborting ends the iteration between two steps by throwing `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
  /** Largest Euclidean norm of all gradients together. */
  readonly clipNorm?: number;
  /** The learning rate of each step, counted from 0, from the rate the optimiser was made with. */
  readonly schedule?: Schedule;
  /** A number to be made small, as on held-out data; runs without recording, in evaluation mode. */
  readonly evaluate?: (model: M) => number;
  /** Steps from one evaluation to the next; without it, only after step `maxSteps`. */
  readonly evaluateEvery?: number;
  readonly earlyStopping?: EarlyStopping;
  /** What dropout and its like draw from, so that checkpoints hold its place; the default generator unless given. */
  readonly generator?: Generator;
  /** A checkpoint to go on from. */
  readonly resume?: Uint8Array | undefined;
}

/** What is told of each step. */
export interface TrainingStep {
  /** Steps done, this one included. */
  readonly step: number;
  readonly loss: number;
  /** Norm of all gradients, before clipping. */
  readonly gradNorm: number;
  readonly lr: number;
  /** Result of `evaluate`, after the steps it ran. */
  readonly evaluation?: number;
}

/** The loop's memory of evaluations. */
interface Progress {
  readonly best: number | null;
  readonly bestStep: number;
  /** Evaluations since the best. */
  readonly stale: number;
}

const NOTHING_YET: Progress = { best: null, bestStep: 0, stale: 0 };

/**
 * Trains a model: iterate to make it go. Each step runs in a scope of its own, so that memory stays flat. Between steps,
 * timers and events of the host have their turn.
 *
 * A step that fails, or whose loss or gradient is not finite, leaves the model, the optimiser, the carried state, the generator
 * and the batches' cursor as they were before it.
 *
 * @param batches read to their end or to `maxSteps`; with a cursor (as `WindowBatches` has), checkpoints hold the place.
 * Tensors that a batch makes when it is asked for live for its step
 * @throws StateError for a loss or gradient that is not finite, naming the step
 * @throws FormatError, ShapeError for a checkpoint of another run; nothing is changed then
 * @example
 * const training = fit(model, batches, {
 *   optimizer: new Adam(model.parameters(), { lr: 2e-3 }),
 *   loss: (m, { inputs, targets }, state) => {
 *     const [logits, next] = m.forward(inputs, state);
 *     return [crossEntropy(logits, targets), next];
 *   },
 *   maxSteps: 2000,
 *   clipNorm: 1,
 * });
 * for await (const { step, loss } of training) if (step % 100 === 0) console.log(step, loss);
 */
export function fit<M extends Module, B extends object, S extends State = State>(
  model: M,
  batches: Iterable<B & Continuing>,
  options: FitOptions<M, B, S>,
): Training<M, B, S> {
  return new Training(model, batches, options);
}

/** A training in progress. Iterating again after `break` goes on where it stopped. */
export class Training<M extends Module, B extends object, S extends State = State> implements AsyncIterable<TrainingStep> {
  readonly #model: M;
  readonly #batches: Iterable<B & Continuing>;
  readonly #options: FitOptions<M, B, S>;
  #step = 0;
  #state: S | null = null;
  #progress: Progress = NOTHING_YET;
  /** Weights of the best evaluation. */
  #best: ReadonlyMap<string, Tensor> = new Map();
  /** Learning rates of the optimiser's groups before any schedule. */
  #baseLrs: readonly number[];
  #extra: Json = null;

  constructor(model: M, batches: Iterable<B & Continuing>, options: FitOptions<M, B, S>) {
    checkOptions(options);
    this.#model = model;
    this.#batches = batches;
    this.#options = options;
    this.#baseLrs = options.optimizer.groups.map((group) => group.lr);
    if (options.resume !== undefined) this.#resume(options.resume);
  }

  /** Steps done. */
  get step(): number {
    return this.#step;
  }

  /** The best evaluation so far and its step. */
  get best(): { readonly value: number; readonly step: number } | null {
    const { best, bestStep } = this.#progress;
    return best === null ? null : { value: best, step: bestStep };
  }

  /** What the caller gave to the checkpoint this training resumed from. */
  get extra(): Json {
    return this.#extra;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainingStep, void, undefined> {
    const { signal, maxSteps = Number.POSITIVE_INFINITY } = this.#options;
    const iterator = this.#batches[Symbol.iterator]();
    this.#model.train();
    try {
      while (this.#step < maxSteps && !this.#exhaustedPatience()) {
        signal?.throwIfAborted();
        const done = this.#advance(iterator);
        if (done === null) break;
        yield { ...done, ...this.#evaluate() };
        await nextTask();
      }
    } finally {
      iterator.return?.();
    }
    if (this.#best.size > 0) this.#model.loadStateDict(this.#best);
  }

  /**
   * Everything needed to go on, as one safetensors file: weights, optimiser, carried state, generator, cursor, step, counters.
   * Resumed from it, training goes on as if it had never stopped, bit for bit.
   * @param extra plain data to find again as `extra`
   */
  checkpoint(extra: Json = null): Uint8Array<ArrayBuffer> {
    return encodeCheckpoint({
      step: this.#step,
      model: this.#model.stateDict(),
      optimizer: this.#options.optimizer.stateDict(),
      best: this.#best,
      state: this.#state,
      cursor: cursorOf(this.#batches),
      generator: this.#generator,
      progress: { ...this.#progress, baseLrs: this.#baseLrs },
      extra,
    });
  }

  get #generator(): Generator {
    return this.#options.generator ?? defaultGenerator();
  }

  #exhaustedPatience(): boolean {
    const { earlyStopping } = this.#options;
    return earlyStopping !== undefined && this.#progress.stale >= earlyStopping.patience;
  }

  /** One step, or nothing at all if it fails; null at the end of the batches. */
  #advance(iterator: Iterator<B & Continuing>): TrainingStep | null {
    const cursor = cursorOf(this.#batches);
    const random = this.#generator.state;
    try {
      return scope(() => this.#trainStep(iterator));
    } catch (error) {
      if (cursor !== null) (this.#batches as Batches<B>).cursor = cursor;
      this.#generator.state = random;
      throw error;
    } finally {
      this.#model.zeroGrad();
    }
  }

  #trainStep(iterator: Iterator<B & Continuing>): TrainingStep | null {
    const { optimizer, loss, clipNorm = Number.POSITIVE_INFINITY } = this.#options;
    const { value: batch, done } = iterator.next();
    if (done) return null;
    this.#model.zeroGrad();
    const result = loss(this.#model, batch, batch.fresh ? undefined : (this.#state ?? undefined));
    const [value, next] = result instanceof Tensor ? [result, null] : result;
    const step = this.#step + 1;
    const lossValue = finite("loss", value.item(), step);
    backward(value);
    const gradNorm = finite("gradient norm", clipGradNorm(this.#model.parameters(), clipNorm), step);
    this.#setRates();
    optimizer.step();
    this.#carry(next);
    this.#step = step;
    return { step, loss: lossValue, gradNorm, lr: optimizer.lr };
  }

  #setRates(): void {
    const { optimizer, schedule } = this.#options;
    if (schedule === undefined) return;
    optimizer.groups.forEach((group, i) => {
      group.lr = schedule(this.#step, this.#baseLrs[i] as number);
    });
  }

  /** Copies the state out of the step's scope and releases the one before. */
  #carry(next: S | null): void {
    const before = this.#state;
    this.#state = next === null ? null : mapState((s) => keep(copyOf(s)), next);
    if (before !== null) for (const t of stateTensors(before)) t.dispose();
  }

  #evaluate(): { evaluation?: number } {
    const { evaluate, evaluateEvery = Number.POSITIVE_INFINITY, maxSteps } = this.#options;
    if (evaluate === undefined || (this.#step % evaluateEvery !== 0 && this.#step !== maxSteps)) return {};
    this.#model.eval();
    const evaluation = noGrad(() => scope(() => evaluate(this.#model)));
    this.#model.train();
    this.#remember(evaluation);
    return { evaluation };
  }

  #remember(value: number): void {
    const { earlyStopping } = this.#options;
    const { best, stale } = this.#progress;
    const improved = best === null || value < best - (earlyStopping?.minDelta ?? 0);
    if (!improved) {
      this.#progress = { ...this.#progress, stale: stale + 1 };
      return;
    }
    this.#progress = { best: value, bestStep: this.#step, stale: 0 };
    if (earlyStopping === undefined || earlyStopping.restoreBest === false) return;
    this.#keepBest(this.#model.stateDict());
  }

  #keepBest(weights: ReadonlyMap<string, Tensor>): void {
    for (const t of this.#best.values()) t.dispose();
    this.#best = new Map(Array.from(weights, ([name, t]) => [name, keep(copyOf(t))]));
  }

  /** Takes over a checkpoint, or nothing of it. */
  #resume(bytes: Uint8Array): void {
    scope(() => {
      const before = decodeCheckpoint(this.checkpoint());
      const checkpoint = decodeCheckpoint(bytes);
      const { baseLrs, ...progress } = progressOf(checkpoint.progress, this.#baseLrs.length);
      checkNamesAndShapes(checkpoint.best, this.#model.stateDict());
      try {
        this.#restore(checkpoint);
      } catch (error) {
        this.#restore(before);
        throw error;
      }
      this.#step = checkpoint.step;
      this.#progress = progress;
      this.#baseLrs = baseLrs;
      this.#extra = checkpoint.extra;
      this.#keepBest(checkpoint.best);
      this.#carry(checkpoint.state as S | null);
    });
  }

  #restore({ model, optimizer, cursor, generator }: Checkpoint): void {
    this.#model.loadStateDict(model);
    this.#options.optimizer.loadStateDict(optimizer);
    if (cursor !== null && "cursor" in this.#batches) (this.#batches as Batches<B>).cursor = cursor;
    if (generator !== null) this.#generator.state = generator.state;
  }
}

type Counts = Pick<FitOptions<Module, object, State>, "maxSteps" | "clipNorm" | "evaluateEvery" | "earlyStopping"> & {
  readonly evaluate?: unknown;
};

function checkOptions(options: Counts): void {
  const { maxSteps, clipNorm, evaluateEvery, earlyStopping, evaluate } = options;
  const whole = { maxSteps, evaluateEvery, "earlyStopping.patience": earlyStopping?.patience };
  for (const [name, value] of Object.entries(whole)) {
    const least = name === "maxSteps" ? 0 : 1;
    if (value !== undefined && !(Number.isInteger(value) && value >= least)) {
      throw new ArgumentError(`fit: expected ${name} to be a whole number of at least ${least}, got ${value}`);
    }
  }
  if (clipNorm !== undefined && !(clipNorm > 0)) throw new ArgumentError(`fit: expected clipNorm above 0, got ${clipNorm}`);
  if (earlyStopping !== undefined && (evaluate === undefined || evaluateEvery === undefined)) {
    throw new ArgumentError("fit: expected evaluate and evaluateEvery with earlyStopping, got none");
  }
}

function finite(what: string, value: number, step: number): number {
  if (!Number.isFinite(value)) throw new StateError(`fit: expected a finite ${what} in step ${step}, got ${value}`);
  return value;
}

function cursorOf(batches: Iterable<unknown>): Cursor | null {
  return "cursor" in batches ? (batches as Batches<unknown>).cursor : null;
}

/** The loop's own part of a checkpoint, for an optimiser of some groups. */
function progressOf(value: Json, groups: number): Progress & { readonly baseLrs: readonly number[] } {
  const { best = null, bestStep, stale, baseLrs } = (value ?? {}) as Partial<Progress> & { baseLrs?: readonly number[] };
  const counts = Number.isSafeInteger(bestStep) && Number.isSafeInteger(stale);
  const rates = Array.isArray(baseLrs) && baseLrs.length === groups && baseLrs.every((lr) => typeof lr === "number");
  if (!counts || !rates || !(best === null || typeof best === "number")) {
    throw new FormatError(`checkpoint: expected progress of best, bestStep, stale and ${groups} baseLrs, got ${JSON.stringify(value)}`);
  }
  return { best, bestStep: bestStep as number, stale: stale as number, baseLrs };
}

function checkNamesAndShapes(weights: ReadonlyMap<string, Tensor>, own: ReadonlyMap<string, Tensor>): void {
  for (const [name, t] of weights) {
    const target = own.get(name);
    if (target === undefined) throw new FormatError(`checkpoint: expected best weights of this model, got ${name}`);
    if (show(t.shape) !== show(target.shape)) {
      throw new ShapeError(`checkpoint: expected best weights ${name} ${show(target.shape)}, got ${show(t.shape)}`);
    }
  }
}
