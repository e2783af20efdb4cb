/** Gradient algorithms beside backpropagation through time: each another rule for the derivative of a scan. */

export type { GradientAlgorithm } from "./algorithm.ts";
export { hybrid, rtrl } from "./hybrid.ts";
export { type CRBPOptions, crbp, projectPoles, rbp } from "./recursive-backprop.ts";
export { usingGradients } from "./using-gradients.ts";
