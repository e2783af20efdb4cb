/** Gated recurrent units, over whole sequences. */

import { type FusedOp, fusedOp } from "../../autodiff/fused.ts";
import { gate } from "../../autodiff/observer.ts";
import { applyAll, type Primitive } from "../../autodiff/primitive.ts";
import { checkOptions } from "../../base/checks.ts";
import { BYTES } from "../../base/dtype.ts";
import { ArgumentError } from "../../base/errors.ts";
import type { Shape } from "../../tensor/shape.ts";
import { copyOf } from "../../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../../tensor/tensor.ts";
import { call } from "../../wasm/host.ts";
import { gruBackward, gruForward } from "../../wasm/kernels.gen.ts";
import { add, mul, sub } from "../arithmetic.ts";
import { sum } from "../broadcast.ts";
import { linear, matmul } from "../linear.ts";
import { sigmoid, tanh } from "../math.ts";
import { cat, contiguous, split, transpose } from "../shape.ts";
import {
  checkInput,
  checkMatrix,
  checkRows,
  type PackedRows,
  plain,
  pointer,
  ROWS,
  residual,
  running,
  scanRows,
  stepTable,
  transposed,
  withWorkSpace,
} from "./rows.ts";

interface GruParams extends PackedRows {
  readonly resetAfter: boolean;
}

const gru: FusedOp<GruParams> = {
  name: "gruSequence",

  forward(inputs, params, keep) {
    const [gx, w, h0, bias] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const { dtype } = gx;
    const N = gx.dim(0);
    const [B, H] = h0.shape as [number, number];
    const T = params.batchSizes.length;
    const h = copyOf(h0);
    const ys = empty([N, H], dtype);
    const saved = keep ? [empty([5 * N * H], dtype)] : [];
    const table = stepTable(params);
    const weights = [transposed(w.ptr, 2 * H, H), transposed(w.ptr + 2 * H * H * BYTES[dtype], H, H)];
    withWorkSpace(dtype, T, weights, 4 * H * B, (work, packed) => {
      const constant = [gx.ptr, packed ? 0 : w.ptr, pointer(bias)] as const;
      const after = Number(params.resetAfter);
      call(gruForward, dtype, T, table.ptr, N, B, H, after, ...constant, h.ptr, ys.ptr, pointer(saved[0]), work);
    });
    return [ys, h, ...saved];
  },

  backward([dys, dhT], { inputs, outputs, params, needs }) {
    const [gx, w, , bias] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const [ys, h, saved] = outputs as [Tensor, Tensor, Tensor];
    const { dtype } = gx;
    const [N, H] = ys.shape as [number, number];
    const T = params.batchSizes.length;
    const dh = running(dhT, h);
    const dgx = empty(gx.shape, dtype);
    const dqs = empty([N, H], dtype);
    const dense = dys ? contiguous(dys) : null;
    const table = stepTable(params);
    const weights = [plain(w.ptr, H, 2 * H), plain(w.ptr + 2 * H * H * BYTES[dtype], H, H)];
    withWorkSpace(dtype, T, weights, 0, (work, packed) => {
      const after = Number(params.resetAfter);
      const constant = [packed ? 0 : w.ptr, saved.ptr, pointer(dense)] as const;
      call(gruBackward, dtype, T, table.ptr, N, H, after, ...constant, dh.ptr, dgx.ptr, dqs.ptr, work);
    });
    const dw = needs[1] ? gruWeightGradient(dgx, dqs, saved, params.resetAfter) : null;
    return [dgx, dw, dh, ...(bias ? [sum(dqs, { axis: 0 })] : [])];
  },

  composed(inputs, params) {
    const [gx, w, h0, bias] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const H = h0.dim(1);
    const [wrz, wn] = split(w, [2 * H, H], 0) as [Tensor, Tensor];
    return scanRows(gx, [h0], params, (x, states) => {
      const [h] = states as [Tensor];
      const [xrz, xn] = split(x, [2 * H, H], 1) as [Tensor, Tensor];
      const [r, z] = split(sigmoid(add(xrz, linear(h, wrz))), H, 1) as [Tensor, Tensor];
      gate("r", r);
      gate("z", z);
      const fromState = params.resetAfter ? mul(r, linear(h, wn, bias)) : linear(mul(r, h), wn);
      const n = gate("n", tanh(add(xn, fromState)));
      return [gate("h", add(n, mul(z, sub(h, n))))];
    });
  },
};

function gruWeightGradient(dgx: Tensor, dqs: Tensor, saved: Tensor, after: boolean): Tensor {
  const [N, H] = dqs.shape as [number, number];
  const hidden = residual(saved, N, H, 4 * N * H);
  const [drz, dn] = split(dgx, [2 * H, H], 1) as [Tensor, Tensor];
  const forN = after ? matmul(transpose(dqs), hidden) : matmul(transpose(dn), residual(saved, N, H, 3 * N * H));
  return cat([matmul(transpose(drz), hidden), forN]);
}

export const gruOp: Primitive<GruParams> = fusedOp(gru);

export interface GruOptions extends PackedRows {
  /** Whether the reset gate is applied after the product W_n h, as in PyTorch and cuDNN (default), or to h before it. */
  readonly resetAfter?: boolean;
  /** b_n [H] inside the reset: only with `resetAfter`. */
  readonly bias?: Tensor;
}

export interface GruResult {
  /** All states h', [N,H]. */
  readonly ys: Tensor;
  /** The states after each sequence's last step, [B,H]. */
  readonly h: Tensor;
}

/**
 * Gated recurrent units.
 *
 *   r = σ(gx_r + W_r h)    z = σ(gx_z + W_z h)    h' = n + z∘(h - n)
 *   n = tanh(gx_n + r∘(W_n h + b_n))  or, with `resetAfter: false`,  n = tanh(gx_n + W_n (r∘h))
 *
 * @param gx input projection with biases, packed [N,3H], gates in the order r z n
 * @param weightHh [3H,H]
 * @param h0 initial state [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for arguments that do not fit
 * @see Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014
 */
export function gruSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, options: GruOptions): GruResult {
  checkOptions("gruSequence", options, ["resetAfter", "bias", ...ROWS], ["bias"]);
  checkTensor("gruSequence", gx);
  const [inputs, params] = gruArguments(gx, weightHh, h0, options);
  const [ys, h] = applyAll(gruOp, inputs, params) as [Tensor, Tensor];
  return { ys, h };
}

/** `gruSequence` in basic operations. @internal */
export function gruComposed(gx: Tensor, weightHh: Tensor, h0: Tensor, options: GruOptions): GruResult {
  const [ys, h] = gru.composed(...gruArguments(gx, weightHh, h0, options)) as [Tensor, Tensor];
  return { ys, h };
}

function gruArguments(gx: Tensor, weightHh: Tensor, h0: Tensor, options: GruOptions): [Tensor[], GruParams] {
  const { batchSizes, reverse = false, resetAfter = true, bias } = options;
  const [B, H] = checkMatrix("gruSequence", "h0", h0);
  const N = checkRows("gruSequence", options, B);
  const check = (name: string, x: Tensor, shape: Shape): void => checkInput("gruSequence", name, x, shape, gx.dtype);
  check("gx", gx, [N, 3 * H]);
  check("weightHh", weightHh, [3 * H, H]);
  check("h0", h0, [B, H]);
  const inputs = [gx, weightHh, h0];
  if (bias) {
    if (!resetAfter) throw new ArgumentError("gruSequence: expected no bias without resetAfter (it belongs into gx), got one");
    check("bias", bias, [H]);
    inputs.push(bias);
  }
  return [inputs.map(contiguous), { batchSizes, reverse, resetAfter }];
}
