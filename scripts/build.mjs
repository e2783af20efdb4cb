// The one build: kernels → embedded module → bundles (default and edge) → command line → declarations.

import { spawnSync } from "node:child_process";
import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));

/** dist/nn/index.js → src/nn/index.ts, for every subpath of the package that is ours. */
function entryPoints() {
  const targets = Object.values(manifest.exports).map((e) => (typeof e === "string" ? e : e.default));
  return targets.filter((file) => file.endsWith(".js")).map((file) => file.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
}

const common = { bundle: true, format: "esm", target: "es2022", absWorkingDir: root, logLevel: "warning", legalComments: "none" };

/** Edge hosts refuse to compile bytes: their bundles import the module instead. */
const importedModule = {
  name: "imported-module",
  setup(plugin) {
    plugin.onResolve({ filter: /\/binary\.ts$/ }, ({ resolveDir, path }) => ({
      path: join(resolveDir, path).replace(/binary\.ts$/, "binary.edge.ts"),
    }));
    plugin.onResolve({ filter: /\.wasm/ }, ({ path }) => ({ path, external: true }));
  },
};

async function bundle() {
  const entries = entryPoints();
  await build({
    ...common,
    entryPoints: entries,
    outdir: "dist",
    outbase: "src",
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
    platform: "neutral",
  });
  await build({
    ...common,
    entryPoints: entries,
    outdir: "dist/edge",
    outbase: "src",
    splitting: true,
    chunkNames: "[name]-[hash]",
    platform: "neutral",
    plugins: [importedModule],
  });
  await build({
    ...common,
    entryPoints: ["src/cli/main.ts"],
    outfile: "dist/cli.js",
    platform: "node",
    banner: { js: "#!/usr/bin/env node" },
  });
}

function declarations() {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.json", "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`declarations: tsc ended with status ${status}`);
}

const wanted = new Set(process.argv.slice(2));
const all = wanted.size === 0;
await buildKernels();
if (all) await rm(join(root, "dist"), { recursive: true, force: true });
await mkdir(join(root, "dist/edge"), { recursive: true });
if (all || wanted.has("--bundle")) await bundle();
await copyFile(join(root, "build/simd.wasm"), join(root, "dist/kernels.wasm"));
await copyFile(join(root, "build/relaxed.wasm"), join(root, "dist/kernels-relaxed.wasm"));
await copyFile(join(root, "build/simd.wasm"), join(root, "dist/edge/kernels.wasm"));
if (all) declarations();
