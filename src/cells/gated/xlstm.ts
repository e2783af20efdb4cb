/** The two cells of xLSTM: SLSTM mixes its memories; MLSTM stores keys and values in a matrix. */

import { gate } from "../../autodiff/observer.ts";
import { checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { runningMask } from "../../nn/padding.ts";
import { add, div, maximum, minimum, mul, neg, sub } from "../../ops/arithmetic.ts";
import { reshape, sum } from "../../ops/broadcast.ts";
import { equal, logicalNot, maskedFill, where } from "../../ops/compare.ts";
import { linear, matmul } from "../../ops/linear.ts";
import { abs, exp, logSigmoid, sigmoid, tanh } from "../../ops/math.ts";
import { amax, cumsum } from "../../ops/reduce.ts";
import { cat, permute, select, slice, split, squeeze, transpose, unsqueeze } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { full, linspace, zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { checkTensor, type Tensor, tensor } from "../../tensor/tensor.ts";
import { type Lengths, SequenceCell } from "../diagonal/sequence-cell.ts";

export interface XLSTMOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Default 1; a divisor of hiddenSize. */
  readonly heads?: number;
}

export interface SLSTMOptions extends XLSTMOptions {
  /** Default "sigmoid"; the paper uses both. */
  readonly forgetGate?: "sigmoid" | "exp";
}

function checkHeads(op: string, { inputSize, hiddenSize, heads = 1 }: XLSTMOptions): number {
  checkSizes(op, { inputSize, hiddenSize, heads });
  if (hiddenSize % heads !== 0) throw new ArgumentError(`${op}: expected heads to divide hiddenSize ${hiddenSize}, got ${heads}`);
  return heads;
}

/** Exponential gates scaled by exp(−m'), m' = max(log f + m, ĩ): nothing overflows, and ratios stay the same. */
function stabilised(logF: Tensor, i: Tensor, m: Tensor): { f: Tensor; i: Tensor; m: Tensor } {
  const carried = add(logF, m);
  const next = maximum(carried, i);
  return { f: exp(sub(carried, next)), i: exp(sub(i, next)), m: next };
}

/** The initial stabiliser, so small that the first step's becomes ĩ. */
const UNSET = -1e30;

export type SLSTMState = {
  /** Output, cell, normaliser and stabiliser, [B,H] each. */
  readonly h: Tensor;
  readonly c: Tensor;
  readonly n: Tensor;
  readonly m: Tensor;
};

/**
 * xLSTM's scalar memory: an LSTM with exponential gates, a normaliser, and recurrent weights within heads of size d = H/heads.
 * Rows in the order i f z o: weightIh [4H,I], weightHh [heads, 4d, d], bias [4H].
 *
 *   ĩ, f̃, z̃, õ = W x + R h + b    m' = max(log f + m, ĩ)    i = exp(ĩ − m')    f' = exp(log f + m − m')
 *   c' = f'∘c + i∘tanh(z̃)    n' = f'∘n + i    h' = σ(õ)∘c'/n'    f = σ(f̃), or exp(f̃) with `forgetGate: "exp"`
 *
 * The state starts from zero with m' = ĩ in the first step. Weights from U(±1/√H), the bias of f evenly from 3 to 6, others 0.
 * @see Beck et al., "xLSTM: Extended long short-term memory", 2024, eq. 8-17
 * Deviates: initial weights; the block around the cell (convolution, normalisation, projections) is not part of it.
 * @example const [h, state] = new SLSTM({ inputSize: 4, hiddenSize: 8, heads: 2 }).step(x, before);
 */
export class SLSTM extends Cell<SLSTMState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly heads: number;
  readonly forgetGate: "sigmoid" | "exp";
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: SLSTMOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      forgetGate = "sigmoid",
      dtype = "float32",
    } = optionsOf("SLSTM", options, ["forgetGate", "inputSize", "hiddenSize", "heads", ...LAYER]);
    this.heads = checkHeads("SLSTM", options);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    checkOneOf("SLSTM", "forgetGate", forgetGate, ["sigmoid", "exp"]);
    this.forgetGate = forgetGate;
    const d = hiddenSize / this.heads;
    const bound = 1 / Math.sqrt(hiddenSize);
    this.weightIh = uniformParameter([4 * hiddenSize, inputSize], bound, options);
    this.weightHh = uniformParameter([this.heads, 4 * d, d], bound, options);
    const gates = [zeros([hiddenSize], dtype), linspace(3, 6, hiddenSize, dtype), zeros([2 * hiddenSize], dtype)];
    this.bias = new Parameter(cat(gates));
  }

  initialState(batch: number): SLSTMState {
    const zero = () => zeros([batch, this.outputSize], this.bias.dtype);
    return { h: zero(), c: zero(), n: zero(), m: full([batch, this.outputSize], UNSET, this.bias.dtype) };
  }

  /** R h [B,4H], computed head by head and ordered by gate. */
  #recurrent(h: Tensor): Tensor {
    const d = this.outputSize / this.heads;
    const sums = split(h, d, 1).map((part, k) => linear(part, squeeze(split(this.weightHh, 1, 0)[k] as Tensor, 0)));
    if (this.heads === 1) return sums[0] as Tensor;
    const parts = sums.map((s) => split(s, d, 1));
    return cat(
      [0, 1, 2, 3].flatMap((at) => parts.map((p) => p[at] as Tensor)),
      1,
    );
  }

  step(x: Tensor, { h, c, n, m }: SLSTMState): [y: Tensor, next: SLSTMState] {
    const sums = add(linear(x, this.weightIh, this.bias), this.#recurrent(h));
    const [si, sf, sz, so] = split(sums, this.outputSize, 1) as [Tensor, Tensor, Tensor, Tensor];
    const logF = this.forgetGate === "exp" ? sf : logSigmoid(sf);
    const gates = stabilised(logF, si, m);
    const c1 = gate("c", add(mul(gate("f", gates.f), c), mul(gate("i", gates.i), tanh(sz))));
    const n1 = add(mul(gates.f, n), gates.i);
    const h1 = div(mul(gate("o", sigmoid(so)), c1), n1);
    return [h1, { h: h1, c: c1, n: n1, m: gates.m }];
  }
}

export interface MLSTMOptions extends XLSTMOptions {
  /** Steps of a whole sequence that are computed in parallel, by attention (default 64). */
  readonly chunk?: number;
}

export type MLSTMState = {
  /** The memory [B,heads,d,d], values by keys. */
  readonly c: Tensor;
  /** The normaliser [B,heads,d]. */
  readonly n: Tensor;
  /** The stabiliser [B,heads]. */
  readonly m: Tensor;
};

/**
 * xLSTM's matrix memory: keys and values stored by outer products, read by queries, in heads of size d = H/heads.
 * weightIh [4H,I] with rows q k v o and bias [4H]; the gates' weightGates [2·heads, I] and biasGates, i before f.
 *
 *   q, k, v, õ = W x + b (k divided by √d)    ĩ, f̃ = w x + b, one number a head    f = σ(f̃)
 *   m' = max(log f + m, ĩ)    i = exp(ĩ − m')    f' = exp(log f + m − m')
 *   C' = f' C + i v kᵀ    n' = f' n + i k    h = σ(õ)∘C' q / max(|n'ᵀ q|, exp(−m'))
 *
 * Whole sequences run chunk by chunk in the parallel form: in a chunk, with F the running sum of log f,
 *
 *   D̃_ts = F_t − F_s + ĩ_s for s ≤ t    m_t = max(F_t + m, max_s D̃_ts)    S = QKᵀ∘exp(D̃ − m)    e = exp(F + m − m_t)
 *   h = σ(õ)∘(S V + e Q Cᵀ)/max(|S 1 + e Q n|, exp(−m_t))
 *
 * The state starts from zero. Weights from U(±1/√I); the gates' weights are zero, the bias of f evenly from 3 to 6, of i from N(0, 0.1²).
 * @see Beck et al., "xLSTM: Extended long short-term memory", 2024, eq. 19-27 and appendix A.2
 * Deviates: the bias of k is divided by √d like the rest of k, as in the authors' code; the paper has k = W x/√d + b. Initial
 * weights of q k v o; the block around the cell (convolution, normalisation, projections) is not part of it.
 * @example const [ys, state] = new MLSTM({ inputSize: 4, hiddenSize: 8, heads: 2 }).scan(xs);
 */
export class MLSTM extends SequenceCell<MLSTMState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly heads: number;
  readonly chunk: number;
  readonly weightIh: Parameter;
  readonly bias: Parameter;
  readonly weightGates: Parameter;
  readonly biasGates: Parameter;

  constructor(options: MLSTMOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      chunk = 64,
      dtype = "float32",
      generator = defaultGenerator(),
    } = optionsOf("MLSTM", options, ["chunk", "inputSize", "hiddenSize", "heads", ...LAYER]);
    const heads = checkHeads("MLSTM", options);
    checkSizes("MLSTM", { chunk });
    this.chunk = chunk;
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.heads = heads;
    const bound = 1 / Math.sqrt(inputSize);
    this.weightIh = uniformParameter([4 * hiddenSize, inputSize], bound, options);
    this.bias = uniformParameter([4 * hiddenSize], bound, options);
    this.weightGates = new Parameter(zeros([2 * heads, inputSize], dtype));
    this.biasGates = new Parameter(cat([generator.normal([heads], 0, 0.1, dtype), linspace(3, 6, heads, dtype)]));
  }

  initialState(batch: number): MLSTMState {
    const { heads } = this;
    const d = this.outputSize / heads;
    const zero = (...shape: number[]) => zeros([batch, heads, ...shape], this.bias.dtype);
    return { c: zero(d, d), n: zero(d), m: zero() };
  }

  step(x: Tensor, { c, n, m }: MLSTMState): [y: Tensor, next: MLSTMState] {
    checkTensor("step", x);
    const [B, H, d] = [x.dim(0), this.outputSize, this.outputSize / this.heads];
    const [sq, sk, sv, so] = split(linear(x, this.weightIh, this.bias), H, 1) as [Tensor, Tensor, Tensor, Tensor];
    const [q, k, v] = [sq, mul(sk, 1 / Math.sqrt(d)), sv].map((part) => reshape(part, [B, this.heads, d, 1])) as [Tensor, Tensor, Tensor];
    const [si, sf] = split(linear(x, this.weightGates, this.biasGates), this.heads, 1) as [Tensor, Tensor];
    const gates = stabilised(logSigmoid(sf), si, m);
    const [f, i] = [unsqueeze(gate("f", gates.f), 2), unsqueeze(gate("i", gates.i), 2)];
    const c1 = add(mul(unsqueeze(f, 3), c), mul(unsqueeze(i, 3), matmul(v, transpose(k))));
    const n1 = add(mul(f, n), mul(i, squeeze(k, 3)));
    const total = squeeze(matmul(unsqueeze(n1, 2), q), 3);
    const read = normalised(squeeze(matmul(c1, q), 3), total, unsqueeze(gates.m, 2));
    return [mul(gate("o", sigmoid(so)), reshape(read, [B, H])), { c: c1, n: n1, m: gates.m }];
  }

  /** [T,B,N·d] as [B,N,T,d]. */
  #byHead(x: Tensor): Tensor {
    return permute(reshape(x, [x.dim(0), x.dim(1), this.heads, x.dim(2) / this.heads]), [1, 2, 0, 3]);
  }

  whole(xs: Tensor, state: MLSTMState, lengths: Lengths): [ys: Tensor, last: MLSTMState] {
    const [T, B] = [xs.dim(0), xs.dim(1)];
    const [sq, sk, sv, so] = split(linear(xs, this.weightIh, this.bias), this.outputSize, 2) as [Tensor, Tensor, Tensor, Tensor];
    const d = this.outputSize / this.heads;
    const [si, sf] = split(linear(xs, this.weightGates, this.biasGates), this.heads, 2) as [Tensor, Tensor];
    const padding = lengths && logicalNot(unsqueeze(runningMask(lengths, T), -1));
    const [i, logF] = padding ? [maskedFill(si, padding, UNSET), maskedFill(logSigmoid(sf), padding, 0)] : [si, logSigmoid(sf)];
    const all = [sq, mul(sk, 1 / Math.sqrt(d)), sv, logF, i].map((x) => this.#byHead(x));
    let last = state;
    const reads: Tensor[] = [];
    for (let t = 0; t < T; t += this.chunk) {
      const [q, k, v, f, g] = all.map((x) => slice(x, 2, t, Math.min(T, t + this.chunk))) as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const step = attended({ q, k, v, logF: squeeze(f, 3), i: squeeze(g, 3) }, last);
      reads.push(step.read);
      last = step.next;
    }
    const read = reshape(permute(cat(reads, 2), [2, 0, 1, 3]), [T, B, this.outputSize]);
    return [mul(sigmoid(so), read), last];
  }
}

/**
 * values / max(|total|, e^−m), where both are scaled by e^−m. Scaling numerator and denominator by e^min(m, 0) as well prevents
 * overflow for any m.
 */
function normalised(values: Tensor, total: Tensor, m: Tensor): Tensor {
  const scale = exp(minimum(m, 0));
  return div(mul(values, scale), maximum(mul(abs(total), scale), exp(neg(maximum(m, 0)))));
}

/**
 * attention·v for weights [B,N,L,L] that are 0 for later steps. Later values do not affect earlier outputs, even if they are
 * not finite: 0·NaN is kept out of the product until its own step.
 */
function causalProduct(attention: Tensor, v: Tensor): Tensor {
  const nothing = mul(v, 0);
  const finite = where(equal(nothing, 0), v, 0);
  return add(matmul(attention, finite), cumsum(nothing, { axis: 2 }));
}

/** A chunk of steps: queries, keys and values [B,N,L,d], gates [B,N,L]. */
interface Chunk {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly logF: Tensor;
  readonly i: Tensor;
}

/** The outputs for a chunk's queries, and the memory after it. */
function attended({ q, k, v, logF, i }: Chunk, { c, n, m }: MLSTMState): { read: Tensor; next: MLSTMState } {
  const L = q.dim(2);
  const kept = cumsum(logF, { axis: 2 });
  const later = tensor(
    Uint8Array.from({ length: L * L }, (_, at) => Number(at % L > Math.floor(at / L))),
    { shape: [L, L], dtype: "bool" },
  );
  const scores = maskedFill(add(sub(unsqueeze(kept, 3), unsqueeze(kept, 2)), unsqueeze(i, 2)), later, Number.NEGATIVE_INFINITY);
  const carried = add(kept, unsqueeze(m, 2));
  const top = maximum(carried, amax(scores, { axis: 3 }));
  const weights = exp(sub(scores, unsqueeze(top, 3)));
  const old = exp(sub(carried, top));
  // Later values are replaced, not multiplied by 0: keys that overflow must not reach earlier queries.
  const attention = mul(maskedFill(matmul(q, transpose(k)), later, 0), weights);
  const values = add(causalProduct(attention, v), mul(unsqueeze(old, 3), matmul(q, transpose(c))));
  const total = add(sum(attention, { axis: 3 }), mul(old, squeeze(matmul(q, unsqueeze(n, 3)), 3)));
  const [end, rest] = [select(weights, 2, L - 1), select(old, 2, L - 1)];
  const taken = mul(unsqueeze(end, 3), k);
  const next = {
    c: add(mul(reshape(rest, [...rest.shape, 1, 1]), c), matmul(transpose(v), taken)),
    n: add(mul(unsqueeze(rest, 2), n), sum(taken, { axis: 2 })),
    m: select(top, 2, L - 1),
  };
  return { read: normalised(values, unsqueeze(total, 3), unsqueeze(top, 3)), next };
}
