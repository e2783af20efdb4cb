// The API reference as static pages with a search, by TypeDoc.

import { readFile } from "node:fs/promises";
import { register } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildKernels } from "./build-kernels.mjs";
import { readOptions } from "./options.mjs";

const USAGE = `Usage: npm run docs -- [options]   writes the API reference to docs/api: open docs/api/index.html

  --check  writes nothing; fails if a link leads nowhere, or a comment names a parameter that is not there
  --help   shows this text
`;
const { check } = readOptions("docs", USAGE, { check: { type: "boolean", default: false } });

const root = fileURLToPath(new URL("..", import.meta.url));

await buildKernels();

/** TypeDoc reads types through the compiler's interface in JavaScript, which TypeScript 7 lacks: it gets TypeScript 6. */
const hooks = `export const resolve = (name, context, next) => next(name === "typescript" ? "typescript-6.0" : name, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

const { Application, ReflectionKind } = await import("typedoc").catch((error) => {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  console.error("docs: expected TypeDoc, which is not installed: run npm ci");
  process.exit(1);
});

/** The sources of the package's subpaths, by TypeDoc's name for each: `src/nn/index.ts` is "nn". */
async function subpaths() {
  const { exports } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const coded = Object.entries(exports).filter(([, entry]) => entry.default?.endsWith(".js"));
  return coded.map(([path, { types }]) => {
    const source = types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts");
    return { path: join("tapeloop", path), source, name: source.replace("src/", "").replace(/(?<=.)(\/index)?\.ts$/, "") };
  });
}

const entries = await subpaths();
const app = await Application.bootstrap({
  name: "tapeloop",
  entryPoints: entries.map(({ source }) => join(root, source)),
  tsconfig: join(root, "tsconfig.json"),
  readme: join(root, "README.md"),
  projectDocuments: ["docs/*.md", "docs/guides/*.md"].map((pages) => join(root, pages)),
  highlightLanguages: ["typescript", "javascript", "python", "shellscript", "json"],
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  disableSources: true,
  // test/docs/described.test.ts finds names without a description.
  validation: { notExported: false, notDocumented: false, invalidLink: true },
});
const project = await app.convert();
if (project === undefined) process.exit(1);
for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
  module.name = entries.find(({ name }) => name === module.name)?.path ?? module.name;
}
app.validate(project);
if (!check) await app.generateDocs(project, join(root, "docs/api"));
if (app.logger.hasErrors() || (check && app.logger.hasWarnings())) process.exit(1);
