/** Functions of plain numbers, computed by the library's own kernels since Math's may differ between hosts in the last bit. */

import * as math from "../ops/math.ts";
import { scalar } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";

const ofNumber =
  (fn: (x: Tensor) => Tensor) =>
  (x: number): number =>
    scope(() => fn(scalar(x, "float64")).item());

export const exp: (x: number) => number = ofNumber(math.exp);
export const log: (x: number) => number = ofNumber(math.log);
export const cos: (x: number) => number = ofNumber(math.cos);
