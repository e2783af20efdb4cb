/** Products with int8 weights, and sequences that recur by them. Forward only: asked for a derivative, they refuse. */

import { applyAll, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { StateError } from "../base/errors.ts";
import { checkInput, checkMatrix, checkRows, type PackedRows, pointer, stepTable } from "../ops/recurrent/rows.ts";
import type { ElmanOptions, GruOptions, LstmOptions } from "../ops/recurrent.ts";
import { contiguous } from "../ops/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { quantizedColumns, quantizedElman, quantizedGru, quantizedLstm, quantizedProduct, quantizedRows } from "../wasm/kernels.gen.ts";

/** Weights as the kernels read them; see `QuantizedMatrix`. */
export interface Int8Weight {
  /** The matrix in panels. */
  readonly values: Tensor;
  /** What each row of it is multiplied with. */
  readonly scales: Tensor;
}

function inferenceOp<P>(name: string, forward: (inputs: Inputs, params: P) => Tensor[]): Primitive<P> {
  const refuse = (): never => {
    throw new StateError(`${name}: expected weights of floats to differentiate, got quantized ones, which are for inference only`);
  };
  return { name, forward, vjp: refuse, jvp: refuse, closed: true };
}

/** Runs a kernel in work space: for `sums` floats, and behind them for a product of m rows of k elements, in int16 with two numbers each. */
function withWork(sums: number, m: number, k: number, run: (work: number) => void): void {
  const rounded = m * (Math.ceil(k / 8) * 4 + 2);
  const work = empty([sums + rounded]);
  run(work.ptr);
  work.dispose();
}

// ---------------------------------------------------------------- single products

const productOp = inferenceOp<void>("quantizedLinear", ([input, values, scales, bias]) => {
  const x = input as Tensor;
  const k = x.dim(-1);
  const n = (scales as Tensor).size;
  const y = empty(x.shape.with(-1, n));
  const m = x.size / k;
  withWork(0, m, k, (work) => {
    call(quantizedProduct, "float32", m, n, k, x.ptr, (values as Tensor).ptr, (scales as Tensor).ptr, pointer(bias), y.ptr, work);
  });
  return [y];
});

/** x [...,k] to x·Wᵀ + bias [...,n]. */
export function quantizedLinear(x: Tensor, { values, scales }: Int8Weight, bias?: Tensor): Tensor {
  const inputs = [contiguous(x), values, scales];
  return applyAll(productOp, bias ? [...inputs, bias] : inputs, undefined)[0] as Tensor;
}

/** Rows of W by an index that was checked: [...,k]. */
export function rowsOf({ values, scales }: Int8Weight, index: Tensor, k: number): Tensor {
  const y = empty([...index.shape, k]);
  call(quantizedRows, "float32", index.size, scales.size, k, index.ptr, values.ptr, scales.ptr, y.ptr);
  return y;
}

/** Columns of W by an index [N] that was checked, plus a bias: [N,n]. */
export function columnsOf({ values, scales }: Int8Weight, index: Tensor, k: number, bias?: Tensor): Tensor {
  const n = scales.size;
  const y = empty([index.size, n]);
  call(quantizedColumns, "float32", index.size, n, k, index.ptr, values.ptr, scales.ptr, pointer(bias), y.ptr);
  return y;
}

// ---------------------------------------------------------------- sequences

/** What of a sequence is no tensor. */
type Rows<O> = PackedRows & Omit<O, keyof PackedRows>;

const elmanOp = inferenceOp<Rows<ElmanOptions>>("quantizedElman", (inputs, params) => {
  const [gx, h0, values, scales] = inputs as [Tensor, Tensor, Tensor, Tensor];
  const [B, H] = h0.shape as [number, number];
  const [h, ys, table] = [copyOf(h0), empty(gx.shape), stepTable(params)];
  const relu = Number(params.nonlinearity === "relu");
  withWork(0, B, H, (work) => {
    const T = params.batchSizes.length;
    call(quantizedElman, "float32", T, table.ptr, H, relu, gx.ptr, values.ptr, scales.ptr, h.ptr, ys.ptr, work);
  });
  return [ys, h];
});

/** As `elmanSequence`. */
export function quantizedElmanSequence(gx: Tensor, w: Int8Weight, h0: Tensor, options: ElmanOptions): [ys: Tensor, h: Tensor] {
  const [B, H] = checkMatrix("quantizedElman", "h0", h0);
  checkInput("quantizedElman", "gx", gx, [checkRows("quantizedElman", options, B), H], "float32");
  checkInput("quantizedElman", "h0", h0, [B, w.scales.size], "float32");
  return applyAll(elmanOp, [contiguous(gx), contiguous(h0), w.values, w.scales], options) as [Tensor, Tensor];
}

interface LstmParams extends PackedRows {
  readonly peepholes: boolean;
}

const lstmOp = inferenceOp<LstmParams>("quantizedLstm", (inputs, params) => {
  const [gx, h0, c0, values, scales, ...others] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor, ...Tensor[]];
  const [p, r, rScales] = params.peepholes ? others : [undefined, ...others];
  const [B, H] = c0.shape as [number, number];
  const P = h0.dim(1);
  const [h, c, ys, table] = [copyOf(h0), copyOf(c0), empty([gx.dim(0), P]), stepTable(params)];
  withWork(5 * H * B, B, r ? H : P, (work) => {
    const T = params.batchSizes.length;
    const constant = [gx.ptr, values.ptr, scales.ptr, pointer(r), pointer(rScales), pointer(p)] as const;
    call(quantizedLstm, "float32", T, table.ptr, B, H, P, ...constant, h.ptr, c.ptr, ys.ptr, work);
  });
  return [ys, h, c];
});

/** As `lstmSequence`; a projection is of int8, too. */
export function quantizedLstmSequence(
  gx: Tensor,
  w: Int8Weight,
  h0: Tensor,
  c0: Tensor,
  { peepholes, ...rows }: LstmOptions,
  projection: Int8Weight | null,
): [ys: Tensor, h: Tensor, c: Tensor] {
  const [B, H] = checkMatrix("quantizedLstm", "c0", c0);
  checkInput("quantizedLstm", "gx", gx, [checkRows("quantizedLstm", rows, B), 4 * H], "float32");
  checkInput("quantizedLstm", "h0", h0, [B, projection ? projection.scales.size : H], "float32");
  checkInput("quantizedLstm", "c0", c0, [B, w.scales.size / 4], "float32");
  const others = [...(peepholes ? [contiguous(peepholes)] : []), ...(projection ? [projection.values, projection.scales] : [])];
  const inputs = [...[gx, h0, c0].map(contiguous), w.values, w.scales, ...others];
  return applyAll(lstmOp, inputs, { ...rows, peepholes: peepholes !== undefined }) as [Tensor, Tensor, Tensor];
}

interface GruParams extends PackedRows {
  readonly resetAfter: boolean;
  /** Bytes of the rows of r and z, before those of n. */
  readonly rzBytes: number;
}

const gruOp = inferenceOp<GruParams>("quantizedGru", (inputs, params) => {
  const [gx, h0, values, scales, bias] = inputs as [Tensor, Tensor, Tensor, Tensor, Tensor?];
  const [B, H] = h0.shape as [number, number];
  const [h, ys, table] = [copyOf(h0), empty([gx.dim(0), H]), stepTable(params)];
  withWork(4 * H * B, B, H, (work) => {
    const T = params.batchSizes.length;
    const weights = [values.ptr, scales.ptr, values.ptr + params.rzBytes, scales.ptr + 8 * H] as const;
    call(quantizedGru, "float32", T, table.ptr, B, H, Number(params.resetAfter), gx.ptr, ...weights, pointer(bias), h.ptr, ys.ptr, work);
  });
  return [ys, h];
});

/** As `gruSequence`. @param rzBytes where W_n begins */
export function quantizedGruSequence(gx: Tensor, w: Int8Weight, h0: Tensor, options: GruOptions, rzBytes: number): [ys: Tensor, h: Tensor] {
  const { bias, resetAfter = true, ...rows } = options;
  const [B, H] = checkMatrix("quantizedGru", "h0", h0);
  checkInput("quantizedGru", "gx", gx, [checkRows("quantizedGru", rows, B), 3 * H], "float32");
  checkInput("quantizedGru", "h0", h0, [B, w.scales.size / 3], "float32");
  const inputs = [contiguous(gx), contiguous(h0), w.values, w.scales, ...(bias ? [contiguous(bias)] : [])];
  return applyAll(gruOp, inputs, { ...rows, resetAfter, rzBytes }) as [Tensor, Tensor];
}
