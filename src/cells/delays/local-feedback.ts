/** Locally recurrent, globally feed-forward networks: synapses are filters, and neurons feed back to themselves. */

import { checkList, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, neg } from "../../ops/arithmetic.ts";
import { reshape, sum } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { tanh } from "../../ops/math.ts";
import { stack, unsqueeze, unstack } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { sizeOf } from "../../tensor/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";
import { advance, checkDelays, emptyLine, sideBySide, tapsOf, weighTaps } from "./delay-line.ts";

/** Source of a neuron's feedback: its synapses' outputs, its sum before f, or its output. */
export type LocalFeedback = "synapse" | "activation" | "output";

export interface LocalFeedbackOptions extends LayerOptions {
  readonly inputSize: number;
  /** Neurons of the layer. */
  readonly outputSize: number;
  /** P: number of earlier inputs that a synapse sees (default 0). */
  readonly inputDelays?: number;
  /** Q: number of past values that are fed back (default 0). */
  readonly feedbackDelays?: number;
  /** Default "synapse". */
  readonly feedback?: LocalFeedback;
  /** f (default "tanh"). */
  readonly activation?: Activation;
  /**
   * Whether reflection coefficients k = tanh ρ, |k| < 1, parametrise the feedback filter, which keeps its poles inside the unit circle
   * (default false: the coefficients a themselves). Not for feedback of the output, whose loop contains f.
   */
  readonly lattice?: boolean;
}

const FEEDBACK = ["inputDelays", "feedbackDelays", "feedback", "activation", "lattice", ...LAYER] as const;

/** Past inputs [B,P,I], and past feedback values, [B,Q,O,I] for synapses or [B,Q,O] for neurons; newest first. */
export type LocalFeedbackState = { readonly inputs: Tensor; readonly fed: Tensor };

/**
 * A layer of neurons whose only memory is in their own filters. With P past inputs and Q past feedback values:
 *
 *   v_ij(t) = Σ_p b_ipj x_j(t−p) + Σ_q a_qij v_ij(t−q)      "synapse": IIR synapses, or FIR with Q = 0
 *   s_i(t) = Σ_j v_ij(t) + c_i      y_i(t) = f(s_i(t))
 *
 *   s_i(t) = Σ_jp b_ipj x_j(t−p) + c_i + Σ_q a_qi s_i(t−q)   "activation"
 *   s_i(t) = Σ_jp b_ipj x_j(t−p) + c_i + Σ_q a_qi y_i(t−q)   "output"
 *
 * p = 0 … P, q = 1 … Q. Feedback is added (filter libraries subtract it). `weightIh` b [O,P+1,I] from U(±√(6/(I + O))/(P+1)), `bias` c
 * from U(±0.1), `weightFb` a [Q,O,I] or [Q,O] (null with Q = 0) from U(±0.1), which keeps poles inside the unit circle for Q < 10;
 * with `lattice` `weightFb` holds ρ. Lines start at zero.
 * @param options x [B,I] to y [B,O]; state inputs and fed
 * @throws ArgumentError for sizes below 1, negative numbers of delays, a lattice around the output
 * @see Back and Tsoi, "FIR and IIR synapses, a new neural network architecture for time series modeling", 1991
 * @see Frasconi, Gori and Soda, "Local feedback multilayered networks", 1992, for feedback of activation and output
 * @see Gray and Markel, "Digital lattice and ladder filter synthesis", 1973, for the step-up recursion
 * Deviates: the papers' gain factor of an IIR synapse is part of b; initial values.
 * @example const [ys] = new LocalFeedbackLayer({ inputSize: 1, outputSize: 4, inputDelays: 3, feedbackDelays: 3 }).scan(xs);
 */
export class LocalFeedbackLayer extends Cell<LocalFeedbackState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly inputDelays: number;
  readonly feedbackDelays: number;
  readonly feedback: LocalFeedback;
  readonly lattice: boolean;
  readonly weightIh: Parameter;
  readonly bias: Parameter;
  readonly weightFb: Parameter | null;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: LocalFeedbackOptions) {
    super();
    const {
      inputSize: I,
      outputSize: O,
      inputDelays: P = 0,
      feedbackDelays: Q = 0,
      feedback = "synapse",
      lattice = false,
    } = optionsOf("LocalFeedbackLayer", options, ["inputSize", "outputSize", ...FEEDBACK]);
    checkSizes("LocalFeedbackLayer", { inputSize: I, outputSize: O });
    checkOneOf("LocalFeedbackLayer", "feedback", feedback, ["synapse", "activation", "output"]);
    checkDelays("LocalFeedbackLayer", { inputDelays: P, feedbackDelays: Q });
    if (lattice && feedback === "output") {
      throw new ArgumentError('LocalFeedbackLayer: expected feedback "synapse" or "activation" with lattice, got "output"');
    }
    this.inputSize = I;
    this.outputSize = O;
    this.inputDelays = P;
    this.feedbackDelays = Q;
    this.feedback = feedback;
    this.lattice = lattice;
    this.#f = activationOf(options.activation ?? "tanh");
    this.weightIh = uniformParameter([O, P + 1, I], Math.sqrt(6 / (I + O)) / (P + 1), options);
    this.bias = uniformParameter([O], 0.1, options);
    this.weightFb = Q === 0 ? null : uniformParameter([Q, ...this.#fedShape()], 0.1, options);
  }

  #fedShape(): number[] {
    return this.feedback === "synapse" ? [this.outputSize, this.inputSize] : [this.outputSize];
  }

  /** The feedback coefficients a [Q,…]; null without feedback. */
  get coefficients(): Tensor | null {
    return this.lattice && this.weightFb ? stepUp(tanh(this.weightFb)) : this.weightFb;
  }

  initialState(batch: number): LocalFeedbackState {
    const { dtype } = this.bias;
    return {
      inputs: emptyLine(batch, this.inputDelays, [this.inputSize], dtype),
      fed: emptyLine(batch, this.feedbackDelays, this.#fedShape(), dtype),
    };
  }

  step(x: Tensor, { inputs, fed }: LocalFeedbackState): [y: Tensor, next: LocalFeedbackState] {
    const taps = tapsOf(x, inputs);
    const a = this.coefficients;
    const recalled = a && weighTaps(fed, a);
    const v = this.feedback === "synapse" ? this.#synapses(taps, recalled) : null;
    const s = v ? add(sum(v, { axis: 2 }), this.bias) : this.#activation(taps, recalled);
    const y = this.squash(s);
    const next = v ?? (this.feedback === "output" ? y : s);
    return [y, { inputs: advance(taps), fed: a ? advance(tapsOf(next, fed)) : fed }];
  }

  /** f of activations s [...,O]. */
  squash(s: Tensor): Tensor {
    return this.#f(s);
  }

  /** v [B,O,I]. */
  #synapses(taps: Tensor, recalled: Tensor | null): Tensor {
    const now = sum(mul(unsqueeze(taps, 1), this.weightIh), { axis: 2 });
    return recalled ? add(now, recalled) : now;
  }

  /** s [B,O]. */
  #activation(taps: Tensor, recalled: Tensor | null): Tensor {
    const now = linear(sideBySide(taps), reshape(this.weightIh, [this.outputSize, sizeOf(taps.shape.slice(1))]), this.bias);
    return recalled ? add(now, recalled) : now;
  }
}

/**
 * Feedback coefficients [Q,…] from reflection coefficients k [Q,…] by the step-up recursion on A(z) = 1 − Σ a_q z^−q:
 *
 *   A_m(z) = A_m−1(z) + k_m z^−m A_m−1(1/z)
 *
 * All zeros of A, the filter's poles, lie inside the unit circle if and only if every |k| < 1.
 */
export function stepUp(k: Tensor): Tensor {
  const [first, ...rest] = unstack(k, 0) as [Tensor, ...Tensor[]];
  const polynomial = rest.reduce((p: Tensor[], km) => [...p.map((c, i) => add(c, mul(km, p[p.length - 1 - i] as Tensor))), km], [first]);
  return neg(stack(polynomial));
}

export interface LocalFeedbackNetworkOptions extends Omit<LocalFeedbackOptions, "inputSize" | "outputSize"> {
  /** Sizes from input to output: [1, 4, 1]. */
  readonly sizes: readonly number[];
  /** f of the last layer (default "linear"). */
  readonly outputActivation?: Activation;
}

/**
 * Stacks `LocalFeedbackLayer`s, each reading the one below at the same step. `feedback`, delays and `lattice` apply to all.
 * @param options x [B,sizes[0]] to y [B,sizes.at(-1)]; the state is that of each layer
 * @throws ArgumentError for fewer than two sizes, and as `LocalFeedbackLayer` does
 * @see Tsoi and Back, "Locally recurrent globally feedforward networks: a critical review of architectures", 1994
 * Deviates: as `LocalFeedbackLayer`; the last layer is linear by default.
 * @example new LocalFeedbackNetwork({ sizes: [1, 4, 1], inputDelays: 3, feedbackDelays: 3, lattice: true });
 */
export class LocalFeedbackNetwork extends Cell<readonly LocalFeedbackState[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly layers: readonly LocalFeedbackLayer[];

  constructor(given: LocalFeedbackNetworkOptions) {
    super();
    const {
      sizes,
      outputActivation = "linear",
      ...options
    } = optionsOf("LocalFeedbackNetwork", given, ["sizes", "outputActivation", ...FEEDBACK]);
    checkList("LocalFeedbackNetwork", "sizes", sizes);
    if (sizes.length < 2) throw new ArgumentError(`LocalFeedbackNetwork: expected at least two sizes, got [${sizes.join(", ")}]`);
    activationOf(outputActivation);
    this.layers = sizes.slice(1).map((outputSize, l) => {
      const top = l === sizes.length - 2 ? { activation: outputActivation } : {};
      return new LocalFeedbackLayer({ ...options, inputSize: sizes[l] as number, outputSize, ...top });
    });
    this.inputSize = sizes[0] as number;
    this.outputSize = sizes.at(-1) as number;
  }

  initialState(batch: number): readonly LocalFeedbackState[] {
    return this.layers.map((layer) => layer.initialState(batch));
  }

  step(x: Tensor, state: readonly LocalFeedbackState[]): [y: Tensor, next: readonly LocalFeedbackState[]] {
    const next: LocalFeedbackState[] = [];
    const y = this.layers.reduce((below, layer, l) => {
      const [out, own] = layer.step(below, state[l] as LocalFeedbackState);
      next.push(own);
      return out;
    }, x);
    return [y, next];
  }
}
