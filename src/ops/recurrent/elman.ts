/** The simple recurrent network, over whole sequences. */

import { type FusedOp, fusedOp } from "../../autodiff/fused.ts";
import { gate } from "../../autodiff/observer.ts";
import { applyAll, type Primitive } from "../../autodiff/primitive.ts";
import { checkOptions } from "../../base/checks.ts";
import { copyOf } from "../../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../../tensor/tensor.ts";
import { call } from "../../wasm/host.ts";
import { elmanBackward, elmanForward } from "../../wasm/kernels.gen.ts";
import { add } from "../arithmetic.ts";
import { linear, matmul } from "../linear.ts";
import { relu, tanh } from "../math.ts";
import { contiguous, transpose } from "../shape.ts";
import {
  checkInput,
  checkMatrix,
  checkRows,
  type PackedRows,
  plain,
  pointer,
  ROWS,
  running,
  scanRows,
  stepTable,
  transposed,
  withWorkSpace,
} from "./rows.ts";

/** The activation of a simple recurrent network. */
export type Nonlinearity = "tanh" | "relu";

interface ElmanParams extends PackedRows {
  readonly nonlinearity: Nonlinearity;
}

const elman: FusedOp<ElmanParams> = {
  name: "elmanSequence",

  forward(inputs, params, keep) {
    const [gx, w, h0] = inputs as [Tensor, Tensor, Tensor];
    const { dtype, shape } = gx;
    const H = gx.dim(1);
    const T = params.batchSizes.length;
    const h = copyOf(h0);
    const ys = empty(shape, dtype);
    const hidden = keep ? [empty(shape, dtype)] : [];
    const table = stepTable(params);
    const relu = Number(params.nonlinearity === "relu");
    withWorkSpace(dtype, T, [transposed(w.ptr, H, H)], 0, (work, packed) => {
      const weight = packed ? 0 : w.ptr;
      call(elmanForward, dtype, T, table.ptr, H, relu, gx.ptr, weight, h.ptr, ys.ptr, pointer(hidden[0]), work);
    });
    return [ys, h, ...hidden];
  },

  backward([dys, dhT], { inputs, outputs, params, needs }) {
    const [gx, w] = inputs as [Tensor, Tensor];
    const [ys, h, hidden] = outputs as [Tensor, Tensor, Tensor];
    const { dtype } = gx;
    const H = gx.dim(1);
    const T = params.batchSizes.length;
    const dh = running(dhT, h);
    const dgx = empty(gx.shape, dtype);
    const dense = dys ? contiguous(dys) : null;
    const table = stepTable(params);
    const relu = Number(params.nonlinearity === "relu");
    withWorkSpace(dtype, T, [plain(w.ptr, H, H)], 0, (work, packed) => {
      const weight = packed ? 0 : w.ptr;
      call(elmanBackward, dtype, T, table.ptr, H, relu, weight, ys.ptr, pointer(dense), dh.ptr, dgx.ptr, work);
    });
    return [dgx, needs[1] ? matmul(transpose(dgx), hidden) : null, dh];
  },

  composed(inputs, params) {
    const [gx, w, h0] = inputs as [Tensor, Tensor, Tensor];
    const activation = params.nonlinearity === "relu" ? relu : tanh;
    return scanRows(gx, [h0], params, (x, [h]) => [gate("h", activation(add(x, linear(h as Tensor, w))))]);
  },
};

export const elmanOp: Primitive<ElmanParams> = fusedOp(elman);

export interface ElmanOptions extends PackedRows {
  /** Default "tanh". */
  readonly nonlinearity?: Nonlinearity;
}

export interface ElmanResult {
  /** All states h', [N,H]. */
  readonly ys: Tensor;
  /** The states after each sequence's last step, [B,H]. */
  readonly h: Tensor;
}

/**
 * The simple recurrent network: h' = φ(gx + h·W_hhᵀ), φ = tanh or relu.
 * @param gx input projection with biases, packed [N,H]
 * @param weightHh [H,H]
 * @param h0 initial state [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for arguments that do not fit
 * @see Elman, "Finding structure in time", 1990
 */
export function elmanSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult {
  checkOptions("elmanSequence", options, ["nonlinearity", ...ROWS]);
  checkTensor("elmanSequence", gx);
  const [ys, h] = applyAll(elmanOp, ...elmanArguments(gx, weightHh, h0, options)) as [Tensor, Tensor];
  return { ys, h };
}

/** `elmanSequence` in basic operations. @internal */
export function elmanComposed(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult {
  const [ys, h] = elman.composed(...elmanArguments(gx, weightHh, h0, options)) as [Tensor, Tensor];
  return { ys, h };
}

function elmanArguments(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): [Tensor[], ElmanParams] {
  const { batchSizes, reverse = false, nonlinearity = "tanh" } = options;
  const [B, H] = checkMatrix("elmanSequence", "h0", h0);
  const N = checkRows("elmanSequence", options, B);
  checkInput("elmanSequence", "gx", gx, [N, H], gx.dtype);
  checkInput("elmanSequence", "weightHh", weightHh, [H, H], gx.dtype);
  checkInput("elmanSequence", "h0", h0, [B, H], gx.dtype);
  return [[gx, weightHh, h0].map(contiguous), { batchSizes, reverse, nonlinearity }];
}
