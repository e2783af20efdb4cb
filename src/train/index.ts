/** The training loop. */

export { type EvaluateOptions, evaluate, predict } from "./evaluate.ts";
export { type Continuing, type EarlyStopping, type FitOptions, fit, Training } from "./fit.ts";
export { findLearningRate, type RateRange, type RateRangeOptions } from "./learning-rate.ts";
export { Online, type OnlineOptions, online } from "./online.ts";
export type { TrainingStep } from "./progress.ts";
export type { History, HistoryLine, Metric, Monitor, TrainingSummary } from "./summary.ts";
