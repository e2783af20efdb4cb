/** Dynamical systems: Runge-Kutta methods, fixed points, eigenvalues, Lyapunov exponents, oscillations. */

export {
  type AdaptiveMethod,
  type AdaptiveOptions,
  type AdaptiveResult,
  type FixedMethod,
  integrate,
  integrateAdaptively,
  type Slope,
} from "../nn/runge-kutta.ts";
export { type FixedPoint, type FixedPointOptions, fixedPoints, jacobianAt, type VectorFunction } from "./fixed-points.ts";
export { type Oscillation, type OscillationOptions, oscillation } from "./limit-cycle.ts";
export { type LyapunovOptions, lyapunovExponents } from "./lyapunov.ts";
export { type ComplexNumber, eigenvalues, type Matrix, orthonormalRows, solve } from "./matrix.ts";
