// The kernels' file, read where Node and Bun have it (Deno, too, with leave to read).

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { init } from "tapeloop";
import { inference } from "./program.js";

export async function exercise() {
  init(await readFile(fileURLToPath(import.meta.resolve("tapeloop/kernels.wasm"))));
  return inference();
}
