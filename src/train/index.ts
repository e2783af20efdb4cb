/** The training loop. */

export { type Continuing, type EarlyStopping, type FitOptions, fit, Training } from "./fit.ts";
export { Online, type OnlineOptions, online } from "./online.ts";
export type { TrainingStep } from "./progress.ts";
export type { History, HistoryLine, Metric, Monitor, TrainingSummary } from "./summary.ts";
