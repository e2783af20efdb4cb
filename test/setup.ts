/** Runs every suite on the kernels named by TAPELOOP_KERNELS: "simd" (default) or "relaxed". */
import { readFileSync } from "node:fs";
import { init } from "../src/wasm/host.ts";

if (process.env.TAPELOOP_KERNELS === "relaxed") init(readFileSync(new URL("../build/relaxed.wasm", import.meta.url)));
