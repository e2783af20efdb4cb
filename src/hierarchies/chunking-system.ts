/** The history compressor with two nets: an automatizer, and a chunker that sees unexpected symbols. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, Linear, layerOptions } from "../nn/layers.ts";
import { mul } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { less, where } from "../ops/compare.ts";
import { cat, split } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell, checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, type State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface ChunkingSystemOptions<A extends State, C extends State> extends LayerOptions {
  /** A, from N symbols. */
  readonly automatizer: Recurrence<A>;
  /** C, from N symbols. */
  readonly chunker: Recurrence<C>;
  /** D, size of the target. */
  readonly targetSize: number;
  /** Least probability at which a symbol counts as expected (default 0.95). */
  readonly confidence?: number;
}

/** The states of A and C, A's prediction [B,N] as probabilities, and C's last output [B,H_C]. */
export type ChunkingState<A extends State = State, C extends State = State> = {
  readonly a: A;
  readonly c: C;
  readonly expected: Tensor;
  readonly h: Tensor;
};

/** The outputs of a chunking system over a sequence, each [T,B,…]. */
export interface ChunkingOutputs {
  /** 1 where the symbol was unexpected and C made a step, else 0: [T,B,1]. */
  readonly unexpected: Tensor;
  /** A's logits for the next symbol [T,B,N]. */
  readonly next: Tensor;
  /** A's own target output [T,B,D], and its output h_A [T,B,H_A]. */
  readonly target: Tensor;
  readonly automatizer: Tensor;
  /** A's prediction of C's output [T,B,H_C]. */
  readonly imitation: Tensor;
  /** C's logits for the next unexpected symbol [T,B,N]. */
  readonly nextUnexpected: Tensor;
  /** C's target output [T,B,D], and its output h_C [T,B,H_C]. */
  readonly chunkerTarget: Tensor;
  readonly chunker: Tensor;
}

/**
 * Two nets instead of a stack. The automatizer A predicts each next symbol; an unexpected symbol goes to the chunker C, which otherwise
 * pauses. A also learns to predict C's state, and so, in time, to do without C:
 *
 *   unexpected(t) = [P_A(x(t)) < θ]
 *   h_A(t), a(t) = A(x(t), a(t−1))
 *   h_C(t), c(t) = C(x(t), c(t−1)) where unexpected, else as before
 *
 * Heads: `nextHead`, `targetHead`, `imitationHead` of h_A, `nextUnexpectedHead`, `chunkerTargetHead` of h_C. The output lays the fields of
 * `ChunkingOutputs` side by side, and `outputs(ys)` takes them apart; θ = `confidence`. Before the first symbol nothing is expected.
 * @param options x [B,N] unit vectors to [B,1 + 2N + 2D + H_A + 2H_C]
 * @throws ArgumentError for nets that read different numbers of symbols
 * @see Schmidhuber, "Learning complex, extended sequences using the principle of history compression", 1992, section 4
 * Deviates: targets are not inputs; time is not represented; predictions are a distribution over symbols.
 * @example
 * const [ys, last] = system.scan(xs);
 * const { unexpected, chunkerTarget } = system.outputs(ys);
 */
export class ChunkingSystem<A extends State = State, C extends State = State> extends Cell<ChunkingState<A, C>> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly confidence: number;
  readonly automatizer: Recurrence<A>;
  readonly chunker: Recurrence<C>;
  readonly nextHead: Linear;
  readonly targetHead: Linear;
  readonly imitationHead: Linear;
  readonly nextUnexpectedHead: Linear;
  readonly chunkerTargetHead: Linear;

  constructor(options: ChunkingSystemOptions<A, C>) {
    super();
    const {
      automatizer,
      chunker,
      targetSize: D,
      confidence = 0.95,
    } = optionsOf("ChunkingSystem", options, ["automatizer", "chunker", "targetSize", "confidence", ...LAYER]);
    checkRecurrence("ChunkingSystem", automatizer);
    checkRecurrence("ChunkingSystem", chunker);
    const N = automatizer.inputSize;
    if (chunker.inputSize !== N) throw new ArgumentError(`ChunkingSystem: expected a chunker of ${N} inputs, got ${chunker.inputSize}`);
    checkSizes("ChunkingSystem", { targetSize: D });
    const head = (from: Recurrence<State>, size: number) => new Linear(from.outputSize, size, layerOptions(options));
    this.inputSize = N;
    this.automatizer = automatizer;
    this.chunker = chunker;
    this.confidence = confidence;
    this.nextHead = head(automatizer, N);
    this.targetHead = head(automatizer, D);
    this.imitationHead = head(automatizer, chunker.outputSize);
    this.nextUnexpectedHead = head(chunker, N);
    this.chunkerTargetHead = head(chunker, D);
    this.outputSize = this.#widths.reduce((a, b) => a + b);
  }

  get #widths(): number[] {
    const [N, D, HA, HC] = [this.inputSize, this.targetHead.outFeatures, this.automatizer.outputSize, this.chunker.outputSize];
    return [1, N, D, HA, HC, N, D, HC];
  }

  /** The nets' initial states, and zeros: nothing is expected. */
  initialState(batch: number): ChunkingState<A, C> {
    const { dtype } = this.nextHead.weight;
    return {
      a: this.automatizer.initialState(batch),
      c: this.chunker.initialState(batch),
      expected: zeros([batch, this.inputSize], dtype),
      h: zeros([batch, this.chunker.outputSize], dtype),
    };
  }

  step(x: Tensor, { a, c, expected, h }: ChunkingState<A, C>): [y: Tensor, next: ChunkingState<A, C>] {
    const unexpected = less(sum(mul(expected, x), { axis: 1, keepDim: true }), this.confidence);
    const [hA, a1] = this.automatizer.step(x, a);
    const [moved, cMoved] = this.chunker.step(x, c);
    const event = (after: Tensor, before: Tensor) =>
      where(reshape(unexpected, [x.dim(0), ...before.shape.slice(1).fill(1)]), after, before);
    const hC = event(moved, h);
    const c1 = mapState((after, before) => event(after as Tensor, before as Tensor), cMoved, c);
    const next = this.nextHead.forward(hA);
    const y = cat(
      [
        where(unexpected, 1, zeros([x.dim(0), 1], x.dtype)),
        next,
        this.targetHead.forward(hA),
        hA,
        this.imitationHead.forward(hA),
        this.nextUnexpectedHead.forward(hC),
        this.chunkerTargetHead.forward(hC),
        hC,
      ],
      1,
    );
    return [y, { a: a1, c: c1, expected: softmax(next, 1), h: hC }];
  }

  /** Splits the output of a scan. */
  outputs(ys: Tensor): ChunkingOutputs {
    const [unexpected, next, target, automatizer, imitation, nextUnexpected, chunkerTarget, chunker] = split(ys, this.#widths, 2) as [
      Tensor,
      ...Tensor[],
    ];
    return { unexpected, next, target, automatizer, imitation, nextUnexpected, chunkerTarget, chunker } as ChunkingOutputs;
  }
}
