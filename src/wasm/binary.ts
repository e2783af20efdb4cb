import { decodeBase64 } from "./base64.ts";
import { simdBase64 } from "./simd.gen.ts";

/** The embedded deterministic kernels, compiled on first use. Edge builds replace this file by binary.edge.ts. */
export function defaultModule(): WebAssembly.Module {
  return new WebAssembly.Module(decodeBase64(simdBase64));
}
