/** Jordan's sequential networks: their output is their context, directly or through state units. */

import { checkNumber, checkOptions, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { isNaN as isMissing, where } from "../../ops/compare.ts";
import { linear } from "../../ops/linear.ts";
import { cat, slice } from "../../ops/shape.ts";
import { Cell, checkRecurrence } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { zeros } from "../../tensor/create.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface JordanOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  /** f of the hidden units (default "tanh"). */
  readonly hiddenActivation?: Activation;
  /** g of the output units (default "logistic"). */
  readonly outputActivation?: Activation;
}

const JORDAN = ["inputSize", "hiddenSize", "outputSize", "hiddenActivation", "outputActivation", ...LAYER] as const;

/** Every state holds the previous output. */
type WithOutput = { readonly y: Tensor };

/** Hidden and output units, shared by all forms: h = f(W_x x + W_c context + b_h), y = g(W_y h + b_y). */
abstract class Jordan<S extends State & WithOutput> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightCh: Parameter;
  readonly biasH: Parameter;
  readonly weightHo: Parameter;
  readonly biasO: Parameter;
  readonly #f: (x: Tensor) => Tensor;
  readonly #g: (x: Tensor) => Tensor;

  constructor(op: string, contextSize: number, options: JordanOptions) {
    super();
    const { inputSize: I, hiddenSize: H, outputSize: O } = options;
    checkSizes(op, { inputSize: I, hiddenSize: H, outputSize: O });
    this.inputSize = I;
    this.outputSize = O;
    this.#f = activationOf(options.hiddenActivation ?? "tanh");
    this.#g = activationOf(options.outputActivation ?? "logistic");
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.weightIh = draw(H, I);
    this.weightCh = draw(H, contextSize);
    this.biasH = draw(H);
    this.weightHo = draw(O, H);
    this.biasO = draw(O);
  }

  protected output(x: Tensor, context: Tensor): Tensor {
    const h = this.#f(add(linear(x, this.weightIh, this.biasH), linear(context, this.weightCh)));
    return this.#g(linear(h, this.weightHo, this.biasO));
  }

  protected zeros(batch: number, width: number): Tensor {
    return zeros([batch, width], this.weightIh.dtype);
  }
}

/**
 * A network whose context is its own last output:
 *
 *   h = f(W_x x + W_c y₋₁ + b_h)      y = g(W_y h + b_y)
 *
 * `weightIh` W_x [H,I], `weightCh` W_c [H,O], `biasH` [H], `weightHo` W_y [O,H], `biasO` [O], all from U(±1/√H); y₀ = 0.
 * @param options x [B,I] to y [B,O]; state y
 * @throws ArgumentError for sizes below 1
 * @see Jordan, "Attractor dynamics and parallelism in a connectionist sequential machine", CogSci 1986
 * Deviates: without state units (`JordanSequentialNetwork` has them), this is the form that later texts name after Jordan. Defaults of
 * f and g, biases and initial weights differ from the paper too.
 * @example const [ys] = new JordanNetwork({ inputSize: 1, hiddenSize: 8, outputSize: 2 }).scan(plans);
 */
export class JordanNetwork extends Jordan<WithOutput> {
  constructor(options: JordanOptions) {
    checkOptions("JordanNetwork", options, JORDAN);
    super("JordanNetwork", options.outputSize, options);
  }

  initialState(batch: number): WithOutput {
    return { y: this.zeros(batch, this.outputSize) };
  }

  step(x: Tensor, { y }: WithOutput): [y: Tensor, next: WithOutput] {
    const y1 = this.output(x, y);
    return [y1, { y: y1 }];
  }
}

export interface JordanDecayOptions extends JordanOptions {
  /** μ: the share of the state that remains from step to step (default 0.5). */
  readonly decay?: number;
}

/** State units s [B,S] and the output y [B,O]. */
export type JordanState = { readonly s: Tensor; readonly y: Tensor };

/**
 * The network of 1986, whose state units are running averages of the output, with fixed connections.
 *
 *   s = μ s₋₁ + y₋₁      h = f(W_x x + W_c s + b_h)      y = g(W_y h + b_y)
 *
 * Parameters as in `JordanNetwork`, W_c [H,O]; s₀ = y₀ = 0. The input is the "plan", which stays constant while the network produces a sequence.
 * @param options x [B,I] to y [B,O]; state s and y
 * @throws ArgumentError for sizes below 1
 * @see Jordan, "Attractor dynamics and parallelism in a connectionist sequential machine", CogSci 1986; "Serial order: a parallel distributed
 * processing approach", ICS report 8604, 1986
 * Deviates: defaults of f, g and μ, biases and initial weights.
 * @example const [ys] = new JordanSequentialNetwork({ inputSize: 1, hiddenSize: 8, outputSize: 2, decay: 0.5 }).scan(plans);
 */
export class JordanSequentialNetwork extends Jordan<JordanState> {
  readonly decay: number;

  constructor(options: JordanDecayOptions) {
    const { decay = 0.5, outputSize } = optionsOf("JordanSequentialNetwork", options, ["decay", ...JORDAN]);
    checkNumber("JordanSequentialNetwork", "decay", decay);
    super("JordanSequentialNetwork", outputSize, options);
    this.decay = decay;
  }

  initialState(batch: number): JordanState {
    return { s: this.zeros(batch, this.outputSize), y: this.zeros(batch, this.outputSize) };
  }

  step(x: Tensor, { s, y }: JordanState): [y: Tensor, next: JordanState] {
    const s1 = add(mul(s, this.decay), y);
    const y1 = this.output(x, s1);
    return [y1, { s: s1, y: y1 }];
  }
}

export interface JordanStateOptions extends JordanOptions {
  /** S, number of state units (default `outputSize`). */
  readonly stateSize?: number;
  /** f_s (default "tanh"). */
  readonly stateActivation?: Activation;
}

/**
 * A network whose state units have trained connections from themselves and from the output:
 *
 *   s = f_s(W_ss s₋₁ + W_sy y₋₁ + b_s)      h = f(W_x x + W_c s + b_h)      y = g(W_y h + b_y)
 *
 * Parameters as in `JordanNetwork` with W_c [H,S], then `weightSs` [S,S], `weightOs` W_sy [S,O], `biasS` [S] from U(±1/√S); s₀ = y₀ = 0.
 * @param options x [B,I] to y [B,O]; state s and y
 * @throws ArgumentError for sizes below 1
 * @see Jordan, "Serial order: a parallel distributed processing approach", ICS report 8604, 1986
 * Deviates: the next-state function, fixed in the paper, is a trained layer; otherwise as `JordanSequentialNetwork`.
 * @example const net = new JordanStateNetwork({ inputSize: 1, hiddenSize: 8, outputSize: 2, stateSize: 4 });
 */
export class JordanStateNetwork extends Jordan<JordanState> {
  readonly stateSize: number;
  readonly weightSs: Parameter;
  readonly weightOs: Parameter;
  readonly biasS: Parameter;
  readonly #fs: (x: Tensor) => Tensor;

  constructor(options: JordanStateOptions) {
    checkOptions("JordanStateNetwork", options, ["stateSize", "stateActivation", ...JORDAN]);
    const S = options.stateSize ?? options.outputSize;
    checkSizes("JordanStateNetwork", { stateSize: S });
    const fs = activationOf(options.stateActivation ?? "tanh");
    super("JordanStateNetwork", S, options);
    this.stateSize = S;
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(S), options);
    this.weightSs = draw(S, S);
    this.weightOs = draw(S, this.outputSize);
    this.biasS = draw(S);
    this.#fs = fs;
  }

  initialState(batch: number): JordanState {
    return { s: this.zeros(batch, this.stateSize), y: this.zeros(batch, this.outputSize) };
  }

  step(x: Tensor, { s, y }: JordanState): [y: Tensor, next: JordanState] {
    const s1 = this.#fs(add(linear(s, this.weightSs, this.biasS), linear(y, this.weightOs)));
    const y1 = this.output(x, s1);
    return [y1, { s: s1, y: y1 }];
  }
}

/** The state of a network that feeds its output back: it is, or contains, the last values of the units, those of the output first. */
export type FedBack = Tensor | WithOutput;

/**
 * Teacher forcing: the wrapped network's next step sees the desired output instead of the actual one. An input is [x; d₋₁], where
 * d₋₁ [B,O] is the target of the previous step (zero, or NaN, at the first). Where d₋₁ is NaN there was no target, and the unit keeps its own value.
 *
 *   z_k(t) = d_k(t) for units k with a target at t, else y_k(t)      ∂E/∂y_k through a forced unit is 0
 *
 * Every gradient algorithm, including real-time recurrent learning, then computes the gradient of forced training: replaced values have no influence.
 * @param network any cell whose state is its last output y [B,n ≥ O], or contains it as `y`
 * @see Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks", 1989, section 4 (eq. 5 to 9)
 * Deviates: none in the equations; section and equation numbers are quoted from memory.
 * @example const [ys] = new TeacherForced(network).scan(cat([plans, previousTargets], 2));
 */
export class TeacherForced<S extends State & FedBack> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly network: Cell<S>;

  constructor(network: Cell<S>) {
    super();
    checkRecurrence("TeacherForced", network);
    this.network = network;
    this.inputSize = network.inputSize + network.outputSize;
    this.outputSize = network.outputSize;
  }

  initialState(batch: number): S {
    return this.network.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const I = this.network.inputSize;
    return this.network.step(slice(x, 1, 0, I), forced(state, slice(x, 1, I)));
  }
}

/** The state with targets d [B,O] in place of the first O units, where a target exists. */
function forced<S extends State & FedBack>(state: S, d: Tensor): S {
  const units: Tensor = state instanceof Tensor ? state : state.y;
  const [n, O] = [units.dim(1), d.dim(1)];
  const first = where(isMissing(d), slice(units, 1, 0, O), d);
  const y = n === O ? first : cat([first, slice(units, 1, O)], 1);
  return (state instanceof Tensor ? y : { ...state, y }) as S;
}
