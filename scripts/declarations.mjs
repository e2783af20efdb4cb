// Declarations for every compiler from TypeScript 5.2 on, with or without the DOM's types: what newer compilers write is said in older words.

import { spawnSync } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Typed arrays have a type parameter since 5.7; what makes one has returned the right type before and since. */
const REWORDED = [
  [/\b(\w+Array)<ArrayBuffer>/g, "ReturnType<typeof $1.from>"],
  [/\b(\w+Array)<ArrayBufferLike>/g, "$1"],
  [/\bWebAssembly\.(\w+)/g, "WebAssembly$1"],
];

/** A type of the host where its class is declared. */
const ofHost = (path, otherwise) => {
  const shape = path.split(".").reduceRight((inner, name) => `{ ${name}: ${inner} }`, "{ prototype: infer T }");
  return `typeof globalThis extends ${shape} ? T : ${otherwise}`;
};

/** Names that not every program knows, declared where they are used. */
const DECLARED = {
  "NoInfer<T>": "[T][T extends any ? 0 : never]",
  AbortSignal: ofHost("AbortSignal", "object"),
  Blob: ofHost("Blob", "never"),
  Response: ofHost("Response", "never"),
  BufferSource: "ArrayBuffer | ArrayBufferView",
  WebAssemblyModule: ofHost("WebAssembly.Module", "object"),
  WebAssemblyInstance: ofHost("WebAssembly.Instance", "object"),
  WebAssemblyMemory: ofHost("WebAssembly.Memory", "object"),
};

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;

function reworded(text) {
  const changed = REWORDED.reduce((t, [pattern, words]) => t.replace(pattern, words), text);
  const code = changed.replace(COMMENT, "");
  const missing = Object.entries(DECLARED).filter(([name]) => new RegExp(`\\b${name.replace("<T>", "<")}`).test(code));
  const own = missing.map(([name, type]) => `type ${name} = ${type};\n`).join("");
  return own === "" ? changed : `${changed}${own}export {};\n`;
}

/** Writes dist/**.d.ts. What the command line is made of is not for import. */
export async function writeDeclarations(root) {
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.json", "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`declarations: tsc ended with status ${status}`);
  const dist = join(root, "dist");
  await rm(join(dist, "cli"), { recursive: true, force: true });
  for (const file of await readdir(dist, { recursive: true })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = await readFile(join(dist, file), "utf8");
    const words = reworded(text);
    if (words !== text) await writeFile(join(dist, file), words);
  }
}
