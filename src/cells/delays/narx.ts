/** Nonlinear autoregressive networks with exogenous inputs, and networks with delayed feedback of hidden units. */

import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";
import { advance, checkDelays, emptyLine, sideBySide, tapsOf } from "./delay-line.ts";

export interface NARXOptions extends LayerOptions {
  readonly inputSize: number;
  readonly outputSize: number;
  /** H, units of the hidden layer; 0 (default) for none, which makes Ψ a single layer. */
  readonly hiddenSize?: number;
  /** D_u: number of earlier inputs that the network sees (default 0). */
  readonly inputDelays?: number;
  /** D_y: number of outputs that are fed back, at least 1. */
  readonly outputDelays: number;
  /** f of the hidden layer (default "tanh"). */
  readonly activation?: Activation;
  /** g of the output (default "linear"). */
  readonly outputActivation?: Activation;
}

/** The last output y [B,O], those before it [B,D_y−1,O], the inputs before the present one [B,D_u,I]; newest first. */
export type NARXState = { readonly y: Tensor; readonly outputs: Tensor; readonly inputs: Tensor };

/**
 * A network whose only memory is delay lines of its inputs and of its own outputs:
 *
 *   y(t) = Ψ(u(t), …, u(t−D_u), y(t−1), …, y(t−D_y))
 *   Ψ(u, y) = g(V f(W_u u + W_y y + b) + c), or g(W_u u + W_y y + b) without a hidden layer
 *
 * `weightIh` W_u [H,(D_u+1)·I], `weightFh` W_y [H,D_y·O], `bias` b [H], `weightHo` V [O,H], `biasO` c [O] (the last two null without a
 * hidden layer, where H = O); taps lie side by side, newest first. Each matrix is from U(±1/√n) for n inputs; lines start at zero.
 *
 * On its own, the network is in parallel mode: it runs on its own outputs. In series-parallel mode, `new TeacherForced(narx)`, it
 * sees the desired outputs instead: inputs are then [u(t); d(t−1)].
 * @param options x [B,I] to y [B,O]; state y, outputs and inputs
 * @throws ArgumentError for sizes below 1 and negative numbers of delays
 * @see Narendra and Parthasarathy, "Identification and control of dynamical systems using neural networks", 1990, section III
 * @see Lin, Horne, Tiňo and Giles, "Learning long-term dependencies in NARX recurrent neural networks", 1996, equations 1 and 2
 * Deviates: initial values, which neither paper gives.
 * @example
 * const narx = new NARX({ inputSize: 1, hiddenSize: 20, outputSize: 1, outputDelays: 2 });
 * const [fitted] = new TeacherForced(narx).scan(cat([us, previousOutputs], 2));
 * const [forecast] = narx.scan(us);
 */
export class NARX extends Cell<NARXState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly inputDelays: number;
  readonly outputDelays: number;
  readonly weightIh: Parameter;
  readonly weightFh: Parameter;
  readonly bias: Parameter;
  readonly weightHo: Parameter | null;
  readonly biasO: Parameter | null;
  readonly #f: (x: Tensor) => Tensor;
  readonly #g: (x: Tensor) => Tensor;

  constructor(options: NARXOptions) {
    super();
    const {
      inputSize: I,
      outputSize: O,
      hiddenSize = 0,
      inputDelays = 0,
      outputDelays,
    } = optionsOf("NARX", options, [
      "inputSize",
      "outputSize",
      "hiddenSize",
      "inputDelays",
      "outputDelays",
      "activation",
      "outputActivation",
      ...LAYER,
    ]);
    checkSizes("NARX", { inputSize: I, outputSize: O, outputDelays });
    checkDelays("NARX", { hiddenSize, inputDelays });
    const H = hiddenSize || O;
    const draw = (...shape: [number, number]) => uniformParameter(shape, 1 / Math.sqrt(shape[1]), options);
    this.inputSize = I;
    this.outputSize = O;
    this.inputDelays = inputDelays;
    this.outputDelays = outputDelays;
    this.#f = activationOf(options.activation ?? "tanh");
    this.#g = activationOf(options.outputActivation ?? "linear");
    this.weightIh = draw(H, (inputDelays + 1) * I);
    this.weightFh = draw(H, outputDelays * O);
    this.bias = uniformParameter([H], 1 / Math.sqrt(this.weightIh.dim(1)), options);
    this.weightHo = hiddenSize ? draw(O, H) : null;
    this.biasO = hiddenSize ? uniformParameter([O], 1 / Math.sqrt(H), options) : null;
  }

  /** Zeros. To forecast, fill the state with the last known inputs and outputs. */
  initialState(batch: number): NARXState {
    const { dtype } = this.bias;
    return {
      y: zeros([batch, this.outputSize], dtype),
      outputs: emptyLine(batch, this.outputDelays - 1, [this.outputSize], dtype),
      inputs: emptyLine(batch, this.inputDelays, [this.inputSize], dtype),
    };
  }

  step(u: Tensor, state: NARXState): [y: Tensor, next: NARXState] {
    const us = tapsOf(u, state.inputs);
    const ys = tapsOf(state.y, state.outputs);
    const sums = add(linear(sideBySide(us), this.weightIh, this.bias), linear(sideBySide(ys), this.weightFh));
    const y = this.#g(this.weightHo && this.biasO ? linear(this.#f(sums), this.weightHo, this.biasO) : sums);
    return [y, { y, outputs: advance(ys), inputs: advance(us) }];
  }
}

export interface HiddenDelayOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** D: number of its own last states that the hidden layer sees, at least 1. */
  readonly hiddenDelays: number;
  /** f (default "tanh"). */
  readonly activation?: Activation;
}

/**
 * A recurrent network whose hidden units see their last D states instead of one:
 *
 *   h(t) = f(W x(t) + Σ_d U_d h(t−d) + b)    d = 1 … D
 *
 * Paths of gradients through time are shorter by the factor D. `weightIh` W [H,I] and `bias` [H] from U(±1/√H), `weightHh` [H,D·H], the U_d
 * side by side, from U(±1/√(D·H)); D = 1 is the simple recurrent network.
 * @param options x [B,I] to h [B,H]; state [B,D,H], newest first, initially zero
 * @throws ArgumentError for sizes below 1
 * @see Lin, Horne and Giles, "How embedded memory in recurrent neural network architectures helps learning long-term temporal
 * dependencies", 1998
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [hs] = new HiddenDelayNetwork({ inputSize: 3, hiddenSize: 8, hiddenDelays: 4 }).scan(xs);
 */
export class HiddenDelayNetwork extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly hiddenDelays: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: HiddenDelayOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      hiddenDelays: D,
    } = optionsOf("HiddenDelayNetwork", options, ["inputSize", "hiddenSize", "hiddenDelays", "activation", ...LAYER]);
    checkSizes("HiddenDelayNetwork", { inputSize: I, hiddenSize: H, hiddenDelays: D });
    const bound = 1 / Math.sqrt(H);
    this.inputSize = I;
    this.outputSize = H;
    this.hiddenDelays = D;
    this.#f = activationOf(options.activation ?? "tanh");
    this.weightIh = uniformParameter([H, I], bound, options);
    this.weightHh = uniformParameter([H, D * H], bound / Math.sqrt(D), options);
    this.bias = uniformParameter([H], bound, options);
  }

  initialState(batch: number): Tensor {
    return emptyLine(batch, this.hiddenDelays, [this.outputSize], this.bias.dtype);
  }

  step(x: Tensor, line: Tensor): [y: Tensor, next: Tensor] {
    const h = this.#f(add(linear(x, this.weightIh, this.bias), linear(sideBySide(line), this.weightHh)));
    return [h, advance(tapsOf(h, line))];
  }
}
