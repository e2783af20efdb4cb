// What scripts run of this repository's TypeScript: kernels built, one file for Node.

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";

/** Bundles `entry` with all it imports. */
export async function bundleForNode(entry, outfile) {
  await mkdir(dirname(outfile), { recursive: true });
  await buildKernels();
  const options = { bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "warning", sourcemap: "inline" };
  await build({ ...options, entryPoints: [entry], outfile });
}
