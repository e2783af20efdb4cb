/** Predicts the memory that a computation needs. */

import { checkFunction, finished } from "../base/checks.ts";
import { withoutKernels } from "../wasm/host.ts";
import { releasingAll } from "./storage.ts";
import { scope } from "./tensor.ts";

/** Bytes a computation needs besides what is live when it starts. */
export interface MemoryPlan {
  /** Most bytes live at once. */
  readonly peakBytes: number;
  /** Bytes that stay live afterwards (parameters, optimiser state). */
  readonly keptBytes: number;
  /** Linear memory the computation fills when it starts with none: the peak, and the gaps that blocks of other sizes leave. */
  readonly linearBytes: number;
}

/**
 * Goes through a computation without computing: every allocation is made in an imagined memory and counted, kernels do
 * nothing, every element of a tensor made inside reads as zero. Tensors from outside keep their values, generators their place.
 * The counts are those of the real run, to the byte, unless what the computation does depends on values.
 *
 * Tensors made inside cannot be used after it, so make inside what keeps tensors for itself: an optimiser, for example.
 * @throws StateError when `fn` is asynchronous or a generator, or runs dry itself
 * @example
 * const { peakBytes } = dryRun(() => {
 *   backward(model.forward(zeros([100, 32, 64])).sum());
 *   new Adam(model.parameters()).step();
 * });
 */
export function dryRun(fn: () => unknown): MemoryPlan {
  checkFunction("dryRun", "fn", fn);
  let plan: MemoryPlan = { peakBytes: 0, keptBytes: 0, linearBytes: 0 };
  withoutKernels((heap) =>
    releasingAll(() => {
      scope(() => void finished("dryRun", fn()));
      plan = { peakBytes: heap.peakBytes, keptBytes: heap.liveBytes, linearBytes: heap.reach };
    }),
  );
  return plan;
}
