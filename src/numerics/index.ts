/** Numerical methods: Runge-Kutta integration, dense matrices, eigenvalues, poles, fixed points. */

export { type FixedPoint, type FixedPointOptions, type FixedPointSolver, solveFixedPoint } from "./fixed-point.ts";
export { type ComplexNumber, eigenvalues, type Matrix, orthonormalRows, type SymmetricEigen, solve, symmetricEigen } from "./matrix.ts";
export { contracted, type FeedbackCoefficients, poles, polesInside } from "./poles.ts";
export {
  type AdaptiveMethod,
  type AdaptiveOptions,
  type AdaptiveResult,
  type FixedMethod,
  integrate,
  integrateAdaptively,
  type Slope,
} from "./runge-kutta.ts";
