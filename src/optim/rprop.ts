import { noGrad } from "../autodiff/tape.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { add, maximum, minimum, mul, neg } from "../ops/arithmetic.ts";
import { greater, less, where } from "../ops/compare.ts";
import { sign } from "../ops/math.ts";
import { zerosLike } from "../tensor/create.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
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
  /** Factors of the step size when the gradient changes sign and when it does not. */
  readonly etas?: readonly [number, number];
  /** Least and greatest step size. */
  readonly stepSizes?: readonly [number, number];
}

/** Optimisers with a step size per element, which follows the signs of successive gradients. */
abstract class SignedSteps extends Optimizer<RpropOptions> {
  protected constructor(kind: string, params: Parameters<RpropOptions>, options: RpropOptions) {
    super(kind, params, { lr: 0.01, maximize: false, etas: [0.5, 1.2], stepSizes: [1e-6, 50] }, options);
  }

  protected override checkGroup(group: Group<RpropOptions>): void {
    super.checkGroup(group);
    const { etas, stepSizes } = group;
    checkPair(this.kind, "etas", etas);
    checkPair(this.kind, "stepSizes", stepSizes);
    if (!(etas[0] > 0 && etas[0] < 1 && etas[1] > 1))
      throw new ArgumentError(`${this.kind}: expected etas 0 < η⁻ < 1 < η⁺, got ${etas.join(", ")}`);
    if (!(stepSizes[0] > 0 && stepSizes[0] <= stepSizes[1])) {
      throw new ArgumentError(`${this.kind}: expected step sizes 0 < least ≤ greatest, got ${stepSizes.join(", ")}`);
    }
  }
}

/**
 * Every element has a step size s, which starts at lr and follows the signs of successive gradients but not their sizes:
 *
 *     s ← s·η⁺ while the sign stays;  s ← s·η⁻ and no step when it turns;  p ← p − sign(d)·s
 *
 * For full batches. Defaults: lr 0.01, etas (0.5, 1.2), stepSizes (1e-6, 50).
 * @see Riedmiller, Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993 (the Rprop⁻ form without
 *   weight backtracking, which skips the step after a turn)
 */
export class Rprop extends SignedSteps {
  constructor(params: Parameters<RpropOptions>, options: RpropOptions = {}) {
    super("Rprop", params, options);
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

/**
 * iRprop⁺: like `Rprop`, but undoes a step over a minimum if the loss has risen, and keeps it otherwise:
 *
 *     sign stays:  s ← min(s·η⁺, greatest),  Δ = −sign(d)·s
 *     sign turns:  s ← max(s·η⁻, least),     Δ = −(previous Δ) if E > previous E, else 0;  d is remembered as 0
 *     else         Δ = −sign(d)·s                     (a gradient of 0, now or remembered)
 *
 * and p ← p + Δ. It needs the loss E of each step: `step(undefined, loss)`, as `fit` calls it. For full batches. Options and defaults are `Rprop`'s.
 * @see Igel and Hüsken, "Empirical evaluation of the improved Rprop learning algorithms", Neurocomputing 50, 2003, algorithm 4 (its number
 * from memory; step by step as in Shark, the library of the first author's group)
 * @example
 * const optimizer = new IRprop(model.parameters());
 * backward(loss);
 * optimizer.step(undefined, loss.item());
 */
export class IRprop extends SignedSteps {
  #loss = Number.NaN;

  constructor(params: Parameters<RpropOptions>, options: RpropOptions = {}) {
    super("IRprop", params, options);
  }

  /**
   * @param loss the loss at the present parameters, with these gradients
   * @throws ArgumentError for a loss that is not a finite number, and as every optimiser does; leaves everything unchanged
   */
  override step(gradients?: readonly (Tensor | null)[], loss?: number): void {
    if (!Number.isFinite(loss)) throw new ArgumentError(`IRprop.step: expected the loss as a second argument, got ${quote(loss)}`);
    this.#loss = loss as number;
    super.step(gradients);
  }

  protected override initial({ lr }: Group<RpropOptions>): InitialSlots {
    return { tensors: { prev: 0, stepSize: lr, delta: 0 }, numbers: { loss: Number.POSITIVE_INFINITY } };
  }

  protected override update(p: Tensor, g: Tensor, { tensors, numbers }: Slots, group: Group<RpropOptions>): void {
    const { prev, stepSize, delta } = tensors as Record<"prev" | "stepSize" | "delta", Tensor>;
    const [etas, [least, most]] = [group.etas, group.stepSizes];
    const hasRisen = signOf(group) * (this.#loss - (numbers.loss as number)) > 0;
    noGrad(() => {
      const d = mul(g, signOf(group));
      const signs = mul(sign(d), sign(prev));
      const [stays, turns] = [greater(signs, 0), less(signs, 0)];
      const shorter = maximum(mul(stepSize, etas[0]), least);
      const longer = minimum(mul(stepSize, etas[1]), most);
      const size = where(stays, longer, where(turns, shorter, stepSize));
      const back = hasRisen ? neg(delta) : zerosLike(delta);
      const change = where(turns, back, neg(mul(sign(d), size)));
      assign(prev, where(turns, zerosLike(d), d));
      assign(stepSize, size);
      assign(delta, change);
      assign(p, add(p, change));
    });
    numbers.loss = this.#loss;
  }
}
