/** Recurrences made from other recurrences: stacked, bidirectional, with readouts, unrolled, truncated. */

export { Bidirectional, type BidirectionalState } from "./bidirectional.ts";
export { MealyMachine, type MealyState, MooreMachine, type Readout } from "./machines.ts";
export { type FreeRunOptions, freeRun, lastStep, oneToMany, type ScheduledSamplingOptions, scheduledSampling } from "./modes.ts";
export { type StackedLayer, StackedRNN, type StackedRNNOptions } from "./stacked.ts";
export { DetachEvery, type TruncatedOptions, truncatedBptt } from "./truncated.ts";
export { LearnedInitialState, Reversed, StateClip, Wrapper } from "./wrappers.ts";
export { Zoneout } from "./zoneout.ts";
