/** The simple recurrent unit: matrices see the input only, the state is mixed element by element. */

import { checkSizes, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { Cell } from "../nn/recurrence.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid } from "../ops/math.ts";
import { slice, split } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { mix } from "./linear-cell.ts";

export interface SRUOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** What the bias of the highway gate r starts from (default 0). */
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
 * Deviates: where sizes differ, the highway gets a projection of its own.
 * @example const [h, c] = new SRU({ inputSize: 8, hiddenSize: 8 }).step(x, state);
 */
export class SRU extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  /** α: what the highway's input is scaled by, so that deep stacks keep their variance. */
  readonly highwayScale: number;

  constructor({ inputSize, hiddenSize, highwayBias = 0, ...options }: SRUOptions) {
    super();
    checkSizes("SRU", { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.highwayScale = Math.sqrt(1 + 2 * Math.exp(highwayBias));
    const blocks = inputSize === hiddenSize ? 3 : 4;
    this.weightIh = uniformParameter([blocks * hiddenSize, inputSize], Math.sqrt(3 / inputSize), options);
    this.weightHh = uniformParameter([2 * hiddenSize], 1, options);
    this.bias = new Parameter(zeros([2 * hiddenSize], options.dtype ?? "float32"));
    assign(this.bias, [...new Array<number>(hiddenSize).fill(0), ...new Array<number>(hiddenSize).fill(highwayBias)]);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.weightIh.dtype);
  }

  step(x: Tensor, c: Tensor): [y: Tensor, next: Tensor] {
    const H = this.outputSize;
    const [candidate, wf, wr, projected] = split(linear(x, this.weightIh), H, 1) as [Tensor, Tensor, Tensor, Tensor?];
    const gate = (w: Tensor, from: number) =>
      sigmoid(add(add(w, mul(slice(this.weightHh, 0, from, from + H), c)), slice(this.bias, 0, from, from + H)));
    const r = gate(wr, H);
    const next = mix(gate(wf, 0), c, candidate);
    return [mix(r, next, mul(projected ?? x, this.highwayScale)), next];
  }
}
