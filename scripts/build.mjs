// The one build: kernels → embedded module → JavaScript (a file a module, and bundles for the edge) → command line → declarations.

import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";
import { writeDeclarations } from "./declarations.mjs";
import { readOptions } from "./options.mjs";
import { pureCalls } from "./pure-calls.mjs";
import { SMALL_ENTRIES, smallEntry } from "./small-entry.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));

const common = { format: "esm", target: "es2022", absWorkingDir: root, logLevel: "warning", legalComments: "none" };

async function filesIn(folder, ending) {
  const files = await readdir(join(root, folder), { recursive: true });
  return files.filter((f) => f.endsWith(ending)).map((f) => join(folder, f));
}

/** src/**.ts → dist/**.js, one file a module, so that bundlers keep only what is imported. */
async function modules() {
  const sources = (await filesIn("src", ".ts")).filter((f) => !f.startsWith(join("src", "cli")) && !f.endsWith(".edge.ts"));
  await build({ ...common, entryPoints: sources, outdir: "dist", outbase: "src", bundle: false, plugins: [pureCalls] });
  for (const file of await filesIn("dist", ".js")) {
    const text = await readFile(join(root, file), "utf8");
    await writeFile(join(root, file), text.replace(/((?:from|import)\s*\(?\s*"\.{1,2}\/[^"]+)\.ts"/g, '$1.js"'));
  }
}

/** Edge hosts refuse to compile bytes: what embeds them is replaced by its neighbour `*.edge.ts`, which imports the module. */
const importedModules = {
  name: "imported-modules",
  setup(plugin) {
    plugin.onResolve({ filter: /\/(binary|relaxed)\.ts$/ }, ({ resolveDir, path }) => ({
      path: join(resolveDir, path).replace(/\.ts$/, ".edge.ts"),
    }));
    plugin.onResolve({ filter: /\.wasm/ }, ({ path }) => ({ path, external: true }));
  },
};

/** What an import of the binary is to a type checker: hosts that allow such an import give a module. */
const binaryTypes = `/** The kernels as a module, for \`init\`. */
declare const kernels: WebAssembly.Module;
export default kernels;
`;

/** Subpaths of the package that have an edge form. */
const conditional = Object.values(manifest.exports).filter((e) => e.workerd !== undefined);
const sourceOf = (entry) => entry.default.replace("./dist/", "src/").replace(/\.js$/, ".ts");
const isSmall = (entry) => sourceOf(entry) in SMALL_ENTRIES;

/** `src/nn/index.ts` → `dist/edge/nn.js`, for every one that is no small entry. */
function edgeEntries() {
  return conditional
    .filter((e) => !isSmall(e))
    .map((e) => ({
      in: sourceOf(e),
      out: e.workerd.replace("./dist/edge/", "").replace(/\.js$/, ""),
    }));
}

/** The entries share their chunks, and with them the one instance of the kernels. */
async function edge() {
  const options = {
    ...common,
    bundle: true,
    splitting: true,
    chunkNames: "[name]-[hash]",
    platform: "neutral",
    plugins: [importedModules, pureCalls],
  };
  await build({ ...options, entryPoints: edgeEntries(), outdir: "dist/edge" });
}

/** The small entries, each in two forms: bundles of their own. */
async function smallEntries() {
  const options = { ...common, bundle: true, platform: "neutral", minifySyntax: true };
  for (const entry of conditional.filter(isSmall)) {
    const source = sourceOf(entry);
    await build({ ...options, entryPoints: [source], outfile: entry.default, plugins: [smallEntry(root, source)] });
    await build({ ...options, entryPoints: [source], outfile: entry.workerd, plugins: [smallEntry(root, source, true)] });
  }
}

async function commandLine() {
  const banner = { js: "#!/usr/bin/env node" };
  await build({
    ...common,
    entryPoints: ["src/cli/main.ts"],
    plugins: [pureCalls],
    outfile: "dist/cli.js",
    bundle: true,
    platform: "node",
    banner,
  });
}

const USAGE = `Usage: npm run build -- [options]   kernels, JavaScript, declarations: everything in dist

  --cli    the command line alone
  --help   shows this text
`;
const { cli: cliOnly } = readOptions("build", USAGE, { cli: { type: "boolean", default: false } });
if (cliOnly) console.log("Building the kernels and the command line …");
await buildKernels();
if (cliOnly) {
  await commandLine();
} else {
  await rm(join(root, "dist"), { recursive: true, force: true });
  await mkdir(join(root, "dist/edge"), { recursive: true });
  await modules();
  await edge();
  await smallEntries();
  await commandLine();
  await copyFile(join(root, "build/simd.wasm"), join(root, "dist/kernels.wasm"));
  await copyFile(join(root, "build/inference.wasm"), join(root, "dist/kernels-inference.wasm"));
  await copyFile(join(root, "build/relaxed.wasm"), join(root, "dist/kernels-relaxed.wasm"));
  await writeFile(join(root, "dist/kernels.wasm.d.ts"), binaryTypes);
  await writeDeclarations(root);
}
