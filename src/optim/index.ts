/** Optimisers, learning-rate schedules, gradient clipping, averages of parameters. */

export { Adadelta, type AdadeltaOptions } from "./adadelta.ts";
export { Adagrad, type AdagradOptions } from "./adagrad.ts";
export { Adam, type AdamOptions, AdamW } from "./adam.ts";
export { Adamax } from "./adamax.ts";
export { type ClipOptions, clipGradNorm, clipGradValue, type NormType } from "./clip.ts";
export { EMA, type EMAOptions, type EMAState } from "./ema.ts";
export { LBFGS, type LBFGSOptions } from "./lbfgs.ts";
export { Lion, type LionOptions } from "./lion.ts";
export type { MomentsOptions } from "./moments.ts";
export { Muon, type MuonOptions } from "./muon.ts";
export { NAdam } from "./nadam.ts";
export {
  type CommonOptions,
  type DecayOptions,
  type Group,
  type GroupOptions,
  Optimizer,
  type OptimizerState,
  ParameterGroups,
  type Parameters,
} from "./optimizer.ts";
export { RAdam } from "./radam.ts";
export { RMSprop, type RMSpropOptions } from "./rmsprop.ts";
export { IRprop, Rprop, type RpropOptions } from "./rprop.ts";
export {
  constantLR,
  cosineAnnealingLR,
  cosineAnnealingWarmRestarts,
  exponentialLR,
  type HasRates,
  lambdaLR,
  linearLR,
  multiStepLR,
  type OneCycleOptions,
  oneCycleLR,
  type PlateauOptions,
  type PlateauState,
  ReduceLROnPlateau,
  type Schedule,
  Scheduler,
  type SchedulerState,
  stepLR,
  warmUp,
} from "./schedules.ts";
export { SGD, type SGDOptions } from "./sgd.ts";
