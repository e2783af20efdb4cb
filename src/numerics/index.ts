/** Numerical methods: Runge-Kutta integration, dense matrices, eigenvalues, regression, poles, fixed points. */

export { type Arnoldi, type ArnoldiOptions, arnoldi } from "./arnoldi.ts";
export { type ComplexNumber, eigenvalues, type SymmetricEigen, symmetricEigen } from "./eigenvalues.ts";
export { type FixedPoint, type FixedPointOptions, type FixedPointSolver, solveFixedPoint } from "./fixed-point.ts";
export { type Matrix, orthonormalRows, solve } from "./matrix.ts";
export { contracted, type FeedbackCoefficients, poles, polesInside } from "./poles.ts";
export { RecursiveLeastSquares, type RecursiveLeastSquaresOptions } from "./recursive-least-squares.ts";
export { type Ridge, type RidgeFit, RidgeRegression } from "./ridge.ts";
export {
  type AdaptiveMethod,
  type AdaptiveOptions,
  type AdaptiveResult,
  type FixedMethod,
  integrate,
  integrateAdaptively,
  type Slope,
} from "./runge-kutta.ts";
