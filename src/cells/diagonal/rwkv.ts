/** RWKV-4: time mix, a running average with exponential weights, and channel mix. */

import { checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, div, maximum, mul, neg, square, sub } from "../../ops/arithmetic.ts";
import { broadcastTo } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { exp, relu, sigmoid } from "../../ops/math.ts";
import { maxScan } from "../../ops/prefix-scan.ts";
import { full, linspace, zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { mix, rate } from "./mixing.ts";
import { after, before, type Lengths, lastOf, linearStates, SequenceCell, startingFrom } from "./sequence-cell.ts";

export interface RWKVOptions extends LayerOptions {
  /** Channels, in and out. */
  readonly inputSize: number;
  /** Size of the inner values (default inputSize; 4·inputSize for channel mix). */
  readonly hiddenSize?: number;
}

export type RWKVTimeMixState = {
  /** The previous input [B,I]. */
  readonly x: Tensor;
  /** Numerator and denominator of the average, both scaled by exp(−max), and max; [B,H] each. */
  readonly num: Tensor;
  readonly den: Tensor;
  readonly max: Tensor;
};

/** Initial max, so small that the first key replaces it. */
const UNSET = -1e30;

/** Shares of the present input, rising over the channels from 1/(2I) to 1 − 1/(2I). */
function shares(size: number, { dtype = "float32" }: LayerOptions): Parameter {
  return new Parameter(linspace(0.5 / size, 1 - 0.5 / size, size, dtype));
}

/** r, k and v of a step. */
interface Mixed {
  readonly r: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

/** e^{ka}·a + e^{kb}·b for two pairs of values, scaled by e^{−m} with m the larger exponent. */
function joined(ka: Tensor, kb: Tensor): { m: Tensor; join: (a: Tensor, b: Tensor | null) => Tensor } {
  const m = maximum(ka, kb);
  const [ea, eb] = [exp(sub(ka, m)), exp(sub(kb, m))];
  return { m, join: (a, b) => add(mul(ea, a), b ? mul(eb, b) : eb) };
}

/**
 * RWKV-4's time mix: a gated weighted average of all values so far, with weights that fall with age.
 *
 *   r, k, v = W (μ∘x_t + (1 − μ)∘x_{t−1}), with a μ and a W each
 *   wkv_t = (Σ_{i<t} e^{−(t−1−i)w + k_i} v_i + e^{u + k_t} v_t) / (Σ_{i<t} e^{−(t−1−i)w + k_i} + e^{u + k_t})
 *   y = W_o (σ(r)∘wkv)    w = exp(decay)
 *
 * Parameters mixR, mixK, mixV [I] (μ), weightR, weightK, weightV [H,I], decay and bonus [H] (u), weightOut [I,H]; output [B,I].
 * Sums are kept as (num, den)·e^{max}, so no exponential overflows; before the first step they and x are zero.
 * Whole sequences run as three scans: of max, and of num and den at its scale.
 * Weights from U(±1/√fan-in), μ evenly over the channels, decay from −5 to 3, bonus log 0.3.
 * @see Peng et al., "RWKV: Reinventing RNNs for the transformer era", 2023, eq. 11-13, 16 and 17
 * Deviates: initial values. The paper's depend on the depth of the layer, which a cell does not know.
 * @example const [ys, state] = new RWKVTimeMix({ inputSize: 8 }).scan(xs);
 */
export class RWKVTimeMix extends SequenceCell<RWKVTimeMixState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly hiddenSize: number;
  readonly mixR: Parameter;
  readonly mixK: Parameter;
  readonly mixV: Parameter;
  readonly weightR: Parameter;
  readonly weightK: Parameter;
  readonly weightV: Parameter;
  readonly decay: Parameter;
  readonly bonus: Parameter;
  readonly weightOut: Parameter;

  constructor(given: RWKVOptions) {
    super();
    const { inputSize, hiddenSize = inputSize, ...options } = optionsOf("RWKVTimeMix", given, ["inputSize", "hiddenSize", ...LAYER]);
    checkSizes("RWKVTimeMix", { inputSize, hiddenSize });
    const { dtype = "float32" } = options;
    this.inputSize = inputSize;
    this.outputSize = inputSize;
    this.hiddenSize = hiddenSize;
    [this.mixR, this.mixK, this.mixV] = [shares(inputSize, options), shares(inputSize, options), shares(inputSize, options)];
    const weight = () => uniformParameter([hiddenSize, inputSize], 1 / Math.sqrt(inputSize), options);
    [this.weightR, this.weightK, this.weightV] = [weight(), weight(), weight()];
    this.decay = new Parameter(linspace(-5, 3, hiddenSize, dtype));
    this.bonus = new Parameter(full([hiddenSize], Math.log(0.3), dtype));
    this.weightOut = uniformParameter([inputSize, hiddenSize], 1 / Math.sqrt(hiddenSize), options);
  }

  initialState(batch: number): RWKVTimeMixState {
    const { dtype } = this.decay;
    const zero = () => zeros([batch, this.hiddenSize], dtype);
    return { x: zeros([batch, this.inputSize], dtype), num: zero(), den: zero(), max: full([batch, this.hiddenSize], UNSET, dtype) };
  }

  #mixed(x: Tensor, past: Tensor): Mixed {
    return {
      r: linear(mix(this.mixR, x, past), this.weightR),
      k: linear(mix(this.mixK, x, past), this.weightK),
      v: linear(mix(this.mixV, x, past), this.weightV),
    };
  }

  /** y, from the sums before the step. */
  #output({ r, k, v }: Mixed, { num, den, max }: Omit<RWKVTimeMixState, "x">): Tensor {
    const now = joined(max, add(this.bonus, k));
    const wkv = div(now.join(num, v), now.join(den, null));
    return linear(mul(sigmoid(r), wkv), this.weightOut);
  }

  step(x: Tensor, state: RWKVTimeMixState): [y: Tensor, next: RWKVTimeMixState] {
    const { num, den, max } = state;
    const mixed = this.#mixed(x, state.x);
    const later = joined(sub(max, rate(this.decay)), mixed.k);
    const next = { x, num: later.join(num, mixed.v), den: later.join(den, null), max: later.m };
    return [this.#output(mixed, state), next];
  }

  whole(xs: Tensor, state: RWKVTimeMixState, lengths: Lengths): [ys: Tensor, last: RWKVTimeMixState] {
    const inputs = startingFrom(state.x, xs);
    const mixed = this.#mixed(xs, before(inputs));
    const { k, v } = mixed;
    const decays = broadcastTo(neg(rate(this.decay)), k.shape);
    const max = maxScan(startingFrom(state.max, decays), startingFrom(state.max, k), { axis: 0 });
    const keep = exp(sub(add(before(max), decays), after(max)));
    const take = exp(sub(k, after(max)));
    const num = linearStates(keep, mul(take, v), state.num);
    const den = linearStates(keep, take, state.den);
    const ys = this.#output(mixed, { num: before(num), den: before(den), max: before(max) });
    const at = (states: Tensor) => lastOf(states, lengths);
    return [ys, { x: at(inputs), num: at(num), den: at(den), max: at(max) }];
  }
}

/**
 * RWKV-4's channel mix: the feed-forward half, which remembers one input.
 *
 *   r, k = W (μ∘x_t + (1 − μ)∘x_{t−1}), with a μ and a W each    y = σ(r)∘(W_v relu(k)²)
 *
 * Parameters mixR, mixK [I], weightR [I,I], weightK [H,I], weightV [I,H]; the state is the previous input [B,I], from zero.
 * @see Peng et al., "RWKV: Reinventing RNNs for the transformer era", 2023, eq. 14, 15 and 18
 * Deviates: as RWKVTimeMix.
 * @example const [y, x] = new RWKVChannelMix({ inputSize: 8 }).step(x, before);
 */
export class RWKVChannelMix extends SequenceCell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly mixR: Parameter;
  readonly mixK: Parameter;
  readonly weightR: Parameter;
  readonly weightK: Parameter;
  readonly weightV: Parameter;

  constructor(given: RWKVOptions) {
    super();
    const { inputSize, hiddenSize = 4 * inputSize, ...options } = optionsOf("RWKVChannelMix", given, ["inputSize", "hiddenSize", ...LAYER]);
    checkSizes("RWKVChannelMix", { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.outputSize = inputSize;
    [this.mixR, this.mixK] = [shares(inputSize, options), shares(inputSize, options)];
    const bound = 1 / Math.sqrt(inputSize);
    this.weightR = uniformParameter([inputSize, inputSize], bound, options);
    this.weightK = uniformParameter([hiddenSize, inputSize], bound, options);
    this.weightV = uniformParameter([inputSize, hiddenSize], 1 / Math.sqrt(hiddenSize), options);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.inputSize], this.mixR.dtype);
  }

  step(x: Tensor, past: Tensor): [y: Tensor, next: Tensor] {
    const r = linear(mix(this.mixR, x, past), this.weightR);
    const k = linear(mix(this.mixK, x, past), this.weightK);
    return [mul(sigmoid(r), linear(square(relu(k)), this.weightV)), x];
  }

  whole(xs: Tensor, x0: Tensor, lengths: Lengths): [ys: Tensor, last: Tensor] {
    const inputs = startingFrom(x0, xs);
    return [this.step(xs, before(inputs))[0], lastOf(inputs, lengths)];
  }
}
