/** A recurrence that learns step by step while it runs, with an algorithm that works forward in time. */

import { noGrad } from "../autodiff/tape.ts";
import { add } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { cat, slice } from "../ops/shape.ts";
import { batchAxesOf, type Recurrence } from "../recurrence/recurrence.ts";
import { detachState, mapState, restoreState, type State, stateFromVector, stateTensors } from "../recurrence/state.ts";
import { Generator, type GeneratorState } from "../tensor/random.ts";
import { copyOf } from "../tensor/strided.ts";
import { bytesOf, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { type TakenStep, trainedOf } from "./algorithm.ts";
import { cotangentOf, type Influence, type InfluenceFor, settingOf } from "./influence.ts";
import { StepLearner, sequenceStates } from "./step-learner.ts";
import { Stretch, startInfluence } from "./stretch.ts";

/** The data carried from step to step. */
type Memory<S extends State> = {
  readonly state: S;
  /** One influence for each sequence of the batch. */
  readonly influences: readonly State[];
  /** Places of the generators that the algorithm draws from, each [6]. */
  readonly generators: readonly Tensor[];
};

/** An influence for each sequence of a batch, and the parameters on which first states depend. */
export function influencesOf<S extends State>(
  name: string,
  of: InfluenceFor,
  recurrence: Recurrence<S>,
  batch: number,
): { readonly influences: readonly Influence[]; readonly reached: Set<Tensor> } {
  return scope(() => {
    const own = recurrence as unknown as Recurrence;
    const trained = trainedOf(own.parameters());
    const start = startInfluence(own, trained);
    const first = noGrad(() => detachState(own.initialState(batch)));
    const influences = sequenceStates(first, batchAxesOf(own, first), batch).map((state) =>
      of({ ...settingOf(name, own, trained, state, "fixed"), start: start?.rows ?? null }),
    );
    for (const { initial } of influences) stateTensors(initial).forEach(keep);
    return { influences, reached: new Set<Tensor>(start?.reached) };
  });
}

/** The learner of an algorithm that works forward in time, for each sequence of the batch separately. */
export class ForwardLearner<S extends State> extends StepLearner<S, Memory<S>> {
  readonly #influences: readonly Influence[];
  readonly #generators: readonly Generator[];
  /** Initial places of the generators. */
  readonly #origins: readonly GeneratorState[];
  /** Parameters that sweeps have reached; the others have no gradient, rather than a zero one. */
  readonly #reached: Set<Tensor>;

  constructor(name: string, influence: InfluenceFor, recurrence: Recurrence<S>, batch: number) {
    super(name, recurrence, batch);
    const { influences, reached } = influencesOf(name, influence, recurrence, batch);
    this.#influences = influences;
    this.#reached = reached;
    this.#generators = [...new Set(this.#influences.flatMap(({ generator }) => generator ?? []))];
    this.#origins = this.#generators.map((g) => g.state);
    this.reset();
  }

  protected first(state: S): Memory<S> {
    return { state, influences: this.#influences.map(({ initial }) => initial), generators: this.#generators.map(placeOf) };
  }

  protected override admitted({ generators }: Memory<S>): () => void {
    const places = generators.map(readPlace);
    return () => {
      places.forEach((state, i) => {
        (this.#generators[i] as Generator).state = state;
      });
    };
  }

  take(x: Tensor): TakenStep<S> {
    const { state, influences } = this.memory;
    this.checkInput(x);
    const blocks = this.withoutDraws(() => this.sequences(state).map((s, b) => this.#stretch(x, s, b)));
    const { y, next } = noGrad(() => ({
      y: this.#joined(blocks.map(({ ys }) => reshape(ys, [1, this.recurrence.outputSize]))),
      next: this.#joinedStates(blocks.map((block) => block.next)),
    }));
    return {
      y,
      next,
      pull: (dy, dNext = []) => this.#pull(blocks, influences, dy, dNext),
      settle: () => this.#settle(blocks, influences, next),
    };
  }

  override reset(): void {
    this.#generators.forEach((g, i) => {
      g.state = this.#origins[i] as GeneratorState;
    });
    super.reset();
  }

  #joined(rows: readonly Tensor[], axis = 0): Tensor {
    return rows.length === 1 ? (rows[0] as Tensor).detach() : cat(rows, axis);
  }

  #joinedStates(states: readonly State[]): S {
    const like = this.memory.state as State;
    // By name, since a step may list its tensors in another order.
    const named = states.map((s) => stateTensors(mapState((_, t) => t as Tensor, like, s)));
    const joined = this.axes.map((axis, i) =>
      this.#joined(
        named.map((tensors) => tensors[i] as Tensor),
        axis,
      ),
    );
    return restoreState(like, joined) as S;
  }

  #stretch(x: Tensor, state: S, b: number): Stretch<State> {
    const row = reshape(slice(x, 0, b, b + 1), [1, 1, this.recurrence.inputSize]);
    return new Stretch(this.recurrence as unknown as Recurrence, this.trained, row.detach(), state as State);
  }

  #pull(
    blocks: readonly Stretch<State>[],
    influences: readonly State[],
    dy: Tensor | null,
    dNext: readonly (Tensor | null)[],
  ): readonly (Tensor | null)[] {
    const O = this.recurrence.outputSize;
    if (dy !== null) this.checkError(dy);
    const sum = blocks
      .map((block, b) => {
        const row = (t: Tensor, axis: number): Tensor => slice(t, axis, b, b + 1);
        const own = stateTensors(this.sequences(this.memory.state)[b] as S);
        const ends = own.map((_, i) => dNext[i] && row(dNext[i] as Tensor, this.axes[i] as number)).map((d) => d ?? null);
        const dys = dy && reshape(row(dy, 0), [1, 1, O]);
        return (this.#influences[b] as Influence).gradient(block, influences[b] as State, dys, cotangentOf(ends, own));
      })
      .reduce((a, b) => add(a, b));
    this.#note(blocks);
    const found = stateFromVector(sum, this.trained);
    return this.recurrence.parameters().map((p) => (this.#reached.has(p) ? (found[this.trained.indexOf(p)] as Tensor) : null));
  }

  #settle(blocks: readonly Stretch<State>[], influences: readonly State[], state: S): () => void {
    const next = blocks.map((block, b) => (this.#influences[b] as Influence).next(block, influences[b] as State));
    this.#note(blocks);
    const memory = mapState(copyOf, { state, influences: next, generators: this.#generators.map(placeOf) } as State) as Memory<S>;
    return () => {
      this.move(mapState(keep, memory as State) as Memory<S>);
    };
  }

  #note(blocks: readonly Stretch<State>[]): void {
    for (const p of this.trained) if (blocks.some(({ reached }) => reached.has(p))) this.#reached.add(p);
  }
}

/** The place of a generator as a tensor. */
function placeOf(g: Generator): Tensor {
  return tensor(new Int32Array(g.toBytes().buffer));
}

/** @throws FormatError for anything but a generator's place */
function readPlace(t: Tensor): GeneratorState {
  return Generator.fromBytes(bytesOf(t)).state;
}
