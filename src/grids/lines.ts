/**
 * Grids run line by line: a row, or an anti-diagonal, of all its places at once is one step of a recurrence.
 *
 * Along an anti-diagonal (a wavefront) all predecessors of all places lie in the line before, so that a step is one product
 * over batch and places: van den Oord et al. 2016 for pixels, Graves et al. 2007 for any number of axes.
 */

import type { FloatDType } from "../base/dtype.ts";
import { Module, type Parameter } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { pad, permute, slice, stack, unstack } from "../ops/shape.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { mapState, type State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { type Shape, sizeOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Widths of zeros at both ends of one axis of x, as `pad` takes them. */
function endsOf(x: Tensor, axis: number, before: number, after: number): (readonly [number, number])[] {
  return x.shape.map((_, i) => (i === axis ? [before, after] : [0, 0]));
}

/** x moved `by` places along an axis (towards higher places if positive), zeros coming in: y[p] = x[p − by]. */
export function shifted(x: Tensor, axis: number, by: number): Tensor {
  const n = x.dim(axis);
  const distance = Math.min(Math.abs(by), n);
  if (by === 0) return x;
  return by > 0
    ? pad(slice(x, axis, 0, n - distance), endsOf(x, axis, distance, 0))
    : pad(slice(x, axis, distance), endsOf(x, axis, 0, distance));
}

/**
 * Entry r of `axis` pushed r places on along `along`, which grows by all but one of the entries; zeros around:
 * y[…, r, …, r + c, …] = x[…, r, …, c, …]. What was a diagonal is one entry of `along`.
 */
export function skew(x: Tensor, axis: number, along: number): Tensor {
  const last = x.dim(axis) - 1;
  const at = along > axis ? along - 1 : along;
  const pushed = unstack(x, axis).map((row, r) => pad(row, endsOf(row, at, r, last - r)));
  return stack(pushed, axis);
}

/** The inverse of `skew`: what stood around the grid is dropped. */
export function unskew(x: Tensor, axis: number, along: number): Tensor {
  const n = x.dim(along) - x.dim(axis) + 1;
  const at = along > axis ? along - 1 : along;
  const pulled = unstack(x, axis).map((row, r) => slice(row, at, r, r + n));
  return stack(pulled, axis);
}

/** Axes 1 … k of a grid [B, n_1 … n_k, F] but for the last, from the last to the first. */
const foldedAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 3 }, (_, i) => x.rank - 3 - i);

/**
 * The anti-diagonals of grids, in order: [B, n_1 … n_k, F] to [Σn − k + 1, B, n_1 … n_{k−1}, F]. Place (p_1 … p_k) stands in
 * line Σp at (p_1 … p_{k−1}): its predecessor along the last axis at the same place of the line before, those along the other
 * axes one place lower on it. Places that belong to no element of the grid are zero.
 */
export function antiDiagonals(x: Tensor): Tensor {
  const time = x.rank - 2;
  const skewed = foldedAxes(x).reduce((y, axis) => skew(y, axis, time), x);
  return permute(skewed, [time, ...skewed.shape.keys()].toSpliced(time + 1, 1));
}

/** The inverse of `antiDiagonals`. */
export function fromAntiDiagonals(lines: Tensor): Tensor {
  const time = lines.rank - 2;
  const order = [...lines.shape.keys()].slice(1).toSpliced(time, 0, 0);
  return foldedAxes(lines).reduceRight((y, axis) => unskew(y, axis, time), permute(lines, order));
}

/** State of a line: tensors [B, …places, H], the output among them. */
export type LineState = { readonly h: Tensor; readonly [name: string]: Tensor };

/**
 * What happens at each place of a line, whatever its length: the recurrent part of a network over grids.
 * A subclass holds the weights and says how a line's state follows from its inputs and the line before.
 */
export abstract class LineRule<S extends LineState> extends Module {
  /** Numbers a place reads and puts out. */
  protected abstract readonly inputWidth: number;
  protected abstract readonly outputWidth: number;
  protected abstract readonly dtype: FloatDType;
  /** The parameters that `advance` reads. */
  protected abstract recurrentWeights(): readonly Parameter[];
  /** Names of the state's tensors. */
  protected abstract readonly stateNames: readonly (keyof S & string)[];
  /** x [B, …places, inputWidth] and the state of the line before to the state of this one. */
  protected abstract advance(x: Tensor, before: S): S;

  readonly #cells = new Map<string, Lines<S>>();

  /** The recurrence over lines of the given shape (one number for a row): x [B, places·inputWidth] to y [B, places·outputWidth]. */
  over(places: Shape): Cell<S> {
    const key = places.join();
    const cell =
      this.#cells.get(key) ??
      new Lines<S>({
        places,
        inputWidth: this.inputWidth,
        outputWidth: this.outputWidth,
        weights: this.recurrentWeights(),
        zero: (shape) => Object.fromEntries(this.stateNames.map((name) => [name, zeros(shape, this.dtype)])) as unknown as S,
        advance: (x, before) => this.advance(x, before),
      });
    this.#cells.set(key, cell);
    return cell;
  }

  /** All lines in order: [T, B, …places, inputWidth] to [T, B, …places, outputWidth]. */
  protected run(lines: Tensor): Tensor {
    const [T, B, ...rest] = lines.shape as [number, number, ...number[]];
    const places = rest.slice(0, -1);
    const [ys] = this.over(places).scan(reshape(lines, [T, B, sizeOf(rest)]));
    return reshape(ys, [T, B, ...places, this.outputWidth]);
  }
}

interface LinesParts<S> {
  readonly places: Shape;
  readonly inputWidth: number;
  readonly outputWidth: number;
  readonly weights: readonly Parameter[];
  readonly zero: (shape: Shape) => S;
  readonly advance: (x: Tensor, before: S) => S;
}

/** A rule over lines of one shape, as a recurrence. */
class Lines<S extends LineState> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weights: readonly Parameter[];
  readonly #parts: LinesParts<S>;

  constructor(parts: LinesParts<S>) {
    super();
    this.inputSize = sizeOf(parts.places) * parts.inputWidth;
    this.outputSize = sizeOf(parts.places) * parts.outputWidth;
    this.weights = parts.weights;
    this.#parts = parts;
  }

  initialState(batch: number): S {
    return this.#parts.zero([batch, ...this.#parts.places, this.#parts.outputWidth]);
  }

  step(x: Tensor, before: S): [y: Tensor, next: S] {
    const { places, inputWidth, advance } = this.#parts;
    const next = advance(reshape(x, [x.dim(0), ...places, inputWidth]), before);
    return [reshape(next.h, [x.dim(0), this.outputSize]), next];
  }
}

/** Every tensor of a line's state moved along one of its axes of places; axis 0 is the first of them. */
export function shiftedState<S extends LineState>(state: S, axis: number, by: number): S {
  return mapState((t: Tensor) => shifted(t, axis + 1, by), state as State) as S;
}
