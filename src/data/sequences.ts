/** Sequences of different lengths as one padded tensor, and back. */

import { checkLengths, checkList, checkOptions } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { index } from "../ops/gather.ts";
import { type Shape, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { checkTensor, Tensor, tensor } from "../tensor/tensor.ts";
import { isInt32, readData, type TensorData } from "../tensor/values.ts";

/** One sequence [T,…]: numbers, lists of numbers, a typed array, or a tensor. */
export type SequenceData = TensorData | Tensor;

/** A sequence in JavaScript's memory: T rows of one shape. */
interface Rows {
  readonly length: number;
  readonly values: ArrayLike<number>;
}

/** Sequences whose rows have one shape and one dtype. */
export interface SequenceTable {
  readonly rows: readonly Rows[];
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Reads one sequence. Plain numbers have no dtype of their own. */
interface Read extends Rows {
  readonly shape: Shape;
  readonly dtype: DType | null;
}

function read(op: string, data: SequenceData): Read {
  if (data instanceof Tensor) return { length: data.shape[0] ?? 0, shape: data.shape, values: data.data(), dtype: data.dtype };
  const { shape, values, dtype } = readData(op, data, undefined);
  const isPlain = shape.length < 2 && !ArrayBuffer.isView(data);
  return { length: shape[0] ?? 0, shape, values, dtype: isPlain ? null : dtype };
}

/**
 * The common dtype: int32 for plain whole numbers, such as ids and classes; float32 for other plain numbers.
 * @throws DTypeError for two dtypes
 */
function dtypeOf(op: string, parts: readonly Read[]): DType {
  const first = parts.find(({ dtype }) => dtype !== null)?.dtype;
  if (first === undefined) return parts.every(({ values }) => Array.prototype.every.call(values, isInt32)) ? "int32" : "float32";
  const other = parts.findIndex(({ dtype }) => dtype !== null && dtype !== first);
  if (other < 0) return first as DType;
  throw new DTypeError(`${op}: expected sequences of one dtype, ${first}, got ${parts[other]?.dtype} at position ${other}`);
}

/** Reads values that all have one shape. @throws ShapeError, DTypeError */
export function readValues(op: string, data: readonly SequenceData[], asked?: DType): SequenceTable {
  const parts = data.map((own, i) => read(`${op}: position ${i}`, own));
  const shape = parts[0]?.shape ?? [];
  const other = parts.findIndex((part) => !sameShape(part.shape, shape));
  if (other >= 0) {
    throw new ShapeError(
      `${op}: expected the shape ${show(shape)}, as at position 0, got ${show(parts[other]?.shape ?? [])} at position ${other}`,
    );
  }
  return { rows: parts, shape, dtype: asked ?? dtypeOf(op, parts) };
}

/**
 * Reads sequences once: plain numbers are copied, typed arrays are not.
 * @throws ShapeError for rows of different shapes, and for sequences without steps; DTypeError for values that are no numbers
 */
export function readSequences(op: string, sequences: readonly SequenceData[], asked?: DType): SequenceTable {
  const parts = sequences.map((data, i) => read(`${op}: position ${i}`, data));
  const shape = parts[0]?.shape.slice(1) ?? [];
  for (const [i, part] of parts.entries()) {
    if (part.length === 0) throw new ShapeError(`${op}: expected sequences of at least one step, got ${show(part.shape)} at position ${i}`);
    const own = part.shape.slice(1);
    if (sameShape(own, shape)) continue;
    throw new ShapeError(`${op}: expected steps of shape ${show(shape)}, as at position 0, got ${show(own)} at position ${i}`);
  }
  return { rows: parts, shape, dtype: asked ?? dtypeOf(op, parts) };
}

/** Some values of a table as [B,…]. */
export function stackRows({ rows, shape, dtype }: SequenceTable, chosen: ArrayLike<number>): Tensor {
  const width = sizeOf(shape);
  const stacked = new Float64Array(chosen.length * width);
  for (let b = 0; b < chosen.length; b++) stacked.set((rows[chosen[b] as number] as Rows).values, b * width);
  return tensor(stacked, { shape: [chosen.length, ...shape], dtype });
}

/** Some sequences of a table as [T,B,…], T steps of the longest. */
export function padRows({ rows, shape, dtype }: SequenceTable, chosen: ArrayLike<number>, padding: number): PaddedSequences {
  const own = Array.from(chosen, (i) => rows[i] as Rows);
  const lengths = own.map(({ length }) => length);
  const [T, B, width] = [Math.max(...lengths), own.length, sizeOf(shape)];
  const padded = new Float64Array(T * B * width).fill(padding);
  own.forEach(({ length, values }, b) => {
    for (let t = 0; t < length; t++) {
      for (let k = 0; k < width; k++) padded[(t * B + b) * width + k] = values[t * width + k] as number;
    }
  });
  return { padded: tensor(padded, { shape: [T, B, ...shape], dtype }), lengths };
}

export interface PadOptions {
  /** Padding after the end of a sequence (default 0). */
  readonly padding?: number;
  /** Default: that of typed arrays and tensors; for plain lists, int32 for one whole number per step, else float32. */
  readonly dtype?: DType;
}

/** Sequences of different lengths in one tensor. */
export interface PaddedSequences {
  /** [T,B,…], T steps of the longest sequence. */
  readonly padded: Tensor;
  /** Steps of each sequence, the `lengths` for `scan`. */
  readonly lengths: readonly number[];
}

/**
 * Puts sequences [Tᵢ,…] side by side, each padded to the longest.
 * @throws ShapeError for no sequences, for one without steps, and for steps of different shapes; DTypeError for values that are no numbers
 * @example
 * const { padded, lengths } = padSequences([[5, 6, 7], [8, 9]]); // int32 [3,2], lengths [3, 2]
 */
export function padSequences(sequences: readonly SequenceData[], options: PadOptions = {}): PaddedSequences {
  checkOptions("padSequences", options, ["padding", "dtype"]);
  checkList("padSequences", "sequences", sequences);
  if (sequences.length === 0) throw new ShapeError("padSequences: expected at least one sequence, got none");
  const table = readSequences("padSequences", sequences as readonly SequenceData[], options.dtype);
  return padRows(
    table,
    table.rows.map((_, i) => i),
    checkedPadding("padSequences", "padding", options.padding ?? 0, table.dtype),
  );
}

/** Checks a padding value. @throws ArgumentError for a number that the dtype cannot hold */
export function checkedPadding(op: string, name: string, padding: number, dtype: DType): number {
  if (dtype === "int32" ? isInt32(padding) : typeof padding === "number") return padding;
  throw new ArgumentError(`${op}: expected ${name} to be a number of the sequences' dtype, ${dtype}, got ${quote(padding)}`);
}

/**
 * The sequences of a padded tensor without their padding, as views.
 * @param padded [T,B,…]
 * @returns B tensors [Tᵢ,…]
 * @throws ShapeError for fewer than two axes, and for another number of lengths; ArgumentError for lengths above T
 * @example const outputs = unpad(ys, lengths); // outputs[0] is [lengths[0], O]
 */
export function unpad(padded: Tensor, lengths: readonly number[]): Tensor[] {
  checkTensor("unpad", padded);
  if (padded.rank < 2) throw new ShapeError(`unpad: expected a tensor [T,B,…], got ${show(padded.shape)}`);
  const [T, B] = padded.shape as [number, number];
  checkLengths("unpad", lengths, B, T);
  return lengths.map((length, b) => index(padded, [{ end: length }, b]));
}
