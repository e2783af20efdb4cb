// W6, cold start: from a fresh process to the first result of an LSTM (64 inputs, 64 units, 10 steps). W7: bytes shipped.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { median, spread } from "./measure.mjs";
import { runNumber } from "./processes.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const here = join(root, "bench");
const out = join(root, "build/bench");

/** Bundles a program into one file of build/bench. */
async function bundle(entry, name, options = {}) {
  const outfile = join(out, name);
  const common = {
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    absWorkingDir: root,
    logLevel: "error",
    legalComments: "none",
  };
  await build({ ...common, platform: "neutral", mainFields: ["module", "main"], entryPoints: [entry], outfile, ...options });
  return outfile;
}

const program = join(here, "programs/inference.mjs");

/** The library's programs: as installed, and bundled into one file. */
export async function startPrograms() {
  return [
    { name: "empty Node", file: join(here, "programs/empty.mjs") },
    { name: "tapeloop, one bundled file", file: await bundle(program, "inference.mjs") },
    { name: "tapeloop, modules as installed", file: program },
  ];
}

/** Milliseconds to the first result of each program, in turns; the empty process is the first. */
export function coldStart(core, node, programs, rounds = 15) {
  const times = programs.map(() => []);
  const errors = programs.map(() => null);
  for (let round = 0; round < rounds; round++) {
    programs.forEach(({ file, command }, i) => {
      if (errors[i] !== null) return;
      const { value, error } = runNumber(core, command ?? [node, file]);
      if (error) errors[i] = error;
      else if (round > 0) times[i].push(value);
    });
  }
  const empty = median(times[0]);
  return programs.map(({ name, foreign = false }, i) => {
    if (errors[i] !== null) return { name, error: errors[i] };
    const first = median(times[i]);
    return { name, first, above: foreign ? null : first - empty, spread: spread(times[i]) };
  });
}

/** Bytes of files: raw, gzip and brotli, each file compressed by itself. */
export async function bytesOf(files) {
  const total = { raw: 0, gzip: 0, brotli: 0 };
  for (const file of files) {
    const content = await readFile(file);
    total.raw += content.length;
    total.gzip += gzipSync(content, { level: 9 }).length;
    total.brotli += brotliCompressSync(content, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: content.length } }).length;
  }
  return total;
}

/** What an application ships: one file for any host, or for edge hosts a script and the module beside it. */
export async function bytesShipped() {
  const embedded = await bundle(program, "shipped.mjs");
  const edge = await bundle(program, "shipped-edge.mjs", { conditions: ["workerd"], external: ["*.wasm", "*.wasm?module"] });
  const module = join(root, "dist/kernels-inference.wasm");
  return [
    { name: "tapeloop, WebAssembly in the script", ...(await bytesOf([embedded])) },
    {
      name: "tapeloop, edge: script and .wasm",
      ...(await bytesOf([edge, module])),
      script: (await stat(edge)).size,
      wasm: (await stat(module)).size,
    },
  ];
}
