/** The simple recurrent unit: matrices see only the input, and the state is mixed elementwise. */

import { gate } from "../../autodiff/observer.ts";
import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid } from "../../ops/math.ts";
import { diagonalSequence } from "../../ops/recurrent.ts";
import { slice, split } from "../../ops/shape.ts";
import { movesAs } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { assign, type Tensor } from "../../tensor/tensor.ts";
import { mix } from "./mixing.ts";
import { after, before, type Lengths, lastOf, SequenceCell } from "./sequence-cell.ts";

export interface SRUOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Initial bias of the highway gate r (default 0). */
  readonly highwayBias?: number;
}

/**
 * Simple recurrent unit; rows of weightIh [3H,I] (and H more for the highway where I ≠ H) in the order x̃ f r (x̂),
 * weightHh [2H] and bias [2H] in the order f r.
 *
 *   x̃ = W x    f = σ(W_f x + v_f∘c + b_f)    r = σ(W_r x + v_r∘c + b_r)
 *   c' = f∘c + (1 − f)∘x̃    h = r∘c' + (1 − r)∘α x̂,  x̂ = x, or W_x x where sizes differ
 *
 * State c [B,H] from zero, output h [B,H]. W from U(±√(3/I)), v from U(±1), α = √(1 + 2 exp(b)) with b = `highwayBias`.
 * @see Lei, Zhang, Wang, Dai, Artzi, "Simple recurrent units for highly parallelizable recurrence", 2018, eq. 1-4 and section 3.2
 * Deviates: if sizes differ, the highway has a projection of its own; initial values of v.
 * @example const [h, c] = new SRU({ inputSize: 8, hiddenSize: 8 }).step(x, state);
 */
export class SRU extends SequenceCell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  /** α: scales the highway's input, so that deep stacks keep their variance. */
  readonly highwayScale: number;

  constructor(given: SRUOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      highwayBias = 0,
      ...options
    } = optionsOf("SRU", given, ["inputSize", "hiddenSize", "highwayBias", ...LAYER]);
    checkSizes("SRU", { inputSize, hiddenSize });
    checkNumber("SRU", "highwayBias", highwayBias);
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.highwayScale = Math.sqrt(1 + 2 * Math.exp(highwayBias));
    const blocks = inputSize === hiddenSize ? 3 : 4;
    this.weightIh = uniformParameter([blocks * hiddenSize, inputSize], Math.sqrt(3 / inputSize), options);
    this.weightHh = uniformParameter([2 * hiddenSize], 1, options);
    this.bias = new Parameter(zeros([2 * hiddenSize], options.dtype ?? "float32"));
    assign(this.bias, [...new Array<number>(hiddenSize).fill(0), ...new Array<number>(hiddenSize).fill(highwayBias)]);
  }

  get independentUnits(): number | undefined {
    return movesAs(this, SRU) ? this.outputSize : undefined;
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.weightIh.dtype);
  }

  /** v or b of the gate whose rows begin at `from`. */
  #part(parameter: Tensor, from: number): Tensor {
    return slice(parameter, 0, from, from + this.outputSize);
  }

  /** The matrix products of x [...,I]: x̃, the sums of f and r, and the highway's value. */
  #sums(x: Tensor): [candidate: Tensor, f: Tensor, r: Tensor, carried: Tensor] {
    const [candidate, f, r, projected] = split(linear(x, this.weightIh), this.outputSize, -1) as [Tensor, Tensor, Tensor, Tensor?];
    return [candidate, add(f, this.#part(this.bias, 0)), add(r, this.#part(this.bias, this.outputSize)), projected ?? x];
  }

  /** h, from the states before and after a step. */
  #output(r: Tensor, c: Tensor, next: Tensor, carried: Tensor): Tensor {
    const open = gate("r", sigmoid(add(r, mul(this.#part(this.weightHh, this.outputSize), c))));
    return mix(open, next, mul(carried, this.highwayScale));
  }

  step(x: Tensor, c: Tensor): [y: Tensor, next: Tensor] {
    const [candidate, f, r, carried] = this.#sums(x);
    const next = mix(gate("f", sigmoid(add(f, mul(this.#part(this.weightHh, 0), c)))), c, candidate);
    return [this.#output(r, c, next, carried), next];
  }

  whole(xs: Tensor, c0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    const [candidate, f, r, carried] = this.#sums(xs);
    const cs = diagonalSequence(f, this.#part(this.weightHh, 0), c0, { activation: "logistic", lengths }, candidate);
    return [this.#output(r, before(cs), after(cs), carried), lastOf(cs, null)];
  }
}
