/** Weight matrices in a form other than tensors. */

import type { FloatDType } from "../base/dtype.ts";
import type { ElmanOptions, ElmanResult, GruOptions, GruResult, LstmOptions, LstmResult } from "../ops/recurrent.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Module } from "./module.ts";

/**
 * Replaces a layer's weight [O,I] and makes the layer's products itself (src/quantized). It is an interface, not a class,
 * so layers import nothing for it.
 * @internal
 */
export interface StoredMatrix extends Module {
  readonly dtype: FloatDType;
  /** From x [...,I] to x·Wᵀ + bias [...,O]. */
  linear(x: Tensor, bias?: Tensor): Tensor;
  /** Rows of W by int32 index of any shape. */
  rowsAt(index: Tensor): Tensor;
  /** Columns of W, plus bias, by int32 index [N]: its products with one-hot vectors. */
  columnsAt(index: Tensor, bias?: Tensor): Tensor;
  /** Whole sequences with W as the recurrent weight; see the functions of the same names in src/ops/recurrent. */
  elman(gx: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult;
  lstm(gx: Tensor, h0: Tensor, c0: Tensor, options: LstmOptions): LstmResult;
  gru(gx: Tensor, h0: Tensor, options: GruOptions): GruResult;
}

/** The replacement of a weight; null if it is a tensor, as its type says. @internal */
export function storedIn(weight: Tensor): StoredMatrix | null {
  return weight instanceof Tensor ? null : (weight as StoredMatrix);
}
