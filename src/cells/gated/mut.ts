/** MUT1, MUT2, MUT3: the best cells of a search that mutated the GRU. */

import { gate } from "../../autodiff/observer.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { split } from "../../ops/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { HiddenCell, type HiddenCellOptions } from "./hidden-cell.ts";

/** The update shared by all three; z weighs the new value. */
function update(h: Tensor, { z, r, uh, xn }: { z: Tensor; r: Tensor; uh: Tensor; xn: Tensor }): [Tensor, Tensor] {
  const n = gate("n", tanh(add(linear(mul(r, h), uh), xn)));
  const next = add(h, mul(z, sub(n, h)));
  return [next, next];
}

/** Base class of the cells that add the input to the units, through a projection [H,I] if the sizes differ. */
abstract class BareInputCell extends HiddenCell {
  /** [H,I]; null where I = H and x is added as it is. */
  readonly weightProjection: Parameter | null;

  constructor(op: string, options: HiddenCellOptions) {
    super(op, options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightProjection = I === H ? null : this.draw(H, I);
  }

  protected projected(x: Tensor): Tensor {
    return this.weightProjection === null ? x : linear(x, this.weightProjection);
  }
}

/**
 * The first mutation: its update gate does not see h.
 *
 *   z = σ(W_z x + b_z)    r = σ(W_r x + U_r h + b_r)
 *   h' = z∘tanh(U_h (r∘h) + tanh(x) + b_h) + (1 − z)∘h
 *
 * weightIh = [W_z; W_r] [2H,I], weightHh = [U_r; U_h] [2H,H], bias = [b_z; b_r; b_h] [3H], all from U(±1/√H); h starts at zero.
 * @see Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", 2015, MUT1
 * Deviates: for I ≠ H, x stands for a projection `weightProjection` x; initial values are those of PyTorch's cells.
 * @example const [y, h] = new MUT1({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class MUT1 extends BareInputCell {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: HiddenCellOptions) {
    super("MUT1", options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightIh = this.draw(2 * H, I);
    this.weightHh = this.draw(2 * H, H);
    this.bias = this.draw(3 * H);
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const H = this.hiddenSize;
    const [xz, xr] = split(linear(x, this.weightIh), H, 1) as [Tensor, Tensor];
    const [ur, uh] = split(this.weightHh, H) as [Tensor, Tensor];
    const [bz, br, bh] = split(this.bias, H) as [Tensor, Tensor, Tensor];
    const z = gate("z", sigmoid(add(xz, bz)));
    const r = gate("r", sigmoid(add(xr, linear(h, ur, br))));
    return update(h, { z, r, uh, xn: add(tanh(this.projected(x)), bh) });
  }
}

/**
 * The second mutation: its reset gate sees the bare input.
 *
 *   z = σ(W_z x + U_z h + b_z)    r = σ(x + U_r h + b_r)
 *   h' = z∘tanh(U_h (r∘h) + W_h x + b_h) + (1 − z)∘h
 *
 * weightIh = [W_z; W_h] [2H,I], weightHh = [U_z; U_r; U_h] [3H,H], bias = [b_z; b_r; b_h] [3H], all from U(±1/√H); h starts at zero.
 * @see Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", 2015, MUT2
 * Deviates: for I ≠ H, x stands for a projection `weightProjection` x; initial values are those of PyTorch's cells.
 * @example const [y, h] = new MUT2({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class MUT2 extends BareInputCell {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: HiddenCellOptions) {
    super("MUT2", options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightIh = this.draw(2 * H, I);
    this.weightHh = this.draw(3 * H, H);
    this.bias = this.draw(3 * H);
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const H = this.hiddenSize;
    const [xz, xh] = split(linear(x, this.weightIh), H, 1) as [Tensor, Tensor];
    const [uz, ur, uh] = split(this.weightHh, H) as [Tensor, Tensor, Tensor];
    const [bz, br, bh] = split(this.bias, H) as [Tensor, Tensor, Tensor];
    const z = gate("z", sigmoid(add(xz, linear(h, uz, bz))));
    const r = gate("r", sigmoid(add(this.projected(x), linear(h, ur, br))));
    return update(h, { z, r, uh, xn: add(xh, bh) });
  }
}

/**
 * The third mutation: its update gate sees tanh(h).
 *
 *   z = σ(W_z x + U_z tanh(h) + b_z)    r = σ(W_r x + U_r h + b_r)
 *   h' = z∘tanh(U_h (r∘h) + W_h x + b_h) + (1 − z)∘h
 *
 * weightIh = [W_z; W_r; W_h] [3H,I], weightHh = [U_z; U_r; U_h] [3H,H], bias [3H], all from U(±1/√H); h starts at zero.
 * @see Jozefowicz, Zaremba and Sutskever, "An empirical exploration of recurrent network architectures", 2015, MUT3
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [y, h] = new MUT3({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class MUT3 extends HiddenCell {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(options: HiddenCellOptions) {
    super("MUT3", options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightIh = this.draw(3 * H, I);
    this.weightHh = this.draw(3 * H, H);
    this.bias = this.draw(3 * H);
  }

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const H = this.hiddenSize;
    const [xz, xr, xn] = split(linear(x, this.weightIh, this.bias), H, 1) as [Tensor, Tensor, Tensor];
    const [uz, ur, uh] = split(this.weightHh, H) as [Tensor, Tensor, Tensor];
    const z = gate("z", sigmoid(add(xz, linear(tanh(h), uz))));
    const r = gate("r", sigmoid(add(xr, linear(h, ur))));
    return update(h, { z, r, uh, xn });
  }
}
