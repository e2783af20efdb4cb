import { decodeBase64 } from "./base64.ts";
import { inferenceBase64 } from "./inference.gen.ts";
import type { KernelSource } from "./loader.ts";

/** The small binary: what running recurrent layers in float32 takes. */
export function defaultKernels(): KernelSource {
  return decodeBase64(inferenceBase64);
}
