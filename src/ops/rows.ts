/** Heads that write to the rows of a memory: all erase, then all add. */

import { fusedOp } from "../autodiff/fused.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import * as kernels from "../wasm/kernels.gen.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { matmul } from "./linear.ts";
import { checkFloat } from "./reduction.ts";
import { transpose, unsqueeze, unstack } from "./shape.ts";

/** B, K heads, N rows, W. */
function sizesOf(memory: Tensor, weightings: Tensor): [number, number, number, number] {
  const [B, K, N] = weightings.shape as [number, number, number];
  return [B, K, N, memory.dim(2)];
}

const writeRowsOp: Primitive<void> = fusedOp<void>({
  name: "writeRows",

  forward(inputs) {
    const [memory, w, e, a] = (inputs as Tensor[]).map(dense) as [Tensor, Tensor, Tensor, Tensor];
    const y = empty(memory.shape, memory.dtype);
    call(kernels.writeRows, memory.dtype, ...sizesOf(memory, w), memory.ptr, w.ptr, e.ptr, a.ptr, y.ptr);
    return [y];
  },

  backward([g], { inputs }) {
    if (!g) return [null, null, null, null];
    const all = (inputs as Tensor[]).map(dense) as [Tensor, Tensor, Tensor, Tensor];
    const [memory, w, e, a] = all;
    const slope = dense(g);
    const found = all.map(({ shape, dtype }) => empty(shape, dtype)) as [Tensor, Tensor, Tensor, Tensor];
    const [dM, dw, de, da] = found;
    const from = [memory.ptr, w.ptr, e.ptr, a.ptr, slope.ptr] as const;
    call(kernels.writeRowsGrad, memory.dtype, ...sizesOf(memory, w), ...from, dM.ptr, dw.ptr, de.ptr, da.ptr);
    return found;
  },

  composed([memory, w, e, a]) {
    const heads = unstack(w as Tensor, 1).map((weighting) => unsqueeze(weighting, 2));
    const erased = unstack(e as Tensor, 1).map((vector, k) => sub(1, mul(heads[k] as Tensor, unsqueeze(vector, 1))));
    const kept = erased.reduce((M, rest) => mul(M, rest), memory as Tensor);
    return [add(kept, matmul(transpose(w as Tensor), a as Tensor))];
  },
});

/**
 * M∘Π (1 − w_k e_kᵀ) + Σ w_k a_kᵀ over heads k: all erase, then all add. For a memory M [B,N,W], weightings w [B,K,N], and vectors e and a [B,K,W].
 * @throws ShapeError, DTypeError for other shapes, and unless all are of one float dtype
 * @example const next = writeRows(zeros([1, 3, 2]), tensor([[[0, 1, 0]]]), tensor([[[1, 1]]]), tensor([[[5, 6]]]));
 * @internal
 */
export function writeRows(memory: Tensor, weightings: Tensor, erase: Tensor, added: Tensor): Tensor {
  checkFloat("writeRows", memory);
  const all = [memory, weightings, erase, added];
  if (all.some(({ rank }) => rank !== 3) || !fits(memory, weightings, erase) || !sameShape(erase.shape, added.shape)) {
    const got = all.map((x) => show(x.shape)).join(", ");
    throw new ShapeError(`writeRows: expected a memory [B,N,W], weightings [B,K,N] and vectors [B,K,W], got ${got}`);
  }
  for (const x of all) if (x.dtype !== memory.dtype) throw new DTypeError(`writeRows: expected ${memory.dtype}, got ${x.dtype}`);
  return apply(writeRowsOp, all, undefined);
}

function fits(memory: Tensor, weightings: Tensor, vectors: Tensor): boolean {
  const [B, K, N, W] = sizesOf(memory, weightings);
  return sameShape(memory.shape, [B, N, W]) && sameShape(vectors.shape, [B, K, W]);
}

/** The primitives of this file, by name. */
export const primitives: Readonly<Record<string, Primitive<never>>> = { writeRows: writeRowsOp };
