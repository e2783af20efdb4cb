/** Finds a step length for the strong Wolfe conditions: the loss falls enough and the slope is flat enough. */

import type { Tensor } from "../tensor/tensor.ts";
import { absMax, dot } from "./clip.ts";

/** The loss and gradient at start + t·direction. */
export interface Evaluated {
  readonly t: number;
  readonly loss: number;
  readonly gradient: Tensor;
}

export type Objective = (t: number) => Evaluated;

/** An evaluated point with the derivative along the direction. */
export interface Point extends Evaluated {
  readonly slope: number;
}

/** Required share of the predicted decrease. */
const DECREASE = 1e-4;
/** Largest share of the initial slope that may remain. */
const FLATNESS = 0.9;
const MAX_EVALUATIONS = 25;

/**
 * Looks for t with f(t) ≤ f(0) + 1e-4·t·f′(0) and |f′(t)| ≤ −0.9·f′(0): steps out until an interval holds such a t,
 * then narrows it by cubic interpolation.
 * @param t the first length tried
 * @param origin the point at t = 0, of negative slope
 * @param tolerance stops when the interval, times the direction's largest element, is shorter
 * @see Nocedal, Wright, "Numerical optimization", 2nd edition, 2006, algorithms 3.5 and 3.6
 */
export function strongWolfe(
  objective: Objective,
  t: number,
  direction: Tensor,
  origin: Point,
  tolerance: number,
): { point: Evaluated; evaluations: number } {
  let evaluations = 0;
  const evaluate = (at: number): Point => {
    evaluations++;
    const point = objective(at);
    return { ...point, slope: dot(point.gradient, direction) };
  };
  // A loss of NaN does not fall, and is never the lower end.
  const falls = (point: Point) => point.loss <= origin.loss + DECREASE * point.t * origin.slope;
  const isFlat = (point: Point) => Math.abs(point.slope) <= -FLATNESS * origin.slope;
  // Rounds count from 0 after the first evaluation.
  const rounds = () => evaluations - 1;

  let previous = origin;
  let point = evaluate(t);
  let bracket: [Point, Point] | null = null;
  while (rounds() < MAX_EVALUATIONS) {
    if (!falls(point) || (rounds() > 1 && point.loss >= previous.loss)) {
      bracket = [previous, point];
      break;
    }
    if (isFlat(point)) return { point, evaluations };
    if (point.slope >= 0) {
      bracket = [previous, point];
      break;
    }
    const next = cubicMinimum(previous, point, point.t + 0.01 * (point.t - previous.t), point.t * 10);
    previous = point;
    point = evaluate(next);
  }
  bracket ??= [origin, point];

  const width = absMax(direction);
  let stuck = false;
  let [low, high] = bracket[1].loss < bracket[0].loss ? [bracket[1], bracket[0]] : bracket;
  while (rounds() < MAX_EVALUATIONS) {
    if (Math.abs(high.t - low.t) * width < tolerance) break;
    const [left, right] = low.t <= high.t ? [low, high] : [high, low];
    let next = cubicMinimum(left, right, left.t, right.t);
    const margin = 0.1 * (right.t - left.t);
    const near = Math.min(right.t - next, next - left.t) < margin;
    // At or near the edge twice in a row, the interpolation makes no progress: step off the edge.
    if (near && (stuck || next >= right.t || next <= left.t)) {
      next = Math.abs(next - right.t) < Math.abs(next - left.t) ? right.t - margin : left.t + margin;
      stuck = false;
    } else {
      stuck = near;
    }
    point = evaluate(next);
    if (!falls(point) || point.loss >= low.loss) {
      high = point;
      if (high.loss < low.loss) [low, high] = [high, low];
      continue;
    }
    if (isFlat(point)) return { point, evaluations };
    if (point.slope * (high.t - low.t) >= 0) high = low;
    low = point;
  }
  return { point: low, evaluations };
}

/** The minimum in [least, most] of the cubic through two points with their slopes; the middle if it has none. */
function cubicMinimum(a: Point, b: Point, least: number, most: number): number {
  const d1 = a.slope + b.slope - (3 * (a.loss - b.loss)) / (a.t - b.t);
  const square = d1 * d1 - a.slope * b.slope;
  if (!(square >= 0)) return (least + most) / 2;
  const d2 = Math.sqrt(square);
  const [left, right] = a.t <= b.t ? [a, b] : [b, a];
  const at = right.t - (right.t - left.t) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2));
  return Math.min(Math.max(at, least), most);
}
