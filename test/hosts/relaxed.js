// The fixed run on the relaxed kernels, whose last bits may differ from host to host: measured, not compared.

import { init } from "tapeloop";
import { relaxedKernels } from "tapeloop/relaxed";
import { fixedRun } from "./program.js";

export async function exercise() {
  init(relaxedKernels());
  return { float32: await fixedRun("float32", 1000), float64: await fixedRun("float64", 1000) };
}
