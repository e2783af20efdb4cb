/** The minimal gated unit. */

import { gate } from "../../autodiff/observer.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { split } from "../../ops/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { HiddenCell, type HiddenCellOptions } from "./hidden-cell.ts";

/**
 * A GRU with a single gate, which both forgets and resets.
 *
 *   f = σ(W_f x + U_f h + b_f)
 *   n = tanh(W_h x + U_h (f∘h) + b_h)
 *   h' = (1 − f)∘h + f∘n
 *
 * weightIh = [W_f; W_h] [2H,I], weightHh = [U_f; U_h] [2H,H], bias = [b_f; b_h] [2H], all from U(±1/√H); h starts at zero.
 * @see Zhou, Wu, Zhang and Zhou, "Minimal gated unit for recurrent neural networks", 2016, eq. 5
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [y, h] = new MGU({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class MGU extends HiddenCell {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: HiddenCellOptions) {
    super("MGU", options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightIh = this.draw(2 * H, I);
    this.weightHh = this.draw(2 * H, H);
    this.bias = this.draw(2 * H);
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const H = this.hiddenSize;
    const [xf, xn] = split(linear(x, this.weightIh, this.bias), H, 1) as [Tensor, Tensor];
    const [uf, uh] = split(this.weightHh, H) as [Tensor, Tensor];
    const f = gate("f", sigmoid(add(xf, linear(h, uf))));
    const n = gate("n", tanh(add(xn, linear(mul(f, h), uh))));
    const next = add(h, mul(f, sub(n, h)));
    return [next, next];
  }
}
