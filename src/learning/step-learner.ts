/** Shared by all learners: running a recurrence step by step, and a memory that can be stored as bytes. */

import { addInPlace } from "../autodiff/accumulate.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkWhole } from "../base/checks.ts";
import { ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Parameter } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { slice } from "../ops/shape.ts";
import { batchAxesOf, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors, tensorsLike } from "../recurrence/state.ts";
import { stateFromBytes, stateToBytes } from "../recurrence/state-bytes.ts";
import { Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { keep, scope, Tensor } from "../tensor/tensor.ts";
import { type Learner, refuseInputGradient, snapshot, type TakenStep, trainedOf } from "./algorithm.ts";
import { checkSameOutputs } from "./influence.ts";

/** Number of steps of the trial that checks whether a recurrence's steps follow each other. */
const TRIAL_STEPS = 3;

/** A learner with a memory M. Subclasses call `reset` at the end of their constructor. */
export abstract class StepLearner<S extends State, M extends { readonly state: S }> implements Learner<S> {
  protected readonly name: string;
  protected readonly recurrence: Recurrence<S>;
  protected readonly trained: readonly Parameter[];
  protected readonly batch: number;
  /** The batch axis of each tensor of the state. */
  protected readonly axes: readonly number[];
  #memory: M | null = null;

  constructor(name: string, recurrence: Recurrence<S>, batch: number) {
    checkWhole(name, "batch", batch, { least: 1 });
    this.name = name;
    this.recurrence = recurrence;
    this.batch = batch;
    this.trained = trainedOf(recurrence.parameters());
    this.axes = scope(() => {
      this.#checkSteps();
      return batchAxesOf(recurrence, this.#firstState());
    });
  }

  abstract take(x: Tensor): TakenStep<S>;

  /** The memory before the first step. */
  protected abstract first(state: S): M;

  /** Runs further checks on a foreign memory. @returns a function to call once it is taken over */
  protected admitted(_given: M): () => void {
    return () => {};
  }

  get state(): S {
    return mapState(copyOf, this.memory.state);
  }

  get memory(): M {
    return this.#memory as M;
  }

  /** @throws ShapeError, DTypeError, FormatError unless it fits this learner; leaves everything unchanged */
  set memory(memory: State) {
    scope(() => {
      const given = restoreState(this.memory as State, tensorsLike(this.memory as State, memory, "memory")) as unknown as M;
      const after = this.admitted(given);
      this.move(mapState(keptCopy, given as State) as unknown as M);
      after();
    });
  }

  step(x: Tensor, error?: (y: Tensor) => Tensor | null): Tensor {
    return scope(() => {
      const taken = this.take(x);
      const dy = error?.(taken.y) ?? null;
      const now = dy === null ? [] : taken.pull(dy);
      const late = taken.late?.() ?? [];
      const move = taken.settle();
      addGradients(this.recurrence.parameters(), now);
      addGradients(this.recurrence.parameters(), late);
      move();
      return taken.y;
    });
  }

  remaining(): readonly (Tensor | null)[] {
    return [];
  }

  finish(): void {
    scope(() => {
      addGradients(this.recurrence.parameters(), this.remaining());
    });
    this.reset();
  }

  reset(): void {
    this.move(mapState(keptCopy, scope(() => this.first(this.#firstState())) as State) as unknown as M);
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return stateToBytes(this.memory as State);
  }

  fromBytes(bytes: Uint8Array): void {
    scope(() => {
      this.memory = stateFromBytes(bytes, this.memory as State);
    });
  }

  /** Replaces the memory by another one, which it keeps. */
  protected move(memory: M): void {
    if (this.#memory !== null) for (const t of stateTensors(this.#memory as State)) t.dispose();
    this.#memory = memory;
  }

  #firstState(): S {
    return noGrad(() => mapState(copyOf, this.recurrence.initialState(this.batch)));
  }

  /** @throws ShapeError, ArgumentError for anything but a step's input */
  protected checkInput(x: Tensor): void {
    refuseInputGradient(this.name, x);
    if (x.rank === 2 && x.dim(0) === this.batch && x.dim(1) === this.recurrence.inputSize) return;
    throw new ShapeError(`${this.name}: expected x [${this.batch},${this.recurrence.inputSize}], got ${show(x.shape)}`);
  }

  /** @throws ShapeError for anything but a derivative with respect to the output */
  protected checkError(dy: Tensor): void {
    const O = this.recurrence.outputSize;
    if (dy instanceof Tensor && sameShape(dy.shape, [this.batch, O])) return;
    throw new ShapeError(
      `${this.name}: expected the error's derivative by y [${this.batch},${O}], got ${dy instanceof Tensor ? show(dy.shape) : quote(dy)}`,
    );
  }

  /** The state of each sequence separately. */
  protected sequences(state: S): S[] {
    return sequenceStates(state, this.axes, this.batch);
  }

  /** @throws StateError if `fn` draws random numbers; restores the generators */
  protected withoutDraws<R>(fn: () => R): R {
    const moved = new Map<Generator, GeneratorState>();
    const result = watchGenerators(moved, fn);
    if (moved.size === 0) return result;
    for (const [g, state] of moved) g.state = state;
    throw new StateError(
      `${this.name}: expected steps without random numbers, got ones that draw them: set dropout and its like to evaluation`,
    );
  }

  /** Checks that steps follow each other in time, for each sequence separately, by comparing a short scan with steps. @throws StateError */
  #checkSteps(): void {
    const { recurrence, batch: B } = this;
    const dtype = recurrence.parameters()[0]?.dtype;
    const xs = new Generator(0).uniform([TRIAL_STEPS, B, recurrence.inputSize], 0, 1, dtype === "float64" ? dtype : "float32");
    const trial = () =>
      noGrad(() => {
        const [ys] = this.withoutDraws(() => recurrence.scan(xs));
        for (let b = 0; b < B; b++) {
          let state = recurrence.initialState(1);
          for (let t = 0; t < TRIAL_STEPS; t++) {
            const at = (s: Tensor): Tensor => reshape(slice(slice(s, 0, t, t + 1), 1, b, b + 1), [1, s.dim(2)]);
            const [y, next] = recurrence.step(at(xs), state);
            checkSameOutputs(this.name, y, at(ys));
            state = next;
          }
        }
      });
    snapshot(recurrence)(trial);
  }
}

/** The state of each sequence of a batch separately. @param axes the batch axis of each tensor */
export function sequenceStates<S extends State>(state: S, axes: readonly number[], batch: number): S[] {
  const tensors = stateTensors(state);
  return Array.from({ length: batch }, (_, b) =>
    restoreState(
      state,
      tensors.map((t, i) => slice(t, axes[i] as number, b, b + 1)),
    ),
  );
}

/** A copy that outlives every scope. */
export function keptCopy(t: Tensor): Tensor {
  return keep(copyOf(t));
}

/** Adds gradients to those of parameters; missing gradients add nothing. */
export function addGradients(parameters: readonly Parameter[], found: readonly (Tensor | null)[]): void {
  parameters.forEach((p, i) => {
    const g = found[i];
    if (!g) return;
    if (p.grad === null) p.grad = keptCopy(g);
    else {
      addInPlace(p.grad, g);
      p.grad.storage.noteWrite();
    }
  });
}
