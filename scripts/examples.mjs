// The programs of the gallery, bundled with what runs them.

import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** The names of all programs, in order. */
export async function programs() {
  return (await readdir(join(root, "examples"))).filter((name) => /^\d\d-/.test(name)).sort();
}

/** Lets bundled programs find the files beside them. */
const ownPlaces = {
  name: "own-places",
  setup(build) {
    build.onLoad({ filter: /[/\\]examples[/\\].*\.ts$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      return { contents: source.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(path).href)), loader: "ts" };
    });
  },
};

/** Bundles programs, and returns `command`, `gallery` and the programs' modules by name. */
export async function loadExamples(names) {
  await buildKernels();
  const loaders = names.map((name) => `${JSON.stringify(name)}: () => import("./examples/${name}/main.ts")`);
  const contents = `export { command } from "./examples/shared/command.ts";
export { gallery } from "./examples/shared/gallery.ts";
export const loaders = { ${loaders.join(", ")} };`;
  const folder = join(root, "build");
  await mkdir(folder, { recursive: true });
  const outfile = join(folder, `examples-${process.pid}.mjs`);
  const node = { bundle: true, format: "esm", platform: "node", target: "node20", logLevel: "warning", sourcemap: "inline" };
  // Programs import the package by its name, which the tests' settings resolve to the sources.
  const tsconfig = join(root, "tsconfig.test.json");
  await build({ ...node, tsconfig, stdin: { contents, resolveDir: root, loader: "ts" }, outfile, plugins: [ownPlaces] });
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    await rm(outfile);
  }
}
