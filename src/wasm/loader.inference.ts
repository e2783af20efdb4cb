/** What the loader does for kernels of numbers alone: its helpers for strings and arrays are left out of the small entry. */
export function instantiateSync(module: WebAssembly.Module, imports: WebAssembly.Imports): WebAssembly.Instance {
  return new WebAssembly.Instance(module, imports);
}
