/** The training loop. */

export { type Continuing, type EarlyStopping, type FitOptions, fit, Training, type TrainingStep } from "./fit.ts";
