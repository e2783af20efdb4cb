/** Differentiation: reverse and forward mode, transforms, checks, and what an operation of one's own is made with. */

export {
  apply,
  applyAll,
  defineOp,
  type Evaluation,
  type Inputs,
  type JvpRule,
  type Op,
  type Primitive,
  type VjpRule,
} from "./primitive.ts";
export { enableGrad, gradients, noGrad, type SweepOptions } from "./tape.ts";
