// Bundles as a user would ship them, run in this Node.

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { app, parseReport, place, run, tool } from "./common.mjs";

const bundled = (name, bundle) => ({
  name,
  relaxed: false,
  async run(mode) {
    const out = join(place, "bundles", name.split(" ")[0].toLowerCase());
    await rm(out, { recursive: true, force: true });
    const file = await bundle(join(app, `${mode}-main.js`), out);
    return parseReport(run(process.execPath, [file], { cwd: out }));
  },
});

export const esbuild = bundled("esbuild bundle", async (entry, out) => {
  const { default: lib } = await tool("esbuild/lib/main.js");
  const file = join(out, "main.mjs");
  await lib.build({ entryPoints: [entry], outfile: file, bundle: true, minify: true, format: "esm", target: "es2022", logLevel: "error" });
  return file;
});

export const vite = bundled("Vite bundle", async (entry, out) => {
  const { build } = await tool("vite/dist/node/index.js");
  const lib = { entry, formats: ["es"], fileName: () => "main.mjs" };
  await build({
    root: app,
    configFile: false,
    logLevel: "error",
    build: { lib, outDir: out, emptyOutDir: true, target: "es2022", minify: true },
  });
  return join(out, "main.mjs");
});

export const webpack = bundled("webpack bundle", async (entry, out) => {
  const { default: lib } = await tool("webpack/lib/index.js");
  const output = { path: out, filename: "main.mjs", module: true, library: { type: "module" } };
  const compiler = lib({ mode: "production", target: ["web", "es2022"], context: app, entry, output, experiments: { outputModule: true } });
  const stats = await new Promise((resolve, reject) => compiler.run((error, result) => (error ? reject(error) : resolve(result))));
  if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }));
  return join(out, "main.mjs");
});
