/** A matrix of int8 with a scale a row, in the place of a layer's weight. */

import { DTypeError, ShapeError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import type { StoredMatrix } from "../nn/stored-matrix.ts";
import { checkedIndex } from "../ops/gather.ts";
import type { ElmanOptions, ElmanResult, GruOptions, GruResult, LstmOptions, LstmResult } from "../ops/recurrent.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../tensor/tensor.ts";
import {
  columnsOf,
  type Int8Weight,
  quantizedElmanSequence,
  quantizedGruSequence,
  quantizedLinear,
  quantizedLstmSequence,
  rowsOf,
} from "./products.ts";

/** How the kernels have a matrix (assembly/quantized/product.ts): rows of a vector of two columns, and of a panel. */
const VECTOR = 8;
const PANEL = 32;

/** More columns would leave too few bits for the numbers that they are multiplied with. */
export const MOST_COLUMNS = 65_536;

/** Largest magnitude of a weight. */
const MOST = 127;

/** A matrix in plain numbers. */
export interface Int8Rows {
  readonly columns: number;
  /** Row-major. */
  readonly values: Int8Array;
  /** One a row. */
  readonly scales: Float32Array;
}

/** Rounds each row of a matrix of finite numbers to int8, symmetrically: w ≈ q·scale, scale = max |w| / 127. */
export function roundRows(weight: ArrayLike<number>, columns: number): Int8Rows {
  const rows = weight.length / columns;
  const values = new Int8Array(weight.length);
  const scales = new Float32Array(rows);
  for (let i = 0; i < rows; i++) {
    const [start, end] = [i * columns, (i + 1) * columns];
    let largest = 0;
    for (let at = start; at < end; at++) largest = Math.max(largest, Math.abs(weight[at] as number));
    const scale = Math.fround(largest / MOST);
    scales[i] = scale;
    if (scale === 0) continue;
    // A scale below the normal floats is itself rounded: then a quotient may lie beyond.
    for (let at = start; at < end; at++) {
      values[at] = Math.max(-MOST, Math.min(MOST, Math.round((weight[at] as number) / scale)));
    }
  }
  return { columns, values, scales };
}

/**
 * W ≈ scale·Q, one float scale a row of int8 Q. It multiplies by itself: x is rounded to 15 bits by its own largest magnitude at every
 * call, sums are exact in int32. So they have the same bits everywhere, on the relaxed kernels too. An x that holds a number that is
 * not finite gives NaN.
 */
export class QuantizedMatrix extends Module implements StoredMatrix, Int8Weight {
  readonly dtype = "float32";
  readonly columns: number;
  /** Heights of the blocks of rows that a product may begin at. */
  readonly parts: readonly number[];
  /** int32, four weights a word, in panels. */
  readonly values: Tensor;
  /** [rows] */
  readonly scales: Tensor;

  /** @param parts heights of blocks of rows; all rows are one unless given */
  constructor({ columns, values, scales }: Int8Rows, parts: readonly number[] = [scales.length]) {
    super();
    this.columns = columns;
    this.parts = parts;
    this.values = tensor(new Int32Array(inPanels(values, columns, parts).buffer));
    this.scales = tensor(scales);
  }

  get rowCount(): number {
    return this.scales.size;
  }

  /** Back to plain rows. */
  toRows(): Int8Rows {
    const packed = new Uint8Array((this.values.data() as Int32Array<ArrayBuffer>).buffer);
    const values = new Int8Array(this.rowCount * this.columns);
    eachElement(this.columns, this.parts, (plain, place) => {
      values[plain] = (packed[place] as number) - offsetAt(place);
    });
    return { columns: this.columns, values, scales: this.scales.data() as Float32Array };
  }

  linear(x: Tensor, bias?: Tensor): Tensor {
    checkTensor("quantizedLinear", x);
    if (x.dtype !== "float32") throw new DTypeError(`quantizedLinear: expected float32 x, got ${x.dtype}`);
    if (x.rank === 0 || x.dim(-1) !== this.columns) {
      throw new ShapeError(`quantizedLinear: expected x [...,${this.columns}], got ${show(x.shape)}`);
    }
    return quantizedLinear(x, this, bias);
  }

  rowsAt(index: Tensor): Tensor {
    return rowsOf(this, checkedIndex("embedding", index, this.rowCount), this.columns);
  }

  columnsAt(index: Tensor, bias?: Tensor): Tensor {
    return columnsOf(this, checkedIndex("takeRows", index, this.columns), this.columns, bias);
  }

  elman(gx: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult {
    const [ys, h] = quantizedElmanSequence(gx, this, h0, options);
    return { ys, h };
  }

  lstm(gx: Tensor, h0: Tensor, c0: Tensor, { weightHr, ...options }: LstmOptions): LstmResult {
    const [ys, h, c] = quantizedLstmSequence(gx, this, h0, c0, options, (weightHr as unknown as QuantizedMatrix) ?? null);
    return { ys, h, c };
  }

  gru(gx: Tensor, h0: Tensor, options: GruOptions): GruResult {
    const rzBytes = panelBytes(this.columns, this.parts[0] as number);
    const [ys, h] = quantizedGruSequence(gx, this, h0, options, rzBytes);
    return { ys, h };
  }
}

/** Bytes of some rows in panels. */
function panelBytes(columns: number, rows: number): number {
  return Math.ceil(rows / VECTOR) * VECTOR * Math.ceil(columns / 2) * 2;
}

/** Visits every element: its place among plain rows, and that in panels. */
function eachElement(columns: number, parts: readonly number[], visit: (plain: number, place: number) => void): void {
  let [plain, start] = [0, 0];
  for (const rows of parts) {
    const whole = rows - (rows % PANEL);
    for (let i = 0; i < rows; i++) {
      const height = i < whole ? PANEL : VECTOR;
      const panel = start + panelBytes(columns, i - (i % height));
      const lane = panel + ((i % height) - (i % VECTOR)) * 2 + (i & 3) * 4 + (i & 4 ? 0 : 1);
      for (let j = 0; j < columns; j++) visit(plain++, lane + (j >> 1) * height * 2 + (j & 1) * 2);
    }
    start += panelBytes(columns, rows);
  }
}

/** What is added to an element: low bytes, at even places, have no sign of their own. */
function offsetAt(place: number): number {
  return place % 2 === 0 ? 128 : 0;
}

function inPanels(values: Int8Array, columns: number, parts: readonly number[]): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(parts.reduce((bytes, rows) => bytes + panelBytes(columns, rows), 0));
  eachElement(columns, parts, (plain, place) => {
    packed[place] = (values[plain] as number) + offsetAt(place);
  });
  return packed;
}
