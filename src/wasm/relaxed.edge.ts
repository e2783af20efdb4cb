// @ts-expect-error: hosts that forbid compiling bytes give a WebAssembly.Module for this import.
import kernels from "../kernels-relaxed.wasm?module";

/** The relaxed kernels as the host's own module. */
export function relaxedKernels(): WebAssembly.Module {
  return kernels as WebAssembly.Module;
}
