// One vector of any elementwise operation.

import * as op from "../../src/ops/codes";
import { vexp } from "../math/exp";
import { vsigmoid } from "../math/sigmoid";
import { vtanh } from "../math/tanh";
import { all } from "../math/vector";

/** The operation `code` on one vector; folds to a single case where the code is a constant. */
// @ts-ignore: decorator
@inline
export function apply<T>(code: i32, a: v128, b: v128): v128 {
  switch (code) {
    case op.COPY: return a;
    case op.NEG: return v128.neg<T>(a);
    case op.ABS: return v128.abs<T>(a);
    case op.SQUARE: return v128.mul<T>(a, a);
    case op.EXP: return vexp<T>(a);
    case op.TANH: return vtanh<T>(a);
    case op.SIGMOID: return vsigmoid<T>(a);
    case op.RELU: return v128.max<T>(a, all<T>(0.0));
    case op.ADD: return v128.add<T>(a, b);
    case op.SUB: return v128.sub<T>(a, b);
    case op.MUL: return v128.mul<T>(a, b);
    default: return v128.div<T>(a, b);
  }
}
