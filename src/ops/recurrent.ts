/**
 * Whole-sequence operations of the recurrent workhorses: simple (Elman), LSTM, GRU, and units that see only their own past.
 *
 * Each takes the input projection of all steps (gx = x·W_ihᵀ + b, one product) and runs the recurrence in one kernel,
 * forward and backward. Its composed form does the same in basic operations; second derivatives
 * and forward mode use that.
 *
 * Rows are packed for sequences sorted by falling length: time-major and without gaps, so shorter sequences
 * cost only their real steps. With equal lengths that is simply [T·B, …].
 */

import type { Primitive } from "../autodiff/primitive.ts";
import { diagonalOp } from "./recurrent/diagonal.ts";
import { elmanOp } from "./recurrent/elman.ts";
import { gruOp } from "./recurrent/gru.ts";
import { lstmOp } from "./recurrent/lstm.ts";

export { type DiagonalActivation, type DiagonalOptions, diagonalSequence } from "./recurrent/diagonal.ts";
export { type ElmanOptions, type ElmanResult, elmanComposed, elmanSequence, type Nonlinearity } from "./recurrent/elman.ts";
export { type GruOptions, type GruResult, gruComposed, gruSequence } from "./recurrent/gru.ts";
export { type LstmOptions, type LstmResult, lstmComposed, lstmSequence } from "./recurrent/lstm.ts";
export type { PackedRows } from "./recurrent/rows.ts";

/** For the table of all primitives. */
export const primitives: Readonly<Record<string, Primitive<never>>> = {
  elmanSequence: elmanOp,
  lstmSequence: lstmOp,
  gruSequence: gruOp,
  diagonalSequence: diagonalOp,
};
