/** The training loop, as an asynchronous iteration over steps. */

import { backward } from "../autodiff/backward.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkFlag, checkFunction, checkIterable, checkMethods, checkNumber, checkOptions, checkWhole } from "../base/checks.ts";
import { ArgumentError, DTypeError, FormatError, StateError } from "../base/errors.ts";
import { nextTask } from "../base/next-task.ts";
import { quote, shorten } from "../base/quote.ts";
import { type Cursor, checkEpochs, cursorField, hasPlaces, type Pass, passOver } from "../data/batches.ts";
import { DEEPEST_STATE, decodeCheckpoint, encodeCheckpoint, type Json } from "../io/checkpoint.ts";
import type { GradientAlgorithm } from "../learning/algorithm.ts";
import { usingGradients } from "../learning/using-gradients.ts";
import { checkInPlace } from "../nn/exchanged.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { div } from "../ops/arithmetic.ts";
import { checkClipNorm, clipGradNorm } from "../optim/clip.ts";
import type { EMA } from "../optim/ema.ts";
import type { LBFGS } from "../optim/lbfgs.ts";
import { Optimizer, ParameterGroups } from "../optim/optimizer.ts";
import { constantLR, Rates, readRates, type Schedule } from "../optim/schedules.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { Shadow } from "../tensor/shadow.ts";
import { copyOf } from "../tensor/strided.ts";
import { forEachTensor, keep, scope, Tensor } from "../tensor/tensor.ts";
import { checkWeights, forgetGradients, generatorsOf, type Weights } from "./model-parts.ts";
import { type Modes, modesOf, setModes } from "./modes.ts";
import { NOTHING_YET, type Progress, readEpoch, readProgress, type TrainingStep } from "./progress.ts";
import { checkMonitor, type History, type Metric, type Monitor, measured, Recorder, type TrainingSummary } from "./summary.ts";

/** A batch may declare that it does not continue the previous one, which drops the carried state. */
export interface Continuing {
  readonly fresh?: boolean;
}

/** When to stop early. */
export interface EarlyStopping {
  /** Number of evaluations without improvement after which training ends; Infinity to run all steps and only keep the best weights. */
  readonly patience: number;
  /** Smallest improvement that counts (default 0: any). */
  readonly minDelta?: number;
  /** Whether to end with the weights of the best evaluation (default true). */
  readonly restoreBest?: boolean;
}

export interface FitOptions<M extends Module, B, S extends State> {
  /** With `LBFGS` a step runs the loss several times, on the same batches. */
  readonly optimizer: Optimizer | LBFGS;
  /**
   * Computes the scalar to minimise, for one batch. A recurrent model also returns its last state, and gets it back
   * with the next batch, detached (truncated backpropagation through time).
   */
  readonly loss: (model: M, batch: B, state: S | undefined) => Tensor | readonly [loss: Tensor, state: S];
  /**
   * The gradient algorithm of the model's recurrences, from `tapeloop/learning`: `rtrl()`, `hybrid(16)`. Default: backpropagation
   * through time.
   */
  readonly gradients?: GradientAlgorithm | undefined;
  /** Ends after this many steps, counted over all resumed runs; by default with the batches. */
  readonly maxSteps?: number;
  /** Aborting it ends the iteration between two steps by throwing `signal.reason`; iterating again continues without the signal. */
  readonly signal?: AbortSignal | undefined;
  /** Largest Euclidean norm of all gradients together. */
  readonly clipNorm?: number;
  /** The learning rate of each step, counted from 0, from the optimiser's original rate. */
  readonly schedule?: Schedule;
  /**
   * Averages of the parameters, updated after every step and kept in checkpoints. Evaluation runs with them in the parameters' place, and the best
   * weights are the evaluated ones.
   */
  readonly averages?: EMA | undefined;
  /** So many batches make one step, by the mean of their gradients (default 1); the last step of a pass may have fewer. */
  readonly accumulate?: number;
  /**
   * Decides about a step that has failed and was undone: "skip" leaves its batches out and goes on, "throw" (the default) throws the error.
   */
  readonly onError?: ((error: unknown, batches: readonly B[]) => "skip" | "throw") | undefined;
  /** How often to read the batches, an array or a source with places (default 1). `SequenceBatches` and its like have epochs of their own. */
  readonly epochs?: number;
  /**
   * Computes a number to minimise, or several by name, usually on held-out data; runs without recording, in evaluation mode. A value that is not
   * finite is never the best.
   */
  readonly evaluate?: (model: M) => Metric | Readonly<Record<string, Metric>>;
  /** Which of several numbers tells the best, and whether it is the least or the greatest (default: the first one, the least). */
  readonly monitor?: Monitor | undefined;
  /** Steps from one evaluation to the next; the very last step is always evaluated. */
  readonly evaluateEvery?: number;
  readonly earlyStopping?: EarlyStopping;
  /**
   * Generators that dropout and the like draw from, so that checkpoints include their places. The default generator and those in public
   * fields of the model's modules are included anyway.
   */
  readonly generator?: Generator | readonly Generator[] | undefined;
  /** A checkpoint from which to continue. */
  readonly resume?: Uint8Array | undefined;
}

const FIT = [
  "optimizer",
  "loss",
  "gradients",
  "maxSteps",
  "epochs",
  "accumulate",
  "onError",
  "signal",
  "clipNorm",
  "schedule",
  "averages",
  "evaluate",
  "monitor",
  "evaluateEvery",
  "earlyStopping",
  "generator",
  "resume",
] as const;

/**
 * Trains a model: awaiting it runs all steps and gives a summary; iterating it runs one step per iteration. Each step runs in its own scope, so memory stays flat. Between steps,
 * the host handles timers and events.
 *
 * A step clears, clips and updates the model's parameters and all others of the optimiser. Every module keeps its mode:
 * `encoder.eval()` freezes its dropout and running statistics. A model that is entirely in evaluation mode is set to training first.
 *
 * A step that fails, or whose loss or gradient is not finite, is undone: parameters, buffers and modes of the
 * model, optimiser, rates, carried state, generators, and the place in the batches. Iterating again retries the same batch.
 *
 * If the batches end before `maxSteps` and the last step was not evaluated, that step is reported again, with its evaluation.
 *
 * @param batches read to their end or to `maxSteps`, in one pass that spans all iterations. Checkpoints hold the place in it. To continue
 *   from a checkpoint, an array is read from there, and a source with places (`Batches`, such as `WindowBatches`) makes a pass from there;
 *   any other iterable, such as a generator function's, makes the earlier batches again, and they are dropped.
 *   Tensors that the iterable makes for a batch live for its step
 * @throws StateError for a loss or gradient that is not finite, naming the step
 * @throws FormatError, ShapeError for a checkpoint of another run; leaves everything unchanged
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
 * @example
 * const { loss, history } = await fit(model, batches, { optimizer, loss: lossOf, epochs: 10 });
 * await writeFile("loss.svg", lineChart([history.loss]));
 */
export function fit<M extends Module, B extends object, S extends State = State>(
  model: M,
  batches: Iterable<B & Continuing>,
  options: FitOptions<M, B, S>,
): Training<M, B, S> {
  return new Training(model, batches, options);
}

/**
 * A training in progress. It is like a promise of its summary: `await` runs it to its end, and so does returning it from an asynchronous function.
 * Iterating again after `break`, an abort or an error continues where it stopped; after the end it does nothing.
 * The pass over the batches is closed at the end, not at a `break`.
 */
export class Training<M extends Module, B extends object, S extends State = State>
  implements AsyncIterable<TrainingStep>, PromiseLike<TrainingSummary>
{
  /** Ends the iteration once, when it aborts. Set a new one before iterating again. */
  signal: AbortSignal | undefined;
  readonly #model: M;
  readonly #batches: Iterable<B & Continuing>;
  readonly #options: FitOptions<M, B, S>;
  readonly #rates: Rates;
  readonly #shadow = new Shadow();
  #pass: Pass<B & Continuing> | null = null;
  /** The place of the next batch; null for the start. */
  #cursor: Cursor | null = null;
  /** Batches that were taken and not trained on: those of a failed step. */
  #untrained: (B & Continuing)[] = [];
  /** Steps that failed and were left out. */
  #skipped = 0;
  /** The error of the last request for a batch. */
  #sourceError: unknown = null;
  #step = 0;
  /** Passes over the batches that have ended. */
  #epoch = 0;
  /** The run of an `await`; others that wait meanwhile share it. */
  #running: Promise<TrainingSummary> | null = null;
  #summary: TrainingSummary | null = null;
  readonly #history = new Recorder();
  #over = false;
  #state: S | null = null;
  /** Whether the carried state comes from a file and is still unused. */
  #untried = false;
  #progress: Progress = NOTHING_YET;
  /** The modules' modes at the last step. */
  #modes: Modes | null = null;
  /** Weights of the best evaluation. */
  #best: Weights = new Map();
  /** Weights after the last step, kept while the model has the best ones. */
  #last: Weights | null = null;
  /** The generators' places before the first batch. */
  readonly #origins: Places;
  /** Generators that steps and evaluations have drawn from. */
  readonly #drawn = new Set<Generator>();
  /** Generators that the batches have drawn from. */
  readonly #drawnBySource = new Set<Generator>();
  #extra: Json = null;

  constructor(model: M, batches: Iterable<B & Continuing>, options: FitOptions<M, B, S>) {
    checkOptions("fit", options, FIT, ["generator", "resume"]);
    checkModule("fit", model);
    checkIterable("fit", "batches", batches);
    checkFitOptions(options);
    if (options.epochs !== undefined && options.epochs !== 1) checkRepeatable(batches);
    if (options.averages !== undefined) checkAverages(options.averages, model, options.optimizer);
    this.#model = model;
    this.#batches = batches;
    this.#options = options;
    this.signal = options.signal;
    this.#rates = new Rates(options.optimizer, options.schedule ?? constantLR());
    this.#origins = placesOf(this.#generators());
    const { resume } = options;
    if (resume !== undefined) this.#withWeights(() => this.#resume(resume));
  }

  /** Number of steps done. */
  get step(): number {
    return this.#step;
  }

  /** The best evaluation so far and its step. */
  get best(): { readonly value: number; readonly step: number } | null {
    const { best, bestStep } = this.#progress;
    return best === null ? null : { value: best, step: bestStep };
  }

  /** The course of the steps so far, those before a resumed checkpoint excepted. */
  get history(): History {
    return this.#history.lines;
  }

  /** The extra data of the checkpoint from which this training resumed. */
  get extra(): Json {
    return this.#extra;
  }

  /** Runs all steps that are left. After an error or an abort, awaiting it again goes on. */
  // biome-ignore lint/suspicious/noThenProperty: a training is meant to be awaited
  then<R = TrainingSummary, E = never>(
    onfulfilled?: ((summary: TrainingSummary) => R | PromiseLike<R>) | null,
    onrejected?: ((reason: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    this.#running ??= this.#finish().finally(() => {
      this.#running = null;
    });
    return this.#running.then(onfulfilled, onrejected);
  }

  async #finish(): Promise<TrainingSummary> {
    if (this.#summary !== null) return this.#summary;
    for await (const _ of this);
    const { last } = this.#progress;
    this.#summary = {
      steps: this.#step,
      reason: this.#reason(),
      loss: last?.loss ?? null,
      best: this.best,
      skipped: this.#skipped,
      history: this.#history.lines,
    };
    return this.#summary;
  }

  #reason(): TrainingSummary["reason"] {
    const { maxSteps = Number.POSITIVE_INFINITY } = this.#options;
    if (this.#step >= maxSteps) return "maxSteps";
    return this.#isFull() ? "earlyStopping" : "batches";
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TrainingStep, void, undefined> {
    while (!this.#over) {
      if (this.#isDue()) {
        yield this.#noted(this.#evaluate());
        await nextTask();
      }
      if (this.#isFull()) break;
      this.#obeySignal();
      const done = this.#advance();
      if (done === null) break;
      if (done === "skipped") await nextTask();
      if (done === "skipped" || this.#isDue()) continue;
      yield this.#noted(done);
      await nextTask();
    }
    if (this.#over) return;
    if (this.#isUnevaluated()) yield this.#noted(this.#evaluate());
    this.#end();
  }

  #noted(step: TrainingStep): TrainingStep {
    this.#history.add(step);
    return step;
  }

  /**
   * Everything needed to continue, as one safetensors file: weights, optimiser, carried state, generators, place in the batches, step, counters.
   * A training resumed from it continues as if it had never stopped, bit for bit. The weights are the parameters' own, even while `averages`
   * are in their place.
   * @param extra plain data, available later as `extra`
   * @throws StateError if a generator's place would be lost: that of a generator that steps draw from and that is neither among `generator`, nor in a
   *   public field of a module of the model, nor the default one; or of one that both steps and batches without places draw from.
   *   Also while averages of another `EMA`, which training does not know, are in the parameters' place
   * @throws ArgumentError unless the extra data is plain
   */
  checkpoint(extra: Json = null): Uint8Array<ArrayBuffer> {
    const { optimizer, averages } = this.#options;
    this.#checkDraws();
    return this.#withWeights(() => {
      const model = this.#last ?? this.#model.stateDict();
      checkInPlace("checkpoint", model.values());
      return encodeCheckpoint({
        step: this.#step,
        model,
        optimizer: optimizer.stateDict(),
        best: this.#best,
        averages: averages?.stateDict() ?? null,
        state: this.#state,
        cursor: this.#cursor,
        generators: this.#generators(),
        progress: { ...this.#progress, ...this.#rates.state(), epoch: this.#epoch } as unknown as Json,
        extra,
      });
    });
  }

  /** The generators whose places are known, each once, in a fixed order for a given model. */
  #generators(): Generator[] {
    const { generator = [] } = this.#options;
    return [...new Set([generator, generatorsOf(this.#model)].flat())];
  }

  #checkDraws(): void {
    const known = new Set(this.#generators());
    if ([...this.#drawn].some((g) => !known.has(g))) {
      throw new StateError(
        "checkpoint: expected every generator that training draws from in `generator` or in a public field of a module of the model, got another",
      );
    }
    if ([...this.#drawnBySource].some((g) => this.#drawn.has(g))) {
      throw new StateError(
        "checkpoint: expected batches without places to draw from a generator of their own, got one that the steps draw from as well",
      );
    }
  }

  /** Whether nothing is left to do, even if there are more batches. */
  #isFull(): boolean {
    const { maxSteps = Number.POSITIVE_INFINITY, earlyStopping } = this.#options;
    return this.#step >= maxSteps || (earlyStopping !== undefined && this.#progress.stale >= earlyStopping.patience);
  }

  #obeySignal(): void {
    const { signal } = this;
    if (!signal?.aborted) return;
    this.signal = undefined;
    throw signal.reason;
  }

  /** Ends the training: the model gets its best weights. */
  #end(): void {
    this.#over = true;
    this.#pass?.return?.();
    if (this.#best.size === 0) return;
    this.#withWeights(() => {
      this.#last = copyWeights(this.#model.stateDict());
      this.#model.loadStateDict(this.#best);
    });
  }

  /** Runs one step, or undoes it if it fails; null at the end of the batches. */
  #advance(): TrainingStep | "skipped" | null {
    const failed: { error?: unknown } = {};
    // The batches of a failed step outlive the step's scope.
    const outcome = scope((): { done: TrainingStep } | { batches: (B & Continuing)[] } | null => {
      const batches = this.#takeAll();
      if (batches.length === 0) return null;
      try {
        return { done: this.#orNothing(() => this.#trainStep(batches)) };
      } catch (error) {
        failed.error = error;
        return { batches };
      }
    });
    if (outcome === null) return null;
    if ("batches" in outcome) {
      this.#untrained = outcome.batches;
      if (this.#options.onError?.(failed.error, outcome.batches) !== "skip") throw failed.error;
      this.#skipped++;
    }
    this.#untrained = [];
    this.#cursor = (this.#pass as Pass<B>).cursor;
    return "done" in outcome ? outcome.done : "skipped";
  }

  /** The batches of the next step, all of one pass; none at the end. Those that were taken before the source failed are kept. */
  #takeAll(): (B & Continuing)[] {
    const { accumulate = 1 } = this.#options;
    const batches = [...this.#untrained];
    try {
      for (let isFirst = batches.length === 0; batches.length < accumulate; isFirst = false) {
        const batch = this.#take(isFirst);
        if (batch === null) break;
        batches.push(batch);
      }
    } catch (error) {
      // A source that is read anew, from the last step on, gives them once more.
      if (this.#pass !== null) forEachTensor(batches, keep);
      this.#untrained = this.#pass === null ? [] : batches;
      throw error;
    }
    return batches;
  }

  /** The next batch; null at the end, of the pass or of all passes. */
  #take(mayBegin: boolean): (B & Continuing) | null {
    try {
      const pass = this.#open();
      const { value, done } = this.#watchSource(() => pass.next());
      if (!done) this.#sourceError = null;
      else if (this.#sourceError !== null) {
        throw new StateError("fit: expected the batches to go on after their error, got their end", { cause: this.#sourceError });
      }
      if (done) return mayBegin && this.#nextEpoch() ? this.#take(mayBegin) : null;
      if (typeof value !== "object" || value === null) throw new DTypeError(`fit: expected batches that are objects, got ${quote(value)}`);
      return value;
    } catch (error) {
      // An iterator cannot be restarted; anything else is read again from here.
      if (!("next" in this.#batches)) this.#pass = null;
      this.#sourceError = error;
      throw error;
    }
  }

  /** Begins to read the batches once more, if that is wanted and there are any. The state of the last batch does not belong to the first. */
  #nextEpoch(): boolean {
    if (this.#epoch + 1 >= (this.#options.epochs ?? 1) || this.#cursor === null) return false;
    this.#epoch++;
    this.#carry(null);
    this.#pass = null;
    this.#cursor = null;
    return true;
  }

  /** Runs a function that makes batches, and notes their generators if the batches may have to be made again. */
  #watchSource<R>(fn: () => R): R {
    if (hasPlaces(this.#batches)) return fn();
    const moved: Places = new Map();
    try {
      return watchGenerators(moved, fn);
    } finally {
      for (const g of moved.keys()) this.#drawnBySource.add(g);
    }
  }

  /** The pass over the batches. Batches that must be made again to reach a place are made exactly as before. */
  #open(): Pass<B & Continuing> {
    if (this.#pass !== null) return this.#pass;
    const places = placesOf(this.#generators());
    if (this.#cursor !== null) setPlaces(this.#origins);
    try {
      this.#pass = this.#watchSource(() => passOver(this.#batches, this.#cursor));
    } finally {
      if (this.#cursor !== null) setPlaces(places);
    }
    return this.#pass;
  }

  /** Runs `fn`; if it fails, restores the model, the optimiser's parameters, rates and generators. */
  #orNothing<R>(fn: () => R): R {
    const { optimizer } = this.#options;
    const modes = modesOf(this.#model);
    const putRatesBack = this.#rates.hold();
    this.#shadow.take(new Set([...this.#model.stateDict().values(), ...optimizer.params]));
    const moved: Places = new Map();
    try {
      const result = watchGenerators(moved, fn);
      for (const g of moved.keys()) this.#drawn.add(g);
      return result;
    } catch (error) {
      setModes(modes);
      this.#shadow.putBack();
      putRatesBack();
      setPlaces(moved);
      throw error;
    }
  }

  #trainStep(batches: readonly (B & Continuing)[]): TrainingStep {
    const { optimizer, schedule, averages } = this.#options;
    const params = [...new Set([...this.#model.parameters(), ...optimizer.params])];
    checkInPlace("fit", params);
    try {
      this.#setToTraining();
      const step = this.#step + 1;
      const { loss, gradNorm, carried } = this.#differentiate(batches, params, step);
      // Everything that can fail comes before the optimiser's step, or is that step.
      if (schedule !== undefined) this.#rates.set(this.#step);
      if (optimizer instanceof Optimizer) optimizer.step(undefined, loss);
      else this.#search(optimizer, batches, params);
      averages?.update();
      this.#carry(carried);
      this.#step = step;
      const last = { step, loss, gradNorm, lr: optimizer.lr };
      this.#progress = { ...this.#progress, last };
      return last;
    } finally {
      forgetGradients(params);
    }
  }

  /** The mean loss of some batches, with its gradients in the parameters, and the state after the last of them. */
  #differentiate(batches: readonly (B & Continuing)[], params: readonly Tensor[], step: number): Differentiated<S> {
    const { clipNorm = Number.POSITIVE_INFINITY } = this.#options;
    forgetGradients(params);
    let carried: S | null = this.#state;
    let total = 0;
    batches.forEach((batch, i) => {
      const [value, next] = this.#lossOf(batch, batch.fresh ? null : carried, i === 0);
      total += finite("loss", value.item(), step);
      backward(batches.length === 1 ? value : div(value, batches.length));
      carried = next === null ? null : (mapState((s) => copyOf(s), next) as S);
    });
    return { loss: total / batches.length, gradNorm: finite("gradient norm", clipGradNorm(params, clipNorm), step), carried };
  }

  /** A step of an optimiser that runs the loss as often as it needs. If it fails, the optimiser is as before. */
  #search(optimizer: LBFGS, batches: readonly (B & Continuing)[], params: readonly Tensor[]): void {
    const before = optimizer.stateDict();
    const saved = { ...before, tensors: Object.fromEntries(Object.entries(before.tensors).map(([name, t]) => [name, copyOf(t)])) };
    try {
      optimizer.step(() => this.#differentiate(batches, params, this.#step + 1).loss);
    } catch (error) {
      optimizer.loadStateDict(saved);
      throw error;
    }
  }

  /** Modules keep their modes. A model that was set to evaluation as a whole returns to its last training modes. */
  #setToTraining(): void {
    if (!this.#model.training) {
      this.#model.train();
      if (this.#modes !== null) setModes(this.#modes);
    }
    this.#modes = modesOf(this.#model);
  }

  #lossOf(batch: B & Continuing, before: S | null, isFirst: boolean): [loss: Tensor, next: S | null] {
    const result = this.#untried && isFirst && before !== null ? this.#tryState(batch, before) : this.#callLoss(batch, before ?? undefined);
    const [value, next = null] = Array.isArray(result) ? (result as [Tensor, (S | null)?]) : [result as Tensor];
    if (!(value instanceof Tensor)) {
      throw new ArgumentError(`fit: expected loss to return a tensor, or a list of a tensor and a state, got ${quote(result)}`);
    }
    if (next !== null) checkCarried(next);
    return [value, next];
  }

  #callLoss(batch: B & Continuing, state: S | undefined): ReturnType<FitOptions<M, B, S>["loss"]> {
    const { loss, gradients } = this.#options;
    const call = () => loss(this.#model, batch, state);
    return gradients === undefined ? call() : usingGradients(gradients, this.#model, call);
  }

  /** A file may contain any state; the first step shows whether the model accepts it. */
  #tryState(batch: B & Continuing, state: S): ReturnType<FitOptions<M, B, S>["loss"]> {
    try {
      return this.#callLoss(batch, state);
    } catch (cause) {
      if (typeof (cause as { code?: unknown } | null)?.code === "string") throw cause;
      const message = shorten(String((cause as Error | null)?.message));
      throw new FormatError(
        `fit: expected the carried state of the checkpoint to be one that loss can take, got an error from it (${message})`,
        {
          cause,
        },
      );
    }
  }

  /** Keeps a state beyond its step, and releases the previous one. */
  #carry(next: S | null): void {
    const before = this.#state;
    this.#state = next;
    this.#untried = false;
    if (next !== null) stateTensors(next).forEach(keep);
    if (before !== null) for (const t of stateTensors(before)) t.dispose();
  }

  /** Whether the last step still needs an evaluation. */
  #isUnevaluated(): boolean {
    return this.#options.evaluate !== undefined && this.#progress.evaluated < this.#step;
  }

  /** Whether an evaluation is due after the last step and has not happened. */
  #isDue(): boolean {
    const { evaluateEvery = Number.POSITIVE_INFINITY, maxSteps } = this.#options;
    return this.#isUnevaluated() && (this.#step % evaluateEvery === 0 || this.#step === maxSteps);
  }

  /** Evaluates the last step. */
  #evaluate(): TrainingStep {
    const { evaluate } = this.#options;
    const modes = modesOf(this.#model);
    const measure = () => noGrad(() => scope(() => measured(evaluate?.(this.#model), this.#options.monitor)));
    const { value, metrics } = this.#orNothing(() => {
      this.#model.eval();
      return this.#withAverages(measure);
    });
    setModes(modes);
    this.#withAverages(() => this.#remember(value));
    return { ...(this.#progress.last as TrainingStep), evaluation: value, ...(metrics && { metrics }) };
  }

  #withAverages<R>(fn: () => R): R {
    const { averages } = this.#options;
    return averages === undefined ? fn() : averages.withAverages(fn);
  }

  /** Runs `fn` with the model's own weights. */
  #withWeights<R>(fn: () => R): R {
    const { averages } = this.#options;
    return averages === undefined ? fn() : averages.withParameters(fn);
  }

  #remember(value: number): void {
    const { earlyStopping } = this.#options;
    const { best, stale } = this.#progress;
    const sign = this.#options.monitor?.mode === "max" ? -1 : 1;
    const bar = best === null ? Number.POSITIVE_INFINITY : sign * best - (earlyStopping?.minDelta ?? 0);
    const evaluated = this.#step;
    if (!(Number.isFinite(value) && sign * value < bar)) {
      this.#progress = { ...this.#progress, evaluated, stale: stale + 1 };
      return;
    }
    if (earlyStopping !== undefined && (earlyStopping.restoreBest ?? true)) this.#keepBest(copyWeights(this.#model.stateDict()));
    this.#progress = { ...this.#progress, evaluated, best: value, bestStep: this.#step, stale: 0 };
  }

  #keepBest(weights: Weights): void {
    for (const t of this.#best.values()) t.dispose();
    this.#best = weights;
  }

  /** Takes over a checkpoint completely, or not at all. */
  #resume(bytes: Uint8Array): void {
    const { optimizer, averages } = this.#options;
    scope(() => {
      const checkpoint = decodeCheckpoint(bytes);
      const { step, model, best, cursor, state } = checkpoint;
      const progress = readProgress(checkpoint.progress, step);
      const epoch = readEpoch(checkpoint.progress, Math.max(1, this.#options.epochs ?? 1));
      const rates = readRates("checkpoint", checkpoint.progress, optimizer.groups.length);
      const own = this.#model.stateDict();
      const trained = new Set(optimizer.params);
      checkWeights("weights", model, own, trained);
      if (best.size > 0) checkWeights("best weights", best, own, trained);
      if ((averages === undefined) !== ((checkpoint.averages ?? null) === null)) {
        const [wanted, got] = averages === undefined ? ["no averages", "some"] : ["averages", "none"];
        throw new FormatError(`checkpoint: expected ${wanted}, as fit has them, got ${got}`);
      }
      if (checkpoint.averages) averages?.checkStateDict(checkpoint.averages);
      const generators = this.#generators();
      if (generators.length !== checkpoint.generators.length) {
        throw new FormatError(`checkpoint: expected the places of ${generators.length} generators, got ${checkpoint.generators.length}`);
      }
      // A source that knows its places detects a wrong one at once.
      const pass = hasPlaces(this.#batches) ? passOver(this.#batches, cursor) : null;
      if (cursor !== null && pass === null) cursorField(cursor, "taken", step + 1);
      this.#shadow.take(this.#model.stateDict().values());
      try {
        this.#model.loadStateDict(model);
        optimizer.loadStateDict(checkpoint.optimizer);
      } catch (error) {
        this.#shadow.putBack();
        throw error;
      }
      if (checkpoint.averages) averages?.loadStateDict(checkpoint.averages);
      generators.forEach((g, i) => {
        g.state = (checkpoint.generators[i] as Generator).state;
      });
      this.#pass = pass;
      this.#cursor = cursor;
      this.#step = step;
      this.#epoch = epoch;
      this.#progress = progress;
      this.#rates.load(rates);
      this.#extra = checkpoint.extra;
      this.#keepBest(keepAll(best));
      this.#carry(state as S | null);
      this.#untried = state !== null;
    });
  }
}

// What a forgotten `await` meets: only the summary has these, and only `for await` iterates. Types show neither.
for (const name of ["steps", "reason", "loss"]) {
  const get = (): never => {
    throw new StateError(`fit: expected the training to be awaited before its ${name} is read: await fit(…)`);
  };
  Object.defineProperty(Training.prototype, name, { get, configurable: true });
}
Object.defineProperty(Training.prototype, Symbol.iterator, {
  configurable: true,
  value: (): never => {
    throw new StateError("fit: expected for await (const step of training), got for without await");
  },
});

/** A step's loss and gradients. */
interface Differentiated<S extends State> {
  readonly loss: number;
  /** Before clipping. */
  readonly gradNorm: number;
  readonly carried: S | null;
}

type Places = Map<Generator, GeneratorState>;

function placesOf(generators: readonly Generator[]): Places {
  return new Map(generators.map((g) => [g, g.state]));
}

function setPlaces(places: Places): void {
  for (const [g, state] of places) g.state = state;
}

/** Copies that outlive every scope. */
function copyWeights(weights: Weights): Weights {
  const copies = scope(() => new Map(Array.from(weights, ([name, t]) => [name, copyOf(t)])));
  return keepAll(copies);
}

function keepAll(weights: Weights): Weights {
  for (const t of weights.values()) keep(t);
  return weights;
}

/** Options for any type of model. */
type AnyOptions = {
  readonly [K in keyof FitOptions<Module, object, State>]: K extends "loss" | "evaluate" | "onError"
    ? unknown
    : FitOptions<Module, object, State>[K];
};

/** Refuses averages of parameters that are not trained, which would never change. @throws ArgumentError */
function checkAverages({ parameters = [] }: EMA, model: Module, { groups }: Optimizer | LBFGS): void {
  const known = new Set<Tensor>([...model.parameters(), ...groups.flatMap(({ params }) => params)]);
  const strange = parameters.findIndex((p) => !known.has(p));
  if (strange < 0) return;
  throw new ArgumentError(
    `fit: expected averages of parameters of the model or the optimiser, got others, the first at position ${strange}`,
  );
}

function checkFitOptions({
  optimizer,
  loss,
  gradients,
  maxSteps,
  clipNorm,
  schedule,
  evaluateEvery,
  earlyStopping,
  generator,
  averages,
  evaluate,
  epochs,
  accumulate,
  onError,
  monitor,
  signal,
}: AnyOptions): void {
  if (!((optimizer as unknown) instanceof ParameterGroups)) {
    throw new DTypeError(`fit: expected an optimizer, such as SGD or Adam, got ${quote(optimizer)}`);
  }
  checkFunction("fit", "loss", loss);
  if (gradients !== undefined) checkMethods("fit", "gradients, a gradient algorithm", gradients, ["scan"]);
  if (schedule !== undefined) checkFunction("fit", "schedule", schedule);
  if (evaluate !== undefined) checkFunction("fit", "evaluate", evaluate);
  if (averages !== undefined)
    checkMethods("fit", "averages, an EMA", averages, ["update", "withAverages", "withParameters", "stateDict", "checkStateDict"]);
  if (maxSteps !== undefined) checkWhole("fit", "maxSteps", maxSteps);
  if (epochs !== undefined) checkEpochs("fit", epochs);
  if (accumulate !== undefined) checkWhole("fit", "accumulate", accumulate, { least: 1 });
  if (onError !== undefined) checkFunction("fit", "onError", onError);
  checkMonitor("fit", monitor);
  if (evaluateEvery !== undefined) checkWhole("fit", "evaluateEvery", evaluateEvery, { least: 1 });
  if (clipNorm !== undefined) checkClipNorm("fit", clipNorm);
  if (![generator ?? []].flat().every((g) => g instanceof Generator)) {
    throw new ArgumentError(`fit: expected generator to be a Generator or a list of them, got ${quote(generator)}`);
  }
  if (signal !== undefined) checkMethods("fit", "a signal", signal, ["addEventListener", "removeEventListener"]);
  if (earlyStopping === undefined) return;
  checkOptions("fit: earlyStopping", earlyStopping, ["patience", "minDelta", "restoreBest"]);
  const { patience, minDelta = 0, restoreBest = true } = earlyStopping;
  if (patience !== Number.POSITIVE_INFINITY) checkWhole("fit", "earlyStopping.patience", patience, { least: 1 });
  checkNumber("fit", "earlyStopping.minDelta", minDelta, { least: 0 });
  checkFlag("fit", "earlyStopping.restoreBest", restoreBest);
  if (evaluate === undefined || evaluateEvery === undefined) {
    throw new ArgumentError("fit: expected evaluate and evaluateEvery with earlyStopping, got none");
  }
}

/** Batches that can be read again, and in whose second pass a place can be found. @throws ArgumentError */
function checkRepeatable(batches: Iterable<unknown>): void {
  if (hasPlaces(batches)) return;
  throw new ArgumentError("fit: expected an array or a source with places, such as SequenceBatches, with epochs, got another iterable");
}

function finite(what: string, value: number, step: number): number {
  if (!Number.isFinite(value)) throw new StateError(`fit: expected a finite ${what} in step ${step}, got ${value}`);
  return value;
}

/** Requires tensors in lists and records, which checkpoints can store. @throws ArgumentError */
function checkCarried(state: unknown, depth = 0): void {
  if (state instanceof Tensor) return;
  if (typeof state !== "object" || state === null || depth === DEEPEST_STATE) {
    throw new ArgumentError(
      `fit: expected the state to be tensors in lists and records, at most ${DEEPEST_STATE} deep, got ${quote(state)}`,
    );
  }
  for (const part of Object.values(state)) checkCarried(part, depth + 1);
}
