/** Reads the elements of tensors or lists that count for a metric. */

import { checkLengths } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { Tensor } from "../tensor/tensor.ts";
import { readData, type TensorData } from "../tensor/values.ts";

/** A tensor, or nested lists of numbers as for `tensor`. */
export type Values = Tensor | TensorData;

/** Which elements count. */
export interface MaskOptions {
  /** Elements that count, in the targets' shape; default all. */
  readonly mask?: Values | undefined;
  /** For targets [T,B,…]: the steps of each sequence that count. */
  readonly lengths?: readonly number[] | undefined;
}

export const MASK = ["mask", "lengths"] as const;

export interface Elements {
  readonly shape: Shape;
  readonly values: ArrayLike<number>;
}

/** @throws DTypeError for values that are no numbers, ShapeError for ragged lists */
export function read(op: string, name: string, values: Values): Elements {
  if (values instanceof Tensor) return { shape: values.shape, values: values.data() };
  if (typeof values !== "object" || values === null) {
    throw new DTypeError(`${op}: expected ${name} to be a tensor or a list of numbers, got ${quote(values)}`);
  }
  return readData(`${op}: ${name}`, values, undefined);
}

/** Reads values and targets of the same shape. @throws DTypeError, ShapeError */
export function readAlike(op: string, name: string, values: Values, target: Values): [own: Elements, goal: Elements] {
  const [own, goal] = [read(op, name, values), read(op, "targets", target)];
  if (sameShape(own.shape, goal.shape)) return [own, goal];
  throw new ShapeError(`${op}: expected ${name} of the targets' shape ${show(goal.shape)}, got ${show(own.shape)}`);
}

/** The indices of a target's elements that count. @throws ShapeError, ArgumentError if none counts */
export function places(op: string, { shape, values }: Elements, options: MaskOptions, counts: (value: number) => boolean): number[] {
  const { mask, lengths } = options;
  const chosen = mask === undefined ? null : read(op, "mask", mask);
  if (chosen !== null && !sameShape(chosen.shape, shape)) {
    throw new ShapeError(`${op}: expected a mask of the targets' shape ${show(shape)}, got ${show(chosen.shape)}`);
  }
  const runs = lengths === undefined ? null : stepsThatRun(op, shape, lengths);
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (chosen?.values[i] === 0 || runs?.(i) === false || !counts(values[i] as number)) continue;
    found.push(i);
  }
  if (found.length === 0) throw new ArgumentError(`${op}: expected at least one element that counts, got none`);
  return found;
}

function stepsThatRun(op: string, shape: Shape, lengths: readonly number[]): (place: number) => boolean {
  const [T, B, ...rest] = shape;
  if (T === undefined || B === undefined) throw new ShapeError(`${op}: expected targets [T,B,…] with lengths, got ${show(shape)}`);
  checkLengths(op, lengths, B, T);
  const width = rest.reduce((a, b) => a * b, 1);
  return (place) => Math.floor(place / (B * width)) < (lengths[Math.floor(place / width) % B] as number);
}
