import { decodeBase64 } from "./base64.ts";
import { inferenceBase64 } from "./inference.gen.ts";

/** The small binary: what running recurrent layers in float32 takes. */
export function defaultModule(): WebAssembly.Module {
  return new WebAssembly.Module(decodeBase64(inferenceBase64));
}
