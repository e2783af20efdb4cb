/** The group `losses`: losses, and layers without a state. */

import { ctcLoss } from "../../src/nn/ctc-loss.ts";
import * as nn from "../../src/nn/losses.ts";
import { embedding } from "../../src/ops/gather.ts";
import { bilinear, linear } from "../../src/ops/linear.ts";
import { layerNorm } from "../../src/ops/normalize.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Case, Group, Named, Outcome } from "./runner.ts";

/** PyTorch's arguments. What a config says beyond them (notes, the names of inputs) is not read. */
interface Config {
  readonly reduction?: nn.Reduction | "batchmean";
  readonly label_smoothing?: number;
  readonly ignore_index?: number;
  readonly beta?: number;
  readonly delta?: number;
  readonly log_target?: boolean;
  readonly blank?: number;
  readonly zero_infinity?: boolean;
  readonly padding_idx?: number;
  readonly scale_grad_by_freq?: boolean;
  readonly normalized_shape?: readonly number[];
  readonly eps?: number;
}

type Inputs = Readonly<Record<string, Tensor>>;

/** Leaves out what is not given, so that our defaults are what is compared. */
function given<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}

const loss = (compute: (x: Inputs & { input: Tensor; target: Tensor }, c: Config) => Tensor): ((x: Inputs, c: Config) => Outcome) => {
  return (x, c) => ({ outputs: [{ loss: compute(x as Inputs & { input: Tensor; target: Tensor }, c) }] });
};

const layer = (compute: (x: Inputs & { input: Tensor; weight: Tensor }, c: Config) => Tensor): ((x: Inputs, c: Config) => Outcome) => {
  return (x, c) => ({ outputs: [{ output: compute(x as Inputs & { input: Tensor; weight: Tensor }, c) }] });
};

const reductionOf = (c: Config) => given({ reduction: c.reduction as nn.Reduction | undefined });

const KINDS: Readonly<Record<string, (x: Inputs, c: Config) => Outcome>> = {
  mse_loss: loss((x, c) => nn.mseLoss(x.input, x.target, reductionOf(c))),
  l1_loss: loss((x, c) => nn.l1Loss(x.input, x.target, reductionOf(c))),
  smooth_l1_loss: loss((x, c) => nn.smoothL1Loss(x.input, x.target, { ...reductionOf(c), ...given({ beta: c.beta }) })),
  huber_loss: loss((x, c) => nn.huberLoss(x.input, x.target, { ...reductionOf(c), ...given({ delta: c.delta }) })),
  cross_entropy: loss((x, c) => {
    const classes = given({ weight: x.weight, ignoreIndex: c.ignore_index, labelSmoothing: c.label_smoothing });
    return nn.crossEntropy(x.input, x.target, { ...reductionOf(c), ...classes });
  }),
  nll_loss: loss((x, c) =>
    nn.nllLoss(x.input, x.target, { ...reductionOf(c), ...given({ weight: x.weight, ignoreIndex: c.ignore_index }) }),
  ),
  binary_cross_entropy: loss((x, c) => nn.bceLoss(x.input, x.target, { ...reductionOf(c), ...given({ weight: x.weight }) })),
  binary_cross_entropy_with_logits: loss((x, c) =>
    nn.bceWithLogits(x.input, x.target, { ...reductionOf(c), ...given({ weight: x.weight, posWeight: x.pos_weight }) }),
  ),
  kl_div: loss((x, c) => nn.klDiv(x.input, x.target, given({ reduction: c.reduction, logTarget: c.log_target }))),
  ctc_loss: ctc,
  linear: layer((x) => linear(x.input, x.weight, x.bias)),
  bilinear: layer((x) => bilinear(x.input1 as Tensor, x.input2 as Tensor, x.weight, x.bias)),
  layer_norm: layer((x, c) => {
    const affine = given({ weight: x.weight as Tensor | undefined, bias: x.bias, eps: c.eps });
    return layerNorm(x.input, c.normalized_shape as readonly number[], affine);
  }),
  embedding: layer((x, c) =>
    embedding(x.index as Tensor, x.weight, given({ paddingIdx: c.padding_idx, scaleGradByFreq: c.scale_grad_by_freq })),
  ),
};

/** From logits and from log-probabilities; ours is the derivative that takes every log-probability as free. */
function ctc(x: Inputs, c: Config): Outcome {
  const { logits, log_probs, targets, input_lengths, target_lengths } = x as Readonly<Record<string, Tensor>> & Record<CtcInput, Tensor>;
  // The log-probabilities are stored without a gradient of their own name.
  log_probs.requiresGrad = true;
  const options = { ...reductionOf(c), ...given({ blank: c.blank, zeroInfinity: c.zero_infinity }) };
  const from = (logProbs: Tensor) => ctcLoss(logProbs, targets, input_lengths, target_lengths, options);
  const nll = ctcLoss(log_probs.detach(), targets, input_lengths, target_lengths, {
    ...given({ blank: c.blank }),
    reduction: "none",
  });
  return {
    outputs: [{ loss: from(logSoftmax(logits, -1)) }, { loss: from(log_probs), nll }],
    leaves: { log_probs_true: log_probs },
    notOurs: ["log_probs_torch"],
  };
}

type CtcInput = "logits" | "log_probs" | "targets" | "input_lengths" | "target_lengths";

export const losses: Group = (spec: Case, inputs: Named): Outcome => {
  const compute = KINDS[spec.kind as string];
  if (compute === undefined) throw new Error(`expected a kind of loss or layer this runner knows, got ${spec.kind}`);
  return compute(inputs, spec.config as Config);
};
