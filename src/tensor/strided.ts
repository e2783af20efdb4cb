/** Copies values between tensors of any strides, off the tape. */

import { BYTES } from "../base/dtype.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { call } from "../wasm/host.ts";
import { copyStrided } from "../wasm/kernels.gen.ts";
import { sameShape, show } from "./shape.ts";
import { checkTensor, empty, type Tensor } from "./tensor.ts";

/** Axes that the kernel handles; a loop here runs over any more (after merging). */
const KERNEL_AXES = 4;

/** Merged axes of the current copy, innermost first: lengths, and strides of source and target in elements. */
const lengths: number[] = [];
const sourceStrides: number[] = [];
const targetStrides: number[] = [];

/** Fills the lists above: drops axes of length one and merges neighbours that walk as one. Returns how many remain. */
function mergeAxes(target: Tensor, source: Tensor): number {
  let count = 0;
  for (let axis = target.shape.length - 1; axis >= 0; axis--) {
    const n = target.shape[axis] as number;
    if (n === 1) continue;
    const s = source.strides[axis] as number;
    const t = target.strides[axis] as number;
    const inner = count - 1;
    const span = count > 0 ? (lengths[inner] as number) : 0;
    if (count > 0 && s === (sourceStrides[inner] as number) * span && t === (targetStrides[inner] as number) * span) {
      lengths[inner] = span * n;
      continue;
    }
    setAxis(count++, n, s, t);
  }
  bringSourceRowsIn(count);
  for (let i = count; i < KERNEL_AXES; i++) setAxis(i, 1, 0, 0);
  return count;
}

function setAxis(i: number, n: number, s: number, t: number): void {
  lengths[i] = n;
  sourceStrides[i] = s;
  targetStrides[i] = t;
}

/** Moves the source's rows into the two inner axes, which the kernel transposes if the target's rows differ. */
function bringSourceRowsIn(count: number): void {
  if (count < 3 || targetStrides[0] !== 1 || sourceStrides[0] === 1) return;
  const rows = sourceStrides.indexOf(1, 1);
  if (rows < 2 || rows >= count) return;
  const [n, s, t] = [lengths[1] as number, sourceStrides[1] as number, targetStrides[1] as number];
  setAxis(1, lengths[rows] as number, 1, targetStrides[rows] as number);
  setAxis(rows, n, s, t);
}

/** Runs the kernel over the merged axes below `axes`. */
function copyAxes(axes: number, width: number, source: number, target: number): void {
  if (axes > KERNEL_AXES) {
    const outer = axes - 1;
    for (let i = 0; i < (lengths[outer] as number); i++) {
      const s = source + i * width * (sourceStrides[outer] as number);
      copyAxes(outer, width, s, target + i * width * (targetStrides[outer] as number));
    }
    return;
  }
  const [n3, n2, n1, n0] = lengths as [number, number, number, number];
  const [s3, s2, s1, s0] = sourceStrides as [number, number, number, number];
  const [t3, t2, t1, t0] = targetStrides as [number, number, number, number];
  call(copyStrided, "int32", width, n0, n1, n2, n3, s0, s1, s2, s3, t0, t1, t2, t3, source, target);
}

/**
 * Copies the elements of `source` to `target`, which must not overlap it.
 * @throws ShapeError, DTypeError if shapes or dtypes differ
 */
export function copyInto(target: Tensor, source: Tensor): void {
  checkTensor("copy", target);
  checkTensor("copy", source);
  if (target.dtype !== source.dtype) throw new DTypeError(`copy: expected a source of ${target.dtype}, got ${source.dtype}`);
  if (!sameShape(target.shape, source.shape)) {
    throw new ShapeError(`copy: expected a source of shape ${show(target.shape)}, got ${show(source.shape)}`);
  }
  if (target.size === 0) return;
  copyAxes(mergeAxes(target, source), BYTES[target.dtype], source.ptr, target.ptr);
}

/** The tensor itself if its elements lie in row-major order, else a row-major copy. */
export function dense(x: Tensor): Tensor {
  checkTensor("tensor", x);
  return x.isContiguous ? x : copyOf(x);
}

/** A row-major copy in memory of its own. */
export function copyOf(x: Tensor): Tensor {
  const y = empty(x.shape, x.dtype);
  copyInto(y, x);
  return y;
}
