/** The neural Turing machine: a controller with heads that move over a memory. */

import { checkFlag, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { Linear, layerOptions } from "../nn/layers.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { clamp } from "../ops/compare.ts";
import { log, sigmoid, softplus, tanh } from "../ops/math.ts";
import { writeRows } from "../ops/rows.ts";
import { cat, pad, roll, slice, split, unsqueeze } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { full, ones, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { contentWeightings, oneplus, perHead, readRows } from "./addressing.ts";
import { controllerOf, MEMORY, type MemoryOptions } from "./controller.ts";

export interface NTMOptions extends MemoryOptions {
  /** N, rows of the memory. */
  readonly memorySize: number;
  /** W, numbers in a row. */
  readonly wordSize: number;
  /** R (default 1). */
  readonly readHeads?: number;
  /** V (default 1). */
  readonly writeHeads?: number;
  /** By how many rows a head can move in one step, either way (default 1). */
  readonly shiftRange?: number;
  /** Whether keys go through tanh (default false). */
  readonly tanhKeys?: boolean;
  /** Whether the vectors that are added go through tanh (default false). */
  readonly tanhAdded?: boolean;
}

/** Memory [B,N,W], weightings of the read heads and then of the write heads [B,R+V,N], what was read last [B,R·W], and the controller's state. */
export type NTMState<S extends State = State> = {
  readonly memory: Tensor;
  readonly weightings: Tensor;
  readonly read: Tensor;
  readonly controller: S;
};

/** What each row holds before anything is written: not 0, so that it has a direction. */
const BLANK = 1e-6;
/** Below this a weight counts as this when it is sharpened. */
const LEAST_WEIGHT = 1e-30;

/**
 * A neural Turing machine. Its heads find rows by what they hold, and move from row to row:
 *
 *   h = controller([x; r₋₁])    k, β, g, s, γ, e, a = W h + b    β by softplus, g and e by σ, s by softmax, γ = 1 + softplus
 *   wᶜ = softmax(β K(k, M₋₁))    K(u, v) = u·v / (|u||v| + 10⁻⁸)    (5, 6)
 *   wᵍ = g wᶜ + (1 − g) w₋₁    w̃_i = Σ_j wᵍ_j s_{i−j}    w_i = w̃_i^γ / Σ_j w̃_j^γ    (7, 8, 9)
 *   M = M₋₁∘∏(1 − w eᵀ) + Σ w aᵀ over the write heads    r = Mᵀ w for each read head    (3, 4, 2)
 *   y = W_y [h; r] + b_y
 *
 * Rows count in a circle; s_k moves a head on by k rows. All heads look for their rows in M₋₁; reading follows writing. `heads` maps h to
 * [k; β; g; s; γ] of all heads, read heads first, one kind after the other, then [e; a] of the write heads; `output` is W_y, b_y. At first all rows
 * hold 10⁻⁶, all heads stand on row 0, and nothing was read; `LearnedInitialState` learns other starts. Numbers in keys and rows may be as large as 10¹⁸
 * in float32; weights below 10⁻³⁰ count as 10⁻³⁰ in (9). With `tanhKeys` and `tanhAdded`, as in other implementations, k and a are tanh of these numbers.
 * @param options x [B,I] to y [B,O], logits where the task is one of bits; state `NTMState`
 * @throws ArgumentError for sizes below 1, an unknown controller, one whose inputs are not I + R·W, and options that are no flags
 * @see Graves, Wayne and Danihelka, "Neural Turing machines", 2014, eq. 2-9; Collier and Beel, "Implementing neural Turing machines", 2018, for
 * the constant start
 * Deviates: the paper leaves the order of reading and writing open, and its first state; the ε of (6) and the softplus are not in it; equation
 * numbers are quoted from memory; initial weights are those of PyTorch's layers; there is no σ on y.
 * @example const machine = new NTM({ inputSize: 9, outputSize: 8, hiddenSize: 100, memorySize: 128, wordSize: 20, controller: "feedforward" });
 */
export class NTM extends Cell<NTMState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly memorySize: number;
  readonly wordSize: number;
  readonly readHeads: number;
  readonly writeHeads: number;
  readonly shiftRange: number;
  readonly tanhKeys: boolean;
  readonly tanhAdded: boolean;
  readonly controller: Recurrence;
  readonly heads: Linear;
  readonly output: Linear;

  constructor(options: NTMOptions) {
    super();
    const names = ["memorySize", "wordSize", "readHeads", "writeHeads", "shiftRange", "tanhKeys", "tanhAdded", ...MEMORY] as const;
    const { memorySize: N, wordSize: W, readHeads: R = 1, writeHeads: V = 1, shiftRange = 1 } = optionsOf("NTM", options, names);
    checkSizes("NTM", { memorySize: N, wordSize: W, readHeads: R, writeHeads: V });
    checkWhole("NTM", "shiftRange", shiftRange);
    const { tanhKeys = false, tanhAdded = false } = options;
    for (const [name, flag] of Object.entries({ tanhKeys, tanhAdded })) checkFlag("NTM", name, flag);
    this.controller = controllerOf("NTM", options, R * W);
    this.inputSize = options.inputSize;
    this.outputSize = options.outputSize;
    this.memorySize = N;
    this.wordSize = W;
    this.readHeads = R;
    this.writeHeads = V;
    this.shiftRange = shiftRange;
    this.tanhKeys = tanhKeys;
    this.tanhAdded = tanhAdded;
    const H = this.controller.outputSize;
    const length = this.#sizes.reduce((a, b) => a + b);
    this.heads = new Linear(H, length, layerOptions(options));
    this.output = new Linear(H + R * W, options.outputSize, layerOptions(options));
  }

  /** How many numbers there are of k, β, g, s, γ, e, a. */
  get #sizes(): number[] {
    const [heads, V, W] = [this.readHeads + this.writeHeads, this.writeHeads, this.wordSize];
    return [heads * W, heads, heads, heads * (2 * this.shiftRange + 1), heads, V * W, V * W];
  }

  /** Rows of 10⁻⁶, heads on row 0, nothing read. */
  initialState(batch: number): NTMState {
    const { memorySize: N, wordSize: W, readHeads: R, writeHeads: V } = this;
    const dtype = this.output.weight.dtype;
    return {
      memory: full([batch, N, W], BLANK, dtype),
      weightings: pad(ones([batch, R + V, 1], dtype), [[0, N - 1]]),
      read: zeros([batch, R * W], dtype),
      controller: this.controller.initialState(batch),
    };
  }

  step(x: Tensor, { memory, weightings, read, controller }: NTMState): [y: Tensor, next: NTMState] {
    const { readHeads: R, writeHeads: V } = this;
    const [h, next] = this.controller.step(cat([x, read], 1), controller);
    const [k, beta, g, s, gamma, e, a] = split(this.heads.forward(h), this.#sizes, 1) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const keys = this.tanhKeys ? tanh(k) : k;
    const byContent = contentWeightings(memory, perHead(keys, R + V), softplus(beta));
    const gated = add(weightings, mul(unsqueeze(sigmoid(g), 2), sub(byContent, weightings)));
    const moved = shifted(gated, softmax(perHead(s, R + V), -1));
    const w = sharpened(moved, oneplus(gamma));
    const written = writeRows(memory, slice(w, 1, R, R + V), sigmoid(perHead(e, V)), perHead(this.tanhAdded ? tanh(a) : a, V));
    const r = readRows(written, slice(w, 1, 0, R));
    return [this.output.forward(cat([h, r], 1)), { memory: written, weightings: w, read: r, controller: next }];
  }
}

/** Weightings [B,K,N] in a circle, moved on by −n … n rows with weights s [B,K,2n+1]. */
function shifted(weightings: Tensor, s: Tensor): Tensor {
  const range = (s.dim(2) - 1) / 2;
  const terms = split(s, 1, 2).map((weight, i) => mul(weight, roll(weightings, i - range, 2)));
  return terms.reduce((a, b) => add(a, b));
}

/** w_i^γ / Σ_j w_j^γ, which is a softmax of γ log w: so nothing underflows. */
function sharpened(weightings: Tensor, gamma: Tensor): Tensor {
  return softmax(mul(log(clamp(weightings, LEAST_WEIGHT)), unsqueeze(gamma, 2)), -1);
}
