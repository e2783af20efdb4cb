/** How rows of a memory [B,N,W] are found and read. */

import { add, div, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { softplus } from "../ops/math.ts";
import { norm } from "../ops/reduce.ts";
import { transpose, unsqueeze } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Added to the product of two lengths: a vector of zeros is like nothing. */
const EPSILON = 1e-8;

/** K(u, v) = u·v / (|u||v| + ε) of keys [B,K,W] and rows of memories [B,N,W], or of one memory for each key [B,K,N,W]: [B,K,N]. */
export function similarity(keys: Tensor, memory: Tensor): Tensor {
  const products = matmul(keys, transpose(memory));
  const lengths = mul(norm(keys, { axis: -1, keepDim: true }), unsqueeze(norm(memory, { axis: -1 }), 1));
  return div(products, add(lengths, EPSILON));
}

/** softmax over the rows of β K(k, M_i), for keys [B,K,W] and strengths β [B,K]: [B,K,N]. */
export function contentWeightings(memory: Tensor, keys: Tensor, strengths: Tensor): Tensor {
  return softmax(mul(similarity(keys, memory), unsqueeze(strengths, -1)), -1);
}

/** Σ_i w_i M_i for weightings [B,R,N], one after the other: [B,R·W]. */
export function readRows(memory: Tensor, weightings: Tensor): Tensor {
  const [B, R] = weightings.shape as [number, number];
  return reshape(matmul(weightings, memory), [B, R * memory.dim(-1)]);
}

/** 1 + softplus: from 1 up. */
export function oneplus(x: Tensor): Tensor {
  return add(softplus(x), 1);
}

/** Numbers that belong to heads: [B,heads·n] as [B,heads,n]. */
export function perHead(x: Tensor, heads: number): Tensor {
  return reshape(x, [x.dim(0), heads, x.dim(1) / heads]);
}
