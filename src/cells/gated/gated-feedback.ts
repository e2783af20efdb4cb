/** Gated-feedback recurrent networks. */

import { gate } from "../../autodiff/observer.ts";
import { checkList, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Module, type Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { cat, chunk, slice, split } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";

export interface GatedFeedbackOptions extends LayerOptions {
  readonly inputSize: number;
  /** H_1 … H_L, units of each layer from below. */
  readonly hiddenSizes: readonly number[];
  /**
   * "learned" (default), or one of the paper's baselines: "open", all gates 1, so every layer sees every layer; "own", each layer sees
   * only itself, a conventional stack.
   */
  readonly gates?: "learned" | "open" | "own";
}

/** One layer j. The number of blocks depends on the unit: 1 for tanh, 3 for GRU, 4 for LSTM. */
class FeedbackLayer extends Module {
  /** W of all blocks, [blocks·H_j, below]. */
  readonly weightIh: Parameter;
  readonly bias: Parameter;
  /** U of the unit's own gates, which see only their own layer, [(blocks−1)·H_j, H_j]. */
  readonly weightHh: Parameter | null;
  /** The U^(i→j) side by side, [H_j, ΣH]; [H_j, H_j] with gates "own". */
  readonly weightFh: Parameter;
  /** w_g^(i→j) as rows i, [L, below]. */
  readonly weightGi: Parameter | null;
  /** u_g^(i→j) as rows i, [L, ΣH]. */
  readonly weightGh: Parameter | null;

  constructor(blocks: number, j: number, options: GatedFeedbackOptions) {
    super();
    const { hiddenSizes, inputSize, gates = "learned" } = options;
    checkOneOf("GatedFeedback", "gates", gates, ["learned", "open", "own"]);
    const below = hiddenSizes[j - 1] ?? inputSize;
    const H = hiddenSizes[j] as number;
    const [L, all] = [hiddenSizes.length, hiddenSizes.reduce((a, b) => a + b)];
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.weightIh = draw(blocks * H, below);
    this.bias = draw(blocks * H);
    this.weightHh = blocks === 1 ? null : draw((blocks - 1) * H, H);
    this.weightFh = draw(H, gates === "own" ? H : all);
    this.weightGi = gates === "learned" ? draw(L, below) : null;
    this.weightGh = gates === "learned" ? draw(L, all) : null;
  }

  /** Σ_i g^(i→j) U^(i→j) h_i. A gate is one number, so we apply it to h_i and need only one product. */
  feedback(below: Tensor, hs: readonly Tensor[], own: Tensor): Tensor {
    if (this.weightGi === null || this.weightGh === null) {
      return linear(this.weightFh.dim(1) === own.dim(1) ? own : cat(hs, 1), this.weightFh);
    }
    const g = sigmoid(add(linear(below, this.weightGi), linear(cat(hs, 1), this.weightGh)));
    const gated = hs.map((h, i) => mul(slice(g, 1, i, i + 1), h));
    return linear(cat(gated, 1), this.weightFh);
  }
}

/** Layers that each read the whole last state and the present output of the layer below. */
abstract class GatedFeedback<S extends State> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly layers: readonly FeedbackLayer[];
  readonly #sizes: readonly number[];

  constructor(op: string, blocks: number, options: GatedFeedbackOptions) {
    super();
    const { inputSize, hiddenSizes } = optionsOf(op, options, ["inputSize", "hiddenSizes", "gates", ...LAYER]);
    checkList(op, "hiddenSizes", hiddenSizes);
    checkSizes(op, {
      inputSize,
      layers: hiddenSizes.length,
      ...Object.fromEntries(hiddenSizes.map((H, j) => [`hiddenSizes[${j}]`, H])),
    });
    this.inputSize = inputSize;
    this.outputSize = hiddenSizes.at(-1) as number;
    this.layers = hiddenSizes.map((_, j) => new FeedbackLayer(blocks, j, options));
    this.#sizes = [...hiddenSizes];
  }

  /** Zeros for each layer. */
  protected zeros(batch: number): Tensor[] {
    return this.#sizes.map((H) => zeros([batch, H], this.layers[0]?.bias.dtype ?? "float32"));
  }

  /** The layers' new outputs from below to the top. */
  protected climb(x: Tensor, unit: (layer: FeedbackLayer, below: Tensor, j: number) => Tensor): Tensor[] {
    const outputs: Tensor[] = [];
    for (const [j, layer] of this.layers.entries()) outputs.push(unit(layer, outputs[j - 1] ?? x, j));
    return outputs;
  }
}

/**
 * Stacked tanh layers in which every layer feeds back to every layer, each connection through one learned gate:
 *
 *   g^(i→j) = σ(w^(i→j)·h_{j−1}(t) + u^(i→j)·[h_1(t−1); …; h_L(t−1)])    a single number
 *   h_j(t) = tanh(W_j h_{j−1}(t) + b_j + Σ_i g^(i→j) U^(i→j) h_i(t−1))    h_0 = x
 *
 * Layer j has `weightIh` W [H_j,H_{j−1}], `bias` b, `weightFh` the U^(i→j) side by side [H_j,ΣH], `weightGi` the w as rows i [L,H_{j−1}],
 * `weightGh` the u as rows i [L,ΣH], all from U(±1/√H_j). The output is that of the top layer. State: the h_j [B,H_j], initially zero.
 * @param options x [B,I] to h_L [B,H_L]
 * @throws ArgumentError for sizes below 1 and no layers
 * @see Chung, Gulcehre, Cho and Bengio, "Gated feedback recurrent neural networks", 2015, section 3
 * Deviates: the units have biases; initial values.
 * @example const [hs] = new GatedFeedbackRNN({ inputSize: 7, hiddenSizes: [12, 12] }).scan(xs);
 */
export class GatedFeedbackRNN extends GatedFeedback<readonly Tensor[]> {
  constructor(options: GatedFeedbackOptions) {
    super("GatedFeedbackRNN", 1, options);
  }

  initialState(batch: number): readonly Tensor[] {
    return this.zeros(batch);
  }

  step(x: Tensor, hs: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const next = this.climb(x, (layer, below, j) =>
      tanh(add(linear(below, layer.weightIh, layer.bias), layer.feedback(below, hs, hs[j] as Tensor))),
    );
    return [next.at(-1) as Tensor, next];
  }
}

/** Outputs and cells of the layers, [B,H_j] each. */
export type GatedFeedbackLSTMState = { readonly h: readonly Tensor[]; readonly c: readonly Tensor[] };

/**
 * The same feedback into the new memory content of stacked LSTM layers; the units' own gates see their own layer:
 *
 *   i, f, o = σ(W h_{j−1}(t) + U h_j(t−1) + b)
 *   c̃ = tanh(W_c h_{j−1}(t) + b_c + Σ_i g^(i→j) U_c^(i→j) h_i(t−1))
 *   c_j(t) = f∘c_j(t−1) + i∘c̃      h_j(t) = o∘tanh(c_j(t))
 *
 * Gates g as in `GatedFeedbackRNN`. Layer j has `weightIh` [4H_j,H_{j−1}] and `bias` in the order i f c̃ o, `weightHh` U [3H_j,H_j] in the
 * order i f o, `weightFh`, `weightGi`, `weightGh` as there.
 * @param options x [B,I] to h_L [B,H_L]; state h and c, initially zero
 * @throws ArgumentError for sizes below 1 and no layers
 * @see Chung, Gulcehre, Cho and Bengio, "Gated feedback recurrent neural networks", 2015, section 3
 * Deviates: the units have biases; initial values.
 * @example const [hs] = new GatedFeedbackLSTM({ inputSize: 7, hiddenSizes: [12, 12] }).scan(xs);
 */
export class GatedFeedbackLSTM extends GatedFeedback<GatedFeedbackLSTMState> {
  constructor(options: GatedFeedbackOptions) {
    super("GatedFeedbackLSTM", 4, options);
  }

  initialState(batch: number): GatedFeedbackLSTMState {
    return { h: this.zeros(batch), c: this.zeros(batch) };
  }

  step(x: Tensor, { h: hs, c: cs }: GatedFeedbackLSTMState): [y: Tensor, next: GatedFeedbackLSTMState] {
    const c: Tensor[] = [];
    const h = this.climb(x, (layer, below, j) => {
      const own = hs[j] as Tensor;
      const [xi, xf, xc, xo] = chunk(linear(below, layer.weightIh, layer.bias), 4, 1) as [Tensor, Tensor, Tensor, Tensor];
      const [hi, hf, ho] = chunk(linear(own, layer.weightHh as Tensor), 3, 1) as [Tensor, Tensor, Tensor];
      const content = tanh(add(xc, layer.feedback(below, hs, own)));
      const [f, i] = [gate(`f ${j}`, sigmoid(add(xf, hf))), gate(`i ${j}`, sigmoid(add(xi, hi)))];
      c.push(add(mul(f, cs[j] as Tensor), mul(i, content)));
      return mul(gate(`o ${j}`, sigmoid(add(xo, ho))), tanh(c[j] as Tensor));
    });
    return [h.at(-1) as Tensor, { h, c }];
  }
}

/**
 * The same feedback into the candidate of stacked gated recurrent units; the units' own gates see their own layer:
 *
 *   r, z = σ(W h_{j−1}(t) + U h_j(t−1) + b)
 *   h̃ = tanh(W_h h_{j−1}(t) + b_h + r∘Σ_i g^(i→j) U_h^(i→j) h_i(t−1))
 *   h_j(t) = (1 − z)∘h_j(t−1) + z∘h̃
 *
 * Gates g as in `GatedFeedbackRNN`. Layer j has `weightIh` [3H_j,H_{j−1}] and `bias` in the order r z h̃, `weightHh` U [2H_j,H_j] in the
 * order r z, `weightFh`, `weightGi`, `weightGh` as there. Here z weighs the new value; in PyTorch's GRU it weighs the old one.
 * @param options x [B,I] to h_L [B,H_L]; state the h_j [B,H_j], initially zero
 * @throws ArgumentError for sizes below 1 and no layers
 * @see Chung, Gulcehre, Cho and Bengio, "Gated feedback recurrent neural networks", 2015, section 3
 * Deviates: the units have biases; initial values.
 * @example const [hs] = new GatedFeedbackGRU({ inputSize: 7, hiddenSizes: [12, 12] }).scan(xs);
 */
export class GatedFeedbackGRU extends GatedFeedback<readonly Tensor[]> {
  constructor(options: GatedFeedbackOptions) {
    super("GatedFeedbackGRU", 3, options);
  }

  initialState(batch: number): readonly Tensor[] {
    return this.zeros(batch);
  }

  step(x: Tensor, hs: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const next = this.climb(x, (layer, below, j) => {
      const own = hs[j] as Tensor;
      const H = own.dim(1);
      const [gates, content] = split(linear(below, layer.weightIh, layer.bias), [2 * H, H], 1) as [Tensor, Tensor];
      const [r, z] = chunk(sigmoid(add(gates, linear(own, layer.weightHh as Tensor))), 2, 1) as [Tensor, Tensor];
      gate(`r ${j}`, r);
      gate(`z ${j}`, z);
      const candidate = tanh(add(content, mul(r, layer.feedback(below, hs, own))));
      return add(own, mul(z, sub(candidate, own)));
    });
    return [next.at(-1) as Tensor, next];
  }
}
