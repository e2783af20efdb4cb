import { ArgumentError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { rprop } from "../wasm/kernels.gen.ts";
import {
  addressOf,
  type CommonOptions,
  checkPair,
  type Group,
  type InitialSlots,
  Optimizer,
  type Parameters,
  type Slots,
  signOf,
} from "./optimizer.ts";

export interface RpropOptions extends CommonOptions {
  /** Factors of the step size when the gradient turns and when it does not. */
  readonly etas?: readonly [number, number];
  /** Least and greatest step size. */
  readonly stepSizes?: readonly [number, number];
}

/**
 * Every element has a step size s, which starts at lr and follows the signs of successive gradients; their sizes do not count:
 *
 *     s ← s·η⁺ while the sign stays;  s ← s·η⁻ and no step when it turns;  p ← p − sign(d)·s
 *
 * For whole batches. Defaults: lr 0.01, etas (0.5, 1.2), stepSizes (1e-6, 50).
 * @see Riedmiller, Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993 (the Rprop⁻ form without
 *   weight backtracking, which skips the step after a turn)
 */
export class Rprop extends Optimizer<RpropOptions> {
  constructor(params: Parameters<RpropOptions>, options: RpropOptions = {}) {
    super("Rprop", params, { lr: 0.01, maximize: false, etas: [0.5, 1.2], stepSizes: [1e-6, 50] }, options);
  }

  protected override checkGroup(group: Group<RpropOptions>): void {
    super.checkGroup(group);
    const { etas, stepSizes } = group;
    checkPair("Rprop", "etas", etas);
    checkPair("Rprop", "stepSizes", stepSizes);
    if (!(etas[0] > 0 && etas[0] < 1 && etas[1] > 1))
      throw new ArgumentError(`Rprop: expected etas 0 < η⁻ < 1 < η⁺, got ${etas.join(", ")}`);
    if (!(stepSizes[0] > 0 && stepSizes[0] <= stepSizes[1])) {
      throw new ArgumentError(`Rprop: expected step sizes 0 < least ≤ greatest, got ${stepSizes.join(", ")}`);
    }
  }

  protected override initial({ lr }: Group<RpropOptions>): InitialSlots {
    return { tensors: { prev: 0, stepSize: lr } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<RpropOptions>): void {
    const { etas, stepSizes } = group;
    const [last, size] = [addressOf(slots, "prev"), addressOf(slots, "stepSize")];
    call(rprop, p.dtype, p.size, signOf(group), etas[0], etas[1], stepSizes[0], stepSizes[1], p.ptr, g.ptr, last, size);
  }
}
