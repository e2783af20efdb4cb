/** Learning from one sample at a time while the model runs, in constant memory. */

import { addInPlace } from "../autodiff/accumulate.ts";
import { backward } from "../autodiff/backward.ts";
import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled } from "../autodiff/tape.ts";
import { checkFunction, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../io/checkpoint.ts";
import { type GradientAlgorithm, type Learner, refuseInputGradient, type TakenStep } from "../learning/algorithm.ts";
import { addGradients } from "../learning/step-learner.ts";
import { outermostRecurrences, replaceMethods } from "../learning/using-gradients.ts";
import { checkInPlace } from "../nn/exchanged.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { checkClipNorm, clipGradNorm } from "../optim/clip.ts";
import { Optimizer } from "../optim/optimizer.ts";
import type { Recurrence, ScanOptions } from "../recurrence/recurrence.ts";
import { restoreState, type State, stateTensors, tensorsLike } from "../recurrence/state.ts";
import { type Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { Shadow } from "../tensor/shadow.ts";
import { show } from "../tensor/shape.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import { checkWeights, forgetGradients, generatorsOf } from "./model-parts.ts";

export interface OnlineOptions<M extends Module, B> {
  readonly optimizer: Optimizer;
  /** An algorithm that learns sample by sample, from `tapeloop/learning`: `rtrl()`, `truncated({ steps: [16, 4] })`. */
  readonly gradients: GradientAlgorithm;
  /**
   * Computes the scalar to minimise, for one sample; null if the sample has no target and the model only moves on. Recurrences are
   * called with one step, xs [1,B,I] or x [B,I], and without a state: each keeps its own. What a loss for `fit` returns
   * besides the scalar is ignored.
   */
  readonly loss: (model: M, sample: B) => Tensor | null | readonly [loss: Tensor | null, ...rest: unknown[]];
  /** Number of parallel sequences (default 1). */
  readonly batch?: number;
  /** Number of samples whose gradients add up before the optimiser steps (default 1). */
  readonly updateEvery?: number;
  /** Largest Euclidean norm of all gradients together. */
  readonly clipNorm?: number;
}

/**
 * A model that learns while it runs, with one call per sample and constant memory. Everything between the recurrences and the loss
 * (heads, readouts) trains as usual; the inputs of a recurrence must be data.
 *
 * A sample costs as much as a step of the algorithm, which each documents. Algorithms that send errors back in time (`truncated`, `hybrid`, `crbp`,
 * `transposedGraph` with a window) learn from an error some samples later; `finish` ends a sequence without losing the last ones. Weights change while the influence still stems from earlier
 * ones: for gradients with fixed weights, set `updateEvery` to the length of a sequence.
 *
 * @throws ArgumentError for an algorithm that cannot work forward in time, for a model without recurrences, and for recurrences for which the algorithm
 *   is not defined; StateError for ones that cannot run step by step (bidirectional, random numbers)
 * @see Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks", Neural Computation 1, 1989
 * @example
 * const learning = online(model, { gradients: rtrl(), loss: (m, { x, y }) => mseLoss(m.forward(x), y), optimizer });
 * for (const sample of samples) learning.step(sample);
 * const saved = learning.toBytes(); // weights, optimiser, states, influences: go on anywhere
 */
export function online<M extends Module, B>(model: M, options: OnlineOptions<M, B>): Online<M, B> {
  return new Online(model, options);
}

/** A recurrence whose learner runs its steps. */
interface Taught {
  readonly recurrence: Recurrence;
  readonly learner: Learner;
}

/** A model that trains sample by sample; see `online`. */
export class Online<M extends Module, B> {
  readonly #model: M;
  readonly #options: OnlineOptions<M, B>;
  readonly #taught: readonly Taught[];
  readonly #shadow = new Shadow();
  #samples = 0;
  /** Number of samples whose gradients wait for the next update. */
  #sinceUpdate = 0;
  /** Gradients of earlier samples that no update has used yet. */
  #waiting: (Tensor | null)[] = [];

  constructor(model: M, options: OnlineOptions<M, B>) {
    checkModule("online", model);
    const {
      gradients,
      batch = 1,
      updateEvery = 1,
      clipNorm,
      loss,
      optimizer,
    } = optionsOf("online", options, ["optimizer", "gradients", "loss", "batch", "updateEvery", "clipNorm"]);
    checkFunction("online", "loss", loss);
    if (!(optimizer instanceof Optimizer)) throw new DTypeError(`online: expected an optimizer, got ${quote(optimizer)}`);
    checkWhole("online", "batch", batch, { least: 1 });
    checkWhole("online", "updateEvery", updateEvery, { least: 1 });
    if (clipNorm !== undefined) checkClipNorm("online", clipNorm);
    if (gradients?.begin === undefined) {
      throw new ArgumentError(
        `online: expected an algorithm that learns sample by sample, as rtrl(), got ${gradients?.name ?? quote(gradients)}`,
      );
    }
    const recurrences = outermostRecurrences(model);
    if (recurrences.length === 0) throw new ArgumentError("online: expected a model with a recurrence, got none");
    this.#model = model;
    this.#options = options;
    this.#taught = recurrences.map((recurrence) => ({ recurrence, learner: (gradients.begin as Begin)(recurrence, batch) }));
  }

  /** Number of samples so far. */
  get samples(): number {
    return this.#samples;
  }

  /** Copies of the state of each outermost recurrence, in the order of the model's modules. */
  get states(): readonly State[] {
    return this.#taught.map(({ learner }) => learner.state);
  }

  /**
   * Takes one sample: the model advances by one step and learns from it.
   * @returns the loss; null if there was none
   * @throws StateError for a loss or gradient that is not finite; ArgumentError for a recurrence that is called twice, with a state, or with more than
   *   one step. Errors leave weights, states and generators unchanged
   */
  step(sample: B): number | null {
    const { updateEvery = 1 } = this.#options;
    const params = this.#params();
    return this.#orNothing(() =>
      scope(() => {
        const taken = new Map<Learner, TakenStep>();
        const value = this.#lossOf(sample, taken);
        const loss = value === null ? null : this.#finite("loss", value.item());
        if (value !== null) backward(value);
        this.#addLate(taken);
        this.#finite("gradient norm", clipGradNorm(params, Number.POSITIVE_INFINITY));
        const moves = Array.from(taken.values(), (step) => step.settle());
        this.#mergeWaiting(params);
        if (this.#sinceUpdate + 1 === updateEvery) this.#update();
        for (const move of moves) move();
        this.#samples++;
        this.#sinceUpdate = (this.#sinceUpdate + 1) % updateEvery;
        return loss;
      }),
    );
  }

  /**
   * Ends a sequence: the model learns from waiting errors, and from gradients that wait for `updateEvery`, then returns to the initial
   * states.
   * @throws StateError for a gradient that is not finite; leaves everything unchanged
   */
  finish(): void {
    const params = this.#params();
    this.#orNothing(() => {
      scope(() => {
        for (const { recurrence, learner } of this.#taught) addGradients(recurrence.parameters(), learner.remaining());
        this.#finite("gradient norm", clipGradNorm(params, Number.POSITIVE_INFINITY));
        this.#mergeWaiting(params);
        if (params.some((p) => p.grad !== null)) this.#update();
      });
    });
    this.#sinceUpdate = 0;
    for (const { learner } of this.#taught) learner.reset();
  }

  /** Returns to the initial states, for a new sequence. Drops waiting errors, and gradients that wait for `updateEvery`. */
  reset(): void {
    for (const { learner } of this.#taught) learner.reset();
    this.#samples -= this.#sinceUpdate;
    this.#sinceUpdate = 0;
    forgetGradients(this.#params());
  }

  /**
   * Everything needed to continue, as one checkpoint: weights, optimiser, states, influences.
   * @throws StateError between two updates, whose gradients would be lost, and while averages are in the parameters' place
   */
  toBytes(): Uint8Array<ArrayBuffer> {
    const { optimizer } = this.#options;
    if (this.#sinceUpdate !== 0)
      throw new StateError(`online: expected to be saved after an update, got ${this.#sinceUpdate} samples after one`);
    checkInPlace("online", this.#params());
    return encodeCheckpoint({
      step: this.#samples,
      model: this.#model.stateDict(),
      optimizer: optimizer.stateDict(),
      best: new Map(),
      state: this.#memory(),
      cursor: null,
      generators: generatorsOf(this.#model),
      progress: null,
      extra: null,
    });
  }

  /** Continues from bytes. @throws FormatError, ShapeError, DTypeError for any other bytes; leaves everything unchanged */
  fromBytes(bytes: Uint8Array): void {
    checkInPlace("online", this.#params());
    scope(() => {
      const { step, model, optimizer, state, generators } = decodeCheckpoint(bytes);
      checkWeights("weights", model, this.#model.stateDict(), new Set(this.#options.optimizer.params));
      if (state === null) throw new FormatError("online: expected a checkpoint with states, got one without");
      const own = generatorsOf(this.#model);
      if (generators.length !== own.length) {
        throw new FormatError(`online: expected the places of ${own.length} generators, got ${generators.length}`);
      }
      const like = this.#memory();
      const memories = restoreState(like, tensorsLike(like, state)) as readonly State[];
      const before = this.#taught.map(({ learner }) => learner.toBytes());
      try {
        this.#orNothing(() => {
          this.#taught.forEach(({ learner }, i) => {
            learner.memory = memories[i] as State;
          });
          this.#model.loadStateDict(model);
          this.#options.optimizer.loadStateDict(optimizer);
        });
      } catch (error) {
        this.#taught.forEach(({ learner }, i) => {
          learner.fromBytes(before[i] as Uint8Array);
        });
        throw error;
      }
      for (const g of this.#waiting) g?.dispose();
      this.#waiting = [];
      own.forEach((g, i) => {
        g.state = (generators[i] as Generator).state;
      });
      this.#samples = step;
      this.#sinceUpdate = 0;
      forgetGradients(this.#params());
    });
  }

  #memory(): readonly State[] {
    return this.#taught.map(({ learner }) => learner.memory);
  }

  #params(): Tensor[] {
    return [...new Set<Tensor>([...this.#model.parameters(), ...this.#options.optimizer.params])];
  }

  #finite(what: string, value: number): number {
    if (Number.isFinite(value)) return value;
    throw new StateError(`online: expected a finite ${what} in sample ${this.#samples + 1}, got ${value}`);
  }

  /** Gradients from this or earlier samples' errors that fall due at this sample. */
  #addLate(taken: ReadonlyMap<Learner, TakenStep>): void {
    for (const { recurrence, learner } of this.#taught) addGradients(recurrence.parameters(), taken.get(learner)?.late?.() ?? []);
  }

  #update(): void {
    const { optimizer, clipNorm } = this.#options;
    const params = this.#params();
    if (clipNorm !== undefined) clipGradNorm(params, clipNorm);
    optimizer.step();
    forgetGradients(params);
  }

  /** Adds waiting gradients to those of this sample. */
  #mergeWaiting(params: readonly Tensor[]): void {
    params.forEach((p, i) => {
      const waiting = this.#waiting[i] ?? null;
      if (waiting === null) return;
      if (p.grad !== null) {
        addInPlace(waiting, p.grad);
        p.grad.dispose();
      }
      p.grad = waiting;
    });
    this.#waiting = [];
  }

  /** Runs `fn`, starting without gradients; if it fails, restores weights, buffers, gradients and generators. */
  #orNothing<R>(fn: () => R): R {
    const params = this.#params();
    this.#shadow.take(new Set([...this.#model.stateDict().values(), ...params]));
    this.#waiting = params.map((p) => p.grad);
    for (const p of params) p.grad = null;
    const moved = new Map<Generator, GeneratorState>();
    try {
      return watchGenerators(moved, fn);
    } catch (error) {
      this.#shadow.putBack();
      for (const [g, state] of moved) g.state = state;
      forgetGradients(params);
      this.#mergeWaiting(params);
      throw error;
    }
  }

  #lossOf(sample: B, taken: Map<Learner, TakenStep>): Tensor | null {
    const restore = this.#taught.map((taught) => replaceSteps(taught, taken));
    try {
      const result = this.#options.loss(this.#model, sample);
      const value: unknown = Array.isArray(result) ? result[0] : result;
      if (value !== null && !(value instanceof Tensor)) {
        throw new ArgumentError(`online: expected loss to return a tensor or null, got ${quote(value)}`);
      }
      if (value !== null && taken.size === 0) {
        throw new ArgumentError("online: expected loss to run a step of the model's recurrences, got one that runs none");
      }
      return value;
    } finally {
      for (const undo of restore) undo();
    }
  }
}

type Begin = (recurrence: Recurrence, batch: number) => Learner;

interface LearnerParams {
  readonly learner: Learner;
  readonly taken: Map<Learner, TakenStep>;
}

/** A learner's step as a primitive: its inputs are x and the recurrence's parameters, its outputs y and the next state's tensors. */
const learnerStep: Primitive<LearnerParams> = {
  name: "learnerStep",
  forward([x], { learner, taken }) {
    const step = learner.take((x as Tensor).detach());
    taken.set(learner, step);
    return [step.y, ...stateTensors(step.next)].map((t) => t.detach());
  },
  vjp([dy = null, ...dNext], { params: { learner, taken } }: Evaluation<LearnerParams>) {
    if (isGradEnabled()) throw new StateError("online: expected a loss that is differentiated once, got a gradient of a gradient");
    return [null, ...(taken.get(learner) as TakenStep).pull(dy, dNext)];
  },
  jvp() {
    throw new StateError("online: expected a loss that is differentiated in reverse mode, got tangents");
  },
};

/** Makes a recurrence take one step by its learner. */
function replaceSteps({ recurrence, learner }: Taught, taken: Map<Learner, TakenStep>): () => void {
  const name = recurrence.constructor.name;
  const step = (x: Tensor, state?: State): [y: Tensor, next: State] => {
    if (state !== undefined) throw new ArgumentError(`online: expected no state for ${name}, which goes on from where it is, got one`);
    if (taken.has(learner)) throw new ArgumentError(`online: expected one step of ${name} a sample, got two`);
    refuseInputGradient("online", x);
    const [y, ...next] = applyAll(learnerStep, [x, ...recurrence.parameters()], { learner, taken });
    return [y as Tensor, restoreState(learner.state, next)];
  };
  const scan = (xs: Tensor, state?: State, { lengths, reverse }: ScanOptions = {}): [ys: Tensor, last: State] => {
    if (xs.rank !== 3 || xs.dim(0) !== 1) throw new ShapeError(`online: expected xs [1,B,${recurrence.inputSize}], got ${show(xs.shape)}`);
    if (lengths !== undefined || reverse) throw new ArgumentError("online: expected a step without lengths and forwards, got options");
    const [y, next] = step(reshape(xs, xs.shape.slice(1)), state);
    return [reshape(y, [1, ...y.shape]), next];
  };
  return replaceMethods(recurrence, { scan, step } as Partial<Recurrence>);
}
