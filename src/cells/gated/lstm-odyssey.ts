/** The LSTM with peepholes, and the eight variants to which "a search space odyssey" compared it. */

import { gate } from "../../autodiff/observer.ts";
import { checkFlag, checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid } from "../../ops/math.ts";
import { cat, select, slice } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { assign, type Tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

/** The parts of the cell; the defaults make the vanilla LSTM. */
export interface OdysseyParts {
  /** Whether there is an input gate; without it i = 1. */
  readonly inputGate?: boolean;
  /** Whether there is a forget gate; without it f = 1. "coupled" means f = 1 − i, without weights. */
  readonly forgetGate?: boolean | "coupled";
  /** Whether there is an output gate; without it o = 1. */
  readonly outputGate?: boolean;
  /** g (default "tanh"). */
  readonly inputActivation?: Activation;
  /** h (default "tanh"). */
  readonly outputActivation?: Activation;
  /** Whether the gates see the cell (default true). */
  readonly peepholes?: boolean;
  /** Whether all gates see all gates of the previous step (default false). */
  readonly gateRecurrence?: boolean;
}

/** The names of the Odyssey's variants: vanilla, without one part each, with coupled gates, without peepholes, with full gate recurrence. */
export type OdysseyVariant = "V" | "NIG" | "NFG" | "NOG" | "NIAF" | "NOAF" | "CIFG" | "NP" | "FGR";

/**
 * The variants by the paper's names: vanilla; no input, forget or output gate; no input or output activation function;
 * coupled input and forget gate; no peepholes; full gate recurrence.
 */
export const odysseyVariants: Readonly<Record<OdysseyVariant, OdysseyParts>> = {
  V: {},
  NIG: { inputGate: false },
  NFG: { forgetGate: false },
  NOG: { outputGate: false },
  NIAF: { inputActivation: "linear" },
  NOAF: { outputActivation: "linear" },
  CIFG: { forgetGate: "coupled" },
  NP: { peepholes: false },
  FGR: { gateRecurrence: true },
};

export interface OdysseyLSTMOptions extends LayerOptions, OdysseyParts {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Initial bias of the forget gate (default 0). */
  readonly forgetBias?: number;
}

/** Output h and cell c, [B,H] each; with `gateRecurrence` also the gates [B,G·H] in the order i f o. */
export type OdysseyState = { readonly h: Tensor; readonly c: Tensor; readonly gates?: Tensor };

type Gate = "i" | "f" | "o";

/**
 * The vanilla LSTM, with three gates and peepholes, of which any part can be left out or changed:
 *
 *   z = g(W_z x + R_z y₋₁ + b_z)
 *   i = σ(W_i x + R_i y₋₁ + p_i∘c₋₁ + b_i)      f = σ(W_f x + R_f y₋₁ + p_f∘c₋₁ + b_f)
 *   c = z∘i + c₋₁∘f
 *   o = σ(W_o x + R_o y₋₁ + p_o∘c + b_o)        y = h(c)∘o
 *
 * With `gateRecurrence`, R_g [i₋₁; f₋₁; o₋₁] is added to the sums of i, f and o. Rows are in the order i f z o, without gates that have no weights:
 * `weightIh` [(G+1)H, I], `weightHh` [(G+1)H, H], `bias` [(G+1)H], `weightPeephole` [G,H], `weightGates` [G·H, G·H] for G gates with weights.
 * Weights are from N(0, 0.1²), biases and the first state zero.
 * @param options x [B,I] to y [B,H], called h in the state; `...odysseyVariants.CIFG` chooses a variant by name
 * @throws ArgumentError for sizes below 1, and for coupled gates without an input gate
 * @see Greff, Srivastava, Koutník, Steunebrink, Schmidhuber, "LSTM: a search space odyssey", IEEE TNNLS 28(10), 2017, sections II and III
 * Deviates: none.
 * @example const cell = new OdysseyLSTM({ inputSize: 4, hiddenSize: 8, ...odysseyVariants.CIFG });
 */
export class OdysseyLSTM extends Cell<OdysseyState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly weightPeephole: Parameter | null;
  readonly weightGates: Parameter | null;
  /** Gates with weights of their own. */
  readonly #gates: readonly Gate[];
  /** Names of the blocks of rows. */
  readonly #rows: readonly (Gate | "z")[];
  readonly #coupled: boolean;
  readonly #g: (x: Tensor) => Tensor;
  readonly #h: (x: Tensor) => Tensor;

  constructor(options: OdysseyLSTMOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      forgetBias,
      inputGate = true,
      forgetGate = true,
      outputGate = true,
    } = optionsOf("OdysseyLSTM", options, [
      "inputSize",
      "hiddenSize",
      "forgetBias",
      "inputGate",
      "forgetGate",
      "outputGate",
      "inputActivation",
      "outputActivation",
      "peepholes",
      "gateRecurrence",
      ...LAYER,
    ]);
    checkSizes("OdysseyLSTM", { inputSize: I, hiddenSize: H });
    if (forgetBias !== undefined) checkNumber("OdysseyLSTM", "forgetBias", forgetBias);
    if (forgetGate !== "coupled") checkFlag("OdysseyLSTM", "forgetGate", forgetGate);
    if (forgetGate === "coupled" && !inputGate) throw new ArgumentError("OdysseyLSTM: expected an input gate to couple with, got none");
    this.inputSize = I;
    this.outputSize = H;
    const present: Readonly<Record<Gate, boolean>> = { i: inputGate, f: forgetGate === true, o: outputGate };
    this.#gates = (["i", "f", "o"] as const).filter((gate) => present[gate]);
    this.#rows = (["i", "f", "z", "o"] as const).filter((row) => row === "z" || present[row]);
    this.#coupled = forgetGate === "coupled";
    this.#g = activationOf(options.inputActivation ?? "tanh");
    this.#h = activationOf(options.outputActivation ?? "tanh");
    const dtype = options.dtype ?? "float32";
    const generator = options.generator ?? defaultGenerator();
    const draw = (...shape: number[]) => new Parameter(generator.normal(shape, 0, 0.1, dtype));
    const [R, G] = [this.#rows.length, this.#gates.length];
    this.weightIh = draw(R * H, I);
    this.weightHh = draw(R * H, H);
    this.bias = new Parameter(zeros([R * H], dtype));
    if (present.f && forgetBias !== undefined) setBlock(this.bias, this.#rows.indexOf("f"), H, forgetBias);
    this.weightPeephole = (options.peepholes ?? true) && G > 0 ? draw(G, H) : null;
    this.weightGates = options.gateRecurrence && G > 0 ? draw(G * H, G * H) : null;
  }

  initialState(batch: number): OdysseyState {
    const zero = (width: number) => zeros([batch, width], this.weightHh.dtype);
    const state = { h: zero(this.outputSize), c: zero(this.outputSize) };
    return this.weightGates ? { ...state, gates: zero(this.weightGates.dim(1)) } : state;
  }

  step(x: Tensor, { h, c, gates }: OdysseyState): [y: Tensor, next: OdysseyState] {
    const sums = add(linear(x, this.weightIh, this.bias), linear(h, this.weightHh));
    const fromGates = this.weightGates && gates ? linear(gates, this.weightGates) : null;
    const opening = (name: Gate, cell: Tensor) => this.#gate(name, sums, cell, fromGates);
    const z = gate("z", this.#g(this.#block(sums, this.#rows.indexOf("z"))));
    const i = opening("i", c);
    const f = this.#coupled && i ? gate("f", sub(1, i)) : opening("f", c);
    const c1 = gate("c", add(through(i, z), through(f, c)));
    const o = opening("o", c1);
    const h1 = through(o, this.#h(c1));
    const next = { h: h1, c: c1 };
    if (!fromGates) return [h1, next];
    const open = { i, f, o };
    return [
      h1,
      {
        ...next,
        gates: cat(
          this.#gates.map((name) => open[name] as Tensor),
          1,
        ),
      },
    ];
  }

  /** A gate with its own weights; null for one that is always open. */
  #gate(name: Gate, sums: Tensor, cell: Tensor, fromGates: Tensor | null): Tensor | null {
    const at = this.#gates.indexOf(name);
    if (at < 0) return null;
    let sum = this.#block(sums, this.#rows.indexOf(name));
    if (this.weightPeephole) sum = add(sum, mul(select(this.weightPeephole, 0, at), cell));
    if (fromGates) sum = add(sum, this.#block(fromGates, at));
    return gate(name, sigmoid(sum));
  }

  #block(sums: Tensor, at: number): Tensor {
    return slice(sums, 1, at * this.outputSize, (at + 1) * this.outputSize);
  }
}

/** The value after a gate; unchanged without one. */
function through(gate: Tensor | null, value: Tensor): Tensor {
  return gate ? mul(gate, value) : value;
}

function setBlock(bias: Parameter, block: number, H: number, value: number): void {
  assign(bias, bias.data().fill(value, block * H, (block + 1) * H));
}
