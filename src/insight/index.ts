/** Insight into a network: gradients step by step, saturated units, the first NaN or infinity. */

export { firstNonFinite, type NonFinite, type NonFiniteOptions } from "./first-non-finite.ts";
export { type GateTrace, gateTrace } from "./gates.ts";
export {
  gradientNorms,
  type StateGradientNorms,
  type StateInfluence,
  type StateJacobianOptions,
  stateInfluence,
  stateJacobian,
} from "./gradient-norms.ts";
export { type GateChartOptions, gateChart, gradientChart, influenceChart, saturationChart } from "./pictures.ts";
export { type Saturation, type SaturationOptions, saturation } from "./saturation.ts";
export type { Place } from "./watch.ts";
