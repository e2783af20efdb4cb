/**
 * Runs grids line by line: one step of a recurrence computes all places of a row or an anti-diagonal.
 *
 * All predecessors of an anti-diagonal (a wavefront) lie in the line before, so a step is one product
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

/** Widths of zeros at both ends of one axis of x, for `pad`. */
function endsOf(x: Tensor, axis: number, before: number, after: number): (readonly [number, number])[] {
  return x.shape.map((_, i) => (i === axis ? [before, after] : [0, 0]));
}

/** Shifts x `by` places along an axis (towards higher places if positive) and fills with zeros: y[p] = x[p − by]. */
export function shifted(x: Tensor, axis: number, by: number): Tensor {
  const n = x.dim(axis);
  const distance = Math.min(Math.abs(by), n);
  if (by === 0) return x;
  return by > 0
    ? pad(slice(x, axis, 0, n - distance), endsOf(x, axis, distance, 0))
    : pad(slice(x, axis, distance), endsOf(x, axis, 0, distance));
}

/**
 * Shifts entry r of `axis` by r places along `along`, which grows by the number of entries less one; fills with zeros:
 * y[…, r, …, r + c, …] = x[…, r, …, c, …]. An anti-diagonal becomes one entry of `along`.
 */
export function skew(x: Tensor, axis: number, along: number): Tensor {
  const last = x.dim(axis) - 1;
  const at = along > axis ? along - 1 : along;
  const pushed = unstack(x, axis).map((row, r) => pad(row, endsOf(row, at, r, last - r)));
  return stack(pushed, axis);
}

/** The inverse of `skew`; drops the fill around the grid. */
export function unskew(x: Tensor, axis: number, along: number): Tensor {
  const n = x.dim(along) - x.dim(axis) + 1;
  const at = along > axis ? along - 1 : along;
  const pulled = unstack(x, axis).map((row, r) => slice(row, at, r, r + n));
  return stack(pulled, axis);
}

/** Axes k − 1 … 1 of a grid [B, n_1 … n_k, F], in this order. */
const foldedAxes = (x: Tensor): number[] => Array.from({ length: x.rank - 3 }, (_, i) => x.rank - 3 - i);

/**
 * The anti-diagonals of grids, in order: from [B, n_1 … n_k, F] to [Σn − k + 1, B, n_1 … n_{k−1}, F]. Place (p_1 … p_k) is in
 * line Σp at (p_1 … p_{k−1}). Its predecessor along the last axis is at the same place of the line before, those along other
 * axes are one place lower there. Places outside the grid are zero.
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

/** State of a line: tensors [B, …places, H], including the output. */
export type LineState = { readonly h: Tensor; readonly [name: string]: Tensor };

/**
 * The recurrent part of a network over grids, for lines of any length.
 * A subclass holds the weights and computes a line's state from its inputs and the line before.
 */
export abstract class LineRule<S extends LineState> extends Module {
  /** Numbers of inputs and outputs per place. */
  protected abstract readonly inputWidth: number;
  protected abstract readonly outputWidth: number;
  protected abstract readonly dtype: FloatDType;
  /** Parameters that `advance` reads. */
  protected abstract recurrentWeights(): readonly Parameter[];
  /** Names of the state's tensors. */
  protected abstract readonly stateNames: readonly (keyof S & string)[];
  /** Computes a line's state from x [B, …places, inputWidth] and the state of the line before. */
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

  /** Runs all lines in order, from [T, B, …places, inputWidth] to [T, B, …places, outputWidth]. */
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

/** Shifts every tensor of a line's state along one of its axes of places; axis 0 is the first of these. */
export function shiftedState<S extends LineState>(state: S, axis: number, by: number): S {
  return mapState((t: Tensor) => shifted(t, axis + 1, by), state as State) as S;
}
