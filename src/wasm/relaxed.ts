import { decodeBase64 } from "./binary.ts";
import { relaxedBase64 } from "./relaxed.gen.ts";

/**
 * The kernels with fused multiply-add: faster, but the last bits depend on the machine. For hosts that accept
 * relaxed SIMD (Node 21 and later, Deno, Chromium, workerd); others throw a CompileError.
 * @example
 * import { init } from "tapeloop";
 * import { relaxedKernels } from "tapeloop/relaxed";
 * init(relaxedKernels());
 */
export function relaxedKernels(): Uint8Array<ArrayBuffer> {
  return decodeBase64(relaxedBase64);
}
