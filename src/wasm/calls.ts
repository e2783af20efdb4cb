/** Classifies the arguments of a kernel call: address or number, read or written. */

import * as k from "./kernels.gen.ts";
import type { RecordedCall } from "./recorder.ts";
import * as SLOTS from "./slots.gen.ts";

/** Whether an argument of a kernel is an address. */
export function isAddress(id: number, slot: number): boolean {
  return slot < 31 && ((k.KERNEL_POINTERS[id >> 1] as number) & (1 << slot)) !== 0;
}

/** Whether a call runs this kernel, in either dtype. */
export function isCallOf(kernel: number, { id }: RecordedCall): boolean {
  return id >> 1 === kernel >> 1;
}

/** The argument that these kernels write to; they write nowhere else. */
const TARGETS: ReadonlyMap<number, number> = new Map([
  [k.fill >> 1, SLOTS.fill.y],
  [k.copyStrided >> 1, SLOTS.copyStrided.target],
  [k.elementwise >> 1, SLOTS.elementwise.y],
  [k.maskLogic >> 1, SLOTS.maskLogic.y],
  [k.convert >> 1, SLOTS.convert.y],
  [k.gemm >> 1, SLOTS.gemm.c],
  [k.gemmPanels >> 1, SLOTS.gemmPanels.c],
  [k.packWeights >> 1, SLOTS.packWeights.out],
  [k.sumAxis >> 1, SLOTS.sumAxis.y],
  [k.sparseRows >> 1, SLOTS.sparseRows.y],
  [k.sparseColumns >> 1, SLOTS.sparseColumns.y],
  [k.sparseSamples >> 1, SLOTS.sparseSamples.y],
]);

/** The address a call writes to, if its kernel is known to write to one place only. */
export function targetOf({ id, args }: RecordedCall): number | undefined {
  const slot = TARGETS.get(id >> 1);
  return slot === undefined ? undefined : args[slot];
}

/** Whether a call may write to a place. A call with an unknown target may write to any of its addresses. */
export function mayWrite(call: RecordedCall, isThere: (ptr: number) => boolean): boolean {
  const target = targetOf(call);
  return target === undefined ? refersTo(call, isThere) : isThere(target);
}

/** Whether a call reads from or writes to a place. */
export function refersTo({ id, args }: RecordedCall, isThere: (ptr: number) => boolean): boolean {
  return args.some((arg, slot) => isAddress(id, slot) && isThere(arg));
}
