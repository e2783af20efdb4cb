/** Normalisation, as a trained model applies it. */

import { add, div, mul, square, sub } from "../../ops/arithmetic.ts";
import { broadcastTo, reshape } from "../../ops/broadcast.ts";
import { rsqrt, sqrt } from "../../ops/math.ts";
import { layerNorm } from "../../ops/normalize.ts";
import { mean, variance } from "../../ops/reduce.ts";
import { axisOf } from "../../tensor/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { floats, type Value } from "../values.ts";
import { type Given, type Operators, operator, unsupported } from "./operator.ts";

const given = (inputs: Given, i: number): Tensor | undefined => (inputs[i] ? floats(inputs[i] as Value, `input ${i}`) : undefined);

/** One value a channel [C], beside x [N,C,…]. */
function perChannel(t: Tensor, rank: number): Tensor {
  return reshape(t, [t.size, ...new Array<number>(Math.max(0, rank - 2)).fill(1)]);
}

const layerNormalization = operator(2, (node) => {
  const axis = node.attributes.int("axis", -1);
  const eps = node.attributes.float("epsilon", 1e-5);
  node.attributes.has("stash_type");
  return (inputs) => {
    const x = floats(inputs[0] as Value, "x");
    const at = axisOf("axis", axis, x.rank);
    const shape = x.shape.slice(at);
    const [weight, bias] = [1, 2].map((i) => {
      const t = given(inputs, i);
      return t && broadcastTo(t, shape);
    });
    const y = layerNorm(x, shape, { weight, bias, eps });
    if (node.outputs.length === 1) return y;
    const axes = { axis: shape.map((_, i) => at + i), keepDim: true };
    return [y, mean(x, axes), rsqrt(add(variance(x, { ...axes, correction: 0 }), eps))];
  };
});

const rmsNormalization = operator(2, ({ attributes }) => {
  const axis = attributes.int("axis", -1);
  const eps = attributes.float("epsilon", 1e-5);
  attributes.has("stash_type");
  return (inputs) => {
    const x = floats(inputs[0] as Value, "x");
    const at = axisOf("axis", axis, x.rank);
    const axes = x.shape.slice(at).map((_, i) => at + i);
    return mul(div(x, sqrt(add(mean(square(x), { axis: axes, keepDim: true }), eps))), given(inputs, 1) as Tensor);
  };
});

/** By the running statistics. */
const batchNormalization = operator(5, (node) => {
  const { attributes } = node;
  const eps = attributes.float("epsilon", 1e-5);
  attributes.has("momentum");
  if (attributes.flag("training_mode")) unsupported(node, "training_mode");
  if (!attributes.flag("spatial", true)) unsupported(node, "spatial 0");
  return (inputs) => {
    const [x, scale, bias, center, spread] = inputs.map((_, i) => given(inputs, i)) as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const factor = mul(scale, rsqrt(add(spread, eps)));
    const term = sub(bias, mul(center, factor));
    return add(mul(x, perChannel(factor, x.rank)), perChannel(term, x.rank));
  };
});

/** Each row of x [rows, n] to mean 0 and variance 1. */
function standardised(x: Tensor, rows: number, eps: number): Tensor {
  return reshape(layerNorm(reshape(x, [rows, x.size / rows]), [x.size / rows], { eps }), x.shape);
}

function scaled(x: Tensor, scale: Tensor, bias: Tensor): Tensor {
  return add(mul(x, perChannel(scale, x.rank)), perChannel(bias, x.rank));
}

const instanceNormalization = operator(3, ({ attributes }) => {
  const eps = attributes.float("epsilon", 1e-5);
  return (inputs) => {
    const x = floats(inputs[0] as Value, "x");
    return scaled(standardised(x, x.dim(0) * x.dim(1), eps), given(inputs, 1) as Tensor, given(inputs, 2) as Tensor);
  };
});

/** Scale and bias are one a channel from 21 on, one a group before. */
const groupNormalization = operator(3, ({ attributes, version }) => {
  const eps = attributes.float("epsilon", 1e-5);
  const groups = attributes.int("num_groups", 1);
  attributes.has("stash_type");
  return (inputs) => {
    const x = floats(inputs[0] as Value, "x");
    const y = standardised(x, x.dim(0) * groups, eps);
    const [scale, bias] = [given(inputs, 1), given(inputs, 2)] as [Tensor, Tensor];
    if (version >= 21) return scaled(y, scale, bias);
    const grouped = reshape(y, [x.dim(0), groups, x.size / (x.dim(0) * groups)]);
    return reshape(scaled(grouped, scale, bias), x.shape);
  };
});

export const normalization: Operators = {
  LayerNormalization: layerNormalization,
  RMSNormalization: rmsNormalization,
  BatchNormalization: batchNormalization,
  InstanceNormalization: instanceNormalization,
  GroupNormalization: groupNormalization,
};
