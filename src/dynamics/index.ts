/** Dynamical systems: Runge-Kutta methods, fixed points, eigenvalues, Lyapunov exponents, oscillations. */

export { type FixedPoint, type FixedPointOptions, fixedPoints, jacobianAt, type VectorFunction } from "./fixed-points.ts";
export { type Oscillation, type OscillationOptions, oscillation } from "./limit-cycle.ts";
export { type LyapunovOptions, lyapunovExponents } from "./lyapunov.ts";
