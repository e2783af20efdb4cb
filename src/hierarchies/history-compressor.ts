/**
 * The neural history compressor: predictors stacked upon what the predictor below did not expect, and a pair of nets that collapses the
 * stack.
 */

import { noGrad } from "../autodiff/tape.ts";
import { checkSizes } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { type LayerOptions, Linear } from "../nn/layers.ts";
import { bceWithLogits, crossEntropy } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { less, where } from "../ops/compare.ts";
import { sum } from "../ops/reduce.ts";
import { cat, reshape, split } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell, type Recurrence, type ScanOptions } from "../recurrence/recurrence.ts";
import { mapState, type State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";

/** A recurrence with a linear head that says what comes next, as logits. */
export class Predictor<S extends State = State> extends Module implements Recurrence<S> {
  readonly cell: Recurrence<S>;
  readonly head: Linear;
  readonly inputSize: number;
  readonly outputSize: number;

  /** @param outputSize of the logits; that of the input unless given */
  constructor(cell: Recurrence<S>, options: LayerOptions & { readonly outputSize?: number } = {}) {
    super();
    this.cell = cell;
    this.inputSize = cell.inputSize;
    this.outputSize = options.outputSize ?? cell.inputSize;
    this.head = new Linear(cell.outputSize, this.outputSize, options);
  }

  initialState(batch: number): S {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [h, next] = this.cell.step(x, state);
    return [this.head.forward(h), next];
  }

  scan(xs: Tensor, state?: S, options?: ScanOptions): [ys: Tensor, last: S] {
    const [hs, last] = this.cell.scan(xs, state, options);
    return [this.head.forward(hs), last];
  }
}

/** What level k reads: a symbol, and k gaps: of each level below, how many of its items lie between this one and the one before, plus one. */
export interface HistoryItem {
  readonly symbol: number;
  readonly gaps: readonly number[];
}

/** A sequence told by what the top level did not expect. */
export interface HistoryDescription {
  /** How many items each level reads, from below; the first is the length of the sequence. */
  readonly lengths: readonly number[];
  /** The items of the top level that were unexpected, and their places among the items of that level. */
  readonly unexpected: readonly { readonly at: number; readonly item: HistoryItem }[];
}

export interface HistoryCompressorOptions {
  readonly symbols: number;
  /** Bits of a gap: gaps go up to 2^bits − 1. */
  readonly gapBits: number;
  /** Level k reads and predicts `symbols + k·gapBits` values. */
  readonly levels: readonly Recurrence<State>[];
  /** An item is expected only if its symbol and each bit had at least this probability (default 0.5). */
  readonly confidence?: number;
}

/** What a level says comes next, and whether it is sure enough. */
interface Guess {
  readonly item: HistoryItem;
  readonly sure: boolean;
}

/**
 * A stack of predictors. Each level predicts its next item from those before; what it predicts it drops, and what it does not becomes,
 * with the time since the last such item, the next item of the level above:
 *
 *   level 0 reads x(0), x(1), …;   level k+1 reads (y, gap) of those items y of level k that are not as predicted
 *
 * No information is lost: whoever runs the same predictors knows what they expected. The first item of each level is unexpected. Levels
 * are trained in turn, from below: `loss(k, items(k, sequence))`. A level sees symbols as unit vectors and gaps as bits.
 * @throws ArgumentError for levels whose sizes do not fit, and for symbols and gaps out of range
 * @see Schmidhuber, "Learning complex, extended sequences using the principle of history compression", 1992, sections 2 and 3
 * Deviates: symbols instead of real vectors; time steps are told by their distance.
 * @example
 * const description = compressor.compress(symbols);
 * compressor.reconstruct(description); // the same symbols
 */
export class HistoryCompressor extends Module {
  readonly symbols: number;
  readonly gapBits: number;
  readonly levels: readonly Recurrence<State>[];
  readonly confidence: number;

  constructor({ symbols, gapBits, levels, confidence = 0.5 }: HistoryCompressorOptions) {
    super();
    checkSizes("HistoryCompressor", { symbols, gapBits, levels: levels.length });
    for (const [k, { inputSize, outputSize }] of levels.entries()) {
      const size = symbols + k * gapBits;
      if (inputSize !== size || outputSize !== size) {
        throw new ArgumentError(`HistoryCompressor: expected level ${k} from ${size} to ${size}, got ${inputSize} to ${outputSize}`);
      }
    }
    this.symbols = symbols;
    this.gapBits = gapBits;
    this.levels = [...levels];
    this.confidence = confidence;
  }

  /** What is left of a sequence when each level drops what it expects. */
  compress(sequence: readonly number[]): HistoryDescription {
    const lengths: number[] = [];
    let items = lowest(sequence);
    let unexpected: number[] = [];
    for (const k of this.levels.keys()) {
      if (k > 0) items = above(items, unexpected);
      lengths.push(items.length);
      unexpected = this.#unexpected(k, items);
    }
    return { lengths, unexpected: unexpected.map((at) => ({ at, item: items[at] as HistoryItem })) };
  }

  /** The sequence, from what `compress` left of it. */
  reconstruct({ lengths, unexpected }: HistoryDescription): number[] {
    let known = new Map(unexpected.map(({ at, item }) => [at, item]));
    let items: HistoryItem[] = [];
    for (let k = this.levels.length - 1; k >= 0; k--) {
      if (k < this.levels.length - 1) known = below(items);
      items = this.#walk(k, lengths[k] ?? 0, (at, guess) => known.get(at) ?? guess?.item);
    }
    return items.map(({ symbol }) => symbol);
  }

  /** What level k reads of a sequence. */
  items(k: number, sequence: readonly number[]): HistoryItem[] {
    let items = lowest(sequence);
    for (let level = 0; level < k; level++) items = above(items, this.#unexpected(level, items));
    return items;
  }

  /** Nats for each item of level k after the first: of its symbol, and of the bits of its gaps. */
  loss(k: number, items: readonly HistoryItem[]): Tensor {
    const level = this.#level(k);
    const next = items.slice(1);
    if (next.length === 0) throw new ArgumentError(`HistoryCompressor: expected at least two items to predict from, got ${items.length}`);
    const xs = stackRows(
      items.slice(0, -1).map((item) => this.#values(item)),
      dtypeOf(level),
    );
    const logits = reshape(level.scan(reshape(xs, [next.length, 1, level.inputSize]))[0], [next.length, level.outputSize]);
    const [ofSymbol, ofBits] = split(logits, [this.symbols, k * this.gapBits], 1) as [Tensor, Tensor];
    const symbols = tensor(Int32Array.from(next, ({ symbol }) => symbol));
    const symbolLoss = crossEntropy(ofSymbol, symbols);
    if (k === 0) return symbolLoss;
    const bits = stackRows(
      next.map(({ gaps }) => this.#bits(gaps)),
      logits.dtype,
    );
    return add(symbolLoss, mul(bceWithLogits(ofBits, bits), k * this.gapBits));
  }

  #level(k: number): Recurrence<State> {
    const level = this.levels[k];
    if (level === undefined) throw new ArgumentError(`HistoryCompressor: expected a level below ${this.levels.length}, got ${k}`);
    return level;
  }

  /** Places of the items of level k that are not as predicted. */
  #unexpected(k: number, items: readonly HistoryItem[]): number[] {
    const places: number[] = [];
    this.#walk(k, items.length, (at, guess) => {
      const item = items[at] as HistoryItem;
      if (!(guess?.sure && sameItem(guess.item, item))) places.push(at);
      return item;
    });
    return places;
  }

  /** Runs level k over items that are chosen one after another, from what it predicts. Coding and decoding are this one walk. */
  #walk(k: number, length: number, choose: (at: number, guess: Guess | null) => HistoryItem | undefined): HistoryItem[] {
    const level = this.#level(k);
    const items: HistoryItem[] = [];
    scope(() =>
      noGrad(() => {
        let guess: Guess | null = null;
        let state = level.initialState(1);
        for (let at = 0; at < length; at++) {
          const item = choose(at, guess);
          if (item === undefined) throw new ArgumentError(`HistoryCompressor: expected item ${at} of level ${k} in the description`);
          items.push(item);
          const [logits, next] = scope(() => level.step(stackRows([this.#values(item)], dtypeOf(level)), state));
          guess = this.#guess(Array.from(logits.data(), Number), k);
          state = next;
        }
      }),
    );
    return items;
  }

  #guess(logits: readonly number[], k: number): Guess {
    const ofSymbol = logits.slice(0, this.symbols);
    const largest = Math.max(...ofSymbol);
    const probability = 1 / ofSymbol.reduce((total, z) => total + Math.exp(z - largest), 0);
    const ofBits = logits.slice(this.symbols);
    const certain = (z: number) => 1 / (1 + Math.exp(-Math.abs(z))) >= this.confidence;
    const gaps = Array.from({ length: k }, (_, g) =>
      ofBits.slice(g * this.gapBits, (g + 1) * this.gapBits).reduce((gap, z, bit) => gap + (z > 0 ? 2 ** bit : 0), 0),
    );
    return { item: { symbol: ofSymbol.indexOf(largest), gaps }, sure: probability >= this.confidence && ofBits.every(certain) };
  }

  /** Unit vector of the symbol, and bits of the gaps. */
  #values({ symbol, gaps }: HistoryItem): number[] {
    if (!(Number.isInteger(symbol) && symbol >= 0 && symbol < this.symbols)) {
      throw new ArgumentError(`HistoryCompressor: expected symbols below ${this.symbols}, got ${symbol}`);
    }
    return [...Array.from({ length: this.symbols }, (_, i) => Number(i === symbol)), ...this.#bits(gaps)];
  }

  #bits(gaps: readonly number[]): number[] {
    return gaps.flatMap((gap) => {
      if (gap >= 2 ** this.gapBits) throw new ArgumentError(`HistoryCompressor: expected gaps below 2^${this.gapBits}, got ${gap}`);
      return Array.from({ length: this.gapBits }, (_, bit) => Math.floor(gap / 2 ** bit) % 2);
    });
  }
}

function lowest(sequence: readonly number[]): HistoryItem[] {
  return sequence.map((symbol) => ({ symbol, gaps: [] }));
}

/** Items at the given places as items of the level above. */
function above(items: readonly HistoryItem[], places: readonly number[]): HistoryItem[] {
  return places.map((at, i) => {
    const { symbol, gaps } = items[at] as HistoryItem;
    return { symbol, gaps: [...gaps, at - (places[i - 1] ?? -1)] };
  });
}

/** Items of the level below by their places, the inverse of `above`. */
function below(items: readonly HistoryItem[]): Map<number, HistoryItem> {
  let at = -1;
  return new Map(
    items.map(({ symbol, gaps }) => {
      at += gaps.at(-1) ?? 0;
      return [at, { symbol, gaps: gaps.slice(0, -1) }];
    }),
  );
}

function sameItem(a: HistoryItem, b: HistoryItem): boolean {
  return a.symbol === b.symbol && a.gaps.every((gap, i) => gap === b.gaps[i]);
}

function stackRows(rows: readonly (readonly number[])[], dtype: DType): Tensor {
  return tensor(rows.flat(), { shape: [rows.length, rows[0]?.length ?? 0], dtype });
}

function dtypeOf(module: Module): DType {
  return module.parameters()[0]?.dtype ?? "float32";
}

export interface ChunkingSystemOptions<A extends State, C extends State> extends LayerOptions {
  /** A, from N symbols. */
  readonly automatizer: Recurrence<A>;
  /** C, from N symbols. */
  readonly chunker: Recurrence<C>;
  /** D, size of the target. */
  readonly targetSize: number;
  /** A symbol is expected from this probability on (default 0.95). */
  readonly confidence?: number;
}

/** The states of A and C, what A expects [B,N] as probabilities, and what C put out last [B,H_C]. */
export type ChunkingState<A extends State = State, C extends State = State> = {
  readonly a: A;
  readonly c: C;
  readonly expected: Tensor;
  readonly h: Tensor;
};

/** The outputs of a chunking system over a sequence, each [T,B,…]. */
export interface ChunkingOutputs {
  /** 1 where the symbol was not expected, and C made a step, else 0: [T,B,1]. */
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
 * Two nets instead of a stack. The automatizer A predicts each next symbol; a symbol it did not expect goes to the chunker C, which stands
 * still otherwise. A also learns to predict C's state, and so, in time, to do without it:
 *
 *   unexpected(t) = [P_A(x(t)) < θ]
 *   h_A(t), a(t) = A(x(t), a(t−1))
 *   h_C(t), c(t) = C(x(t), c(t−1)) where unexpected, else as before
 *
 * Heads: `nextHead`, `targetHead`, `imitationHead` of h_A, `nextUnexpectedHead`, `chunkerTargetHead` of h_C. The output lays the fields of
 * `ChunkingOutputs` side by side, and `outputs(ys)` takes them apart; θ = `confidence`. At first nothing is expected.
 * @param options x [B,N] unit vectors to [B,1 + 2N + 2D + H_A + 2H_C]
 * @throws ArgumentError for nets that do not read the same number of symbols
 * @see Schmidhuber, "Learning complex, extended sequences using the principle of history compression", 1992, section 4
 * Deviates: targets are not read; no representation of the time; predictions are a distribution over symbols.
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
    const { automatizer, chunker, targetSize: D, confidence = 0.95 } = options;
    const N = automatizer.inputSize;
    if (chunker.inputSize !== N) throw new ArgumentError(`ChunkingSystem: expected a chunker of ${N} inputs, got ${chunker.inputSize}`);
    checkSizes("ChunkingSystem", { targetSize: D });
    const head = (from: Recurrence<State>, size: number) => new Linear(from.outputSize, size, options);
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

  /** The nets' own, and zeros: nothing is expected. */
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

  /** The parts of what a scan gives. */
  outputs(ys: Tensor): ChunkingOutputs {
    const [unexpected, next, target, automatizer, imitation, nextUnexpected, chunkerTarget, chunker] = split(ys, this.#widths, 2) as [
      Tensor,
      ...Tensor[],
    ];
    return { unexpected, next, target, automatizer, imitation, nextUnexpected, chunkerTarget, chunker } as ChunkingOutputs;
  }
}
