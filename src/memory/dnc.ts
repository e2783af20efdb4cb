/** The differentiable neural computer: a memory that allocates its rows and remembers in which order they were written. */

import { checkFlag, checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { Linear, layerOptions } from "../nn/layers.ts";
import { add, mul, neg, sub } from "../ops/arithmetic.ts";
import { broadcastTo, reshape, sum } from "../ops/broadcast.ts";
import { cast } from "../ops/cast.ts";
import { clamp, equal, less, notEqual, where } from "../ops/compare.ts";
import { gatherWithin, scatterSumWithin } from "../ops/gather.ts";
import { matmul } from "../ops/linear.ts";
import { linkedRows, linkStep } from "../ops/links.ts";
import { exp, log, sigmoid } from "../ops/math.ts";
import { orderedSums } from "../ops/ordered.ts";
import { writeRows } from "../ops/rows.ts";
import { cat, slice, split, squeeze, transpose, unsqueeze, unstack } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, type State } from "../recurrence/state.ts";
import { arange, ones, zeros } from "../tensor/create.ts";
import { copyOf } from "../tensor/strided.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { contentWeightings, oneplus, perHead, readRows } from "./addressing.ts";
import { controllerOf, MEMORY, type MemoryOptions } from "./controller.ts";

export interface DNCOptions extends MemoryOptions {
  /** N, rows of the memory. */
  readonly memorySize: number;
  /** W, numbers in a row. */
  readonly wordSize: number;
  /** R (default 1). */
  readonly readHeads?: number;
  /** Whether a look-up may leave parts of the rows out (default false). */
  readonly maskedLookUp?: boolean;
  /** Whether rows that are freed are cleared (default false). */
  readonly clearFreed?: boolean;
  /** Whether steps along the links can be sharpened (default false). */
  readonly sharpLinks?: boolean;
  /** K: only the K strongest links of each row are kept, in memory that grows with N·K; all of them unless given. 8 is the paper's. */
  readonly sparseLinks?: number;
  /** The controller's output and state, and the output y, are limited to ±this; nothing is unless given. 20 is that of the authors' program. */
  readonly clip?: number;
}

/**
 * Memory M [B,N,W], usage u [B,N], precedence p [B,N], links L [B,N,N], weightings of the write head [B,N] and of the read heads [B,R,N], what was
 * read last [B,R·W], and the controller's state. Of sparse links, [B,N,K] are kept, and the row that each leads to in `linkedRows` [B,N,K].
 */
export type DNCState<S extends State = State> = {
  readonly memory: Tensor;
  readonly usage: Tensor;
  readonly precedence: Tensor;
  readonly links: Tensor;
  readonly writeWeighting: Tensor;
  readonly readWeightings: Tensor;
  readonly read: Tensor;
  readonly controller: S;
  readonly linkedRows?: Tensor;
};

/** Keys [B,K,W], strengths [B,K], masks [B,K,W] or null. */
interface Look {
  readonly keys: Tensor;
  readonly strengths: Tensor;
  readonly masks: Tensor | null;
}

/** ξ by its parts, in the ranges they are brought to. */
interface Signals {
  readonly read: Look;
  readonly write: Look;
  readonly erase: Tensor;
  readonly vector: Tensor;
  readonly free: Tensor;
  readonly allocate: Tensor;
  readonly writing: Tensor;
  /** Backward, content, forward: [B,R,3]. */
  readonly modes: Tensor;
  /** Backward and forward, [B,R] each. */
  readonly sharpness: readonly Tensor[] | null;
}

/** Links of all rows [B,N,N], or some of them [B,N,K] and the rows that they lead to. */
type Links = Pick<DNCState, "links" | "linkedRows">;

/** Keeps usages from 0 where they are multiplied, and links that lead nowhere from a division by 0. */
const EPSILON = 1e-6;
/** How fine usages are compared: one part in so many. */
const USAGE_PARTS = 1e5;

/**
 * A differentiable neural computer. Its write head takes rows that are free, or rows by what they hold; its read heads look for rows, or
 * go on in the order in which they were written:
 *
 *   h = controller([x; r₋₁])    ξ = W_ξ h + b    y = W_y [h; r] + b_y
 *   ψ = ∏_r (1 − f_r w^r₋₁)    u = (u₋₁ + w₋₁ − u₋₁∘w₋₁)∘ψ
 *   a_i = (1 − u_i) ∏ u_j over the rows j of less usage than i    C(M, k, β) = softmax(β K(k, M_i))
 *   w = g_w (g_a a + (1 − g_a) C(M₋₁, k, β))    M = M₋₁∘(1 − w eᵀ) + w vᵀ
 *   L_ij = (1 − w_i − w_j) L₋₁_ij + w_i p₋₁_j, 0 for i = j    p = (1 − Σ w) p₋₁ + w
 *   w^r = π_1 Lᵀ w^r₋₁ + π_2 C(M, k^r, β^r) + π_3 L w^r₋₁    r = Mᵀ w^r for each read head
 *
 * with β = 1 + softplus, gates and e by σ, π by softmax. `interface` maps h to ξ = [k^r; β^r; k; β; e; v; f; g_a; g_w; π], of all read heads one kind after
 * the other; `output` is W_y, b_y. All starts at 0. Rows of equal usage, to five places, are taken in order. The three options are those of Csordás and Schmidhuber,
 * and lengthen ξ, in this order:
 *
 *   maskedLookUp    a mask m = σ for the keys k^r and then k: K(k∘m, M_i∘m) in place of K(k, M_i)
 *   clearFreed      M = ψ∘M₋₁∘(1 − w eᵀ) + w vᵀ
 *   sharpLinks      s = 1 + softplus for each head backward, then forward: (d_i / max d)^s / Σ_j (d_j / max d)^s in place of d = Lᵀ w^r₋₁ and L w^r₋₁
 *
 * Memory of the links goes with N², unless `sparseLinks` is given: then with N·K. Of w and p₋₁ the K largest numbers alone count in L and p, and the K
 * strongest links of each row stay. `clip` limits h, the controller's state and y. Numbers in keys and rows may be as large as 10¹⁸ in float32.
 * @param options x [B,I] to y [B,O], logits where the task is one of symbols; state `DNCState`
 * @throws ArgumentError for sizes below 1, an unknown controller, one whose inputs are not I + R·W, a clip that is not above 0, and options that are
 * no flags
 * @see Graves, Wayne et al., "Hybrid computing using a neural network with dynamic external memory", 2016, Methods; Csordás and Schmidhuber,
 * "Improving differentiable neural computers through memory masking, de-allocation, and link distribution sharpness control", 2019
 * Deviates: in the product a usage u counts as 10⁻⁶ + (1 − 10⁻⁶) u, as in the authors' program, and 10⁻⁶ is added to d where links are sharpened;
 * unlike there, gradients pass through w₋₁ in u; the paper also divides the K largest of w and p₋₁ by their sums, which would undo a closed write
 * gate, drops links below 1/K, and lets all of w count in p; initial weights are those of PyTorch's layers; biases are part of all maps.
 * @example const computer = new DNC({ inputSize: 9, outputSize: 8, hiddenSize: 64, memorySize: 16, wordSize: 16, readHeads: 4, sharpLinks: true });
 */
export class DNC extends Cell<DNCState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly memorySize: number;
  readonly wordSize: number;
  readonly readHeads: number;
  readonly maskedLookUp: boolean;
  readonly clearFreed: boolean;
  readonly sharpLinks: boolean;
  readonly sparseLinks: number | null;
  readonly clip: number | null;
  readonly controller: Recurrence;
  readonly interface: Linear;
  readonly output: Linear;

  constructor(options: DNCOptions) {
    super();
    const names = [
      "memorySize",
      "wordSize",
      "readHeads",
      "maskedLookUp",
      "clearFreed",
      "sharpLinks",
      "sparseLinks",
      "clip",
      ...MEMORY,
    ] as const;
    const { memorySize: N, wordSize: W, readHeads: R = 1 } = optionsOf("DNC", options, names);
    const { maskedLookUp = false, clearFreed = false, sharpLinks = false, sparseLinks, clip } = options;
    checkSizes("DNC", { memorySize: N, wordSize: W, readHeads: R });
    for (const [name, flag] of Object.entries({ maskedLookUp, clearFreed, sharpLinks })) checkFlag("DNC", name, flag);
    if (sparseLinks !== undefined) checkWhole("DNC", "sparseLinks", sparseLinks, { least: 1, most: N });
    if (clip !== undefined) checkNumber("DNC", "clip", clip, { above: 0 });
    this.controller = controllerOf("DNC", options, R * W);
    this.inputSize = options.inputSize;
    this.outputSize = options.outputSize;
    this.memorySize = N;
    this.wordSize = W;
    this.readHeads = R;
    this.maskedLookUp = maskedLookUp;
    this.clearFreed = clearFreed;
    this.sharpLinks = sharpLinks;
    this.sparseLinks = sparseLinks ?? null;
    this.clip = clip ?? null;
    const H = this.controller.outputSize;
    const length = this.#sizes.reduce((a, b) => a + b);
    this.interface = new Linear(H, length, layerOptions(options));
    this.output = new Linear(H + R * W, options.outputSize, layerOptions(options));
  }

  /** How many numbers ξ has of each kind. */
  get #sizes(): number[] {
    const { readHeads: R, wordSize: W } = this;
    const fixes = [this.maskedLookUp ? (R + 1) * W : 0, this.sharpLinks ? 2 * R : 0];
    return [R * W, R, W, 1, W, W, R, 1, 1, 3 * R, ...fixes];
  }

  /** Zeros; sparse links lead from each row to itself, which stands for none. */
  initialState(batch: number): DNCState {
    const { memorySize: N, wordSize: W, readHeads: R, sparseLinks: K } = this;
    const { dtype } = this.output.weight;
    const start = (...shape: number[]) => zeros([batch, ...shape], dtype);
    return {
      memory: start(N, W),
      usage: start(N),
      precedence: start(N),
      links: start(N, K ?? N),
      writeWeighting: start(N),
      readWeightings: start(R, N),
      read: start(R * W),
      controller: this.controller.initialState(batch),
      ...(K !== null && { linkedRows: copyOf(broadcastTo(rowNumbers(N, dtype), [batch, N, K])) }),
    };
  }

  step(x: Tensor, state: DNCState): [y: Tensor, next: DNCState] {
    const [output, moved] = this.controller.step(cat([x, state.read], 1), state.controller);
    const [h, controller] = [this.#clipped(output), mapState((s) => this.#clipped(s), moved)];
    const signals = this.#signals(h);
    const retention = unstack(sub(1, mul(unsqueeze(signals.free, 2), state.readWeightings)), 1).reduce((a, b) => mul(a, b));
    const usage = mul(usageAfter(state.usage, state.writeWeighting), retention);
    const found = squeeze(lookUp(state.memory, signals.write), 1);
    const wanted = add(mul(signals.allocate, allocation(usage)), mul(sub(1, signals.allocate), found));
    const w = mul(signals.writing, wanted);
    const before = this.clearFreed ? mul(state.memory, unsqueeze(retention, 2)) : state.memory;
    const memory = writeRows(before, unsqueeze(w, 1), unsqueeze(signals.erase, 1), unsqueeze(signals.vector, 1));
    // What the order of writing takes note of; the same in L and p, so that rows and columns of L sum to at most 1.
    const noted = this.sparseLinks === null ? w : largest(w, this.sparseLinks);
    const linked = this.#linked(state, noted);
    const precedence = add(mul(sub(1, sum(noted, { axis: 1, keepDim: true })), state.precedence), noted);
    const readWeightings = this.#reading(signals, memory, linked, state.readWeightings);
    const read = readRows(memory, readWeightings);
    const y = this.#clipped(this.output.forward(cat([h, read], 1)));
    const { links, ...rows } = linked;
    return [y, { memory, usage, precedence, links, writeWeighting: w, readWeightings, read, controller, ...rows }];
  }

  #clipped(x: Tensor): Tensor {
    return this.clip === null ? x : clamp(x, -this.clip, this.clip);
  }

  #linked({ links, linkedRows: rows, precedence }: DNCState, w: Tensor): Links {
    if (this.sparseLinks === null) return { links: linkStep(links, w, precedence) };
    return sparseLinkStep({ links, linkedRows: rows as Tensor }, w, largest(precedence, this.sparseLinks));
  }

  #signals(h: Tensor): Signals {
    const R = this.readHeads;
    const [keys, strengths, key, strength, erase, vector, free, allocate, writing, modes, masks, sharpness] = split(
      this.interface.forward(h),
      this.#sizes,
      1,
    ) as Tensor[] & Record<0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11, Tensor>;
    const mask = this.maskedLookUp ? perHead(sigmoid(masks), R + 1) : null;
    return {
      read: { keys: perHead(keys, R), strengths: oneplus(strengths), masks: mask && slice(mask, 1, 0, R) },
      write: { keys: perHead(key, 1), strengths: oneplus(strength), masks: mask && slice(mask, 1, R, R + 1) },
      erase: sigmoid(erase),
      vector,
      free: sigmoid(free),
      allocate: sigmoid(allocate),
      writing: sigmoid(writing),
      modes: softmax(perHead(modes, R), -1),
      sharpness: this.sharpLinks ? split(oneplus(sharpness), R, 1) : null,
    };
  }

  #reading({ read, modes, sharpness }: Signals, memory: Tensor, linked: Links, last: Tensor): Tensor {
    const [backward, content, forward] = split(modes, 1, 2) as [Tensor, Tensor, Tensor];
    const [back, ahead] = alongLinks(linked, last).map((d, way) => (sharpness === null ? d : sharpened(d, sharpness[way] as Tensor))) as [
      Tensor,
      Tensor,
    ];
    return add(add(mul(backward, back), mul(content, lookUp(memory, read))), mul(forward, ahead));
  }
}

/** Weightings by content, [B,K,N]. */
function lookUp(memory: Tensor, { keys, strengths, masks }: Look): Tensor {
  if (masks === null) return contentWeightings(memory, keys, strengths);
  const each = unstack(masks, 1).map((mask, k) => {
    const key = mul(slice(keys, 1, k, k + 1), unsqueeze(mask, 1));
    return contentWeightings(mul(memory, unsqueeze(mask, 1)), key, slice(strengths, 1, k, k + 1));
  });
  return cat(each, 1);
}

/** u + w − u∘w */
function usageAfter(u: Tensor, w: Tensor): Tensor {
  return add(u, mul(w, sub(1, u)));
}

/** How much of each row is given to a writer that asks for a free one, [B,N]. The order has no derivative. */
function allocation(usage: Tensor): Tensor {
  const u = add(mul(usage, 1 - EPSILON), EPSILON);
  // In whole parts: what differs by rounding, or by what EPSILON lets pass, is equal.
  const parts = cast(cast(add(mul(u, USAGE_PARTS), 0.5), "int32"), u.dtype);
  return mul(sub(1, u), exp(orderedSums(log(u), parts)));
}

/** (d_i / max d)^s over its sum, for d [B,R,N] and s [B,R]: a softmax of s log d, in which max d cancels. */
function sharpened(d: Tensor, s: Tensor): Tensor {
  return softmax(mul(log(add(d, EPSILON)), unsqueeze(s, 2)), -1);
}

/** 0 … N − 1 as a column, [N,1]. */
function rowNumbers(N: number, dtype: DType): Tensor {
  return unsqueeze(arange(0, N, 1, dtype), 1);
}

/** x [B,N] with all but its K largest numbers at 0; of equal ones the first stay. */
function largest(x: Tensor, K: number): Tensor {
  const larger = orderedSums(ones(x.shape, x.dtype), neg(x));
  return where(less(larger, K), x, 0);
}

/** Lists of links after a write: those that stay move on as all would, and those that come begin. */
function sparseLinkStep({ links, linkedRows: rows }: Required<Links>, w: Tensor, precedence: Tensor): Links {
  const [B, N, K] = links.shape as [number, number, number];
  const next = linkedRows(rows, links, w, precedence);
  const places = reshape(next, [B, 1, N * K]);
  const [to, before] = [w, precedence].map((x) => reshape(gatherWithin(unsqueeze(x, 1), places), [B, N, K])) as [Tensor, Tensor];
  const from = unsqueeze(w, 2);
  const stayed = mul(sub(sub(1, from), to), where(equal(next, rows), links, 0));
  const isOther = notEqual(next, rowNumbers(N, links.dtype));
  return { links: where(isOther, add(stayed, mul(from, before)), 0), linkedRows: next };
}

/** Lᵀ w and L w for weightings w [B,R,N]. */
function alongLinks({ links, linkedRows: rows }: Links, w: Tensor): [back: Tensor, ahead: Tensor] {
  if (rows === undefined) return [matmul(w, links), matmul(w, transpose(links))];
  const [B, N, K] = links.shape as [number, number, number];
  const R = w.dim(1);
  const places = broadcastTo(reshape(rows, [B, 1, N * K]), [B, R, N * K]);
  const each = unsqueeze(links, 1);
  const ahead = sum(mul(each, reshape(gatherWithin(w, places), [B, R, N, K])), { axis: -1 });
  return [scatterSumWithin(reshape(mul(each, unsqueeze(w, 3)), [B, R, N * K]), places, N), ahead];
}
