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
  /** Size of the linear memory if the computation starts with none: the peak plus gaps between blocks of different sizes. */
  readonly linearBytes: number;
}

/**
 * Runs a function without computing: allocations are made in an imaginary memory and counted, kernels do
 * nothing, and elements of tensors made inside read as zero. Tensors from outside keep their values, generators their state.
 * The counts equal those of a real run to the byte, unless control flow depends on values.
 *
 * Tensors made inside cannot be used afterwards. So create objects that keep tensors, such as an optimiser, inside as well.
 * @throws StateError when `fn` is asynchronous or a generator, or itself calls `dryRun`
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
