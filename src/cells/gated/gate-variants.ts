/** GRU1, GRU2, GRU3: gated recurrent units whose gates see less. */

import { gate } from "../../autodiff/observer.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { split } from "../../ops/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { HiddenCell, type HiddenCellOptions } from "./hidden-cell.ts";

/** What the gates see. The bias is [b_r; b_z; b_n], or only b_n if the gates have none; likewise the weights. */
interface Gates {
  readonly state: boolean;
  readonly bias: boolean;
}

abstract class GateVariant extends HiddenCell {
  /** [H,I], of the candidate. */
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(op: string, gates: Gates, options: HiddenCellOptions) {
    super(op, options);
    const { inputSize: I, hiddenSize: H } = options;
    this.weightIh = this.draw(H, I);
    this.weightHh = this.draw(gates.state ? 3 * H : H, H);
    this.bias = this.draw(gates.bias ? 3 * H : H);
  }

  /** σ⁻¹ of the gates r and z, [B,H] or [H] each. */
  protected abstract gates(h: Tensor): readonly Tensor[];

  /** x [B,I], h [B,H]. */
  step(x: Tensor, h: Tensor): [y: Tensor, next: Tensor] {
    const [r, z] = this.gates(h).map(sigmoid) as [Tensor, Tensor];
    gate("r", r);
    gate("z", z);
    const candidate = lastBlock(this.weightHh, this.hiddenSize);
    const n = gate("n", tanh(add(linear(x, this.weightIh, lastBlock(this.bias, this.hiddenSize)), linear(mul(r, h), candidate))));
    const next = add(h, mul(z, sub(n, h)));
    return [next, next];
  }
}

/** The last H rows: the candidate's. */
function lastBlock(blocks: Tensor, H: number): Tensor {
  return split(blocks, H).at(-1) as Tensor;
}

/**
 * Gates that see the state and a bias, not the input.
 *
 *   r = σ(U_r h + b_r)    z = σ(U_z h + b_z)
 *   h' = (1 − z)∘h + z∘tanh(W x + U (r∘h) + b)
 *
 * weightIh = W [H,I], weightHh = [U_r; U_z; U] [3H,H], bias = [b_r; b_z; b] [3H], all from U(±1/√H); h starts at zero.
 * @see Dey and Salem, "Gate-variants of gated recurrent unit (GRU) neural networks", 2017, GRU1
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [y, h] = new GRU1({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class GRU1 extends GateVariant {
  constructor(options: HiddenCellOptions) {
    super("GRU1", { state: true, bias: true }, options);
  }

  protected override gates(h: Tensor): readonly Tensor[] {
    const [ur, uz] = split(this.weightHh, this.hiddenSize) as [Tensor, Tensor];
    const [br, bz] = split(this.bias, this.hiddenSize) as [Tensor, Tensor];
    return [linear(h, ur, br), linear(h, uz, bz)];
  }
}

/**
 * Gates that see only the state.
 *
 *   r = σ(U_r h)    z = σ(U_z h)
 *   h' = (1 − z)∘h + z∘tanh(W x + U (r∘h) + b)
 *
 * weightIh = W [H,I], weightHh = [U_r; U_z; U] [3H,H], bias = b [H], all from U(±1/√H); h starts at zero.
 * @see Dey and Salem, "Gate-variants of gated recurrent unit (GRU) neural networks", 2017, GRU2
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [y, h] = new GRU2({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class GRU2 extends GateVariant {
  constructor(options: HiddenCellOptions) {
    super("GRU2", { state: true, bias: false }, options);
  }

  protected override gates(h: Tensor): readonly Tensor[] {
    const [ur, uz] = split(this.weightHh, this.hiddenSize) as [Tensor, Tensor];
    return [linear(h, ur), linear(h, uz)];
  }
}

/**
 * Gates with only a bias: constant in time, but learned for each unit.
 *
 *   r = σ(b_r)    z = σ(b_z)
 *   h' = (1 − z)∘h + z∘tanh(W x + U (r∘h) + b)
 *
 * weightIh = W [H,I], weightHh = U [H,H], bias = [b_r; b_z; b] [3H], all from U(±1/√H); h starts at zero.
 * @see Dey and Salem, "Gate-variants of gated recurrent unit (GRU) neural networks", 2017, GRU3
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [y, h] = new GRU3({ inputSize: 4, hiddenSize: 8 }).step(x, state);
 */
export class GRU3 extends GateVariant {
  constructor(options: HiddenCellOptions) {
    super("GRU3", { state: false, bias: true }, options);
  }

  protected override gates(_h: Tensor): readonly Tensor[] {
    return split(this.bias, this.hiddenSize).slice(0, 2);
  }
}
