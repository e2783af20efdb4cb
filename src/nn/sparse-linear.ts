/** A linear layer with few weights. */

import { checkSparse, type SparseMatrix, sparseLinear } from "../ops/sparse.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module, Parameter } from "./module.ts";

/**
 * y = x·Wᵀ for x [..., I] and a sparse W [O, I]. The values are a parameter, their positions (`crowIndices` and `colIndices`) buffers, so
 * a state dict holds the whole matrix.
 * @param matrix used directly, not copied
 * @throws ShapeError, DTypeError, ArgumentError for anything but a sparse matrix
 * @example new SparseLinear(toSparse(tensor([[0, 3], [4, 0]]))).forward(tensor([1, 2])).toArray() // [6, 4]
 */
export class SparseLinear extends Module implements SparseMatrix {
  readonly size: readonly [rows: number, columns: number];
  readonly crowIndices: Tensor;
  readonly colIndices: Tensor;
  readonly values: Parameter;

  constructor(matrix: SparseMatrix) {
    super();
    checkSparse("SparseLinear", matrix);
    const { size, crowIndices, colIndices, values } = matrix;
    this.size = size;
    this.crowIndices = crowIndices;
    this.colIndices = colIndices;
    this.values = new Parameter(values);
  }

  forward(x: Tensor): Tensor {
    return sparseLinear(x, this);
  }
}
