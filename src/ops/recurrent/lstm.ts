/** Long short-term memory, over whole sequences. */

import { type FusedOp, fusedOp } from "../../autodiff/fused.ts";
import { gate } from "../../autodiff/observer.ts";
import { applyAll, type Inputs, type Primitive } from "../../autodiff/primitive.ts";
import { checkOptions } from "../../base/checks.ts";
import { zeros } from "../../tensor/create.ts";
import type { Shape } from "../../tensor/shape.ts";
import { copyOf } from "../../tensor/strided.ts";
import { checkTensor, empty, type Tensor } from "../../tensor/tensor.ts";
import { call } from "../../wasm/host.ts";
import { lstmBackward, lstmForward } from "../../wasm/kernels.gen.ts";
import { add, mul } from "../arithmetic.ts";
import { linear, matmul } from "../linear.ts";
import { sigmoid, tanh } from "../math.ts";
import { contiguous, slice, split, transpose } from "../shape.ts";
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

interface LstmParams extends PackedRows {
  readonly peepholes: boolean;
  readonly projected: boolean;
}

/** The optional inputs, which come last. */
function lstmExtras(inputs: Inputs, { peepholes, projected }: LstmParams): { p: Tensor | undefined; r: Tensor | undefined } {
  return { p: peepholes ? inputs[4] : undefined, r: projected ? inputs[peepholes ? 5 : 4] : undefined };
}

const lstm: FusedOp<LstmParams> = {
  name: "lstmSequence",

  forward(inputs, params, keep) {
    const [gx, w, h0, c0] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const { p, r } = lstmExtras(inputs, params);
    const { dtype } = gx;
    const N = gx.dim(0);
    const [B, H] = c0.shape as [number, number];
    const P = h0.dim(1);
    const T = params.batchSizes.length;
    const h = copyOf(h0);
    const c = copyOf(c0);
    const ys = empty([N, P], dtype);
    const saved = keep ? [empty([N * (6 * H + P + (r ? H : 0))], dtype)] : [];
    const table = stepTable(params);
    const weights = [transposed(w.ptr, 4 * H, P), ...(r ? [transposed(r.ptr, P, H)] : [])];
    withWorkSpace(dtype, T, weights, 5 * H * B, (work, packed) => {
      const constant = [gx.ptr, packed ? 0 : w.ptr, pointer(r), pointer(p)] as const;
      call(lstmForward, dtype, T, table.ptr, N, B, H, P, ...constant, h.ptr, c.ptr, ys.ptr, pointer(saved[0]), work);
    });
    return [ys, h, c, ...saved];
  },

  backward([dys, dhT, dcT], { inputs, outputs, params, needs }) {
    const [gx, w] = inputs as [Tensor, Tensor];
    const [ys, h, c, saved] = outputs as [Tensor, Tensor, Tensor, Tensor];
    const { p, r } = lstmExtras(inputs, params);
    const { dtype } = gx;
    const [N, P] = ys.shape as [number, number];
    const [B, H] = c.shape as [number, number];
    const T = params.batchSizes.length;
    const dh = running(dhT, h);
    const dc = running(dcT, c);
    const dgx = empty(gx.shape, dtype);
    const dhs = r ? empty([N, P], dtype) : null;
    const dp = p ? zeros(p.shape, dtype) : null;
    const dense = dys ? contiguous(dys) : null;
    const table = stepTable(params);
    const weights = [plain(w.ptr, P, 4 * H), ...(r ? [plain(r.ptr, H, P)] : [])];
    withWorkSpace(dtype, T, weights, r ? B * H : 0, (work, packed) => {
      const constant = [packed ? 0 : w.ptr, pointer(r), pointer(p), saved.ptr, pointer(dense)] as const;
      const written = [dh.ptr, dc.ptr, dgx.ptr, pointer(dhs), pointer(dp)] as const;
      call(lstmBackward, dtype, T, table.ptr, N, H, P, ...constant, ...written, work);
    });
    const dw = needs[1] ? matmul(transpose(dgx), residual(saved, N, P, 6 * N * H)) : null;
    const dr = dhs ? matmul(transpose(dhs), residual(saved, N, H, N * (6 * H + P))) : null;
    return [dgx, dw, dh, dc, ...(p ? [dp] : []), ...(r ? [dr] : [])];
  },

  composed(inputs, params) {
    const [gx, w, h0, c0] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const { p, r } = lstmExtras(inputs, params);
    const H = c0.dim(1);
    const peephole = (k: number, sums: Tensor, c: Tensor): Tensor => (p ? add(sums, mul(slice(p, 0, k, k + 1), c)) : sums);
    return scanRows(gx, [h0, c0], params, (x, states) => {
      const [h, c] = states as [Tensor, Tensor];
      const [si, sf, sg, so] = split(add(x, linear(h, w)), H, 1) as [Tensor, Tensor, Tensor, Tensor];
      const i = gate("i", sigmoid(peephole(0, si, c)));
      const f = gate("f", sigmoid(peephole(1, sf, c)));
      const c1 = gate("c", add(mul(f, c), mul(i, gate("g", tanh(sg)))));
      const m = mul(gate("o", sigmoid(peephole(2, so, c1))), tanh(c1));
      return [gate("h", r ? linear(m, r) : m), c1];
    });
  },
};

export const lstmOp: Primitive<LstmParams> = fusedOp(lstm);

export interface LstmOptions extends PackedRows {
  /** Peepholes [3,H]: p_i and p_f act on c before the step, p_o on c after it. */
  readonly peepholes?: Tensor;
  /** W_hr [P,H]: the output and recurrent state are m·W_hrᵀ. */
  readonly weightHr?: Tensor;
}

export interface LstmResult {
  /** All states h', [N,P]. */
  readonly ys: Tensor;
  /** The states after each sequence's last step, [B,P] and [B,H]. */
  readonly h: Tensor;
  readonly c: Tensor;
}

/**
 * Long short-term memory with forget gates, and optionally with peepholes and a projection.
 *
 *   i = σ(gx_i + W_i h + p_i∘c)    f = σ(gx_f + W_f h + p_f∘c)    g = tanh(gx_g + W_g h)
 *   c' = f∘c + i∘g                 o = σ(gx_o + W_o h + p_o∘c')   m = o∘tanh(c')   h' = m, or W_hr m
 *
 * @param gx input projection with biases, packed [N,4H], gates in the order i f g o
 * @param weightHh [4H,P]; P = H without a projection
 * @param h0 initial state [B,P]
 * @param c0 initial cell [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for arguments that do not fit
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers, Schraudolph and Schmidhuber, "Learning precise timing
 * with LSTM recurrent networks", 2002 (peepholes); Sak, Senior and Beaufays, "Long short-term memory recurrent neural network
 * architectures for large scale acoustic modeling", 2014 (projection)
 */
export function lstmSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, c0: Tensor, options: LstmOptions): LstmResult {
  checkOptions("lstmSequence", options, ["peepholes", "weightHr", ...ROWS], ["peepholes"]);
  checkTensor("lstmSequence", gx);
  const [inputs, params] = lstmArguments(gx, weightHh, h0, c0, options);
  const [ys, h, c] = applyAll(lstmOp, inputs, params) as [Tensor, Tensor, Tensor];
  return { ys, h, c };
}

/** `lstmSequence` in basic operations. @internal */
export function lstmComposed(gx: Tensor, weightHh: Tensor, h0: Tensor, c0: Tensor, options: LstmOptions): LstmResult {
  const [ys, h, c] = lstm.composed(...lstmArguments(gx, weightHh, h0, c0, options)) as [Tensor, Tensor, Tensor];
  return { ys, h, c };
}

function lstmArguments(gx: Tensor, weightHh: Tensor, h0: Tensor, c0: Tensor, options: LstmOptions): [Tensor[], LstmParams] {
  const { peepholes, weightHr, batchSizes, reverse = false } = options;
  const [B, H] = checkMatrix("lstmSequence", "c0", c0);
  const [, P] = checkMatrix("lstmSequence", "h0", h0);
  const N = checkRows("lstmSequence", options, B);
  const check = (name: string, x: Tensor, shape: Shape): void => checkInput("lstmSequence", name, x, shape, gx.dtype);
  check("gx", gx, [N, 4 * H]);
  check("weightHh", weightHh, [4 * H, P]);
  check("h0", h0, [B, weightHr ? P : H]);
  check("c0", c0, [B, H]);
  const inputs = [gx, weightHh, h0, c0];
  if (peepholes) {
    check("peepholes", peepholes, [3, H]);
    inputs.push(peepholes);
  }
  if (weightHr) {
    check("weightHr", weightHr, [P, H]);
    inputs.push(weightHr);
  }
  return [inputs.map(contiguous), { batchSizes, reverse, peepholes: peepholes !== undefined, projected: weightHr !== undefined }];
}
