import { ArgumentError, ShapeError } from "../base/errors.ts";

/** The dimensions of a tensor, outermost first. */
export type Shape = readonly number[];

/** Number of elements of a shape; 1 for `[]`, a scalar's. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (let i = 0; i < shape.length; i++) size *= shape[i] as number;
  return size;
}

/** Row-major strides in elements. */
export function stridesOf(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i] as number;
  }
  return strides;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** `[32,128]`, as every error message writes a shape. */
export function show(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** Most elements of a tensor: kernels count elements and bytes in 32 bits. */
const MOST_ELEMENTS = 2 ** 29;

/** Requires whole, non-negative, addressable dimensions; returns the number of elements. */
export function checkShape(op: string, shape: Shape): number {
  if (!Array.isArray(shape)) throw new ShapeError(`${op}: expected a shape as an array of dimensions, got ${typeof shape}`);
  let size = 1;
  for (let i = 0; i < shape.length; i++) {
    const d = shape[i] as number;
    if (d !== d >>> 0 && !(d >= 0 && Number.isInteger(d))) {
      throw new ShapeError(`${op}: expected whole non-negative dimensions, got ${show(shape)}`);
    }
    size *= d;
  }
  if (!(size <= MOST_ELEMENTS)) throw new ShapeError(`${op}: expected at most 2^29 elements, got ${show(shape)}`);
  return size;
}

/** Resolves a possibly negative axis against a rank. */
export function axisOf(op: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ArgumentError(`${op}: expected axis in [${-rank}, ${rank - 1}], got ${axis}`);
  }
  return resolved;
}

/** The shape two operands broadcast to, by NumPy's rule. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 1; i <= rank; i++) {
    const da = a[a.length - i] ?? 1;
    const db = b[b.length - i] ?? 1;
    if (da !== db && da !== 1 && db !== 1) {
      throw new ShapeError(`${op}: expected shapes that broadcast together, got ${show(a)} and ${show(b)}`);
    }
    out[rank - i] = da === 1 ? db : da;
  }
  return out;
}
