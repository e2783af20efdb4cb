// @ts-expect-error: hosts that forbid compiling bytes give a WebAssembly.Module for this import.
import kernels from "../kernels-inference.wasm?module";

/** The small binary as the host's own module. */
export function defaultKernels(): WebAssembly.Module {
  return kernels as WebAssembly.Module;
}
