// The kernels' file, fetched by a page and compiled while it arrives; a synchronous start is not to be had.

import { ready, tensor } from "tapeloop";
import { inference } from "./program.js";

export async function exercise() {
  const { Module } = WebAssembly;
  WebAssembly.Module = class {
    constructor() {
      throw new RangeError("WebAssembly.Compile is disallowed on the main thread, if the buffer size is larger than 4KB.");
    }
  };
  let refused = null;
  try {
    tensor([1]);
  } catch (error) {
    refused = { code: error.code, namesReady: error.message.includes("await ready()") };
  }
  await ready(fetch("/node_modules/tapeloop/dist/kernels.wasm"));
  const result = { refused, ...(await inference()) };
  WebAssembly.Module = Module;
  return result;
}
