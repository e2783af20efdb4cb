import { checkFlag, checkNumber } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { sgd } from "../wasm/kernels.gen.ts";
import {
  addressOf,
  type DecayOptions,
  type Group,
  type InitialSlots,
  Optimizer,
  type Parameters,
  type Slots,
  signOf,
} from "./optimizer.ts";

export interface SGDOptions extends DecayOptions {
  readonly momentum?: number;
  /** Share of the new gradient that the momentum leaves out. */
  readonly dampening?: number;
  readonly nesterov?: boolean;
}

/**
 * Stochastic gradient descent. With d the gradient:
 *
 *     m ← momentum·m + (1 − dampening)·d        (first step: m ← d)
 *     p ← p − lr·m                              (nesterov: p − lr·(d + momentum·m))
 *
 * Default lr 0.001, which PyTorch leaves to the user.
 * @see Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning", 2013
 * @example
 * const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
 * backward(loss);
 * optimizer.step();
 * optimizer.zeroGrad();
 */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Parameters<SGDOptions>, options: SGDOptions = {}) {
    super("SGD", params, { lr: 1e-3, weightDecay: 0, maximize: false, momentum: 0, dampening: 0, nesterov: false }, options);
  }

  protected override checkGroup(group: Group<SGDOptions>): void {
    super.checkGroup(group);
    const { momentum, dampening, nesterov } = group;
    checkNumber("SGD", "momentum", momentum, { least: 0 });
    checkNumber("SGD", "dampening", dampening);
    checkFlag("SGD", "nesterov", nesterov);
    if (nesterov && !(momentum > 0 && dampening === 0)) {
      throw new ArgumentError(`SGD: expected momentum above 0 and no dampening with nesterov, got ${momentum} and ${dampening}`);
    }
  }

  protected override initial(group: Group<SGDOptions>): InitialSlots {
    return { tensors: group.momentum === 0 ? {} : { momentumBuffer: 0 } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<SGDOptions>): void {
    const { lr, weightDecay, momentum, dampening, nesterov } = group;
    const buffer = addressOf(slots, "momentumBuffer");
    const share = slots.numbers.step === 1 ? 1 : 1 - dampening;
    const [now, ahead] = nesterov ? [1, momentum] : [0, 1];
    call(sgd, p.dtype, p.size, lr, signOf(group), weightDecay, momentum, share, now, ahead, p.ptr, g.ptr, buffer);
  }
}
