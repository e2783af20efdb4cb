/** Long short-term memory as published in 1997: no forget gate, blocks of cells that share their gates. */

import { gate } from "../../autodiff/observer.ts";
import { checkNumber, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { cat, slice, unsqueeze } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";

export interface LSTM1997Options extends LayerOptions {
  readonly inputSize: number;
  /** J, number of memory blocks; each has one input gate and one output gate. */
  readonly blocks: number;
  /** S, number of cells per block (default 1). */
  readonly cellsPerBlock?: number;
  /** "1997" (default): g = 4σ − 2 into the cell and h = 2σ − 1 out of it. "tanh": both tanh. */
  readonly squashing?: "1997" | "tanh";
  /** Whether to feed the gates' own activations back to every unit, as in a fully connected hidden layer (default false). */
  readonly gateRecurrence?: boolean;
  /** "1997": gradients flow from step to step only through the cells' inner states. "none" (default): the full gradient. */
  readonly truncate?: "none" | "1997";
  /** Initial bias of the input gates, for all or for each block (default 0); with negative values, cells start closed. */
  readonly inputGateBias?: number | readonly number[];
  /** Initial bias of the output gates, for all or for each block (default 0); with different values, blocks come into use one after another. */
  readonly outputGateBias?: number | readonly number[];
  /** Bound of the uniform initial weights (default 0.1). */
  readonly bound?: number;
}

/** Activations u [B,U] that are fed back, the cells' outputs first, and the cells' inner states c [B,J·S]. */
export type LSTM1997State = { readonly u: Tensor; readonly c: Tensor };

/**
 * Memory cells whose inner state only accumulates, in J blocks of S cells, H = J·S:
 *
 *   i_j = σ(W_i x + U_i u₋₁ + b_i)      o_j = σ(W_o x + U_o u₋₁ + b_o)      for block j
 *   c = c₋₁ + i_j·g(W_c x + U_c u₋₁ + b_c)      y = o_j·h(c)               for each cell of block j
 *   u = y, or [y; i; o] with `gateRecurrence`
 *
 * `weightIh` [2J+H, I], `weightHh` [2J+H, H or H+2J], `bias` [2J+H], rows in the order i o c; u₀ = c₀ = 0.
 * With `truncate: "1997"`, an error that reaches the sum of a gate or of a cell changes the weights into it and flows on to the input x of
 * that step; it does not flow back to u₋₁, the activations of the step before.
 * @param options x [B,I] to y [B,H]
 * @throws ArgumentError for sizes below 1 and lists of biases that are not one for each block
 * @see Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, section 4 and appendix A.1
 * Deviates: by default the gradient is not truncated and the gates' activations are not fed back; cells have biases too; initial weights.
 * @example const cell = new LSTM1997({ inputSize: 7, blocks: 4, cellsPerBlock: 2, inputGateBias: -1, truncate: "1997" });
 */
export class LSTM1997 extends Cell<LSTM1997State> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly blocks: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  readonly squashing: "1997" | "tanh";
  readonly gateRecurrence: boolean;
  readonly truncate: "none" | "1997";

  constructor(options: LSTM1997Options) {
    super();
    const {
      inputSize: I,
      blocks: J,
      cellsPerBlock: S = 1,
      bound = 0.1,
    } = optionsOf("LSTM1997", options, [
      "inputSize",
      "blocks",
      "cellsPerBlock",
      "squashing",
      "gateRecurrence",
      "truncate",
      "inputGateBias",
      "outputGateBias",
      "bound",
      ...LAYER,
    ]);
    checkSizes("LSTM1997", { inputSize: I, blocks: J, cellsPerBlock: S });
    checkNumber("LSTM1997", "bound", bound, { least: 0 });
    const H = J * S;
    this.inputSize = I;
    this.outputSize = H;
    this.blocks = J;
    this.squashing = options.squashing ?? "1997";
    this.gateRecurrence = options.gateRecurrence ?? false;
    this.truncate = options.truncate ?? "none";
    checkOneOf("LSTM1997", "squashing", this.squashing, ["1997", "tanh"]);
    checkOneOf("LSTM1997", "truncate", this.truncate, ["none", "1997"]);
    const gateBiases = [gateBias("inputGateBias", options.inputGateBias, J), gateBias("outputGateBias", options.outputGateBias, J)];
    this.weightIh = uniformParameter([2 * J + H, I], bound, options);
    this.weightHh = uniformParameter([2 * J + H, this.#fedBack], bound, options);
    this.bias = new Parameter(tensor([...gateBiases.flat(), ...new Array<number>(H).fill(0)], { dtype: options.dtype ?? "float32" }));
  }

  get #fedBack(): number {
    return this.outputSize + (this.gateRecurrence ? 2 * this.blocks : 0);
  }

  initialState(batch: number): LSTM1997State {
    const { dtype } = this.weightHh;
    return { u: zeros([batch, this.#fedBack], dtype), c: zeros([batch, this.outputSize], dtype) };
  }

  step(x: Tensor, { u, c }: LSTM1997State): [y: Tensor, next: LSTM1997State] {
    const J = this.blocks;
    const before = this.truncate === "1997" ? u.detach() : u;
    const sums = add(linear(x, this.weightIh, this.bias), linear(before, this.weightHh));
    const gates = sigmoid(slice(sums, 1, 0, 2 * J));
    const [i, o] = [gate("i", slice(gates, 1, 0, J)), gate("o", slice(gates, 1, J))];
    const c1 = gate("c", add(c, this.#gated(i, gate("g", this.#g(slice(sums, 1, 2 * J))))));
    const y = this.#gated(o, this.#h(c1));
    return [y, { u: this.gateRecurrence ? cat([y, gates], 1) : y, c: c1 }];
  }

  #g(sum: Tensor): Tensor {
    return this.squashing === "tanh" ? tanh(sum) : sub(mul(sigmoid(sum), 4), 2);
  }

  #h(c: Tensor): Tensor {
    return this.squashing === "tanh" ? tanh(c) : sub(mul(sigmoid(c), 2), 1);
  }

  /** Repeats each block's gate [B,J] for all of its cells [B,J·S]. */
  #gated(open: Tensor, cells: Tensor): Tensor {
    const [B, H] = cells.shape as [number, number];
    return reshape(mul(unsqueeze(open, 2), reshape(cells, [B, this.blocks, H / this.blocks])), [B, H]);
  }
}

function gateBias(name: string, value: number | readonly number[] = 0, J: number): number[] {
  const list = typeof value === "number" ? new Array<number>(J).fill(value) : [...value];
  if (list.length !== J) throw new ArgumentError(`LSTM1997: expected ${name} to be a number or ${J} of them, got ${list.length}`);
  return list;
}
