/** Intrinsic plasticity: each unit tunes its gain and bias until its activity has the distribution wanted. */

import { noGrad } from "../autodiff/tape.ts";
import { checkMethods, checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { tanh } from "../ops/math.ts";
import { select } from "../ops/shape.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkTensor, keep, scope, type Tensor } from "../tensor/tensor.ts";
import { type Reservoir, refuseMissing } from "./reservoir.ts";

export interface IntrinsicPlasticityOptions {
  /** η (default 1e-3). */
  readonly rate?: number;
  /** Mean μ and standard deviation σ of the activity wanted (default 0 and 0.2). */
  readonly mean?: number;
  readonly std?: number;
  /** Passes over the inputs (default 1). */
  readonly epochs?: number;
}

/**
 * Changes gain g and bias b of every unit, step by step, so that its activity y = tanh(g·net + b) comes near a normal distribution of mean μ and
 * deviation σ: the gradient of the divergence between the two,
 *
 *   Δb = −η (−μ/σ² + y/σ² (2σ² + 1 − y² + μ y))        Δg = η/g + Δb·net
 *
 * without a teacher. Changes both parameters of the reservoir in place. The spectral radius of what the units see is another afterwards: its `report` is
 * of the weights alone.
 * @param xs [T,1,I]
 * @throws ArgumentError for a reservoir whose units are not "tanh", options out of range, inputs that are not finite; ShapeError for a batch
 * @see Schrauwen, Wardermann, Verstraeten, Steil and Stroobandt, "Improving reservoirs using intrinsic plasticity", Neurocomputing 71, 2008, eq. 8-9;
 * Triesch, "A gradient rule for the plasticity of a neuron's intrinsic excitability", 2005
 * @example intrinsicPlasticity(reservoir, xs, { std: 0.3, epochs: 5 });
 */
export function intrinsicPlasticity(reservoir: Reservoir, xs: Tensor, options: IntrinsicPlasticityOptions = {}): void {
  const { rate = 1e-3, mean = 0, std = 0.2, epochs = 1 } = optionsOf("intrinsicPlasticity", options, ["rate", "mean", "std", "epochs"]);
  checkMethods("intrinsicPlasticity", "a reservoir", reservoir, ["initialState", "net"]);
  checkNumber("intrinsicPlasticity", "rate", rate, { above: 0, most: 1 });
  checkNumber("intrinsicPlasticity", "mean", mean, { least: -1, most: 1 });
  checkNumber("intrinsicPlasticity", "std", std, { above: 0 });
  checkWhole("intrinsicPlasticity", "epochs", epochs, { least: 1 });
  if (reservoir.activation !== "tanh") throw new ArgumentError("intrinsicPlasticity: expected a reservoir of tanh units, got another");
  checkTensor("intrinsicPlasticity", xs);
  if (xs.rank !== 3 || xs.dim(1) !== 1 || xs.dim(2) !== reservoir.inputSize)
    throw new ShapeError(`intrinsicPlasticity: expected xs [T,1,${reservoir.inputSize}], got ${show(xs.shape)}`);
  refuseMissing("intrinsicPlasticity", "xs", xs);
  const before = [reservoir.gain, reservoir.bias].map((p) => [p, p.data()] as const);
  let h = keep(reservoir.initialState(1));
  try {
    for (let epoch = 0; epoch < epochs; epoch++)
      for (let t = 0; t < xs.dim(0); t++) h = scope(() => noGrad(() => adapted(select(xs, 0, t), h)));
  } catch (error) {
    for (const [p, values] of before) assign(p, values);
    throw error;
  }

  function adapted(x: Tensor, before: Tensor): Tensor {
    const net = reservoir.net(x, before);
    const rates = tanh(add(mul(reservoir.gain, net), reservoir.bias));
    const [drive, ys] = [net.data(), rates.data()] as unknown as [Float64Array, Float64Array];
    const [gain, bias] = [reservoir.gain.data(), reservoir.bias.data()] as unknown as [Float64Array, Float64Array];
    for (let i = 0; i < ys.length; i++) {
      const y = ys[i] as number;
      const db = -rate * (-mean / std ** 2 + (y / std ** 2) * (2 * std ** 2 + 1 - y ** 2 + mean * y));
      gain[i] = (gain[i] as number) + rate / (gain[i] as number) + db * (drive[i] as number);
      bias[i] = (bias[i] as number) + db;
    }
    if (!gain.every(Number.isFinite) || !bias.every(Number.isFinite))
      throw new ArgumentError(`intrinsicPlasticity: expected a rate at which gains stay finite, got ${rate}`);
    assign(reservoir.gain, gain);
    assign(reservoir.bias, bias);
    return reservoir.moved(before, rates);
  }
}
