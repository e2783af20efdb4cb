// What is published, held to what hosts and bundlers need. Run after a build; every failure is listed, and any makes the exit status 1.

import { spawnSync } from "node:child_process";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, transform } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { INFERENCE } from "./build-kernels.mjs";
import { readOptions } from "./options.mjs";

const USAGE = `Usage: npm run check   build, types, lint, and the shape of what is published

  --update   (node scripts/check-package.mjs --update) sets every size budget to what is measured now and 2 % more
  --help     shows this text
`;
const { update } = readOptions("check-package", USAGE, { update: { type: "boolean", default: false } });

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
const failures = [];
const fail = (check, text) => failures.push(`${check}: ${text}`);

/** Largest minified bundle of one import, in bytes: plain and after gzip. What the kernels themselves take is part of it. */
const budgets = JSON.parse(await readFile(join(root, "scripts/size-budgets.json"), "utf8"));

/** Code points of JavaScript entries: subpath → file. */
const entries = Object.entries(manifest.exports).flatMap(([path, e]) => (e.default?.endsWith(".js") ? [[path, e]] : []));
/** Entries that may touch the host; everything else is the core. */
const hostEntries = new Set(["./node", "./threads", "./web"]);

/** Bundles code that imports from the built package, as a user's bundler would. */
async function bundle(code, conditions = []) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: root, loader: "js" },
    plugins: [
      {
        name: "this-package",
        setup(plugin) {
          const file = (path) => {
            const target = manifest.exports[path.replace(manifest.name, ".")];
            return target[conditions.find((c) => c in target) ?? "default"];
          };
          plugin.onResolve({ filter: new RegExp(`^${manifest.name}(/|$)`) }, ({ path }) => ({
            path: join(root, file(path)),
            sideEffects: manifest.sideEffects,
          }));
          plugin.onResolve({ filter: /\.wasm/ }, ({ path }) => ({ path, external: true }));
        },
      },
    ],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "neutral",
    external: ["node:*"],
    metafile: true,
    write: false,
    absWorkingDir: root,
    logLevel: "error",
  });
  const [{ contents, text }] = outputFiles;
  const inputs = Object.entries(Object.values(metafile.outputs)[0].inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  return { text, raw: contents.length, gzip: gzipSync(contents, { level: 9 }).length, inputs: inputs.map(([path]) => path) };
}

async function publintClean() {
  const { messages } = await publint({ pkgDir: root, strict: true });
  for (const m of messages) fail("publint", formatMessage(m, manifest));
}

function typesResolve() {
  const cli = join(dirname(createRequire(import.meta.url).resolve("@arethetypeswrong/cli/package.json")), "dist/index.js");
  const args = [cli, archive.file, "--profile", "esm-only", "--no-color", "--no-emoji"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (status !== 0) fail("arethetypeswrong", stdout + stderr);
}

/** Packs what is built: the archive, and the paths in it. Without scripts, since `prepack` would build again. */
function packed() {
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", "build"];
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`npm pack: ${stderr}`);
  const [{ filename, files }] = JSON.parse(stdout);
  return { file: join("build", filename), paths: files.map(({ path }) => path) };
}

/** Where the README points to, beside the web and itself. */
const LINK = /\]\(([^):#]+)(?:#[^)]*)?\)/g;

/** Links of the README lead to files of the package, so they work in node_modules, too. */
async function readmeLinks() {
  const text = await readFile(join(root, "README.md"), "utf8");
  for (const [, target] of text.matchAll(LINK))
    if (!archive.paths.includes(target)) fail("README", `expected a file of the package, got a link to ${target}`);
}

const CONSUMER = `import { Adam, LSTM, Linear, Module, ready, serializeSafetensors, tensor, type Tensor } from "tapeloop";
import { GRU } from "tapeloop/recurrence";
import { save } from "tapeloop/node";
import { relaxedKernels } from "tapeloop/relaxed";

class Regressor extends Module {
  readonly rnn = new LSTM({ inputSize: 4, hiddenSize: 8 });
  readonly head = new Linear(8, 1);
  forward(xs: Tensor): Tensor {
    return this.head.forward(this.rnn.forward(xs).output);
  }
}
const model = new Regressor();
new Adam(model.parameters(), { lr: 1e-3 }).step();
export const y: Tensor = model.forward(tensor([[1, 2, 3, 4]]));
export const done: Promise<void> = save("model.safetensors", model);
export const bytes: Uint8Array = serializeSafetensors(model.stateDict());
export const started: Promise<void> = ready(bytes.slice());
export { GRU, relaxedKernels };
`;

/** What needs the web's types. */
const IN_A_PAGE = `import { fit, init, ready, serializeSafetensors } from "tapeloop";
import kernels from "tapeloop/kernels.wasm";
const module: WebAssembly.Module = kernels;
init(module);
export const fetched: Promise<void> = ready(fetch("kernels.wasm"));
export const file = new Blob([serializeSafetensors(new Map())]);
export const signal: NonNullable<Parameters<typeof fit>[2]["signal"]> = new AbortController().signal;
`;

/** By package: the oldest compiler the declarations are for, the first whose typed arrays have a parameter, the present one. */
const COMPILERS = ["typescript-5.2", "typescript-5.7", "typescript"];

/** Strict users' compilers read the declarations themselves, not only their names: without and with the web's types. */
async function declarationsCompile() {
  const folder = join(root, "build/consumer");
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "node_modules"), { recursive: true });
  await symlink(root, join(folder, `node_modules/${manifest.name}`), "dir");
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(join(folder, "user.ts"), CONSUMER);
  await writeFile(join(folder, "page.ts"), IN_A_PAGE);
  const typed = Object.keys(manifest.exports).filter((path) => manifest.exports[path].types !== undefined);
  const all = typed.map((path, i) => `export * as entry${i} from "${join(manifest.name, path)}";\n`);
  await writeFile(join(folder, "all.ts"), all.join(""));
  const strict = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: "es2022", types: [] };
  const users = [
    { module: "nodenext", lib: ["es2022"], files: ["user.ts", "all.ts"] },
    { module: "node16", lib: ["es2022"], files: ["user.ts", "all.ts"] },
    { module: "nodenext", lib: ["es2022", "dom"], files: ["user.ts", "page.ts", "all.ts"] },
    { module: "esnext", moduleResolution: "bundler", lib: ["es2022", "dom"], files: ["user.ts", "page.ts"] },
  ];
  for (const [i, { files, ...options }] of users.entries()) {
    const config = `tsconfig.${i}.json`;
    await writeFile(join(folder, config), JSON.stringify({ compilerOptions: { ...strict, ...options }, files }));
    for (const compiler of COMPILERS) {
      const tsc = join(dirname(createRequire(import.meta.url).resolve(`${compiler}/package.json`)), "bin/tsc");
      const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", config], { cwd: folder, encoding: "utf8" });
      if (status !== 0) fail("declarations", `${compiler}, ${JSON.stringify(options)}\n${stdout}`);
    }
  }
}

function noDependencies() {
  for (const key of ["dependencies", "peerDependencies", "optionalDependencies", "bundleDependencies"]) {
    if (key in manifest) fail("dependencies", `expected none, got ${key} in package.json`);
  }
}

/** Section 2 of a WebAssembly binary lists what it imports. Read by hand: Node 20 rejects the relaxed binary. */
function hasImportSection(bytes) {
  for (let at = 8; at < bytes.length; ) {
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (id === 2) return true;
    at += size;
  }
  return false;
}

async function binariesImportNothing() {
  for (const file of ["dist/kernels.wasm", "dist/kernels-inference.wasm", "dist/kernels-relaxed.wasm"]) {
    if (hasImportSection(await readFile(join(root, file)))) fail("kernels", `expected no imports in ${file}`);
  }
}

/** What no core entry may contain, in code without comments. */
const FORBIDDEN = [
  // A method may be called eval: the call of the global one is what compiles text.
  [/(?<![.\w#$])eval\s*\((?![^()]*\)\s*\{)/, "eval"],
  [/\bnew Function\b/, "new Function"],
  [/\bnew URL\b/, "new URL"],
  [/\bfetch\s*\(/, "fetch"],
  [/\bimport\.meta\b/, "import.meta"],
  [/\brequire\s*\(/, "require"],
  [/["']node:/, "a node: module"],
  [/\bimport\s*\(/, "import()"],
];

/** The core runs where there is no clock, network, file system, code from text or asynchronous start. */
async function coreIsPure() {
  for (const [path] of entries.filter(([p]) => !hostEntries.has(p))) {
    const { text } = await bundle(`export * from "${join(manifest.name, path)}"`);
    for (const [pattern, name] of FORBIDDEN) {
      const at = text.search(pattern);
      if (at >= 0) fail("core", `expected no ${name} in ${path}, got …${text.slice(Math.max(0, at - 60), at + 60)}…`);
    }
    // CommonJS has no top-level await: turning the bundle into it fails if there is one.
    await transform(text, { format: "cjs", logLevel: "silent" }).catch((error) => fail("core", `${path}: ${error.message}`));
  }
}

/** ECMAScript leaves the last bits of these to the host. Powers of two and ten by whole numbers are exact everywhere. */
const LOOSE = /\bMath\.(?:a?cosh?|a?sinh?|a?tanh?|atan2|cbrt|exp|expm1|log|log10|log1p|log2|pow|hypot|random)\b|(?<!\b2|\b10)\*\*/;
/** Pictures, and numbers that only describe. */
const DESCRIBES = /^dist\/(plot\/|metrics\/|data\/ngram\.js)/;

/** What trains or infers uses the library's own functions, so that its bits are the same on every host. */
async function bitsAreOurs() {
  const { inputs } = await bundle(`export * from "${manifest.name}"`);
  for (const file of inputs.filter((path) => path.startsWith("dist/") && !DESCRIBES.test(path))) {
    const { code } = await transform(await readFile(join(root, file), "utf8"), { minifyWhitespace: true });
    const found = code.match(LOOSE);
    if (found)
      fail("bits", `expected no function of the host in ${file}, got …${code.slice(Math.max(0, found.index - 60), found.index + 40)}…`);
  }
}

/**
 * Importing does nothing: no clock, no randomness, no WebAssembly, no network, and no coder of text, which some hosts lack.
 * Asked of a process in which all of these throw.
 */
function importIsInert() {
  const core = entries.filter(([path]) => !hostEntries.has(path));
  const files = core.map(([, e]) => new URL(e.default, new URL("../", import.meta.url)).href);
  const code = `
    const trap = (object, key) => Object.defineProperty(object, key, { get() { throw new Error("used at import: " + key); } });
    trap(Math, "random"); trap(Date, "now"); trap(globalThis, "performance"); trap(globalThis, "crypto"); trap(globalThis, "fetch");
    trap(WebAssembly, "Module"); trap(WebAssembly, "Instance"); trap(globalThis, "setTimeout"); trap(globalThis, "queueMicrotask");
    trap(globalThis, "TextDecoder"); trap(globalThis, "TextEncoder"); trap(globalThis, "WebAssembly");
    for (const file of ${JSON.stringify(files)}) await import(file);`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  if (status !== 0) fail("import", stderr);
}

/** An import of one name brings its own family's floors and nothing beside them. */
const SHAKEN = [
  { name: "LSTM", allowed: /^dist\/(recurrence|nn|replay|ops|autodiff|transforms|tensor|wasm|base)\// },
  { name: "Adam", allowed: /^dist\/(optim|nn\/module|nn\/exchanged|ops|autodiff|tensor|wasm|base)\b/ },
  { name: "tensor", allowed: /^dist\/(autodiff|tensor|wasm|base)\// },
];

async function shakes() {
  for (const { name, allowed } of SHAKEN) {
    const { inputs } = await bundle(`export { ${name} } from "${manifest.name}"`);
    const beside = inputs.filter((path) => path !== "<stdin>" && !allowed.test(path));
    if (beside.length > 0) fail("tree shaking", `expected ${name} alone, got also ${beside.join(", ")}`);
  }
}

/** Kernels that the small entry names and never calls: of a generator that nobody there can have, and in tables of what calls write. */
const NEVER_CALLED = new Set(["wordsToNormal", "sumAxis", "maskLogic", "sparseRows", "sparseColumns", "sparseSamples"]);
/** What its binary's elementwise kernel computes, by the names of operations. */
const SMALL_ELEMENTWISE = new Set(["add", "mul"]);

/** The small entry calls no kernel that its binary lacks, which would be a trap, and its binary has none that it never calls. */
async function inferenceHasItsKernels() {
  const code = await readFile(join(root, "dist/inference.js"), "utf8");
  const table = await readFile(join(root, "dist/wasm/kernels.gen.js"), "utf8");
  // A name that nothing uses is not declared.
  const declared = (name, id) => new RegExp(`\\b${name} = ${id}[,;]`).test(code);
  const kernels = [...table.matchAll(/^const (\w+) = (\d+);$/gm)];
  const named = new Set(kernels.filter(([, name, id]) => declared(name, id)).map(([, name]) => name));
  for (const name of named)
    if (!(INFERENCE.has(name) || NEVER_CALLED.has(name))) fail("inference", `expected no call of ${name}, which the small binary lacks`);
  for (const [, name] of code.matchAll(/= (?:\/\* @__PURE__ \*\/ )?(?:unaryOp|binaryOp|elementary|extremeOp)\("(\w+)"/g)) {
    if (!SMALL_ELEMENTWISE.has(name)) fail("inference", `expected no operation ${name}, which the small binary's elementwise kernel lacks`);
  }
  for (const name of INFERENCE)
    if (!named.has(name)) fail("inference", `expected a call of ${name}, got a kernel in the small binary that nothing calls`);
}

/** The small entry, on its small binary, gives the bits of the large one. */
function inferenceAgrees() {
  const code = `
    const run = async (file) => {
      const { GRU, Linear, LSTM, RNN, Stream, tensor } = await import(file);
      const out = [];
      for (const Layer of [LSTM, GRU, RNN]) {
        const layer = new Layer({ inputSize: 3, hiddenSize: 9, numLayers: 2 });
        const xs = tensor([[[1, 2, 3]], [[-1, 0.5, 2]], [[0, 1, -1]]]);
        out.push(...layer.forward(xs, { lengths: [2] }).output.data(), ...layer.forward(xs).output.data());
        out.push(...new Stream(layer).step([1, 2, 3]), ...new Linear(9, 4).forward(layer.forward(xs).output).data());
        out.push(...new Layer({ inputSize: 3, hiddenSize: 9, numLayers: 2, dropout: 0.5 }).forward(xs).output.data());
        out.push(...layer.forward(tensor([[0], [2]], { dtype: "int32" })).output.data(), ...layer.forward(xs, { lengths: [1] }).output.data());
      }
      return out.join();
    };
    const [small, large] = [await run(${JSON.stringify(new URL("../dist/inference.js", import.meta.url).href)}), await run(${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)})];
    if (small !== large || small.length < 1000) throw new Error("expected equal bits, got " + small.slice(0, 200) + " and " + large.slice(0, 200));`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  if (status !== 0) fail("inference", stderr);
}

/** What the README says of the small entry: an import, and the kB gzipped that its bundle stays under. */
const README_FIGURE = /import (\{[^}]*\}) from "(tapeloop\/inference)"[^.]*? under (\d+) kB/;

async function readmeIsTrue() {
  const found = README_FIGURE.exec(await readFile(join(root, "README.md"), "utf8"));
  if (found === null) return fail("README", "expected an import of tapeloop/inference and the kB that it takes");
  const [, names, entry, kilobytes] = found;
  const { gzip } = await bundle(`export ${names} from "${entry}"`);
  console.log(`  README, ${names} of ${entry}: ${gzip} bytes gzipped (said: under ${kilobytes} kB)`);
  if (!(gzip < 1000 * Number(kilobytes))) fail("README", `expected ${names} of ${entry} under ${kilobytes} kB gzipped, got ${gzip} bytes`);
}

/** Code of each budget line: a whole entry, or a few names of the root. */
function importOf(line) {
  const names = line.match(/^\{.*\}/)?.[0];
  const conditions = line.match(/ @ (.*)$/)?.[1]?.split(",") ?? [];
  const path = line.replace(/ @ .*/, "").replace(/^\{.*\} of /, "");
  const source = line.includes("} of ") ? join(manifest.name, path) : manifest.name;
  return { code: names ? `export ${names} from "${source}"` : `export * from "${join(manifest.name, path)}"`, conditions };
}

const sizeOf = ({ code, conditions }) => bundle(code, conditions);

/** Room to grow, to the next 100 bytes. */
const withRoom = (bytes) => 100 * Math.ceil((1.02 * bytes) / 100);

async function updateBudgets() {
  for (const [line, budget] of Object.entries(budgets)) {
    const { raw, gzip } = await sizeOf(importOf(line));
    console.log(`  ${line}: ${budget.raw} to ${withRoom(raw)} bytes, ${budget.gzip} to ${withRoom(gzip)} gzipped`);
    budgets[line] = { raw: withRoom(raw), gzip: withRoom(gzip) };
  }
  await writeFile(join(root, "scripts/size-budgets.json"), `${JSON.stringify(budgets, null, 2)}\n`);
}

async function withinBudgets() {
  const named = new Set(Object.keys(budgets));
  for (const [path] of entries) if (!named.has(path)) fail("size", `expected a budget for ${path} in scripts/size-budgets.json`);
  for (const [line, budget] of Object.entries(budgets)) {
    const size = await sizeOf(importOf(line));
    const report = `${line}: ${size.raw} bytes (budget ${budget.raw}), ${size.gzip} gzipped (budget ${budget.gzip})`;
    console.log(`  ${report}`);
    if (!(size.raw <= budget.raw && size.gzip <= budget.gzip)) fail("size", report);
  }
}

if (update) {
  await updateBudgets();
  process.exit(0);
}
const archive = packed();
await coreIsPure();
importIsInert();
await shakes();
await inferenceHasItsKernels();
inferenceAgrees();
await readmeIsTrue();
await readmeLinks();
await withinBudgets();
for (const f of failures) console.error(f);
console.log(failures.length);
