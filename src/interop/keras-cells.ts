/** Keras's recurrent cells with any of its activations, in its layout of weights. */

import { Module, Parameter } from "../nn/module.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { clamp } from "../ops/compare.ts";
import { conv2d } from "../ops/conv.ts";
import { matmul } from "../ops/linear.ts";
import { elu, exp, gelu, hardSigmoid, leakyRelu, mish, relu, relu6, selu, sigmoid, silu, softplus, softsign, tanh } from "../ops/math.ts";
import { select, slice, split } from "../ops/shape.ts";
import { logSoftmax, softmax } from "../ops/softmax.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";

export type Activation = (x: Tensor) => Tensor;

/** Which function a "hard_sigmoid" is: clip(0.2 x + 0.5, 0, 1) up to Keras 2 and in TensorFlow.js, relu6(x + 3) / 6 in Keras 3. */
export type HardSigmoid = "keras2" | "keras3";

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  linear: (x) => x,
  elu,
  exponential: exp,
  gelu: (x) => gelu(x),
  leaky_relu: (x) => leakyRelu(x, 0.2),
  log_softmax: (x) => logSoftmax(x),
  mish,
  relu,
  relu6,
  selu,
  sigmoid,
  silu,
  softmax: (x) => softmax(x),
  softplus: (x) => softplus(x),
  softsign,
  swish: silu,
  tanh,
};

const HARD_SIGMOIDS: Readonly<Record<HardSigmoid, Activation>> = {
  keras2: (x) => clamp(add(mul(x, 0.2), 0.5), 0, 1),
  keras3: hardSigmoid,
};

/** What Keras means by a name, or null for one that is not known. */
export function activationOf(name: unknown, hard: HardSigmoid): Activation | null {
  if (name === null || name === undefined) return ACTIVATIONS.linear as Activation;
  if (name === "hard_sigmoid") return HARD_SIGMOIDS[hard];
  return typeof name === "string" && Object.hasOwn(ACTIVATIONS, name) ? (ACTIVATIONS[name] as Activation) : null;
}

export type Kind = "SimpleRNN" | "LSTM" | "GRU";

export const GATES: Readonly<Record<Kind, number>> = { SimpleRNN: 1, LSTM: 4, GRU: 3 };

export interface KerasCellOptions {
  readonly kind: Kind;
  /** [I,G·H], [H,G·H] and [G·H], or [2,G·H] of a GRU that resets after the product. */
  readonly kernel: Tensor;
  readonly recurrentKernel: Tensor;
  readonly bias: Tensor | null;
  readonly resetAfter: boolean;
  readonly activation: Activation;
  readonly recurrentActivation: Activation;
}

/** c' = σ(f)∘c + σ(i)∘φ(g) and h' = σ(o)∘φ(c'), for the sums of i f g o side by side on axis 1, `size` each. */
function lstmStep(
  sums: Tensor,
  c: Tensor,
  size: number,
  { activation, recurrentActivation: gate }: Pick<KerasCellOptions, "activation" | "recurrentActivation">,
): [h: Tensor, c: Tensor] {
  const [i, f, g, o] = split(sums, size, 1) as [Tensor, Tensor, Tensor, Tensor];
  const next = add(mul(gate(f), c), mul(gate(i), activation(g)));
  return [mul(gate(o), activation(next)), next];
}

type Step = (cell: KerasCell, x: Tensor, state: readonly Tensor[]) => Tensor[];

const STEPS: Readonly<Record<Kind, Step>> = {
  SimpleRNN(cell, x, [h]) {
    return [cell.activation(add(cell.inputs(x), matmul(h as Tensor, cell.recurrentKernel)))];
  },
  LSTM(cell, x, [h, c]) {
    const sums = add(cell.inputs(x), matmul(h as Tensor, cell.recurrentKernel));
    return lstmStep(sums, c as Tensor, cell.outputSize, cell);
  },
  GRU(cell, x, [h]) {
    const { activation, recurrentActivation: gate, outputSize: H } = cell;
    const [xz, xr, xh] = split(cell.inputs(x), H, 1) as [Tensor, Tensor, Tensor];
    const before = h as Tensor;
    const product = cell.resetAfter ? cell.recurrentSums(before) : matmul(before, slice(cell.recurrentKernel, 1, 0, 2 * H));
    const z = gate(add(xz, slice(product, 1, 0, H)));
    const r = gate(add(xr, slice(product, 1, H, 2 * H)));
    const inner = cell.resetAfter ? mul(r, slice(product, 1, 2 * H)) : matmul(mul(r, before), slice(cell.recurrentKernel, 1, 2 * H));
    return [add(mul(z, before), mul(sub(1, z), activation(add(xh, inner))))];
  },
};

/**
 * A cell of Keras, for activations that the library's own cells do not have: blocks i f c o of an LSTM and z r h of a GRU, with φ the activation
 * and σ the recurrent one. The state is [h], or [h, c] of an LSTM.
 * @see Chollet et al., Keras, keras/layers/rnn: simple_rnn.py, lstm.py, gru.py
 */
export class KerasCell extends Cell<readonly Tensor[]> {
  readonly kind: Kind;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly kernel: Parameter;
  readonly recurrentKernel: Parameter;
  readonly bias: Parameter | null;
  readonly resetAfter: boolean;
  readonly activation: Activation;
  readonly recurrentActivation: Activation;

  constructor({ kind, kernel, recurrentKernel, bias, resetAfter, activation, recurrentActivation }: KerasCellOptions) {
    super();
    this.kind = kind;
    this.inputSize = kernel.dim(0);
    this.outputSize = recurrentKernel.dim(0);
    this.kernel = new Parameter(kernel);
    this.recurrentKernel = new Parameter(recurrentKernel);
    this.bias = bias && new Parameter(bias);
    this.resetAfter = resetAfter;
    this.activation = activation;
    this.recurrentActivation = recurrentActivation;
  }

  initialState(batch: number): Tensor[] {
    return Array.from({ length: this.kind === "LSTM" ? 2 : 1 }, () => zeros([batch, this.outputSize], this.kernel.dtype));
  }

  /** xK + b, with the first bias of two. @internal */
  inputs(x: Tensor): Tensor {
    const product = matmul(x, this.kernel);
    return this.bias === null ? product : add(product, this.bias.rank === 2 ? select(this.bias, 0, 0) : this.bias);
  }

  /** hR + b, with the second bias of two. @internal */
  recurrentSums(h: Tensor): Tensor {
    const product = matmul(h, this.recurrentKernel);
    return this.bias === null ? product : add(product, select(this.bias, 0, 1));
  }

  step(x: Tensor, state: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const next = STEPS[this.kind](this, x, state);
    return [next[0] as Tensor, next];
  }
}

export interface KerasConvCellOptions {
  /** [4F,C,k,k], [4F,F,k,k] and [4F], blocks i f c o. */
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly bias: Tensor | null;
  readonly padding: "valid" | "same";
  readonly activation: Activation;
  readonly recurrentActivation: Activation;
}

/** The step of a ConvLSTM2D: an LSTM whose products are convolutions; the recurrent one keeps the size, whatever the other does. */
export class KerasConvCell extends Module {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter | null;
  readonly padding: "valid" | "same";
  readonly activation: Activation;
  readonly recurrentActivation: Activation;

  constructor({ weightIh, weightHh, bias, padding, activation, recurrentActivation }: KerasConvCellOptions) {
    super();
    this.weightIh = new Parameter(weightIh);
    this.weightHh = new Parameter(weightHh);
    this.bias = bias && new Parameter(bias);
    this.padding = padding;
    this.activation = activation;
    this.recurrentActivation = recurrentActivation;
  }

  /** Zeros for pictures x [B,C,rows,columns]: h and c [B,F,rows',columns']. */
  initialState(x: Tensor): Tensor[] {
    const [rows, columns] = [2, 3].map((axis) => x.dim(axis) - (this.padding === "same" ? 0 : this.weightIh.dim(axis) - 1)) as [
      number,
      number,
    ];
    return Array.from({ length: 2 }, () => zeros([x.dim(0), this.weightHh.dim(1), rows, columns], x.dtype));
  }

  /** x [B,C,rows,columns] and [h, c] to the next [h, c]. */
  step(x: Tensor, [h, c]: readonly Tensor[]): [h: Tensor, c: Tensor] {
    const fromState = conv2d(h as Tensor, this.weightHh, null, { padding: "same" });
    const sums = add(conv2d(x, this.weightIh, this.bias, { padding: this.padding }), fromState);
    return lstmStep(sums, c as Tensor, this.weightHh.dim(1), this);
  }
}
