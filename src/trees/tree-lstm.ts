/** Long short-term memory over trees, with children summed or in order. */

import { checkNumber, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { cat, chunk, slice } from "../ops/shape.ts";
import type { LstmState } from "../recurrence/kinds.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type Children, StructureNetwork } from "./structure.ts";

export interface TreeLSTMOptions extends LayerOptions {
  readonly inputSize: number;
  /** H, of h and c. */
  readonly hiddenSize: number;
  /** Initial bias of the forget gates (default 1). */
  readonly forgetBias?: number;
}

const TREE_LSTM = ["inputSize", "hiddenSize", "forgetBias", ...LAYER] as const;

/** Shared by both kinds: W x + b, and the states from the gates. */
abstract class TreeLSTM extends StructureNetwork<LstmState> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly bias: Parameter;

  constructor(op: string, options: TreeLSTMOptions) {
    super();
    const { inputSize, hiddenSize: H, forgetBias = 1 } = options;
    checkSizes(op, { inputSize, hiddenSize: H });
    checkNumber(op, "forgetBias", forgetBias);
    this.inputSize = inputSize;
    this.hiddenSize = H;
    this.outputSize = H;
    this.weightIh = uniformParameter([4 * H, inputSize], 1 / Math.sqrt(H), options);
    this.bias = uniformParameter([4 * H], 1 / Math.sqrt(H), options);
    assign(
      this.bias,
      this.bias.data().map((b, i) => (i < 3 * H ? b : forgetBias)),
    );
  }

  leaf(x: Tensor): LstmState {
    const gates = 3 * this.hiddenSize;
    return this.state(linear(x, slice(this.weightIh, 0, 0, gates), slice(this.bias, 0, 0, gates)));
  }

  /** W x + b in two parts: i o u [n,3H] and f [n,H]. */
  protected inputs(x: Tensor): [iou: Tensor, f: Tensor] {
    const a = linear(x, this.weightIh, this.bias);
    return [slice(a, 1, 0, 3 * this.hiddenSize), slice(a, 1, 3 * this.hiddenSize)];
  }

  /** c = i∘u + (the kept part of the children), h = o∘tanh(c), from the sums of i o u. */
  protected state(iou: Tensor, kept?: Tensor): LstmState {
    const [i, o, u] = chunk(iou, 3, 1) as [Tensor, Tensor, Tensor];
    const written = mul(sigmoid(i), tanh(u));
    const c = kept === undefined ? written : add(written, kept);
    return { h: mul(sigmoid(o), tanh(c)), c };
  }
}

/**
 * For any number of unordered children: their outputs are summed, and each has its own forget gate.
 *
 *   h̃ = Σ_k h_k      i, o = σ(W x + U h̃ + b)      u = tanh(W x + U h̃ + b)      f_k = σ(W_f x + U_f h_k + b_f)
 *   c = i∘u + Σ_k f_k∘c_k      h = o∘tanh(c)
 *
 * `weightIh` W [4H,I] and `bias` b [4H] with rows i o u f, `weightHh` U [3H,H] with rows i o u, `weightFh` U_f [H,H], from U(±1/√H);
 * b_f is 1. A node without an input has a row of zeros. Over a chain this is an LSTM.
 * @param options xs [N,I] to { h, c }, [N,H] each
 * @throws ArgumentError for sizes below 1
 * @see Tai, Socher and Manning, "Improved semantic representations from tree-structured long short-term memory networks", 2015,
 * eq. 2-8
 * Deviates: initial weights and the forget bias of 1, which the paper does not give.
 * @example const { h } = new ChildSumTreeLSTM({ inputSize: 8, hiddenSize: 16 }).forward(structure, xs);
 */
export class ChildSumTreeLSTM extends TreeLSTM {
  readonly weightHh: Parameter;
  readonly weightFh: Parameter;

  constructor(options: TreeLSTMOptions) {
    checkOptions("ChildSumTreeLSTM", options, TREE_LSTM);
    super("ChildSumTreeLSTM", options);
    const H = options.hiddenSize;
    this.weightHh = uniformParameter([3 * H, H], 1 / Math.sqrt(H), options);
    this.weightFh = uniformParameter([H, H], 1 / Math.sqrt(H), options);
  }

  node(x: Tensor, children: Children<LstmState>): LstmState {
    const [iou, fx] = this.inputs(x);
    const { h, c } = children.all();
    const f = sigmoid(add(children.perChild(fx), linear(h, this.weightFh)));
    return this.state(add(iou, linear(children.total(h), this.weightHh)), children.total(mul(f, c)));
  }
}

export interface NaryTreeLSTMOptions extends TreeLSTMOptions {
  /** N, the most children of a node (default 2). */
  readonly arity?: number;
}

/**
 * For up to N ordered children, each with its own weights; every forget gate sees all of them.
 *
 *   i, o = σ(W x + Σ_l U_l h_l + b)      u = tanh(W x + Σ_l U_l h_l + b)      f_k = σ(W_f x + Σ_l U_kl h_l + b_f)
 *   c = i∘u + Σ_k f_k∘c_k      h = o∘tanh(c)
 *
 * `weightIh` W [4H,I] and `bias` b [4H] with rows i o u f, `weightHh` [(3+N)H, N·H] with rows i o u f_1 … f_N and a block of columns
 * for each child, from U(±1/√H); b_f is 1. Missing children count as zeros. In a constituency tree only leaves have inputs; a
 * node without one has a row of zeros.
 * @param options xs [N,I] to { h, c }, [N,H] each
 * @throws ArgumentError for sizes below 1, and for nodes with more than N children
 * @see Tai, Socher and Manning, 2015, eq. 9-14
 * Deviates: as `ChildSumTreeLSTM`.
 * @example const { h } = new NaryTreeLSTM({ inputSize: 8, hiddenSize: 16, arity: 2 }).forward(structure, xs);
 */
export class NaryTreeLSTM extends TreeLSTM {
  readonly arity: number;
  readonly weightHh: Parameter;

  constructor(options: NaryTreeLSTMOptions) {
    const { hiddenSize: H, arity = 2 } = optionsOf("NaryTreeLSTM", options, [...TREE_LSTM, "arity"]);
    checkSizes("NaryTreeLSTM", { arity });
    super("NaryTreeLSTM", options);
    this.arity = arity;
    this.weightHh = uniformParameter([(3 + arity) * H, arity * H], 1 / Math.sqrt(H), options);
  }

  node(x: Tensor, children: Children<LstmState>): LstmState {
    const { arity: N, hiddenSize: H } = this;
    const [iou, fx] = this.inputs(x);
    const states = children.upTo("NaryTreeLSTM", N);
    const hs = states.map(({ h }) => h);
    const fromChildren = linear(cat(hs, 1), this.weightHh);
    const [, , , ...fs] = chunk(fromChildren, 3 + N, 1);
    const kept = states.map(({ c }, k) => mul(sigmoid(add(fx, fs[k] as Tensor)), c)).reduce((a, b) => add(a, b));
    return this.state(add(iou, slice(fromChildren, 1, 0, 3 * H)), kept);
  }
}
