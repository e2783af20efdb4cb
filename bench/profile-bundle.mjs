// Bundles the profile with a loader that times every kernel: the library itself stays as it is.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** `instantiateSync` comes from the timing loader; the timing loader's own comes from the library. */
const timedKernels = {
  name: "timed-kernels",
  setup(plugin) {
    plugin.onResolve({ filter: /\/loader\.js$/ }, ({ importer }) =>
      importer.endsWith("host.js") ? { path: join(root, "bench/profile-loader.mjs") } : undefined,
    );
  },
};

export async function bundleProfile() {
  const outfile = join(root, "build/bench/profile.mjs");
  const options = { bundle: true, format: "esm", platform: "node", target: "es2022", absWorkingDir: root, logLevel: "error" };
  const banner = {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  };
  await build({ ...options, banner, entryPoints: ["bench/profile.mjs"], outfile, plugins: [timedKernels] });
  return outfile;
}
