/** Modules: layers, recurrences, losses. */

export {
  BatchNorm1d,
  type BatchNorm1dFromOptions,
  type BatchNorm1dOptions,
  type NormalizedSequence,
  SequenceBatchNorm,
  type SequenceBatchNormOptions,
} from "./batch-norm.ts";
export {
  Conv1d,
  type Conv1dFromOptions,
  type Conv1dLayerOptions,
  Conv2d,
  type Conv2dFromOptions,
  type Conv2dLayerOptions,
} from "./convolution.ts";
export { type CrfLossOptions, type CrfOptions, LinearChainCRF, type RealSteps } from "./crf.ts";
export { type CtcOptions, ctcLoss } from "./ctc-loss.ts";
export { Dropout, type DropoutLayerOptions, VariationalDropout } from "./dropout-layers.ts";
export type { FromStateDictOptions, StateSource } from "./from-state-dict.ts";
/** Ways to fill a tensor before training: `initializers.orthogonal(weight)`. */
export * as initializers from "./init.ts";
export {
  type BiasOptions,
  Bilinear,
  Embedding,
  type EmbeddingFromOptions,
  type EmbeddingOptions,
  type LayerFromOptions,
  LayerNorm,
  type LayerNormFromOptions,
  type LayerNormOptions,
  type LayerOptions,
  Linear,
  Sequential,
} from "./layers.ts";
export {
  type BceOptions,
  type BceWithLogitsOptions,
  bceLoss,
  bceWithLogits,
  type ClassOptions,
  type CrossEntropyOptions,
  crossEntropy,
  type HuberOptions,
  huberLoss,
  type KlDivOptions,
  klDiv,
  type LossOptions,
  l1Loss,
  mseLoss,
  nllLoss,
  type Reduction,
  type SmoothL1Options,
  smoothL1Loss,
} from "./losses.ts";
export { type LoadOptions, Module, Parameter } from "./module.ts";
export { type CountOptions, count, freeze, groupsOf, type NamePattern, type PatternOptions, unfreeze } from "./selection.ts";
export { SparseLinear } from "./sparse-linear.ts";
export { type Summary, type SummaryRow, summary } from "./summary.ts";
export { withTangents } from "./tangents.ts";
