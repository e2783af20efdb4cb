/** Modern Hopfield networks: continuous states that are recalled by attention, as a memory and as a layer. */

import { checkFlag, checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { type LayerOptions, Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { add, mul, square } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { matmul } from "../ops/linear.ts";
import { logSumExp } from "../ops/reduce.ts";
import { permute, transpose } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";

/** Checks that states [..., L, d] go with patterns [..., P, d]. @throws DTypeError, ShapeError, ArgumentError */
function checkPair(op: string, state: Tensor, patterns: Tensor, beta: number): void {
  checkTensor(op, state);
  checkTensor(op, patterns);
  checkNumber(op, "beta", beta, { above: 0 });
  if (state.dtype !== patterns.dtype)
    throw new DTypeError(`${op}: expected patterns of ${state.dtype}, as the states, got ${patterns.dtype}`);
  const [d, rank] = [state.shape.at(-1), state.rank];
  const batch = sameShape(state.shape.slice(0, -2), patterns.shape.slice(0, -2));
  if (rank >= 2 && patterns.rank === rank && patterns.shape.at(-1) === d && batch && patterns.dim(-2) > 0) return;
  throw new ShapeError(
    `${op}: expected states [..., L, d] and at least one pattern [..., P, d], got ${show(state.shape)} and ${show(patterns.shape)}`,
  );
}

/** β times the products of states [..., L, d] with patterns [..., P, d]. */
function scores(state: Tensor, patterns: Tensor, beta: number): Tensor {
  return mul(matmul(state, transpose(patterns)), beta);
}

/**
 * E = −(1/β) ln Σ_μ exp(β x_μ·q) + ½ q·q of states [..., L, d] with stored patterns [..., P, d]: [..., L]. Differentiable in both.
 * @throws DTypeError, ShapeError for sizes that do not fit, ArgumentError unless β > 0
 * @see Ramsauer et al., "Hopfield networks is all you need", 2020, eq. 2, without the constants, which make E ≥ 0
 * @example modernHopfieldEnergy(state, patterns, 8)
 */
export function modernHopfieldEnergy(state: Tensor, patterns: Tensor, beta: number): Tensor {
  checkPair("modernHopfieldEnergy", state, patterns, beta);
  const retrieved = mul(logSumExp(scores(state, patterns, beta), { axis: -1 }), -1 / beta);
  return add(retrieved, mul(sum(square(state), { axis: -1 }), 0.5));
}

/**
 * One update q ← Xᵀ softmax(β X q) of states [..., L, d] with stored patterns [..., P, d]. It never raises the energy, and one is mostly enough.
 * @throws DTypeError, ShapeError for sizes that do not fit, ArgumentError unless β > 0
 * @see Ramsauer et al., "Hopfield networks is all you need", 2020, eq. 3
 * @example const completed = modernHopfieldUpdate(damaged, patterns, 32);
 */
export function modernHopfieldUpdate(state: Tensor, patterns: Tensor, beta: number): Tensor {
  checkPair("modernHopfieldUpdate", state, patterns, beta);
  return matmul(softmax(scores(state, patterns, beta), -1), patterns);
}

export interface HopfieldLayerOptions extends LayerOptions {
  /** Features of the states, and of the output. */
  readonly inputSize: number;
  /** Features of the stored patterns (default inputSize). */
  readonly patternSize?: number;
  /** Features of a head in the associative space (default inputSize / heads). */
  readonly hiddenSize?: number;
  /** (default 1) */
  readonly heads?: number;
  /** β (default 1/√hiddenSize). */
  readonly beta?: number;
  /** Updates; the last one reads out (default 1, which is attention). */
  readonly updates?: number;
  /** Whether sequences are [B,L,·] instead of [L,B,·] (default false). */
  readonly batchFirst?: boolean;
}

/**
 * A Hopfield network as a layer: every state looks for what is stored like it, in several heads.
 *
 *     q = R W_q,  K = Y W_k,  V = Y W_v per head        q ← softmax(β q Kᵀ) K, updates − 1 times        Z = [softmax(β q Kᵀ) V]_heads W_o
 *
 * Parameters: `query`, `key`, `value` and `output`, each a `Linear` (without bias but for the output).
 * @throws ArgumentError for sizes, heads or updates below 1, and β that is not above 0
 * @see Ramsauer et al., "Hopfield networks is all you need", 2020, eq. 10. Deviates: W_v acts on the stored patterns themselves, where the paper has
 *   Y W_k W_v; updates are a fixed number, without a threshold.
 * @example
 * const layer = new HopfieldLayer({ inputSize: 32, heads: 4, beta: 2, updates: 3 });
 * const retrieved = layer.forward(states, stored); // [L,B,32] of [L,B,32] and [S,B,32]
 */
export class HopfieldLayer extends Module {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly inputSize: number;
  readonly patternSize: number;
  readonly heads: number;
  readonly beta: number;
  readonly updates: number;
  readonly batchFirst: boolean;

  constructor(options: HopfieldLayerOptions) {
    super();
    const op = "HopfieldLayer";
    const {
      inputSize,
      patternSize = inputSize,
      heads = 1,
      updates = 1,
      batchFirst = false,
      generator,
      dtype,
    } = optionsOf(op, options, OPTIONS);
    checkSizes(op, { inputSize, patternSize, heads, updates });
    checkFlag(op, "batchFirst", batchFirst);
    const hiddenSize = options.hiddenSize ?? inputSize / heads;
    checkWhole(op, "hiddenSize (inputSize / heads unless given)", hiddenSize, { least: 1 });
    const beta = options.beta ?? 1 / Math.sqrt(hiddenSize);
    checkNumber(op, "beta", beta, { above: 0 });
    const layer = { ...(generator !== undefined && { generator }), ...(dtype !== undefined && { dtype }) };
    const width = heads * hiddenSize;
    this.query = new Linear(inputSize, width, { ...layer, bias: false });
    this.key = new Linear(patternSize, width, { ...layer, bias: false });
    this.value = new Linear(patternSize, width, { ...layer, bias: false });
    this.output = new Linear(width, inputSize, layer);
    this.inputSize = inputSize;
    this.patternSize = patternSize;
    this.heads = heads;
    this.beta = beta;
    this.updates = updates;
    this.batchFirst = batchFirst;
  }

  /**
   * @param states R [L,B,I]
   * @param stored Y [S,B,P] (default the states themselves)
   * @param mask bool [B,S], true where something is stored that may be found, in every row at least once; the others may hold anything, NaN too
   * @returns Z [L,B,I]
   * @throws DTypeError for what is no tensor, and a mask that is not bool; ShapeError for sizes that do not fit
   */
  forward(states: Tensor, stored: Tensor = states, mask?: Tensor): Tensor {
    const [B, S] = this.#checkInputs(states, stored, mask);
    const known = mask === undefined ? stored : where(this.#along(mask, B, S), stored, 0);
    const [K, V] = [this.#split(this.key.forward(known)), this.#split(this.value.forward(known))];
    const masked = mask === undefined ? undefined : reshape(mask, [B, 1, 1, S]);
    let q = this.#split(this.query.forward(states));
    for (let k = 1; k < this.updates; k++) q = matmul(this.#association(q, K, masked), K);
    return this.output.forward(this.#join(matmul(this.#association(q, K, masked), V)));
  }

  /** softmax(β q Kᵀ) [B,heads,L,S], 0 where the mask is false. */
  #association(q: Tensor, K: Tensor, mask: Tensor | undefined): Tensor {
    const found = scores(q, K, this.beta);
    return softmax(mask === undefined ? found : where(mask, found, Number.NEGATIVE_INFINITY), -1);
  }

  /** A mask [B,S] beside the patterns: what is not stored may be anything, NaN among it, and 0 · NaN is NaN. */
  #along(mask: Tensor, B: number, S: number): Tensor {
    return reshape(this.batchFirst ? mask : transpose(mask), this.batchFirst ? [B, S, 1] : [S, B, 1]);
  }

  /** [L,B,heads·d] to [B,heads,L,d]. */
  #split(x: Tensor): Tensor {
    const [first, second, width] = x.shape as [number, number, number];
    const parts = reshape(x, [first, second, this.heads, width / this.heads]);
    return permute(parts, this.batchFirst ? [0, 2, 1, 3] : [1, 2, 0, 3]);
  }

  /** The way back. */
  #join(x: Tensor): Tensor {
    const [B, N, L, d] = x.shape as [number, number, number, number];
    const parts = permute(x, this.batchFirst ? [0, 2, 1, 3] : [2, 0, 1, 3]);
    return reshape(parts, this.batchFirst ? [B, L, N * d] : [L, B, N * d]);
  }

  #checkInputs(states: Tensor, stored: Tensor, mask: Tensor | undefined): [B: number, S: number] {
    const op = "HopfieldLayer";
    checkTensor(op, states);
    checkTensor(op, stored);
    const [batch, time] = this.batchFirst ? [0, 1] : [1, 0];
    const B = states.shape[batch];
    const S = stored.shape[time] ?? 0;
    const fits = states.rank === 3 && states.dim(2) === this.inputSize && stored.rank === 3 && stored.dim(2) === this.patternSize;
    if (!fits || stored.shape[batch] !== B || S === 0) {
      const [L, s] = this.batchFirst ? ["B,L", "B,S"] : ["L,B", "S,B"];
      throw new ShapeError(
        `${op}: expected states [${L},${this.inputSize}] and patterns [${s},${this.patternSize}], got ${show(states.shape)} and ${show(stored.shape)}`,
      );
    }
    if (mask !== undefined) checkMask(op, mask, B as number, S);
    return [B as number, S];
  }
}

const OPTIONS = ["inputSize", "patternSize", "hiddenSize", "heads", "beta", "updates", "batchFirst", "generator", "dtype"] as const;

function checkMask(op: string, mask: Tensor, B: number, S: number): void {
  checkTensor(op, mask);
  if (mask.dtype !== "bool") throw new DTypeError(`${op}: expected a mask of bool, got ${mask.dtype}`);
  if (!sameShape(mask.shape, [B, S])) throw new ShapeError(`${op}: expected a mask [${B},${S}], got ${show(mask.shape)}`);
}
