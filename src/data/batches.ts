/** What training reads from. */

import { FormatError } from "../base/errors.ts";

/** A place in a source of batches, as plain numbers that can be stored. */
export type Cursor = Readonly<Record<string, number>>;

/**
 * Batches from the cursor on. The cursor moves before a batch is handed out: it names the next one,
 * and setting it continues from there.
 */
export interface Batches<B> extends Iterable<B> {
  cursor: Cursor;
}

/** A cursor's field, whole and in [0, limit). @throws FormatError */
export function cursorField(cursor: Cursor, name: string, limit: number): number {
  const value = cursor[name];
  if (value === undefined || !(Number.isSafeInteger(value) && value >= 0 && value < limit)) {
    throw new FormatError(`cursor: expected ${name} to be a whole number in [0, ${limit}), got ${value}`);
  }
  return value;
}
