/** The neural history compressor: each predictor reads what the one below did not expect. */

import { noGrad } from "../autodiff/tape.ts";
import { checkList, checkSizes, checkWhole, checkWholes, isRecord, optionsOf } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { bceWithLogits, crossEntropy } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { split } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";

/** An item that level k reads: a symbol and k gaps. For each level below, the gap is its number of items from the previous item to this one. */
export interface HistoryItem {
  readonly symbol: number;
  readonly gaps: readonly number[];
}

/** A sequence, described by what the top level did not expect. */
export interface HistoryDescription {
  /** Number of items that each level reads, from below; the first is the length of the sequence. */
  readonly lengths: readonly number[];
  /** The unexpected items of the top level, and their positions among the items of that level. */
  readonly unexpected: readonly { readonly at: number; readonly item: HistoryItem }[];
}

function checkUnexpected(unexpected: unknown): asserts unexpected is HistoryDescription["unexpected"] {
  checkList("reconstruct", "unexpected", unexpected);
  for (const entry of unexpected) {
    const { at, item } = (isRecord(entry) ? entry : {}) as Record<string, unknown>;
    if (!isRecord(item)) throw new DTypeError(`reconstruct: expected unexpected items as { at, item }, got ${quote(entry)}`);
    checkWhole("reconstruct", "the place of an item", at as number);
    checkWholes("reconstruct", "gaps", item.gaps);
  }
}

export interface HistoryCompressorOptions {
  readonly symbols: number;
  /** Bits per gap; gaps go up to 2^bits − 1. */
  readonly gapBits: number;
  /** Level k reads and predicts `symbols + k·gapBits` values. */
  readonly levels: readonly Recurrence<State>[];
  /** Least probability of its symbol and of each bit for an item to count as expected (default 0.5). */
  readonly confidence?: number;
}

/** A level's prediction of the next item, and whether it is confident enough. */
interface Guess {
  readonly item: HistoryItem;
  readonly sure: boolean;
}

/**
 * A stack of predictors. Each level predicts its next item from the earlier ones. It drops items that it predicts; an unexpected item becomes,
 * with the time since the last one, the next item of the level above:
 *
 *   level 0 reads x(0), x(1), …;   level k+1 reads (y, gap) of those items y of level k that are not as predicted
 *
 * No information is lost, since the same predictors give the same expectations again. The first item of each level is unexpected. Train levels
 * one after the other, from below: `loss(k, items(k, sequence))`. A level sees symbols as unit vectors and gaps as bits.
 * @throws ArgumentError for levels whose sizes do not fit, and for symbols and gaps out of range
 * @see Schmidhuber, "Learning complex, extended sequences using the principle of history compression", 1992, sections 2 and 3
 * Deviates: symbols instead of real vectors; distances encode time.
 * @example
 * const description = compressor.compress(symbols);
 * compressor.reconstruct(description); // the same symbols
 */
export class HistoryCompressor extends Module {
  readonly symbols: number;
  readonly gapBits: number;
  readonly levels: readonly Recurrence<State>[];
  readonly confidence: number;

  constructor(options: HistoryCompressorOptions) {
    super();
    const {
      symbols,
      gapBits,
      levels,
      confidence = 0.5,
    } = optionsOf("HistoryCompressor", options, ["symbols", "gapBits", "levels", "confidence"]);
    checkList("HistoryCompressor", "levels", levels);
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

  /** The description of a sequence that remains when each level drops what it expects. */
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

  /** Restores a sequence from its description. @throws DTypeError, ArgumentError for anything but a description */
  reconstruct(description: HistoryDescription): number[] {
    const { lengths, unexpected } = optionsOf("reconstruct", description, ["lengths", "unexpected"]);
    checkWholes("reconstruct", "lengths", lengths);
    checkUnexpected(unexpected);
    let known = new Map(unexpected.map(({ at, item }) => [at, item]));
    let items: HistoryItem[] = [];
    for (let k = this.levels.length - 1; k >= 0; k--) {
      if (k < this.levels.length - 1) known = below(items);
      items = this.#walk(k, lengths[k] ?? 0, (at, guess) => known.get(at) ?? guess?.item);
    }
    return items.map(({ symbol }) => symbol);
  }

  /** The items of a sequence that level k reads. */
  items(k: number, sequence: readonly number[]): HistoryItem[] {
    let items = lowest(sequence);
    for (let level = 0; level < k; level++) items = above(items, this.#unexpected(level, items));
    return items;
  }

  /** The loss in nats per item of level k after the first, for its symbol and the bits of its gaps. */
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

  /** Positions of the unexpected items of level k. */
  #unexpected(k: number, items: readonly HistoryItem[]): number[] {
    const places: number[] = [];
    this.#walk(k, items.length, (at, guess) => {
      const item = items[at] as HistoryItem;
      if (!(guess?.sure && sameItem(guess.item, item))) places.push(at);
      return item;
    });
    return places;
  }

  /** Runs level k over items that are chosen one by one, given its predictions. Coding and decoding share this walk. */
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

  /** The symbol as a unit vector, and the gaps as bits. */
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

/** Converts the items at given positions to items of the level above. */
function above(items: readonly HistoryItem[], places: readonly number[]): HistoryItem[] {
  return places.map((at, i) => {
    const { symbol, gaps } = items[at] as HistoryItem;
    return { symbol, gaps: [...gaps, at - (places[i - 1] ?? -1)] };
  });
}

/** The inverse of `above`: items of the level below by position. */
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
