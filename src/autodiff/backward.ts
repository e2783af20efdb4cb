/** Reverse mode as in PyTorch: gradients end up on the leaves. */

import { BYTES } from "../base/dtype.ts";
import { ShapeError } from "../base/errors.ts";
import { onesLike } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { storageCount } from "../tensor/storage.ts";
import { copyOf } from "../tensor/strided.ts";
import { checkTensor, keep, type Tensor } from "../tensor/tensor.ts";
import { afterDryRun, isDry } from "../wasm/host.ts";
import { cannotReplay } from "../wasm/recorder.ts";
import { addInPlace } from "./accumulate.ts";
import { sweepLeaves } from "./sweep.ts";

/** The cotangent from which a sweep starts: the given one, or 1 for a scalar. */
export function seedOf(op: string, y: Tensor, cotangent?: Tensor): Tensor {
  if (cotangent !== undefined) return cotangent;
  if (y.size !== 1) throw new ShapeError(`${op}: expected a scalar output (or a cotangent), got ${show(y.shape)}`);
  return onesLike(y);
}

/**
 * Adds the gradients of `output` to `.grad` of every leaf that needs one.
 * @param cotangent weights of a non-scalar output, of its shape
 * @throws StateError if a derivative needs the old values of a tensor that was written to since (by an optimiser's step, `assign`)
 */
export function backward(output: Tensor, cotangent?: Tensor): void {
  checkTensor("backward", output);
  cannotReplay("leaves gradients on tensors");
  const start = seedOf("backward", output, cotangent);
  const before = storageCount;
  sweepLeaves(output, start, (leaf, g) => {
    if (leaf.grad !== null) {
      addInPlace(leaf.grad, g);
      leaf.grad.storage.noteWrite();
      return;
    }
    leaf.grad = keep(isOwn(g, before) ? g.detach() : copyOf(g));
    if (isDry()) {
      afterDryRun(() => {
        leaf.grad = null;
      });
    }
  });
}

/** Whether a gradient has its memory to itself: made by this sweep (after storage number `before`) and kept by no other leaf. */
function isOwn(g: Tensor, before: number): boolean {
  const { storage } = g;
  return storage.serial > before && !storage.pinned && g.isContiguous && g.size * BYTES[g.dtype] === storage.bytes;
}
