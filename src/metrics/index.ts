/** Metrics that compare predictions with targets, as plain numbers and without padding. */

export { type BootstrapOptions, bootstrapInterval } from "./bootstrap.ts";
export {
  type AverageOptions,
  accuracy,
  type ClassMetricOptions,
  type ClassReport,
  classReport,
  confusionMatrix,
  f1,
  precision,
  recall,
  rocAuc,
  topKAccuracy,
} from "./classification.ts";
export type { MaskOptions, Values } from "./elements.ts";
export { bitsPerSymbol, type MaseOptions, mae, mape, mase, perplexity, rmse, smape } from "./regression.ts";
export { type BleuOptions, bleu, type ChrfOptions, characterErrorRate, chrF, editDistance, type Symbols, wordErrorRate } from "./text.ts";
