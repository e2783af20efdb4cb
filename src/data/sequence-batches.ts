/** Batches of examples whose sequences have different lengths. */

import { checkFlag, checkList, checkOneOf, checkOptions, checkSizes, isRecord } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkGenerator, defaultGenerator, Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { type Batches, type Cursor, checkEpochs, cursorField, EpochPass, type EpochPlan, type Pass } from "./batches.ts";
import { checkedPadding, padRows, readSequences, readValues, type SequenceData, type SequenceTable, stackRows } from "./sequences.ts";

/** A sequence and its target. */
export interface SequenceExample {
  /** Ids, or the numbers of each step: [T,…]. */
  readonly xs: SequenceData;
  /** One number or tensor for the whole sequence, or a sequence. */
  readonly ys?: SequenceData;
}

export interface SequenceBatchesOptions {
  /** Examples per batch (B); the last batch of an epoch may have fewer. */
  readonly batchSize: number;
  /** Whether to use another order in each epoch (default false). */
  readonly shuffle?: boolean;
  /** Number of epochs; default endless. */
  readonly epochs?: number;
  /** Whether to batch sequences of similar length, to pad little (default false). */
  readonly bucketByLength?: boolean;
  /** Whether to skip the last batch of an epoch if it is smaller than the others (default false). */
  readonly dropLast?: boolean;
  /** Whether ys are sequences ("padded") or have one shape ("stacked"). Default: numbers are stacked, everything else is padded. */
  readonly targets?: "padded" | "stacked";
  /** Dtype of xs (default: that of typed arrays and tensors; int32 for lists of whole numbers, one per step; else float32). */
  readonly dtype?: DType;
  /** Dtype of ys, with the same default. */
  readonly targetDtype?: DType;
  /** Padding of xs (default 0). */
  readonly padding?: number;
  /** Padding of ys (default −100 for whole numbers, which `crossEntropy` ignores, else 0). */
  readonly targetPadding?: number;
  /** Source of the order of every epoch (default the default generator). */
  readonly generator?: Generator;
}

/** A batch of sequences side by side, padded to the longest. */
export interface SequenceBatch<Y extends Tensor | null = Tensor | null> {
  /** [T,B,…], T steps of the longest sequence. */
  readonly xs: Tensor;
  /** [B,…] if stacked, [U,B,…] if padded; null for examples without ys. */
  readonly ys: Y;
  /** Steps of each sequence in xs, the `lengths` for `scan`. */
  readonly lengths: readonly number[];
  /** Steps of each sequence in ys; null if ys are not padded. */
  readonly targetLengths: readonly number[] | null;
}

/** What batches have of the targets of examples: null where examples have none. */
export type TargetsOf<E extends SequenceExample> = E extends { readonly ys: SequenceData }
  ? Tensor
  : "ys" extends keyof E
    ? Tensor | null
    : null;

/** Number of batches sorted by length at a time: enough to pad little, few enough to keep the order random. */
const POOL = 50;
/** Blocks of random words reserved for an epoch's order. */
const EPOCH_BLOCKS = 2 ** 31;

/**
 * Batches of examples with sequences of different lengths, padded to the longest in the batch. Every iteration is an independent pass over
 * everything. Its cursor includes the order, so a stored place is the same in another process.
 *
 * Plain lists of whole numbers, such as ids and classes, become int32; typed arrays and tensors keep their dtype; everything else is float32. Examples are
 * read once; typed arrays are not copied.
 * @throws ArgumentError for no examples; ShapeError for sequences without steps or with steps of different shapes
 * @example
 * const batches = new SequenceBatches([{ xs: [3, 1, 4], ys: 0 }, { xs: [1, 5], ys: 1 }], { batchSize: 32, shuffle: true, epochs: 10 });
 * for (const { xs, ys, lengths } of batches) … // xs int32 [T,B], ys int32 [B]
 */
export class SequenceBatches<E extends SequenceExample = SequenceExample> implements Batches<SequenceBatch<TargetsOf<E>>> {
  /** Total number of examples. */
  readonly size: number;
  readonly batchSize: number;
  readonly epochs: number;
  readonly #xs: SequenceTable;
  readonly #ys: SequenceTable | null;
  readonly #options: { readonly shuffle: boolean; readonly bucketByLength: boolean; readonly dropLast: boolean };
  readonly #padding: number;
  /** Null if ys are stacked. */
  readonly #targetPadding: number | null;
  /** Determines the order of all epochs. */
  readonly #seed: number;

  constructor(examples: readonly E[], options: SequenceBatchesOptions) {
    const op = "SequenceBatches";
    checkOptions(op, options, [
      "batchSize",
      "shuffle",
      "epochs",
      "bucketByLength",
      "dropLast",
      "targets",
      "dtype",
      "targetDtype",
      "padding",
      "targetPadding",
      "generator",
    ]);
    const { batchSize, shuffle = false, epochs = Number.POSITIVE_INFINITY, bucketByLength = false, dropLast = false } = options;
    checkSizes(op, { batchSize });
    checkEpochs(op, epochs);
    for (const [name, flag] of Object.entries({ shuffle, bucketByLength, dropLast })) checkFlag(op, name, flag);
    checkGenerator(op, options.generator);
    checkExamples(op, examples, dropLast ? batchSize : 1);
    this.size = examples.length;
    this.batchSize = batchSize;
    this.epochs = epochs;
    this.#options = { shuffle, bucketByLength, dropLast };
    this.#xs = readSequences(
      `${op}: xs`,
      examples.map(({ xs }) => xs),
      options.dtype,
    );
    this.#padding = checkedPadding(op, "padding", options.padding ?? 0, this.#xs.dtype);
    const ys = examples.flatMap((example) => (example.ys === undefined ? [] : [example.ys]));
    const { targets = typeof ys[0] === "number" ? "stacked" : "padded" } = options;
    checkOneOf(op, "targets", targets, ["padded", "stacked"]);
    const readTargets = targets === "stacked" ? readValues : readSequences;
    this.#ys = ys.length === 0 ? null : readTargets(`${op}: ys`, ys, options.targetDtype);
    const blank = this.#ys?.dtype === "int32" ? -100 : 0;
    this.#targetPadding =
      this.#ys === null || targets === "stacked"
        ? null
        : checkedPadding(op, "targetPadding", options.targetPadding ?? blank, this.#ys.dtype);
    this.#seed = shuffle ? scope(() => (options.generator ?? defaultGenerator()).integers([], 0, 2 ** 31).item()) : 0;
  }

  get batchesPerEpoch(): number {
    return Math.ceil(this.#perEpoch / this.batchSize);
  }

  get #perEpoch(): number {
    return this.#options.dropLast ? this.size - (this.size % this.batchSize) : this.size;
  }

  [Symbol.iterator](): Pass<SequenceBatch<TargetsOf<E>>> {
    return new OrderedPass(this.#plan(this.#seed), this.#seed);
  }

  /** @throws FormatError */
  from(cursor: Cursor): Pass<SequenceBatch<TargetsOf<E>>> {
    const seed = cursorField(cursor, "seed", 2 ** 31);
    return new OrderedPass(this.#plan(seed), seed, cursor);
  }

  #plan(seed: number): EpochPlan<SequenceBatch<TargetsOf<E>>> {
    let order: { readonly epoch: number; readonly of: Int32Array } | null = null;
    const batch = (epoch: number, start: number, end: number) => {
      if (order?.epoch !== epoch) order = { epoch, of: this.#order(seed, epoch) };
      return this.#batch(order.of.subarray(start, end)) as SequenceBatch<TargetsOf<E>>;
    };
    return { count: this.#perEpoch, width: this.batchSize, epochs: this.epochs, batch };
  }

  /** The examples in the order of an epoch. */
  #order(seed: number, epoch: number): Int32Array {
    const { shuffle, bucketByLength } = this.#options;
    if (!shuffle)
      return this.#sorted(
        Int32Array.from({ length: this.size }, (_, i) => i),
        this.size,
      );
    const generator = new Generator(seed);
    generator.state = { ...generator.state, counter: (epoch % 2 ** 21) * EPOCH_BLOCKS };
    const draw = (n: number) => scope(() => generator.permutation(n).data() as Int32Array);
    const order = draw(this.size);
    if (!bucketByLength) return order;
    const sorted = this.#sorted(order, POOL * this.batchSize);
    // Shuffle whole batches; a short one stays last.
    const whole = Math.floor(this.size / this.batchSize);
    const places = draw(whole);
    const mixed = sorted.slice();
    places.forEach((from, to) => {
      mixed.set(sorted.subarray(from * this.batchSize, (from + 1) * this.batchSize), to * this.batchSize);
    });
    return mixed;
  }

  /** Sorts each run of so many examples from short to long. */
  #sorted(order: Int32Array, pool: number): Int32Array {
    if (!this.#options.bucketByLength) return order;
    const length = (i: number) => (this.#xs.rows[i] as { readonly length: number }).length;
    for (let start = 0; start < order.length; start += pool)
      order.subarray(start, start + pool).sort((a, b) => length(a) - length(b) || a - b);
    return order;
  }

  #batch(chosen: Int32Array): SequenceBatch {
    const { padded: xs, lengths } = padRows(this.#xs, chosen, this.#padding);
    if (this.#ys === null) return { xs, ys: null, lengths, targetLengths: null };
    if (this.#targetPadding === null) return { xs, ys: stackRows(this.#ys, chosen), lengths, targetLengths: null };
    const targets = padRows(this.#ys, chosen, this.#targetPadding);
    return { xs, ys: targets.padded, lengths, targetLengths: targets.lengths };
  }
}

/** Epoch after epoch, with a cursor that names the order. */
class OrderedPass<B extends SequenceBatch> extends EpochPass<B> {
  readonly #seed: number;

  constructor(plan: EpochPlan<B>, seed: number, cursor?: Cursor) {
    super(plan, cursor);
    this.#seed = seed;
  }

  override get cursor(): Cursor {
    return { ...super.cursor, seed: this.#seed };
  }
}

/** @throws DTypeError, ArgumentError */
function checkExamples(op: string, examples: unknown, least: number): void {
  checkList(op, "examples", examples);
  if (examples.length < least) throw new ArgumentError(`${op}: expected at least ${least} examples for a batch, got ${examples.length}`);
  const wrong = examples.findIndex((example) => !isRecord(example) || example.xs === undefined);
  if (wrong >= 0) throw new DTypeError(`${op}: expected examples as { xs, ys }, got ${quote(examples[wrong])} at position ${wrong}`);
  const first = (examples[0] as SequenceExample).ys === undefined;
  const other = examples.findIndex((example) => ((example as SequenceExample).ys === undefined) !== first);
  if (other >= 0)
    throw new ArgumentError(`${op}: expected ys in every example or in none, got ${first ? "some" : "none"} at position ${other}`);
}
