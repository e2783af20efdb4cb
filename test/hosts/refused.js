// Under a policy that lets no WebAssembly be compiled: every way to start says so, and what to allow.

import { ready, tensor } from "tapeloop";

const told = ({ name, code, message }) => ({
  name,
  code,
  tells: /script-src allow 'wasm-unsafe-eval'/.test(message) ? "what to allow" : message,
});

export async function exercise() {
  let atOnce = null;
  try {
    tensor([1]);
  } catch (error) {
    atOnce = told(error);
  }
  const later = await ready().catch(told);
  const fetched = await ready(fetch("/node_modules/tapeloop/dist/kernels.wasm")).catch(told);
  return { atOnce, later, fetched };
}
