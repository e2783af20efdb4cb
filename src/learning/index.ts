/** Gradient algorithms beside backpropagation through time: each another rule for the derivative of a scan. */

export { type GradientAlgorithm, usingGradients } from "./algorithm.ts";
export { hybrid, rtrl } from "./hybrid.ts";
