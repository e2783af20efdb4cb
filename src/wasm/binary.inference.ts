import { decodeHex } from "./hex.ts";
import { inferenceHex } from "./inference.gen.ts";
import type { KernelSource } from "./loader.ts";

/** The small binary: only the kernels that run recurrent layers in float32. */
export function defaultKernels(): KernelSource {
  return decodeHex(inferenceHex);
}
