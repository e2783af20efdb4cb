/**
 * Whole sequences of the recurrent work horses: simple (Elman), LSTM, GRU.
 *
 * Each takes the inputs' part of all steps at once (gx = x·W_ihᵀ + b, one product) and runs the recurrence in one kernel,
 * forward and backward. The composed form beside it says the same in basic operations: it is what second derivatives
 * and forward mode go through.
 *
 * Rows are packed as for sequences sorted by falling length: time-major and without gaps, so that shorter sequences
 * cost their real steps only. With equal lengths that is simply [T·B, …].
 */

import { box, dualLevel, unbox, withLevel } from "../autodiff/forward.ts";
import { applyAll, type Evaluation, type Inputs, type Primitive } from "../autodiff/primitive.ts";
import { isRecording } from "../autodiff/tape.ts";
import { innerProduct, vjp } from "../autodiff/transforms.ts";
import { scalar, zeros } from "../tensor/create.ts";
import { BYTES, type DType, isFloat } from "../tensor/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../tensor/errors.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { copyInto } from "../tensor/strided.ts";
import { empty, Tensor } from "../tensor/tensor.ts";
import { call, host, view } from "../wasm/host.ts";
import { elman_backward, elman_forward, gru_backward, gru_forward, lstm_backward, lstm_forward } from "../wasm/kernels.gen.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { linear, matmul } from "./linear.ts";
import { relu, sigmoid, tanh } from "./math.ts";
import { sum } from "./reduce.ts";
import { cat, contiguous, slice, split, transpose } from "./shape.ts";

/** How the rows of a batch of sequences lie in memory, and which way they are walked. */
export interface PackedRows {
  /** Number of sequences that reach each step: never rising. */
  readonly batchSizes: readonly number[];
  /** Walks from each sequence's last step to its first. */
  readonly reverse?: boolean;
}

/** One step: `count` rows from `row`. */
interface Step {
  readonly t: number;
  readonly row: number;
  readonly count: number;
}

/** The steps in the order in which they are walked. */
function walk({ batchSizes, reverse }: PackedRows): Step[] {
  let row = 0;
  const steps = batchSizes.map((count, t) => {
    const step = { t, row, count };
    row += count;
    return step;
  });
  return reverse ? steps.reverse() : steps;
}

// ---- Between the tape and the kernels ----

/** A recurrence in both forms. Outputs beyond those of the composed form are residuals. */
interface Family<P extends PackedRows> {
  readonly name: string;
  readonly forward: (inputs: Inputs, params: P, keep: boolean) => Tensor[];
  /** Number of outputs when residuals were kept. */
  readonly backward: (cotangents: readonly (Tensor | null)[], at: Evaluation<P>) => (Tensor | null)[];
  readonly composed: (inputs: Inputs, params: P) => Tensor[];
}

/** Whether the tape will ask for this evaluation's gradient. */
function wantsGradient(inputs: Inputs): boolean {
  return isRecording() && inputs.some((x) => x.requiresGrad || x.node !== null);
}

function fused<P extends PackedRows>(family: Family<P>): Primitive<P> {
  return {
    name: family.name,
    forward: (inputs, params) => family.forward(inputs, params, wantsGradient(inputs)),
    vjp(cotangents, at) {
      const differentiable = isRecording() || dualLevel([...at.inputs, ...cotangents.filter((g) => g !== null)]) > 0;
      return differentiable ? composedVjp(family, cotangents, at) : family.backward(cotangents, at);
    },
    jvp(tangents, { inputs, params }) {
      return withLevel((level) => {
        const boxed = inputs.map((x, i) => (tangents[i] ? box(level, x, tangents[i]) : x));
        return family.composed(boxed, params).map((y) => unbox(level, y).tangent);
      });
    },
  };
}

function composedVjp<P extends PackedRows>(
  family: Family<P>,
  cotangents: readonly (Tensor | null)[],
  { inputs, params }: Evaluation<P>,
): Tensor[] {
  const weighed = (...xs: Tensor[]): Tensor =>
    family
      .composed(xs, params)
      .flatMap((y, i) => (cotangents[i] ? [innerProduct(y, cotangents[i])] : []))
      .reduce((a, b) => add(a, b));
  const [total, pullback] = vjp(weighed, inputs);
  return pullback(scalar(1, total.dtype), { createGraph: true });
}

/** Runs a kernel with the table of steps and `bytes` of work space. */
function withSteps(rows: PackedRows, bytes: number, run: (table: number, work: number) => void): void {
  const { heap } = host();
  const tableBytes = 64 * Math.ceil(rows.batchSizes.length / 8);
  const table = heap.allocate(tableBytes + bytes);
  const entries = view("int32", table, 2 * rows.batchSizes.length);
  walk(rows).forEach(({ row, count }, i) => {
    entries[2 * i] = row;
    entries[2 * i + 1] = count;
  });
  run(table, table + tableBytes);
  heap.release(table, tableBytes + bytes);
}

/** Bytes of a packed k × n operand of a product. */
function packedBytes(n: number, k: number, dtype: DType): number {
  const columns = 32 / BYTES[dtype];
  return Math.ceil(n / columns) * k * 32;
}

function copyOf(x: Tensor): Tensor {
  const y = empty(x.shape, x.dtype);
  copyInto(y, x);
  return y;
}

/** A running cotangent: the given one, or zeros. */
function running(g: Tensor | null | undefined, like: Tensor): Tensor {
  return g ? copyOf(g) : zeros(like.shape, like.dtype);
}

/** Address of an optional tensor; 0 where there is none. */
function pointer(x: Tensor | null | undefined): number {
  return x ? x.ptr : 0;
}

/** A matrix [rows, columns] in the residuals, from an element on. */
function residual(saved: Tensor, rows: number, columns: number, offset: number): Tensor {
  return new Tensor(saved.storage, saved.dtype, [rows, columns], [columns, 1], offset);
}

/** Runs `step` over packed rows; sequences that are not running keep their state. The first state is the output. */
function scanRows(gx: Tensor, initial: readonly Tensor[], rows: PackedRows, step: (gx: Tensor, states: Tensor[]) => Tensor[]): Tensor[] {
  const batch = (initial[0] as Tensor).dim(0);
  const ys = new Array<Tensor>(rows.batchSizes.length);
  let states = [...initial];
  for (const { t, row, count } of walk(rows)) {
    const active = count === batch ? states : states.map((s) => slice(s, 0, 0, count));
    const next = step(slice(gx, 0, row, row + count), active);
    ys[t] = next[0] as Tensor;
    states = count === batch ? next : states.map((s, i) => cat([next[i] as Tensor, slice(s, 0, count)]));
  }
  return [cat(ys), ...states];
}

// ---- Checks ----

function checkRows(op: string, { batchSizes }: PackedRows, batch: number): number {
  if (batchSizes.length === 0) throw new ArgumentError(`${op}: expected batchSizes with at least one step, got none`);
  let before = batch;
  for (const count of batchSizes) {
    if (!(Number.isInteger(count) && count >= 0 && count <= before)) {
      throw new ArgumentError(`${op}: expected whole batchSizes from ${batch} that never rise, got ${show(batchSizes)}`);
    }
    before = count;
  }
  return batchSizes.reduce((a, b) => a + b, 0);
}

function checkInput(op: string, name: string, x: Tensor, shape: Shape, dtype: DType): void {
  if (!sameShape(x.shape, shape)) throw new ShapeError(`${op}: expected ${name} ${show(shape)}, got ${show(x.shape)}`);
  if (x.dtype !== dtype || !isFloat(dtype))
    throw new DTypeError(`${op}: expected ${name} of the float dtype of gx, got ${x.dtype} and ${dtype}`);
}

function checkMatrix(op: string, name: string, x: Tensor): readonly [number, number] {
  const [rows, columns] = x.shape;
  if (x.rank !== 2) throw new ShapeError(`${op}: expected ${name} of two axes, got ${show(x.shape)}`);
  return [rows as number, columns as number];
}

// ---- Elman ----

export type Nonlinearity = "tanh" | "relu";

interface ElmanParams extends PackedRows {
  readonly nonlinearity: Nonlinearity;
}

const elman: Family<ElmanParams> = {
  name: "elmanSequence",
  forward([gx, w, h0], params, keep) {
    const { dtype, shape } = gx as Tensor;
    const H = shape[1] as number;
    const h = copyOf(h0 as Tensor);
    const ys = empty(shape, dtype);
    const hidden = keep ? [empty(shape, dtype)] : [];
    withSteps(params, packedBytes(H, H, dtype), (table, work) => {
      const { length } = params.batchSizes;
      const relu = Number(params.nonlinearity === "relu");
      call(elman_forward, dtype, length, table, H, relu, pointer(gx), pointer(w), h.ptr, ys.ptr, pointer(hidden[0]), work);
    });
    return [ys, h, ...hidden];
  },
  backward([dys, dhT], { inputs: [gx, w], outputs: [ys, h, hidden], params, needs }) {
    const { dtype, shape } = gx as Tensor;
    const H = shape[1] as number;
    const dh = running(dhT, h as Tensor);
    const dgx = empty(shape, dtype);
    const dense = dys ? contiguous(dys) : null;
    withSteps(params, packedBytes(H, H, dtype), (table, work) => {
      const { length } = params.batchSizes;
      const relu = Number(params.nonlinearity === "relu");
      call(elman_backward, dtype, length, table, H, relu, pointer(w), pointer(ys), pointer(dense), dh.ptr, dgx.ptr, work);
    });
    return [dgx, needs[1] ? matmul(transpose(dgx), hidden as Tensor) : null, dh];
  },
  composed([gx, w, h0], params) {
    const activation = params.nonlinearity === "relu" ? relu : tanh;
    return scanRows(gx as Tensor, [h0 as Tensor], params, (x, [h]) => [activation(add(x, linear(h as Tensor, w as Tensor)))]);
  },
};

export const elmanOp: Primitive<ElmanParams> = fused(elman);

export interface ElmanOptions extends PackedRows {
  readonly nonlinearity?: Nonlinearity;
}

export interface ElmanResult {
  /** [N,H], every h'. */
  readonly ys: Tensor;
  /** [B,H], after each sequence's last step. */
  readonly h: Tensor;
}

/**
 * The simple recurrent network: h' = φ(gx + h·W_hhᵀ), φ = tanh or relu.
 * @param gx inputs' part with biases, packed [N,H]
 * @param weightHh [H,H]
 * @param h0 initial state [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for what does not fit
 * @see Elman, "Finding structure in time", 1990
 */
export function elmanSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult {
  const [inputs, params] = elmanArguments(gx, weightHh, h0, options);
  const [ys, h] = applyAll(elmanOp, inputs, params) as [Tensor, Tensor];
  return { ys, h };
}

/** `elmanSequence` in basic operations. */
export function elmanComposed(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): ElmanResult {
  const [ys, h] = elman.composed(...elmanArguments(gx, weightHh, h0, options)) as [Tensor, Tensor];
  return { ys, h };
}

function elmanArguments(gx: Tensor, weightHh: Tensor, h0: Tensor, options: ElmanOptions): [Tensor[], ElmanParams] {
  const [B, H] = checkMatrix("elmanSequence", "h0", h0);
  const N = checkRows("elmanSequence", options, B);
  checkInput("elmanSequence", "gx", gx, [N, H], gx.dtype);
  checkInput("elmanSequence", "weightHh", weightHh, [H, H], gx.dtype);
  checkInput("elmanSequence", "h0", h0, [B, H], gx.dtype);
  return [[gx, weightHh, h0].map(contiguous), { nonlinearity: "tanh", ...options }];
}

// ---- LSTM ----

interface LstmParams extends PackedRows {
  readonly peepholes: boolean;
  readonly projected: boolean;
}

/** The optional inputs, which stand last. */
function lstmExtras(inputs: Inputs, { peepholes, projected }: LstmParams): { p: Tensor | undefined; r: Tensor | undefined } {
  return { p: peepholes ? inputs[4] : undefined, r: projected ? inputs[peepholes ? 5 : 4] : undefined };
}

const lstm: Family<LstmParams> = {
  name: "lstmSequence",
  forward(inputs, params, keep) {
    const [gx, w, h0, c0] = inputs as [Tensor, Tensor, Tensor, Tensor];
    const { p, r } = lstmExtras(inputs, params);
    const { dtype } = gx;
    const N = gx.dim(0);
    const [B, H] = c0.shape as [number, number];
    const P = h0.dim(1);
    const h = copyOf(h0);
    const c = copyOf(c0);
    const ys = empty([N, P], dtype);
    const saved = keep ? [empty([N * (6 * H + P + (r ? H : 0))], dtype)] : [];
    const packed = packedBytes(4 * H, P, dtype) + (r ? packedBytes(P, H, dtype) : 0);
    withSteps(params, packed + 5 * H * B * BYTES[dtype], (table, work) => {
      call(
        lstm_forward,
        dtype,
        params.batchSizes.length,
        table,
        N,
        B,
        H,
        P,
        gx.ptr,
        w.ptr,
        pointer(r),
        pointer(p),
        h.ptr,
        c.ptr,
        ys.ptr,
        pointer(saved[0]),
        work,
      );
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
    const dh = running(dhT, h);
    const dc = running(dcT, c);
    const dgx = empty(gx.shape, dtype);
    const dhs = r ? empty([N, P], dtype) : null;
    const dp = p ? zeros(p.shape, dtype) : null;
    const dense = dys ? contiguous(dys) : null;
    const packed = packedBytes(P, 4 * H, dtype) + (r ? packedBytes(H, P, dtype) : 0);
    withSteps(params, packed + (r ? B * H * BYTES[dtype] : 0), (table, work) => {
      call(
        lstm_backward,
        dtype,
        params.batchSizes.length,
        table,
        N,
        H,
        P,
        w.ptr,
        pointer(r),
        pointer(p),
        saved.ptr,
        pointer(dense),
        dh.ptr,
        dc.ptr,
        dgx.ptr,
        pointer(dhs),
        pointer(dp),
        work,
      );
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
      const i = sigmoid(peephole(0, si, c));
      const f = sigmoid(peephole(1, sf, c));
      const c1 = add(mul(f, c), mul(i, tanh(sg)));
      const m = mul(sigmoid(peephole(2, so, c1)), tanh(c1));
      return [r ? linear(m, r) : m, c1];
    });
  },
};

export const lstmOp: Primitive<LstmParams> = fused(lstm);

export interface LstmOptions extends PackedRows {
  /** p_i, p_f (on c before the step) and p_o (on c after it), [3,H]. */
  readonly peepholes?: Tensor;
  /** W_hr [P,H]: the output and recurrent state are m·W_hrᵀ. */
  readonly weightHr?: Tensor;
}

export interface LstmResult {
  /** [N,P], every h'. */
  readonly ys: Tensor;
  /** [B,P] and [B,H], after each sequence's last step. */
  readonly h: Tensor;
  readonly c: Tensor;
}

/**
 * Long short-term memory with forget gates, and with peepholes and a projection where given.
 *
 *   i = σ(gx_i + W_i h + p_i∘c)    f = σ(gx_f + W_f h + p_f∘c)    g = tanh(gx_g + W_g h)
 *   c' = f∘c + i∘g                 o = σ(gx_o + W_o h + p_o∘c')   m = o∘tanh(c')   h' = m, or W_hr m
 *
 * @param gx inputs' part with biases, packed [N,4H], gates in the order i f g o
 * @param weightHh [4H,P]; P = H without a projection
 * @param h0 initial state [B,P]
 * @param c0 initial cell [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for what does not fit
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers, Schraudolph and Schmidhuber, "Learning precise timing
 * with LSTM recurrent networks", 2002 (peepholes); Sak, Senior and Beaufays, "Long short-term memory recurrent neural network
 * architectures for large scale acoustic modeling", 2014 (projection)
 */
export function lstmSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, c0: Tensor, options: LstmOptions): LstmResult {
  const [inputs, params] = lstmArguments(gx, weightHh, h0, c0, options);
  const [ys, h, c] = applyAll(lstmOp, inputs, params) as [Tensor, Tensor, Tensor];
  return { ys, h, c };
}

/** `lstmSequence` in basic operations. */
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

// ---- GRU ----

interface GruParams extends PackedRows {
  readonly resetAfter: boolean;
}

const gru: Family<GruParams> = {
  name: "gruSequence",
  forward([gx, w, h0, bias], params, keep) {
    const { dtype } = gx as Tensor;
    const N = (gx as Tensor).dim(0);
    const [B, H] = (h0 as Tensor).shape as [number, number];
    const h = copyOf(h0 as Tensor);
    const ys = empty([N, H], dtype);
    const saved = keep ? [empty([5 * N * H], dtype)] : [];
    withSteps(params, gruPackedBytes(H, dtype) + 4 * H * B * BYTES[dtype], (table, work) => {
      const after = Number(params.resetAfter);
      call(
        gru_forward,
        dtype,
        params.batchSizes.length,
        table,
        N,
        B,
        H,
        after,
        pointer(gx),
        pointer(w),
        pointer(bias),
        h.ptr,
        ys.ptr,
        pointer(saved[0]),
        work,
      );
    });
    return [ys, h, ...saved];
  },
  backward([dys, dhT], { inputs, outputs: [ys, h, saved], params, needs }) {
    const [gx, w, , bias] = inputs;
    const { dtype, shape } = gx as Tensor;
    const [N, H] = (ys as Tensor).shape as [number, number];
    const dh = running(dhT, h as Tensor);
    const dgx = empty(shape, dtype);
    const dqs = empty([N, H], dtype);
    const dense = dys ? contiguous(dys) : null;
    withSteps(params, gruPackedBytes(H, dtype), (table, work) => {
      const after = Number(params.resetAfter);
      call(
        gru_backward,
        dtype,
        params.batchSizes.length,
        table,
        N,
        H,
        after,
        pointer(w),
        pointer(saved),
        pointer(dense),
        dh.ptr,
        dgx.ptr,
        dqs.ptr,
        work,
      );
    });
    const dw = needs[1] ? gruWeightGradient(dgx, dqs, saved as Tensor, params.resetAfter) : null;
    return [dgx, dw, dh, ...(bias ? [sum(dqs, { axis: 0 })] : [])];
  },
  composed([gx, w, h0, bias], params) {
    const H = (h0 as Tensor).dim(1);
    const [wrz, wn] = split(w as Tensor, [2 * H, H], 0) as [Tensor, Tensor];
    return scanRows(gx as Tensor, [h0 as Tensor], params, (x, states) => {
      const [h] = states as [Tensor];
      const [xrz, xn] = split(x, [2 * H, H], 1) as [Tensor, Tensor];
      const [r, z] = split(sigmoid(add(xrz, linear(h, wrz))), H, 1) as [Tensor, Tensor];
      const fromState = params.resetAfter ? mul(r, linear(h, wn, bias)) : linear(mul(r, h), wn);
      const n = tanh(add(xn, fromState));
      return [add(n, mul(z, sub(h, n)))];
    });
  },
};

/** Bytes of W_rz and W_n, packed for a product with h; the other way round they need no more. */
function gruPackedBytes(H: number, dtype: DType): number {
  return Math.max(packedBytes(2 * H, H, dtype), packedBytes(H, 2 * H, dtype)) + packedBytes(H, H, dtype);
}

function gruWeightGradient(dgx: Tensor, dqs: Tensor, saved: Tensor, after: boolean): Tensor {
  const [N, H] = dqs.shape as [number, number];
  const hidden = residual(saved, N, H, 4 * N * H);
  const [drz, dn] = split(dgx, [2 * H, H], 1) as [Tensor, Tensor];
  const forN = after ? matmul(transpose(dqs), hidden) : matmul(transpose(dn), residual(saved, N, H, 3 * N * H));
  return cat([matmul(transpose(drz), hidden), forN]);
}

export const gruOp: Primitive<GruParams> = fused(gru);

export interface GruOptions extends PackedRows {
  /** Whether the reset gate is applied after the product W_n h, as in PyTorch and cuDNN (default), or to h before it. */
  readonly resetAfter?: boolean;
  /** b_n [H] inside the reset: only with `resetAfter`. */
  readonly bias?: Tensor;
}

export interface GruResult {
  /** [N,H], every h'. */
  readonly ys: Tensor;
  /** [B,H], after each sequence's last step. */
  readonly h: Tensor;
}

/**
 * Gated recurrent units.
 *
 *   r = σ(gx_r + W_r h)    z = σ(gx_z + W_z h)    h' = n + z∘(h - n)
 *   n = tanh(gx_n + r∘(W_n h + b_n))  or, with `resetAfter: false`,  n = tanh(gx_n + W_n (r∘h))
 *
 * @param gx inputs' part with biases, packed [N,3H], gates in the order r z n
 * @param weightHh [3H,H]
 * @param h0 initial state [B,H]
 * @throws ShapeError, DTypeError, ArgumentError for what does not fit
 * @see Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation", 2014
 */
export function gruSequence(gx: Tensor, weightHh: Tensor, h0: Tensor, options: GruOptions): GruResult {
  const [inputs, params] = gruArguments(gx, weightHh, h0, options);
  const [ys, h] = applyAll(gruOp, inputs, params) as [Tensor, Tensor];
  return { ys, h };
}

/** `gruSequence` in basic operations. */
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

/** For the table of all primitives. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { elmanSequence: elmanOp, lstmSequence: lstmOp, gruSequence: gruOp };
