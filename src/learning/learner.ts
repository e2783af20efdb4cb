/** A recurrence that learns while it runs, step by step, by an algorithm that works forward in time. */

import { addInPlace } from "../autodiff/accumulate.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkWhole } from "../base/checks.ts";
import { ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { cat, slice } from "../ops/shape.ts";
import { batchAxesOf, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors, tensorsLike } from "../recurrence/state.ts";
import { stateFromBytes, stateToBytes } from "../recurrence/state-bytes.ts";
import { Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { bytesOf, keep, scope, Tensor, tensor } from "../tensor/tensor.ts";
import { type Learner, refuseInputGradient, snapshot, type TakenStep, trainedOf } from "./algorithm.ts";
import { checkSameOutputs, cotangentOf, type Influence, type InfluenceFor, settingOf } from "./influence.ts";
import { Stretch, startInfluence } from "./stretch.ts";

/** What goes from step to step. */
type Memory<S extends State> = {
  readonly state: S;
  /** One for each sequence of the batch. */
  readonly influences: readonly State[];
  /** Places of the generators that the algorithm draws from [6] each. */
  readonly generators: readonly Tensor[];
};

/** Steps of the trial that tells recurrences whose steps follow each other from others. */
const TRIAL_STEPS = 3;

/** The learner of an algorithm that works forward in time, each sequence of the batch for itself. */
export class ForwardLearner<S extends State> implements Learner<S> {
  readonly #name: string;
  readonly #recurrence: Recurrence<S>;
  /** Trained ones; all parameters in the order of the recurrence. */
  readonly #trained: readonly Parameter[];
  readonly #batch: number;
  readonly #axes: readonly number[];
  readonly #influences: readonly Influence[];
  readonly #generators: readonly Generator[];
  /** Places of the generators at first. */
  readonly #origins: readonly GeneratorState[];
  /** Parameters that sweeps have got to: the others have no gradient, not one of 0. */
  readonly #reached = new Set<Tensor>();
  #memory: Memory<S>;

  constructor(name: string, influence: InfluenceFor, recurrence: Recurrence<S>, batch: number) {
    checkWhole(name, "batch", batch, { least: 1 });
    this.#name = name;
    this.#recurrence = recurrence;
    this.#batch = batch;
    this.#trained = trainedOf(recurrence.parameters());
    const made = scope(() => {
      this.#checkSteps();
      const like = this.#firstState();
      const own = recurrence as unknown as Recurrence;
      const start = startInfluence(own, this.#trained);
      for (const p of start?.reached ?? []) this.#reached.add(p);
      const settings = this.#sequences(like, batchAxesOf(recurrence, like)).map((state) => ({
        ...settingOf(name, own, this.#trained, state, "fixed"),
        start: start?.rows ?? null,
      }));
      return { axes: batchAxesOf(recurrence, like), influences: settings.map(influence), state: like };
    });
    this.#axes = made.axes;
    this.#influences = made.influences;
    for (const { initial } of made.influences) stateTensors(initial).forEach(keep);
    this.#generators = [...new Set(made.influences.flatMap(({ generator }) => generator ?? []))];
    this.#origins = this.#generators.map((g) => g.state);
    this.#memory = this.#begin(made.state);
  }

  get state(): S {
    return mapState(copyOf, this.#memory.state);
  }

  get memory(): Memory<S> {
    return this.#memory;
  }

  /** @throws ShapeError, DTypeError, FormatError where it is not one of this learner; nothing changes then */
  set memory(memory: State) {
    const { generators } = scope(() => this.#accept(memory));
    generators.forEach((state, i) => {
      (this.#generators[i] as Generator).state = state;
    });
  }

  step(x: Tensor, error?: (y: Tensor) => Tensor | null): Tensor {
    return scope(() => {
      const taken = this.take(x);
      const dy = error?.(taken.y) ?? null;
      const found = dy === null ? [] : taken.pull(dy);
      const move = taken.settle();
      addGradients(this.#recurrence.parameters(), found);
      move();
      return taken.y;
    });
  }

  take(x: Tensor): TakenStep<S> {
    const { state, influences } = this.#memory;
    refuseInputGradient(this.#name, x);
    if (x.rank !== 2 || x.dim(0) !== this.#batch || x.dim(1) !== this.#recurrence.inputSize) {
      throw new ShapeError(`${this.#name}: expected x [${this.#batch},${this.#recurrence.inputSize}], got ${show(x.shape)}`);
    }
    const blocks = this.#withoutDraws(() => this.#sequences(state).map((s, b) => this.#stretch(x, s, b)));
    const { y, next } = noGrad(() => ({
      y: this.#joined(blocks.map(({ ys }) => reshape(ys, [1, this.#recurrence.outputSize]))),
      next: this.#joinedStates(blocks.map((block) => block.next)),
    }));
    return {
      y,
      next,
      pull: (dy, dNext = []) => this.#pull(blocks, influences, dy, dNext),
      settle: () => this.#settle(blocks, influences, next),
    };
  }

  reset(): void {
    this.#generators.forEach((g, i) => {
      g.state = this.#origins[i] as GeneratorState;
    });
    this.#move(this.#begin(scope(() => this.#firstState())));
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return stateToBytes(this.#memory);
  }

  fromBytes(bytes: Uint8Array): void {
    scope(() => {
      this.memory = stateFromBytes(bytes, this.#memory);
    });
  }

  #firstState(): S {
    return noGrad(() => mapState(copyOf, this.#recurrence.initialState(this.#batch)));
  }

  /** The memory before the first step. */
  #begin(state: S): Memory<S> {
    const generators = this.#generators.map(placeOf);
    return mapState(keptCopy, { state, influences: this.#influences.map(({ initial }) => initial), generators } as State) as Memory<S>;
  }

  /** The states of each sequence for itself. */
  #sequences(state: S, axes: readonly number[] = this.#axes): S[] {
    const tensors = stateTensors(state);
    return Array.from({ length: this.#batch }, (_, b) =>
      restoreState(
        state,
        tensors.map((t, i) => slice(t, axes[i] as number, b, b + 1)),
      ),
    );
  }

  #joined(rows: readonly Tensor[], axis = 0): Tensor {
    return rows.length === 1 ? (rows[0] as Tensor).detach() : cat(rows, axis);
  }

  #joinedStates(states: readonly State[]): S {
    const like = this.#memory.state as State;
    // By name: a step may list its tensors in another order.
    const named = states.map((s) => stateTensors(mapState((_, t) => t as Tensor, like, s)));
    const joined = this.#axes.map((axis, i) =>
      this.#joined(
        named.map((tensors) => tensors[i] as Tensor),
        axis,
      ),
    );
    return restoreState(like, joined) as S;
  }

  #stretch(x: Tensor, state: S, b: number): Stretch<State> {
    const row = reshape(slice(x, 0, b, b + 1), [1, 1, this.#recurrence.inputSize]);
    return new Stretch(this.#recurrence as unknown as Recurrence, this.#trained, row.detach(), state as State);
  }

  /** @throws StateError where `fn` draws random numbers; the generators are put back then */
  #withoutDraws<R>(fn: () => R): R {
    const moved = new Map<Generator, GeneratorState>();
    const result = watchGenerators(moved, fn);
    if (moved.size === 0) return result;
    for (const [g, state] of moved) g.state = state;
    throw new StateError(
      `${this.#name}: expected steps without random numbers, got ones that draw them: set dropout and its like to evaluation`,
    );
  }

  /** Whether steps follow each other in time, each sequence for itself: a short scan is compared with steps. @throws StateError */
  #checkSteps(): void {
    const recurrence = this.#recurrence;
    const B = this.#batch;
    const dtype = recurrence.parameters()[0]?.dtype;
    const xs = new Generator(0).uniform([TRIAL_STEPS, B, recurrence.inputSize], 0, 1, dtype === "float64" ? dtype : "float32");
    const trial = () =>
      noGrad(() => {
        const [ys] = this.#withoutDraws(() => recurrence.scan(xs));
        for (let b = 0; b < B; b++) {
          let state = recurrence.initialState(1);
          for (let t = 0; t < TRIAL_STEPS; t++) {
            const at = (s: Tensor): Tensor => reshape(slice(slice(s, 0, t, t + 1), 1, b, b + 1), [1, s.dim(2)]);
            const [y, next] = recurrence.step(at(xs), state);
            checkSameOutputs(this.#name, y, at(ys));
            state = next;
          }
        }
      });
    snapshot(recurrence)(trial);
  }

  #pull(
    blocks: readonly Stretch<State>[],
    influences: readonly State[],
    dy: Tensor | null,
    dNext: readonly (Tensor | null)[],
  ): readonly (Tensor | null)[] {
    const O = this.#recurrence.outputSize;
    if (dy !== null && !(dy instanceof Tensor && sameShape(dy.shape, [this.#batch, O]))) {
      throw new ShapeError(
        `${this.#name}: expected the error's derivative by y [${this.#batch},${O}], got ${dy instanceof Tensor ? show(dy.shape) : quote(dy)}`,
      );
    }
    const sum = blocks
      .map((block, b) => {
        const row = (t: Tensor, axis: number): Tensor => slice(t, axis, b, b + 1);
        const own = stateTensors(this.#sequences(this.#memory.state)[b] as S);
        const ends = own.map((_, i) => dNext[i] && row(dNext[i] as Tensor, this.#axes[i] as number)).map((d) => d ?? null);
        const dys = dy && reshape(row(dy, 0), [1, 1, O]);
        return (this.#influences[b] as Influence).gradient(block, influences[b] as State, dys, cotangentOf(ends, own));
      })
      .reduce((a, b) => add(a, b));
    this.#note(blocks);
    const found = stateFromVector(sum, this.#trained);
    return this.#recurrence.parameters().map((p) => (this.#reached.has(p) ? (found[this.#trained.indexOf(p)] as Tensor) : null));
  }

  #settle(blocks: readonly Stretch<State>[], influences: readonly State[], state: S): () => void {
    const next = blocks.map((block, b) => (this.#influences[b] as Influence).next(block, influences[b] as State));
    this.#note(blocks);
    const memory = mapState(copyOf, { state, influences: next, generators: this.#generators.map(placeOf) } as State) as Memory<S>;
    return () => {
      this.#move(mapState(keep, memory as State) as Memory<S>);
    };
  }

  #note(blocks: readonly Stretch<State>[]): void {
    for (const p of this.#trained) if (blocks.some(({ reached }) => reached.has(p))) this.#reached.add(p);
  }

  /** Takes another memory in the place of the present one. */
  #move(memory: Memory<S>): void {
    for (const t of stateTensors(this.#memory)) t.dispose();
    this.#memory = memory;
  }

  /** Checks a memory from outside and takes it over, but for the generators' places. */
  #accept(memory: State): { readonly generators: readonly GeneratorState[] } {
    const tensors = tensorsLike(this.#memory, memory, "memory");
    const given = restoreState(this.#memory, tensors);
    const generators = given.generators.map(readPlace);
    this.#move(mapState(keptCopy, given as State) as Memory<S>);
    return { generators };
  }
}

/** A copy that outlives every scope. */
function keptCopy(t: Tensor): Tensor {
  return keep(copyOf(t));
}

/** The place of a generator as a tensor. */
function placeOf(g: Generator): Tensor {
  return tensor(new Int32Array(g.toBytes().buffer));
}

/** @throws FormatError for what is no generator's place */
function readPlace(t: Tensor): GeneratorState {
  return Generator.fromBytes(bytesOf(t)).state;
}

/** Adds gradients to what parameters have. */
function addGradients(parameters: readonly Parameter[], found: readonly (Tensor | null)[]): void {
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
