/** Moving and combining values by position: what works alike on the host's arrays and on tensors. */

import type { TypedArray } from "../../base/dtype.ts";
import { reshape } from "../../ops/broadcast.ts";
import { takeRows } from "../../ops/gather.ts";
import { axisOf, broadcastShapes, type Shape, sizeOf, stridesOf } from "../../tensor/shape.ts";
import { Tensor, tensor } from "../../tensor/tensor.ts";
import { checkRoom, HostArray, type Numbers, numbersOf, type Value, type WholeType } from "../values.ts";

/** The positions that strides lead to, in row-major order. */
export function walk(shape: Shape, strides: Shape, offset = 0): Int32Array {
  const size = sizeOf(shape);
  checkRoom(size);
  const positions = new Int32Array(size);
  const index = new Array<number>(shape.length).fill(0);
  let at = offset;
  for (let i = 0; i < size; i++) {
    positions[i] = at;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      at -= (strides[axis] as number) * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  return positions;
}

/** The strides with which a shape of these strides is read as a larger one: 0 along axes that are repeated. */
export function broadcastStrides(from: Shape, own: Shape, to: Shape): number[] {
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : (own[axis - lead] as number)));
}

/** The elements at positions in row-major order. */
export function take(value: Value, positions: Int32Array, shape: Shape): Value {
  if (value instanceof HostArray) {
    const { data } = value;
    return new HostArray(value.type, shape, gathered(data, positions));
  }
  return reshape(takeRows(reshape(value, [value.size]), tensor(positions)), shape);
}

function gathered<A extends Numbers | TypedArray>(data: A, positions: Int32Array): A {
  const out = new (data.constructor as new (n: number) => A)(positions.length);
  for (let i = 0; i < out.length; i++) out[i] = data[positions[i] as number] as number;
  return out;
}

/** The same elements seen with other strides, counted from the first of them; none is negative. A tensor's memory is shared. */
export function viewOf(value: Value, shape: Shape, strides: Shape, offset = 0): Value {
  if (value instanceof HostArray) return take(value, walk(shape, strides, offset), shape);
  return new Tensor(value.storage, value.dtype, shape, strides, value.offset + offset);
}

/** How many elements lie between neighbours along each axis. */
export function stridesIn(value: Value): Shape {
  return value instanceof Tensor ? value.strides : stridesOf(value.shape);
}

export function reshaped(value: Value, shape: Shape): Value {
  return value instanceof Tensor ? reshape(value, shape) : new HostArray(value.type, shape, value.data);
}

/** As a matrix: the axes before `axis` are its rows, the others its columns. */
export function flattened(value: Value, axis: number): Value {
  const { shape, rank } = value;
  const at = axis === rank ? rank : axisOf("axis", axis, rank);
  return reshaped(value, [sizeOf(shape.slice(0, at)), sizeOf(shape.slice(at))]);
}

/** A value made of numbers like another. */
export function like(value: Value, shape: Shape, numbers: Float64Array): Value {
  return value instanceof Tensor ? tensor(numbers, { shape, dtype: value.dtype }) : new HostArray(value.type, shape, numbers);
}

/** Entry i of an axis, which is dropped: seen, not copied, of a tensor. */
export function entryOf(value: Value, axis: number, i: number): Value {
  const strides = stridesIn(value);
  return viewOf(value, value.shape.toSpliced(axis, 1), strides.toSpliced(axis, 1), i * (strides[axis] as number));
}

/** fn of the elements of one value, of two or of three, broadcast. */
export function zipped(values: readonly Value[], fn: (a: number, b: number, c: number) => number): { shape: Shape; numbers: Float64Array } {
  const shape = values.reduce<Shape>((common, { shape }) => broadcastShapes("onnx", common, shape), []);
  const size = sizeOf(shape);
  checkRoom(size);
  const columns = values.map((value) => {
    const numbers = numbersOf(value);
    return value.size === size ? numbers : gathered(numbers, walk(shape, broadcastStrides(value.shape, stridesOf(value.shape), shape)));
  });
  const [a, b = a, c = a] = columns as [Numbers, Numbers?, Numbers?];
  return { shape, numbers: Float64Array.from({ length: size }, (_, i) => fn(a[i] as number, b[i] as number, c[i] as number)) };
}

/** As `zipped`, for whole numbers of a type. */
export function zip(type: WholeType, values: readonly Value[], fn: (a: number, b: number, c: number) => number): HostArray {
  const { shape, numbers } = zipped(values, fn);
  return new HostArray(type, shape, numbers);
}
