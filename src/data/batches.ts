/** Sources of batches, passes over them, and places in a pass. */

import { checkWhole, isRecord } from "../base/checks.ts";
import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { scope } from "../tensor/tensor.ts";

/** A place in a source of batches, as plain numbers to store. */
export type Cursor = Readonly<Record<string, number>>;

/** One pass over a source. Its cursor points to the next batch. */
export interface Pass<B> extends IterableIterator<B> {
  readonly cursor: Cursor;
}

/**
 * A source of batches that knows its places. Every pass is independent: passes begin at the start, or at a cursor,
 * and know nothing of each other.
 * @example
 * const pass = source[Symbol.iterator]();
 * pass.next();
 * const saved = JSON.stringify(pass.cursor);
 * for (const batch of source.from(JSON.parse(saved))) … // the second batch, and so on
 */
export interface Batches<B> extends Iterable<B> {
  [Symbol.iterator](): Pass<B>;
  /** A pass that continues from a place. @throws FormatError for an invalid cursor */
  from(cursor: Cursor): Pass<B>;
}

/** Reads a cursor's field: a whole number in [0, limit). @throws FormatError */
export function cursorField(cursor: Cursor, name: string, limit: number): number {
  const value = isRecord(cursor) ? cursor[name] : undefined;
  if (typeof value !== "number" || !(Number.isSafeInteger(value) && value >= 0 && value < limit)) {
    throw new FormatError(
      `cursor: expected ${name} to be a whole number in [0, ${limit}), got ${quote(isRecord(cursor) ? value : cursor)}`,
    );
  }
  return value;
}

/** Checks the number of epochs. @throws ArgumentError */
export function checkEpochs(op: string, epochs: number): number {
  if (epochs !== Number.POSITIVE_INFINITY) checkWhole(op, "epochs", epochs);
  return epochs;
}

/** The plan of an epoch: items 0 … count − 1, a batch at a time. */
export interface EpochPlan<B> {
  readonly count: number;
  readonly width: number;
  readonly epochs: number;
  /** The batch of items start … end − 1. */
  readonly batch: (epoch: number, start: number, end: number) => B;
}

/** A pass over epoch after epoch, from the cursor { epoch, position } on. */
export class EpochPass<B> implements Pass<B> {
  readonly #plan: EpochPlan<B>;
  #epoch = 0;
  #position = 0;

  /** @throws FormatError for a cursor that no pass of this plan can have */
  constructor(plan: EpochPlan<B>, cursor?: Cursor) {
    this.#plan = plan;
    if (cursor === undefined) return;
    const { count, width, epochs } = plan;
    this.#epoch = cursorField(cursor, "epoch", epochs + 1);
    this.#position = cursorField(cursor, "position", this.#epoch === epochs ? 1 : count);
    if (this.#position % width !== 0) {
      throw new FormatError(`cursor: expected position to be a multiple of ${width}, got ${this.#position}`);
    }
  }

  get cursor(): Cursor {
    return { epoch: this.#epoch, position: this.#position };
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<B, undefined> {
    const { count, width, epochs, batch } = this.#plan;
    if (this.#epoch >= epochs) return { done: true, value: undefined };
    const [epoch, start, end] = [this.#epoch, this.#position, Math.min(this.#position + width, count)];
    const value = batch(epoch, start, end);
    this.#position = end === count ? 0 : end;
    if (end === count) this.#epoch++;
    return { done: false, value };
  }
}

/** A pass over a source without places; counts its batches, { taken }. */
class CountedPass<B> implements Pass<B> {
  readonly #iterator: Iterator<B>;
  #taken: number;

  constructor(iterator: Iterator<B>, taken: number) {
    this.#iterator = iterator;
    this.#taken = taken;
  }

  get cursor(): Cursor {
    return { taken: this.#taken };
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(): IteratorResult<B, undefined> {
    const { done, value } = this.#iterator.next();
    if (done) return { done: true, value: undefined };
    this.#taken++;
    return { done: false, value };
  }

  return(): IteratorResult<B, undefined> {
    this.#iterator.return?.();
    return { done: true, value: undefined };
  }
}

/** Drops an iterator's first batches. @throws FormatError if it has fewer */
function skip<B>(iterator: Iterator<B>, count: number): Iterator<B> {
  for (let i = 0; i < count; i++) {
    const done = scope(() => iterator.next().done === true);
    if (done) throw new FormatError(`cursor: expected a source of at least ${count} batches, got ${i}`);
  }
  return iterator;
}

/** An array's elements from a place on. */
function* elements<B>(source: readonly B[], from: number): Generator<B, undefined> {
  for (let i = from; i < source.length; i++) yield source[i] as B;
}

/**
 * A pass over any source, from a place if given. Arrays and `Batches` continue there; any other source
 * makes the earlier batches again, and they are dropped.
 * @throws FormatError for a cursor of another kind of source, and for an array that is too short
 */
export function passOver<B>(source: Iterable<B>, cursor: Cursor | null = null): Pass<B> {
  if (isBatches(source)) return cursor === null ? source[Symbol.iterator]() : source.from(cursor);
  const taken = cursor === null ? 0 : cursorField(cursor, "taken", Number.POSITIVE_INFINITY);
  if (!Array.isArray(source)) return new CountedPass(skip(source[Symbol.iterator](), taken), taken);
  if (taken > source.length) throw new FormatError(`cursor: expected a source of at least ${taken} batches, got ${source.length}`);
  return new CountedPass(elements(source, taken), taken);
}

/** Whether a pass over a source can begin at any place directly. */
export function hasPlaces(source: Iterable<unknown>): boolean {
  return Array.isArray(source) || isBatches(source);
}

function isBatches<B>(source: Iterable<B>): source is Batches<B> {
  return typeof (source as Partial<Batches<B>>).from === "function";
}
