/** Layer normalisation. */

import { composedRules } from "../autodiff/composed.ts";
import { applyAll, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { checkOptions } from "../base/checks.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { checkShape, type Shape, sameShape, show, sizeOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { layerNormGradRows, layerNormRows } from "../wasm/kernels.gen.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { sumTo } from "./broadcast.ts";
import { rsqrt } from "./math.ts";
import { mean, variance } from "./reduce.ts";
import { checkFloat } from "./reduction.ts";

/** @internal */
export interface LayerNormOptions {
  /** Factors, of the normalised shape. */
  readonly weight?: Tensor | undefined;
  /** Terms, of the normalised shape. */
  readonly bias?: Tensor | undefined;
  /** Added to the variance; default 1e-5. */
  readonly eps?: number | undefined;
}

/** The inputs are x, then the weight and the bias if present. */
interface LayerNorm {
  readonly shape: Shape;
  readonly eps: number;
  readonly weighted: boolean;
  readonly biased: boolean;
}

interface LayerNormRun extends LayerNorm {
  /** Mean and 1 / √(variance + eps) of each row. */
  readonly stats: Tensor;
}

/** Number and length of the rows, as the kernels see x. */
function rowsOf(x: Tensor, shape: Shape): [rows: number, n: number] {
  const n = sizeOf(shape);
  return [n === 0 ? 0 : x.size / n, n];
}

const trailing = (shape: Shape): number[] => shape.map((_, i) => i - shape.length);

/** x̂ = (x - mean)·rstd, and rstd. */
function normalized(x: Tensor, { shape, eps }: LayerNorm): { xh: Tensor; rstd: Tensor } {
  const over = { axis: trailing(shape), keepDim: true };
  const rstd = rsqrt(add(variance(x, { ...over, correction: 0 }), eps));
  return { xh: mul(sub(x, mean(x, over)), rstd), rstd };
}

/** The unfused form of the gradients; the inputs are g, x and the weight if present. */
function composedGrad([g, x, weight]: Inputs, params: LayerNormRun): Tensor[] {
  const over = { axis: trailing(params.shape), keepDim: true };
  const dy = g as Tensor;
  const { xh, rstd } = normalized(x as Tensor, params);
  const h = weight === undefined ? dy : mul(dy, weight);
  const dx = mul(rstd, sub(sub(h, mean(h, over)), mul(xh, mean(mul(h, xh), over))));
  return [dx, sumTo(mul(dy, xh), params.shape), sumTo(dy, params.shape)];
}

/** dx, dw and db in one pass; higher derivatives use the unfused form. */
const layerNormGradOp: Primitive<LayerNormRun> = {
  name: "layerNormGrad",
  closed: true,
  forward([g, x, weight], { shape, stats }) {
    const [dy, rows] = [dense(g as Tensor), dense(x as Tensor)];
    const w = weight === undefined ? 0 : dense(weight).ptr;
    const [dx, dw, db] = [empty(rows.shape, rows.dtype), empty(shape, rows.dtype), empty(shape, rows.dtype)] as const;
    call(layerNormGradRows, rows.dtype, ...rowsOf(rows, shape), dy.ptr, rows.ptr, w, stats.ptr, dx.ptr, dw.ptr, db.ptr);
    return [dx, dw, db];
  },
  ...composedRules(composedGrad),
};

function composedForward(inputs: Inputs, params: LayerNorm): Tensor[] {
  const { xh } = normalized(inputs[0] as Tensor, params);
  const scaled = params.weighted ? mul(xh, inputs[1] as Tensor) : xh;
  return [params.biased ? add(scaled, inputs[inputs.length - 1] as Tensor) : scaled];
}

const layerNormOp: Primitive<LayerNorm> = {
  name: "layerNorm",
  closed: true,
  forward(inputs, { shape, eps, weighted, biased }) {
    const x = dense(inputs[0] as Tensor);
    const [rows, n] = rowsOf(x, shape);
    const w = weighted ? dense(inputs[1] as Tensor).ptr : 0;
    const b = biased ? dense(inputs[inputs.length - 1] as Tensor).ptr : 0;
    const y = empty(x.shape, x.dtype);
    const stats = empty([rows, 2], x.dtype);
    call(layerNormRows, x.dtype, rows, n, eps, x.ptr, w, b, y.ptr, stats.ptr);
    return [y, stats];
  },
  vjp([g], { inputs, outputs, params }) {
    if (!g) return inputs.map(() => null);
    const { weighted, biased } = params;
    const run = { ...params, stats: outputs[1] as Tensor };
    const [dx, dw, db] = applyAll(layerNormGradOp, [g, ...inputs.slice(0, weighted ? 2 : 1)], run) as [Tensor, Tensor, Tensor];
    return [dx, ...(weighted ? [dw] : []), ...(biased ? [db] : [])];
  },
  jvp: composedRules(composedForward).jvp,
};

function checkLike(name: string, t: Tensor | undefined, x: Tensor, shape: Shape): void {
  if (t === undefined) return;
  if (!sameShape(t.shape, shape)) throw new ShapeError(`layerNorm: expected ${name} of shape ${show(shape)}, got ${show(t.shape)}`);
  if (t.dtype !== x.dtype) throw new DTypeError(`layerNorm: expected ${name} of x's dtype ${x.dtype}, got ${t.dtype}`);
}

/**
 * Normalises over the trailing axes: y = (x - mean) / √(variance + eps) · weight + bias.
 *
 * Source: Ba, Kiros & Hinton 2016, Layer Normalization, equations 3 and 4.
 * @param x [..., ...normalizedShape]
 * @param normalizedShape shape of the trailing axes that are normalised together
 */
export function layerNorm(x: Tensor, normalizedShape: Shape, options: LayerNormOptions = {}): Tensor {
  checkOptions("layerNorm", options, ["weight", "bias", "eps"], ["bias"]);
  checkTensor("layerNorm", x);
  const { weight, bias, eps = 1e-5 } = options;
  checkFloat("layerNorm", x);
  checkShape("layerNorm", normalizedShape);
  const count = normalizedShape.length;
  if (count === 0 || count > x.rank || !sameShape(x.shape.slice(x.rank - count), normalizedShape)) {
    throw new ShapeError(`layerNorm: expected x [...,${normalizedShape.join(",")}], got ${show(x.shape)}`);
  }
  checkLike("weight", weight, x, normalizedShape);
  checkLike("bias", bias, x, normalizedShape);
  const inputs = [x, ...(weight === undefined ? [] : [weight]), ...(bias === undefined ? [] : [bias])];
  const params = { shape: normalizedShape, eps, weighted: weight !== undefined, biased: bias !== undefined };
  return applyAll(layerNormOp, inputs, params)[0] as Tensor;
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { layerNorm: layerNormOp, layerNormGrad: layerNormGradOp };
