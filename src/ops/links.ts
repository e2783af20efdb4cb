/** The links of a memory that remembers in which order its rows were written, moved on by one write. */

import { fusedOp } from "../autodiff/fused.ts";
import { observer } from "../autodiff/observer.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { arange } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import * as kernels from "../wasm/kernels.gen.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { cast } from "./cast.ts";
import { notEqual } from "./compare.ts";
import { checkFloat } from "./reduction.ts";
import { unsqueeze } from "./shape.ts";

const linkStepOp: Primitive<void> = fusedOp<void>({
  name: "linkStep",

  forward(inputs) {
    const [links, w, p] = (inputs as Tensor[]).map(dense) as [Tensor, Tensor, Tensor];
    const next = empty(links.shape, links.dtype);
    call(kernels.linkStep, links.dtype, w.dim(0), w.dim(1), links.ptr, w.ptr, p.ptr, next.ptr);
    return [next];
  },

  backward([g], { inputs }) {
    if (!g) return [null, null, null];
    const [links, w, p, slope] = [...(inputs as Tensor[]), g].map(dense) as [Tensor, Tensor, Tensor, Tensor];
    const [dlinks, dw, dp] = [links, w, p].map(({ shape, dtype }) => empty(shape, dtype)) as [Tensor, Tensor, Tensor];
    const [B, N] = w.shape as [number, number];
    call(kernels.linkStepGrad, links.dtype, B, N, links.ptr, w.ptr, p.ptr, slope.ptr, dlinks.ptr, dw.ptr, dp.ptr);
    return [dlinks, dw, dp];
  },

  composed([links, w, p]) {
    const { dtype } = links as Tensor;
    const rows = arange(0, (w as Tensor).dim(1), 1, "int32");
    const [wi, wj] = [unsqueeze(w as Tensor, 2), unsqueeze(w as Tensor, 1)];
    const next = add(mul(sub(sub(1, wi), wj), links as Tensor), mul(wi, unsqueeze(p as Tensor, 1)));
    return [mul(next, cast(notEqual(unsqueeze(rows, 1), unsqueeze(rows, 0)), dtype))];
  },
});

/**
 * (1 − w_i − w_j) L_ij + w_i p_j, and 0 for i = j, for links L [B,N,N], a write weighting w [B,N] and the precedence p [B,N] before it.
 * @throws ShapeError, DTypeError for other shapes, and unless all are of one float dtype
 * @example const next = linkStep(zeros([1, 3, 3]), tensor([[0, 1, 0]]), tensor([[1, 0, 0]]));
 * @internal
 */
export function linkStep(links: Tensor, w: Tensor, precedence: Tensor): Tensor {
  checkFloat("linkStep", links);
  const [B, N] = w.shape as [number, number];
  if (w.rank !== 2 || !sameShape(precedence.shape, w.shape) || !sameShape(links.shape, [B, N, N])) {
    const got = [links, w, precedence].map((x) => show(x.shape));
    throw new ShapeError(`linkStep: expected links [B,N,N], w [B,N] and precedence [B,N], got ${got.join(", ")}`);
  }
  for (const x of [w, precedence]) if (x.dtype !== links.dtype) throw new DTypeError(`linkStep: expected ${links.dtype}, got ${x.dtype}`);
  return apply(linkStepOp, [links, w, precedence], undefined);
}

/**
 * The rows that each row is linked to after a write, [B,N,K], for lists of at most K links a row in place of all N: rows, links [B,N,K], a write
 * weighting w [B,N] and the precedence p [B,N] before it. Of the links before it and of those that it makes, w_i p_j, the K strongest of each row stay,
 * and those that were there keep their place. No derivative. Numbers that are no row count as row 0; a row that is linked to itself has a free place.
 * @throws ShapeError, DTypeError for other shapes, and unless all are of one float dtype
 * @example linkedRows(tensor([[[0], [1]]]), zeros([1, 2, 1]), tensor([[0, 1]]), tensor([[1, 0]])); // [[[0], [0]]]: row 1 follows row 0
 * @internal
 */
export function linkedRows(rows: Tensor, links: Tensor, w: Tensor, precedence: Tensor): Tensor {
  checkFloat("linkedRows", rows);
  const [B, N, K] = rows.shape as [number, number, number];
  if (rows.rank !== 3 || !sameShape(links.shape, rows.shape) || [w, precedence].some((x) => !sameShape(x.shape, [B, N]))) {
    const got = [rows, links, w, precedence].map((x) => show(x.shape));
    throw new ShapeError(`linkedRows: expected rows and links [B,N,K], w and precedence [B,N], got ${got.join(", ")}`);
  }
  for (const x of [links, w, precedence])
    if (x.dtype !== rows.dtype) throw new DTypeError(`linkedRows: expected ${rows.dtype}, got ${x.dtype}`);
  const next = empty(rows.shape, rows.dtype);
  const [from, values, writing, p] = [rows, links, w, precedence].map(dense) as [Tensor, Tensor, Tensor, Tensor];
  call(kernels.linkedRows, rows.dtype, B, N, K, from.ptr, values.ptr, writing.ptr, p.ptr, next.ptr);
  observer?.found?.("linkedRows", [rows, links, w, precedence], next, undefined);
  return next;
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { linkStep: linkStepOp };
