/**
 * Convolutions over one and two axes, as matrix products with windows laid out in columns.
 *
 * The primitives are `unfold`, from windows to columns, and its transpose `fold`; all derivatives follow from these two
 * and the matrix product.
 */

import { closedOp } from "../autodiff/define-op.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { checkFlag, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Shape, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { foldPlanes, unfoldPlanes } from "../wasm/kernels.gen.ts";
import { add } from "./arithmetic.ts";
import { reshape } from "./broadcast.ts";
import { matmul } from "./linear.ts";
import { checkFloat } from "./reduction.ts";
import { unsqueeze } from "./shape.ts";

/** Options given once for both axes or once for each. @internal */
export type Pair = number | readonly [number, number];

interface ConvOptions<Extent, Padding> {
  /** Steps between windows; default 1. */
  readonly stride?: Extent | undefined;
  /** Zeros before and after. "valid" is 0; "same" keeps the size (stride 1 only) and puts an odd zero after. Default 0. */
  readonly padding?: Padding | "same" | "valid" | undefined;
  /** Steps between the elements of a window; default 1. */
  readonly dilation?: Extent | undefined;
  /** Number of groups of channels that do not mix; default 1. */
  readonly groups?: number | undefined;
  /**
   * Windows end at their own position: along the first axis (time), zeros go before only, as many as keep the size, and
   * `padding` must be 0, "valid" or "same" there. A second axis is padded as `padding` says.
   */
  readonly causal?: boolean | undefined;
}

export type Conv1dOptions = ConvOptions<number, number>;
export type Conv2dOptions = ConvOptions<Pair, Pair>;

const CONV = ["stride", "padding", "dilation", "groups", "causal"] as const;

/** The windows along one axis. @internal */
export interface AxisWindows {
  /** Length of the axis, of the kernel, and number of windows. */
  readonly size: number;
  readonly kernel: number;
  readonly count: number;
  readonly stride: number;
  readonly dilation: number;
  /** Zeros before the axis. */
  readonly before: number;
}

/** The windows of an image [h, w]. */
type Windows = readonly [rows: AxisWindows, columns: AxisWindows];

type KernelSizes = [number, number, number, number, number, number, number, number, number, number, number, number];

/** Sizes in the kernels' order. */
function sizesOf([r, c]: Windows): KernelSizes {
  return [r.size, c.size, r.kernel, c.kernel, r.count, c.count, r.stride, c.stride, r.dilation, c.dilation, r.before, c.before];
}

const columnShape = ([r, c]: Windows): Shape => [r.kernel * c.kernel, r.count * c.count];
const imageShape = ([r, c]: Windows): Shape => [r.size, c.size];

const unfoldOp: Primitive<Windows> = closedOp<Windows>({
  name: "unfold",
  forward([x], windows) {
    const image = dense(x as Tensor);
    const lead = image.shape.slice(0, -2);
    const columns = empty([...lead, ...columnShape(windows)], image.dtype);
    call(unfoldPlanes, image.dtype, sizeOf(lead), ...sizesOf(windows), image.ptr, columns.ptr);
    return columns;
  },
  vjp: (g, _y, _x, windows) => apply(foldOp, [g], windows),
  jvp: (t, _y, _x, windows) => apply(unfoldOp, [t], windows),
});

const foldOp: Primitive<Windows> = closedOp<Windows>({
  name: "fold",
  forward([x], windows) {
    const columns = dense(x as Tensor);
    const lead = columns.shape.slice(0, -2);
    const image = empty([...lead, ...imageShape(windows)], columns.dtype);
    call(foldPlanes, columns.dtype, sizeOf(lead), ...sizesOf(windows), columns.ptr, image.ptr);
    return image;
  },
  vjp: (g, _y, _x, windows) => apply(unfoldOp, [g], windows),
  jvp: (t, _y, _x, windows) => apply(foldOp, [t], windows),
});

interface AxisOptions {
  readonly stride: number;
  readonly dilation: number;
  readonly padding: number | "same" | "causal";
}

/** Kernels count in int32. */
const MOST = 2 ** 31 - 1;

function windowsAlong(op: string, size: number, kernel: number, { stride, dilation, padding }: AxisOptions): AxisWindows {
  checkWhole(op, "stride", stride, { least: 1, most: MOST });
  checkWhole(op, "dilation", dilation, { least: 1, most: MOST });
  const reach = dilation * (kernel - 1);
  if (padding === "same" && stride !== 1) throw new ArgumentError(`${op}: expected stride 1 with padding "same", got ${stride}`);
  const before = padding === "same" ? Math.floor(reach / 2) : padding === "causal" ? reach : padding;
  const padded = size + (typeof padding === "number" ? 2 * padding : reach);
  const count = Math.floor((padded - reach - 1) / stride) + 1;
  if (padded > MOST) throw new ArgumentError(`${op}: expected at most ${MOST} padded elements along each axis, got ${padded}`);
  if (count < 1) throw new ShapeError(`${op}: expected at least ${reach + 1} padded elements along each axis, got ${padded}`);
  return { size, kernel, count, stride, dilation, before };
}

function checkOperands(op: string, x: Tensor, weight: Tensor, bias: Tensor | null, groups: number): void {
  checkFloat(op, x);
  checkWhole(op, "groups", groups, { least: 1 });
  const [channels, outputs] = [x.dim(1), weight.dim(0)];
  if (channels !== weight.dim(1) * groups || outputs % groups !== 0) {
    throw new ShapeError(
      `${op}: expected weight [O, C / groups, ...] for C = ${channels} and ${groups} groups that divide O, got ${show(weight.shape)}`,
    );
  }
  if (sizeOf(weight.shape) === 0) throw new ShapeError(`${op}: expected a weight that is not empty, got ${show(weight.shape)}`);
  if (bias !== null && !sameShape(bias.shape, [outputs])) {
    throw new ShapeError(`${op}: expected bias of shape ${show([outputs])}, got ${show(bias.shape)}`);
  }
  for (const t of [weight, bias])
    if (t && t.dtype !== x.dtype) throw new DTypeError(`${op}: expected operands of ${x.dtype}, got ${t.dtype}`);
}

/** Multiplies each group's filters with the columns of its channels. */
function convolve(
  op: string,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  groups: number,
  axes: readonly [AxisOptions, AxisOptions],
): Tensor {
  checkOperands(op, x, weight, bias, groups);
  const [N, C, h, w] = x.shape as [number, number, number, number];
  const [O, , kh, kw] = weight.shape as [number, number, number, number];
  const windows = [windowsAlong(op, h, kh, axes[0]), windowsAlong(op, w, kw, axes[1])] as const;
  const [K, L] = [(C / groups) * kh * kw, windows[0].count * windows[1].count];
  const columns = reshape(apply(unfoldOp, [x], windows), [N, groups, K, L]);
  const y = reshape(matmul(reshape(weight, [groups, O / groups, K]), columns), [N, O, windows[0].count, windows[1].count]);
  return bias === null ? y : add(y, reshape(bias, [O, 1, 1]));
}

/** An option's value for each axis. @throws ArgumentError unless there are one or two values */
function pair(op: string, name: string, value: Pair): readonly [number, number] {
  if (!Array.isArray(value)) return [value as number, value as number];
  if (value.length === 2) return value as [number, number];
  throw new ArgumentError(`${op}: expected ${name} as one number or two, got ${quote(value)}`);
}

/** Padding along one axis. @throws ArgumentError for anything but a number of zeros, "same" or "valid" */
function checkPadding(op: string, padding: number | "same"): void {
  if (padding === "same") return;
  if (typeof padding !== "number")
    throw new ArgumentError(`${op}: expected padding to be a whole number, "same" or "valid", got ${quote(padding)}`);
  checkWhole(op, "padding", padding, { least: 0, most: MOST });
}

/**
 * Cross-correlation of images with filters, y[n,o] = bias[o] + Σ_c weight[o,c] ⋆ x[n,c].
 *
 * With `causal`, y[…,t,…] depends only on x[…,≤ t·stride,…] (van den Oord et al. 2016, WaveNet, for one axis).
 * @param x [N, C, H, W]
 * @param weight [O, C / groups, kh, kw]
 * @param bias [O], or null for none
 * @throws ArgumentError for invalid options; ShapeError, DTypeError for operands that do not fit
 * @returns [N, O, H', W'] with H' = ⌊(H + zeros - dilation·(kh - 1) - 1) / stride⌋ + 1
 */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, causal = false } = optionsOf("conv2d", options, CONV);
  checkImages("conv2d", x, weight, bias, 4);
  checkFlag("conv2d", "causal", causal);
  const [strides, dilations] = [pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)];
  const paddings = padding === "same" ? (["same", "same"] as const) : pair("conv2d", "padding", padding === "valid" ? 0 : padding);
  for (const zeros of paddings) checkPadding("conv2d", zeros);
  const first = causal ? causalPadding("conv2d", paddings[0]) : paddings[0];
  return convolve("conv2d", x, weight, bias ?? null, groups, [
    { stride: strides[0], dilation: dilations[0], padding: first },
    { stride: strides[1], dilation: dilations[1], padding: paddings[1] },
  ]);
}

/**
 * Cross-correlation of sequences with filters; see `conv2d`.
 * @param x [N, C, T]
 * @param weight [O, C / groups, k]
 * @param bias [O], or null for none
 * @returns [N, O, T']
 * @example conv1d(x, weight, bias, { causal: true, dilation: 4 }); // T' = T, without looking ahead
 */
export function conv1d(x: Tensor, weight: Tensor, bias?: Tensor | null, options: Conv1dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1, causal = false } = optionsOf("conv1d", options, CONV);
  checkImages("conv1d", x, weight, bias, 3);
  checkFlag("conv1d", "causal", causal);
  const zeros = padding === "valid" ? 0 : padding;
  checkPadding("conv1d", zeros);
  const time = { stride, dilation, padding: causal ? causalPadding("conv1d", zeros) : zeros };
  const one = { stride: 1, dilation: 1, padding: 0 };
  const y = convolve("conv1d", unsqueeze(x, 2), unsqueeze(weight, 2), bias ?? null, groups, [one, time]);
  return reshape(y, [y.dim(0), y.dim(1), y.dim(3)]);
}

function causalPadding(op: string, padding: number | "same"): "causal" {
  if (padding !== 0 && padding !== "same") throw new ArgumentError(`${op}: expected padding 0 along time with causal, got ${padding}`);
  return "causal";
}

function checkImages(op: string, x: Tensor, weight: Tensor, bias: Tensor | null | undefined, rank: number): void {
  for (const operand of [x, weight]) checkTensor(op, operand);
  if (bias !== undefined && bias !== null) checkTensor(op, bias);
  if (x.rank !== rank) throw new ShapeError(`${op}: expected x of ${rank} axes, got ${show(x.shape)}`);
  if (weight.rank !== rank) throw new ShapeError(`${op}: expected a weight of ${rank} axes, got ${show(weight.shape)}`);
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { unfold: unfoldOp, fold: foldOp };
