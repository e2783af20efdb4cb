/**
 * Operations on tensors, every one of them differentiable in reverse and forward mode.
 *
 * Written by scripts/operations.mjs (`npm run build:kernels`): what the files of this folder export, but for what they mark `@internal`.
 */

export { add, div, maximum, minimum, mul, neg, square, sub } from "./arithmetic.ts";
export { broadcastTo, reshape, sum, sumTo } from "./broadcast.ts";
export { cast } from "./cast.ts";
export {
  clamp,
  equal,
  greater,
  greaterEqual,
  isNaN,
  less,
  lessEqual,
  logicalAnd,
  logicalNot,
  logicalOr,
  logicalXor,
  maskedFill,
  notEqual,
  where,
} from "./compare.ts";
export { type Conv1dOptions, type Conv2dOptions, conv1d, conv2d } from "./conv.ts";
export {
  type DropoutOptions,
  dropout,
  dropoutMask,
  type RecurrentDropoutOptions,
  recurrentDropout,
  type VariationalDropoutOptions,
  variationalDropout,
  zoneout,
} from "./dropout.ts";
export { einsum } from "./einsum.ts";
export type { Operand } from "./elementwise.ts";
export {
  type EmbeddingLookupOptions,
  embedding,
  gather,
  type IndexSpec,
  index,
  indexAdd,
  indexSelect,
  maskedSelect,
  type Stretch,
  scatter,
  scatterAdd,
  takeRows,
} from "./gather.ts";
export { addmm, bilinear, bmm, dot, linear, matmul, outer } from "./linear.ts";
export {
  abs,
  cos,
  elu,
  erf,
  exp,
  expm1,
  gelu,
  geluTanh,
  hardSigmoid,
  hardTanh,
  leakyRelu,
  log,
  log1p,
  logSigmoid,
  mish,
  pow,
  reciprocal,
  relu,
  relu6,
  rsqrt,
  selu,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  softsign,
  sqrt,
  tanh,
} from "./math.ts";
export { layerNorm } from "./normalize.ts";
export { oneHot } from "./one-hot.ts";
export { type ChunkedOptions, chunkedScan, complexScan, logLinearScan, maxScan } from "./prefix-scan.ts";
export { type DiagonalActivation, type DiagonalOptions, diagonalSequence } from "./recurrent/diagonal.ts";
export { type ElmanOptions, type ElmanResult, elmanSequence, type Nonlinearity } from "./recurrent/elman.ts";
export { type GruOptions, type GruResult, gruSequence } from "./recurrent/gru.ts";
export { type LstmOptions, type LstmResult, lstmSequence } from "./recurrent/lstm.ts";
export type { PackedRows } from "./recurrent/rows.ts";
export {
  type ArgOptions,
  amax,
  amin,
  argmax,
  argmin,
  cumprod,
  cumsum,
  linearScan,
  logSumExp,
  max,
  mean,
  min,
  norm,
  prod,
  std,
  type VarianceOptions,
  variance,
} from "./reduce.ts";
export type { ReduceOptions } from "./reduction.ts";
export {
  cat,
  chunk,
  contiguous,
  diagonal,
  expand,
  flip,
  pad,
  permute,
  repeat,
  roll,
  select,
  slice,
  split,
  squeeze,
  stack,
  transpose,
  tril,
  triu,
  unsqueeze,
  unstack,
} from "./shape.ts";
export { logSoftmax, softmax } from "./softmax.ts";
export { type SparseLinearOptions, type SparseMatrix, type SparsePattern, sparseLinear, toDense, toSparse } from "./sparse.ts";
