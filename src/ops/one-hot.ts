/** Classes as vectors of zeros with a single one. */

import { checkSizes } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { arange } from "../tensor/create.ts";
import { checkInt32, checkTensor, type Tensor } from "../tensor/tensor.ts";
import { cast } from "./cast.ts";
import { equal } from "./compare.ts";
import { takeRows } from "./gather.ts";
import { unsqueeze } from "./shape.ts";

/**
 * A vector of zeros for each index, with a one at its place.
 * @param index int32 […], in [0, classes)
 * @returns […,classes]
 * @throws ArgumentError for an index out of range; DTypeError for indices that are not int32
 * @example oneHot(tensor([2, 0], { dtype: "int32" }), 3).toArray() // [[0, 0, 1], [1, 0, 0]]
 */
export function oneHot(index: Tensor, classes: number, dtype: DType = "float32"): Tensor {
  checkTensor("oneHot", index);
  checkInt32("oneHot", "indices", index);
  checkSizes("oneHot", { classes });
  const names = arange(0, classes, 1, "int32");
  // Taking rows of 0, 1, … gives the index itself, and refuses one that is out of range.
  return cast(equal(unsqueeze(takeRows(names, index), -1), names), dtype);
}
