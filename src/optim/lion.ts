import { noGrad } from "../autodiff/tape.ts";
import { checkNumber } from "../base/checks.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { sign } from "../ops/math.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import {
  checkPair,
  type DecayOptions,
  type Group,
  type InitialSlots,
  Optimizer,
  type Parameters,
  type Slots,
  signOf,
} from "./optimizer.ts";

export interface LionOptions extends DecayOptions {
  /** β₁ for the mean whose sign is used, β₂ for the mean that is kept. */
  readonly betas?: readonly [number, number];
}

/**
 * Steps of the same size for every element, with the sign of a running mean of the gradient d:
 *
 *     u ← sign(β₁·m + (1 − β₁)·d),  p ← (1 − lr·weightDecay)·p − lr·u,  m ← β₂·m + (1 − β₂)·d
 *
 * It has one moment instead of Adam's two. Use rates 3 to 10 times smaller than Adam's, and weight decay larger by the same factor. Defaults: lr 1e-4, betas
 * (0.9, 0.99), weightDecay 0, which is decoupled from the gradient.
 * @see Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2
 * @example const optimizer = new Lion(model.parameters(), { lr: 3e-4 });
 */
export class Lion extends Optimizer<LionOptions> {
  constructor(params: Parameters<LionOptions>, options: LionOptions = {}) {
    super("Lion", params, { lr: 1e-4, weightDecay: 0, maximize: false, betas: [0.9, 0.99] }, options);
  }

  protected override checkGroup(group: Group<LionOptions>): void {
    super.checkGroup(group);
    checkPair("Lion", "betas", group.betas);
    for (const [i, beta] of group.betas.entries()) checkNumber("Lion", `betas[${i}]`, beta, { least: 0, below: 1 });
  }

  protected override initial(): InitialSlots {
    return { tensors: { expAvg: 0 } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<LionOptions>): void {
    const { lr, weightDecay, betas } = group;
    const m = slots.tensors.expAvg as Tensor;
    noGrad(() => {
      const d = mul(g, signOf(group));
      const u = sign(mean(m, d, betas[0]));
      assign(p, sub(mul(p, 1 - lr * weightDecay), mul(u, lr)));
      assign(m, mean(m, d, betas[1]));
    });
  }
}

/** β·m + (1 − β)·d. */
function mean(m: Tensor, d: Tensor, beta: number): Tensor {
  return add(mul(m, beta), mul(d, 1 - beta));
}
