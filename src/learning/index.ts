/** Gradient algorithms beside backpropagation through time: each another rule for the derivative of a scan. */

export type { GradientAlgorithm } from "./algorithm.ts";
export { hybrid, rtrl } from "./hybrid.ts";
export { usingGradients } from "./using-gradients.ts";
