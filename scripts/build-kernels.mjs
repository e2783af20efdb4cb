// Turns assembly/ into the two binaries and the typed kernel table.
//
// Every exported generic function marked `@kernel` in assembly/ becomes one kernel:
// a dispatcher (assembly/index.gen.ts) reads its arguments from 8-byte slots in memory,
// so that a call is an id plus numbers and can be recorded and replayed.

import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { operationCodes, writeOperationLists } from "./operations.mjs";
import { readOptions } from "./options.mjs";
import { poolConstants } from "./pool-constants.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const KERNEL = /\/\*\*((?:(?!\*\/)[\s\S])*?@kernel[\s\S]*?)\*\/\s*export function (\w+)(<T>)?\s*\(([^)]*)\)\s*:\s*void/g;
/** A last parameter of this name is the address of the remaining argument slots: dimensions, strides, lists of pointers. */
const REST = "slots";
/** In this order: other programs compile parts of assembly/ with the entry that the last one leaves. */
const TARGETS = ["inference", "threads", "simd", "relaxed"];
const PARAM_TYPES = new Set(["i32", "usize", "f64"]);

/** @typedef {{ name: string, file: string, generic: boolean, doc: string, work: string | undefined, params: { name: string, type: string }[] }} Kernel */

/** Lists every kernel in assembly/, in file and source order. @returns {Promise<Kernel[]>} */
export async function scanKernels() {
  const folder = join(root, "assembly");
  const files = (await readdir(folder, { recursive: true })).filter((f) => f.endsWith(".ts") && !f.endsWith(".gen.ts")).sort();
  const kernels = [];
  for (const file of files) {
    const text = await readFile(join(folder, file), "utf8");
    for (const [, doc, name, generic, list] of text.matchAll(KERNEL)) {
      const [, words = doc, work] = /^([\s\S]*?)@shared (.*?)\s*\*?\s*$/.exec(doc) ?? [];
      kernels.push({ name, file, generic: generic !== undefined, doc: words, work, params: parseParams(name, list) });
    }
  }
  const seen = new Set();
  for (const { name } of kernels) {
    if (seen.has(name)) throw new Error(`kernel ${name}: expected unique names, got two`);
    seen.add(name);
  }
  return kernels;
}

function parseParams(kernel, list) {
  const parts = list
    .split(",")
    .map((p) => p.trim())
    .filter(Boolean);
  return parts.map((part) => {
    const [name, type] = part.split(":").map((s) => s.trim());
    if (!PARAM_TYPES.has(type)) throw new Error(`kernel ${kernel}: expected ${name} to be i32, usize or f64, got ${type}`);
    return { name, type };
  });
}

/** What running recurrent layers in float32 takes: the kernels of the small binary. */
export const INFERENCE = new Set(
  (
    "fill copyStrided convert elementwise gemm packWeights gemmPanels gatherRows addRows replay " +
    "lstmForward gruForward elmanForward philox wordsToUniform wordsToBernoulli"
  ).split(" "),
);

/** In the binary for threads: how much work a call is, and that those of enough work are shared. */
function sharing(kernels) {
  const cases = kernels.flatMap(({ work, params }, i) => {
    if (work === undefined) return [];
    const named = params.map((p, slot) => ({ ...p, slot })).filter(({ name }) => new RegExp(`\\b${name}\\b`).test(work));
    const values = named.map(({ name, type, slot }) => {
      if (name === REST) return `const ${name} = p + ${8 * slot};`;
      return `const ${name} = ${type === "usize" ? "<usize>" : ""}load<f64>(p, ${8 * slot});`;
    });
    return [`    case ${i}: {\n      ${[...values, `return ${work};`].join("\n      ")}\n    }`];
  });
  return `import { isWorth, mayShare, share } from "./threads";
import { rowsIn, sizes, volume, workOfSteps } from "./work";

export { enlist, serve } from "./threads";

/** How much work a call is; none where it cannot be shared. */
function workOf(id: i32, p: usize): f64 {
  switch (id >> 1) {
${cases.join("\n")}
    default: return 0;
  }
}
`;
}

/**
 * The AssemblyScript entry: one switch over kernel ids; id = 2·index + (0 for f32, 1 for f64).
 * The small binary has the same ids and traps on those it lacks.
 */
function dispatcher(kernels, interfaceId, target) {
  const small = target === "inference";
  const shared = target === "threads";
  const slot = ({ name, type }, i) => {
    if (name === REST) return `p + ${8 * i}`;
    return type === "f64" ? `load<f64>(p, ${8 * i})` : `<${type}>load<f64>(p, ${8 * i})`;
  };
  const chosen = small ? kernels.filter((k) => INFERENCE.has(k.name)) : kernels;
  const imports = chosen.map((k) => `import { ${k.name} } from "./${k.file.replace(/\.ts$/, "").replaceAll("\\", "/")}";`);
  const cases = chosen.flatMap((k) => {
    const i = kernels.indexOf(k);
    const args = k.params.map(slot).join(", ");
    if (small && k.generic) return [`    case ${2 * i}: ${k.name}<f32>(${args}); break;`];
    if (!k.generic) return [`    case ${2 * i}: ${k.name}(${args}); break;`];
    return [`    case ${2 * i}: ${k.name}<f32>(${args}); break;`, `    case ${2 * i + 1}: ${k.name}<f64>(${args}); break;`];
  });
  return `// Generated by scripts/build-kernels.mjs: do not edit.
${imports.join("\n")}
${shared ? sharing(kernels) : ""}
/** Runs kernel \`id\` with the arguments in the 8-byte slots at \`p\`. */
export function run(id: i32, p: usize): void {${shared ? "\n  if (mayShare() && isWorth(workOf(id, p))) return share(id, p);" : ""}
  switch (id) {
${cases.join("\n")}
    default: unreachable();
  }
}

/** Where the caller's memory begins: everything below is static data of the kernels. */
export function heapBase(): usize { return __heap_base; }

/** Of the kernels' ids and arguments: the library refuses binaries of another version. */
export const interfaceId: i32 = ${interfaceId};
`;
}

function pointerBits({ name, params }) {
  if (params.length > 31) throw new Error(`kernel ${name}: expected at most 31 parameters, got ${params.length}`);
  return params.reduce((bits, p, i) => (p.type === "usize" && p.name !== REST ? bits | (1 << i) : bits), 0);
}

/** The typed table on the TypeScript side. */
function table(kernels, interfaceIds) {
  const rows = kernels.map((k, i) => {
    const doc = k.doc
      .replace(/@kernel/, "")
      .replace(/\n\s*\*\s*(?=\n)/g, "")
      .trim()
      .replace(/\*?$/, "")
      .trim();
    const args = k.params.map(({ name }) => (name === REST ? "...slots: number[]" : `${name}: number`)).join(", ");
    return `/** ${doc.startsWith("*") ? doc.slice(1).trim() : doc} */\nexport const ${k.name}: Kernel<[${args}]> = ${2 * i};\n`;
  });
  return `// Generated by scripts/build-kernels.mjs: do not edit.

declare const args: unique symbol;

/** A kernel's id; the type carries its argument list. */
export type Kernel<A extends readonly number[]> = number & { readonly [args]?: A };

/** What the binaries of this version export as \`interfaceId\`. */
export const INTERFACE_ID = ${interfaceIds.full};

/** What the small binary exports instead: it lacks kernels. */
export const SMALL_INTERFACE_ID = ${interfaceIds.small};

export const KERNEL_NAMES: readonly string[] = ${JSON.stringify(kernels.map((k) => k.name))};

/** For each kernel, the bits of its address arguments. */
export const KERNEL_POINTERS: readonly number[] = ${JSON.stringify(kernels.map(pointerBits))};

${rows.join("\n")}`;
}

/** Where each kernel finds each argument: a module of one constant a kernel, so that bundles hold only those that are named. */
function slotTable(kernels) {
  const rows = kernels.map(({ name, params }) => {
    const slots = params.map((p, i) => `${p.name}: ${i}`).join(", ");
    return `export const ${name} = { ${slots} } as const;`;
  });
  return `// Generated by scripts/build-kernels.mjs: do not edit.

// The slot of every kernel's arguments, by the name the kernel gives them: \`SLOTS.gemm.bias\`. \`slots\` is the first of the rest.

${rows.join("\n")}
`;
}

/** Compiles one asconfig target and returns its bytes. The compiler takes a second to load: only what compiles loads it. */
async function compile(target) {
  const { main: asc } = await import("assemblyscript/asc");
  const { error, stderr } = await asc(["--config", "asconfig.json", "--target", target], { baseDir: root, writeFile: undefined });
  if (error) throw new Error(`asc ${target}: ${error.message}\n${stderr.toString()}`);
  const path = join(root, "build", `${target}.wasm`);
  const bytes = Buffer.from(poolConstants(await readFile(path)));
  await checkAbi(target, bytes);
  await writeFile(path, bytes);
  return bytes;
}

/**
 * The contract with every host: nothing imported, only the memory, the dispatcher and the heap base exported. The binary for threads
 * is given its memory and has the threads' own functions besides; its static memory must end where that of the others does.
 */
async function checkAbi(target, bytes) {
  // Node 20 cannot validate relaxed SIMD, so there the relaxed binary is checked by the run that uses it.
  if (!WebAssembly.validate(bytes)) {
    if (target !== "relaxed") throw new Error(`${target}.wasm: expected a valid module, got one this host rejects`);
    return;
  }
  const module = new WebAssembly.Module(bytes);
  const shared = target === "threads";
  const namesOf = (list) =>
    list
      .map((e) => e.name)
      .sort()
      .join(", ");
  const expectNames = (what, list, expected) => {
    const names = namesOf(list);
    if (names !== expected) throw new Error(`${target}.wasm: expected ${what} ${expected || "of nothing"}, got ${names}`);
  };
  expectNames("imports", WebAssembly.Module.imports(module), shared ? "memory, pause, region" : "");
  expectNames(
    "exports",
    WebAssembly.Module.exports(module),
    shared ? "enlist, heapBase, interfaceId, memory, run, serve" : "heapBase, interfaceId, memory, run",
  );
  if (shared) return;
  const { instantiateSync } = await import("@assemblyscript/loader");
  const { heapBase, memory } = instantiateSync(module).exports;
  const [base, end] = [heapBase(), memory.buffer.byteLength];
  if (!(base > 0 && base < end)) throw new Error(`${target}.wasm: expected its heap to begin within ${end} bytes of memory, got ${base}`);
}

/** How binaries are written. Hexadecimal is longer, and shorter once compressed: no character stands for parts of two bytes. */
const ENCODINGS = { inference: ["hex", "Hex"], simd: ["base64", "Base64"], relaxed: ["base64", "Base64"], threads: ["base64", "Base64"] };

function embed(target, bytes) {
  const [encoding, suffix] = ENCODINGS[target];
  return `// Generated by scripts/build-kernels.mjs: do not edit.

/** The ${target} kernels: ${bytes.length} bytes of WebAssembly in ${encoding}. */
export const ${target}${suffix}: string =
  "${bytes.toString(encoding)}";
`;
}

async function writeIfChanged(path, text) {
  const old = await readFile(path, "utf8").catch(() => "");
  if (old !== text) await writeFile(path, text);
}

/** A digest of everything the binaries depend on. */
async function digest() {
  const hash = createHash("sha256");
  const files = (await readdir(join(root, "assembly"), { recursive: true }))
    .filter((f) => f.endsWith(".ts") && !f.endsWith(".gen.ts"))
    .sort();
  const inputs = [
    ...files.map((f) => join("assembly", f)),
    "asconfig.json",
    "scripts/build-kernels.mjs",
    "scripts/operations.mjs",
    "scripts/pool-constants.mjs",
    "package-lock.json",
  ];
  for (const file of inputs) hash.update(file).update(await readFile(join(root, file)));
  return hash.digest("hex");
}

/** A number for all that a caller and a binary must agree on: ids, arguments, codes of operations, and the kernels that are left if some are missing. */
function interfaceIdOf(kernels, codes, left = []) {
  const calls = kernels.map(({ name, params, generic }) => [name, generic, params.map((p) => [p.name, p.type])]);
  const hash = createHash("sha256").update(JSON.stringify(calls)).update(codes.forKernels).update(left.join());
  return hash.digest().readUInt32LE(0) >>> 1;
}

/** Whether everything that is generated is there. */
async function isComplete() {
  const files = [
    ...["kernels", "slots", "codes", ...TARGETS].map((f) => `src/wasm/${f}.gen.ts`),
    "assembly/index.gen.ts",
    "assembly/codes.gen.ts",
  ];
  const found = await Promise.all([...files, ...TARGETS.map((t) => `build/${t}.wasm`)].map((f) => stat(join(root, f)).catch(() => null)));
  return found.every((f) => f !== null);
}

/** Builds everything under assembly/, unless nothing has changed since the last time. Returns what was built, or null. */
export async function buildKernels() {
  await mkdir(join(root, "build"), { recursive: true });
  await writeOperationLists(root);
  const now = await digest();
  const stamp = join(root, "build/kernels.sha256");
  if ((await readFile(stamp, "utf8").catch(() => "")) === now && (await isComplete())) return null;
  const kernels = await scanKernels();
  await writeIfChanged(join(root, "src/wasm/slots.gen.ts"), slotTable(kernels));
  const codes = await operationCodes(root);
  const interfaceIds = { full: interfaceIdOf(kernels, codes), small: interfaceIdOf(kernels, codes, [...INFERENCE]) };
  await writeIfChanged(join(root, "src/wasm/kernels.gen.ts"), table(kernels, interfaceIds));
  await writeIfChanged(join(root, "src/wasm/codes.gen.ts"), codes.forTypeScript);
  await writeIfChanged(join(root, "assembly/codes.gen.ts"), codes.forKernels);
  const sizes = {};
  for (const target of TARGETS) {
    const interfaceId = target === "inference" ? interfaceIds.small : interfaceIds.full;
    await writeIfChanged(join(root, "assembly/index.gen.ts"), dispatcher(kernels, interfaceId, target));
    const bytes = await compile(target);
    sizes[target] = bytes.length;
    await writeIfChanged(join(root, `src/wasm/${target}.gen.ts`), embed(target, bytes));
  }
  await writeFile(stamp, now);
  return { kernels: kernels.length, sizes };
}

if (process.argv[1] && relative(process.argv[1], fileURLToPath(import.meta.url)) === "") {
  readOptions("build-kernels", "Usage: npm run build:kernels   the binaries and their tables, if anything they depend on has changed\n");
  const built = await buildKernels();
  if (built === null) console.log("kernels: up to date");
  else
    console.log(
      `${built.kernels} kernels: ${Object.entries(built.sizes)
        .map(([target, bytes]) => `${target} ${bytes} bytes`)
        .join(", ")}`,
    );
}
