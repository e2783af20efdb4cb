/** Explicit Runge-Kutta methods over tensors, with fixed or adaptive steps. */

import { noGrad } from "../autodiff/tape.ts";
import { checkFunction, checkNumber, checkOneOf, checkOptions, optionsOf } from "../base/checks.ts";
import { StateError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { pow } from "../ops/math.ts";
import { scalar } from "../tensor/create.ts";
import { checkTensor, scope, type Tensor } from "../tensor/tensor.ts";

/** dy/dt at the time t. */
export type Slope = (y: Tensor, t: number) => Tensor;

/** Runge-Kutta methods of a fixed step: of order 1, 2 and 4. */
export type FixedMethod = "euler" | "heun" | "rk4";
/** Runge-Kutta methods that choose their steps by an estimate of the error: of order 3(2) and 5(4). */
export type AdaptiveMethod = "bogacki-shampine" | "dormand-prince";

/** k_i = slope(y + h Σ_j a_ij k_j, t + c_i h);  y' = y + h Σ_i b_i k_i;  the local error is about h Σ_i e_i k_i. */
interface Tableau {
  readonly order: number;
  readonly a: readonly (readonly number[])[];
  readonly b: readonly number[];
  readonly c: readonly number[];
}

/** A tableau whose last stage is the slope at the new point, which the next step reuses as its first. */
interface EmbeddedTableau extends Tableau {
  readonly e: readonly number[];
}

const fixed: Readonly<Record<FixedMethod, Tableau>> = {
  euler: { order: 1, a: [[]], b: [1], c: [0] },
  heun: { order: 2, a: [[], [1]], b: [1 / 2, 1 / 2], c: [0, 1] },
  rk4: { order: 4, a: [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], b: [1 / 6, 1 / 3, 1 / 3, 1 / 6], c: [0, 1 / 2, 1 / 2, 1] },
};

const DORMAND_PRINCE_B = [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84];
const BOGACKI_SHAMPINE_B = [2 / 9, 1 / 3, 4 / 9];

const adaptive: Readonly<Record<AdaptiveMethod, EmbeddedTableau>> = {
  "bogacki-shampine": {
    order: 3,
    a: [[], [1 / 2], [0, 3 / 4], BOGACKI_SHAMPINE_B],
    b: [...BOGACKI_SHAMPINE_B, 0],
    c: [0, 1 / 2, 3 / 4, 1],
    e: [-5 / 72, 1 / 12, 1 / 9, -1 / 8],
  },
  "dormand-prince": {
    order: 5,
    a: [
      [],
      [1 / 5],
      [3 / 40, 9 / 40],
      [44 / 45, -56 / 15, 32 / 9],
      [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
      [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
      DORMAND_PRINCE_B,
    ],
    b: [...DORMAND_PRINCE_B, 0],
    c: [0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1],
    e: [71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40],
  },
};

/** y + h Σ w_i k_i */
function moved(y: Tensor, h: number, weights: readonly number[], ks: readonly Tensor[]): Tensor {
  return weights.reduce((sum, w, i) => (w === 0 ? sum : add(sum, mul(ks[i] as Tensor, h * w))), y);
}

function stages(slope: Slope, y: Tensor, t: number, h: number, { a, c }: Tableau, first?: Tensor): Tensor[] {
  const ks: Tensor[] = [];
  for (const [i, row] of a.entries()) ks.push((i === 0 && first) || slope(moved(y, h, row, ks), t + (c[i] as number) * h));
  return ks;
}

/**
 * Solves dy/dt = slope(y, t) from t = 0 to `time` in `steps` equal steps. The global error falls with the method's order:
 * "euler" 1, "heun" 2, "rk4" 4.
 * @see Butcher, "Numerical methods for ordinary differential equations", 2016, chapter 3
 * @example integrate((y) => neg(y), y0, 1, { method: "rk4", steps: 10 }) // about e⁻¹ y0
 */
export function integrate(slope: Slope, y0: Tensor, time: number, options: { method: FixedMethod; steps: number }): Tensor {
  checkFunction("integrate", "slope", slope);
  checkTensor("integrate", y0);
  checkOptions("integrate", options, ["method", "steps"]);
  const { method, steps } = options;
  const tableau = fixed[method];
  const h = time / steps;
  let y = y0;
  for (let i = 0; i < steps; i++) y = moved(y, h, tableau.b, stages(slope, y, i * h, h, tableau));
  return y;
}

export interface AdaptiveOptions {
  readonly method: AdaptiveMethod;
  /** Largest error per step, absolute and relative to y (default 1e-6). */
  readonly tolerance?: number;
  /** Gives up after this many steps, accepted or not (default 10000). */
  readonly maxSteps?: number;
}

export interface AdaptiveResult {
  readonly y: Tensor;
  readonly accepted: number;
  readonly rejected: number;
}

/**
 * Solves dy/dt = slope(y, t) from t = 0 to `time`. A step is accepted if its estimated error is within tolerance·(1 + |y|) in every
 * element. The next is 0.9·error^(−1/order) times as long, at most five times longer or shorter. Derivatives go through the stages of the
 * accepted steps and treat step sizes as constants.
 * @throws StateError if `maxSteps` is not enough, or the slope is not finite
 * @see Bogacki and Shampine, "A 3(2) pair of Runge-Kutta formulas", 1989
 * @see Dormand and Prince, "A family of embedded Runge-Kutta formulae", 1980, table 2
 * @example const { y } = integrateAdaptively((y) => neg(y), y0, 1, { method: "dormand-prince", tolerance: 1e-9 });
 */
export function integrateAdaptively(slope: Slope, y0: Tensor, time: number, options: AdaptiveOptions): AdaptiveResult {
  const { method, tolerance = 1e-6, maxSteps = 10000 } = optionsOf("integrateAdaptively", options, ["method", "tolerance", "maxSteps"]);
  checkFunction("integrateAdaptively", "slope", slope);
  checkTensor("integrateAdaptively", y0);
  checkOneOf("integrateAdaptively", "method", method, Object.keys(adaptive) as AdaptiveMethod[]);
  checkNumber("integrateAdaptively", "tolerance", tolerance, { above: 0 });
  const tableau = adaptive[method];
  let [y, t, h, accepted, rejected] = [y0, 0, time, 0, 0];
  let first: Tensor | undefined;
  while (t < time) {
    if (accepted + rejected >= maxSteps) {
      throw new StateError(`integrateAdaptively: expected to reach ${time} within ${maxSteps} steps, got to ${t} with steps of ${h}`);
    }
    const last = h >= time - t;
    if (last) h = time - t;
    const ks = stages(slope, y, t, h, tableau, first);
    const next = moved(y, h, tableau.b, ks);
    const error = relativeError(y, next, h, tableau, ks) / tolerance;
    if (error <= 1) {
      [y, t, first] = [next, last ? time : t + h, ks.at(-1)];
      accepted++;
    } else {
      first = ks[0];
      rejected++;
    }
    h *= growth(error, tableau.order);
  }
  return { y, accepted, rejected };
}

/** The factor for the next step's size. Uses the library's own power, since Math.pow may differ between hosts in the last bit. */
function growth(error: number, order: number): number {
  const factor = scope(() => pow(scalar(error, "float64"), -1 / order).item());
  return Math.min(5, Math.max(0.2, 0.9 * factor));
}

/** The largest estimated error of an element, relative to 1 + |y|. */
function relativeError(y: Tensor, next: Tensor, h: number, { e }: EmbeddedTableau, ks: readonly Tensor[]): number {
  const errors = noGrad(() =>
    moved(
      mul(y.detach(), 0),
      h,
      e,
      ks.map((k) => k.detach()),
    ).data(),
  );
  const [before, after] = [y.detach().data(), next.detach().data()];
  const relative = Array.from(errors, (error, i) => {
    return Math.abs(error) / (1 + Math.max(Math.abs(before[i] as number), Math.abs(after[i] as number)));
  });
  if (!relative.every(Number.isFinite)) throw new StateError("integrateAdaptively: expected a finite slope, got one that is not");
  return Math.max(0, ...relative);
}
