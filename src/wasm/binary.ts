import { decodeBase64 } from "./base64.ts";
import type { KernelSource } from "./loader.ts";
import { simdBase64 } from "./simd.gen.ts";

/** The embedded deterministic kernels. Edge builds replace this file by binary.edge.ts. */
export function defaultKernels(): KernelSource {
  return decodeBase64(simdBase64);
}
