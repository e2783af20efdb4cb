// Compares the library with the reference values in CONFORMANCE_DIR; ends with `N passed, N failed`.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const outfile = join(root, "build/conformance.mjs");

await mkdir(join(root, "build"), { recursive: true });
await buildKernels();
await build({
  entryPoints: [join(root, "test/conformance/main.ts")],
  outfile,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node20",
  logLevel: "warning",
});
const { main } = await import(pathToFileURL(outfile).href);
process.exit(main(root));
