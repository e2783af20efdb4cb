import { simdBase64 } from "./simd.gen.ts";

/** Bytes of base64 text; `atob` exists on every host this library runs on. */
export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const chars = atob(text);
  const bytes = new Uint8Array(chars.length);
  for (let i = 0; i < chars.length; i++) bytes[i] = chars.charCodeAt(i);
  return bytes;
}

/** The embedded deterministic kernels, compiled on first use. Edge builds replace this file by binary.edge.ts. */
export function defaultModule(): WebAssembly.Module {
  return new WebAssembly.Module(decodeBase64(simdBase64));
}
