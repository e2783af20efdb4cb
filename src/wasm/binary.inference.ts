import { decodeHex } from "./hex.ts";
import { inferenceHex } from "./inference.gen.ts";
import type { KernelSource } from "./loader.ts";

/** The small binary: what running recurrent layers in float32 takes. */
export function defaultKernels(): KernelSource {
  return decodeHex(inferenceHex);
}
