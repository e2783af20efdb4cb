import { decodeBase64 } from "./base64.ts";
import { relaxedBase64 } from "./relaxed.gen.ts";

/**
 * The kernels with fused multiply-add: faster, but the last bits depend on the machine. For hosts that accept
 * relaxed SIMD (Node 21 and later, Deno, Bun, Chromium, workerd); elsewhere `init` throws a FormatError.
 * Returns bytes, or on edge hosts the module that the host has compiled.
 * @example
 * import { init } from "tapeloop";
 * import { relaxedKernels } from "tapeloop/relaxed";
 * init(relaxedKernels());
 */
export function relaxedKernels(): Uint8Array<ArrayBuffer> | WebAssembly.Module {
  return decodeBase64(relaxedBase64);
}
