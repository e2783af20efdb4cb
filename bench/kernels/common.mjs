// What the ladders share: instances, the library's kernels by name, and the fastest of many samples.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { scanKernels } from "../../scripts/build-kernels.mjs";
import { compileBenchKernel } from "./compile.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SAMPLES = 25;
const MINIMUM_MS = 2;
const ids = new Map((await scanKernels()).map((kernel, i) => [kernel.name, 2 * i]));

/** The exports of a binary; null where the host does not accept it. */
export function instance(path) {
  const bytes = readFileSync(path);
  return WebAssembly.validate(bytes) ? new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports : null;
}

/** The library's kernels in float32, by name, with 64 MiB to work in. */
export function library(target) {
  const exports = instance(join(root, "build", `${target}.wasm`));
  if (exports === null) return null;
  exports.memory.grow(1024);
  const slots = (exports.heapBase() + 63) & ~63;
  const args = new Float64Array(exports.memory.buffer, slots, 64);
  const call = (name, ...values) => {
    args.set(values);
    exports.run(ids.get(name), slots);
  };
  return { memory: exports.memory, call };
}

/** Time of one call in milliseconds: the fastest sample, for whatever else the machine does can only slow it down. */
export function measure(run) {
  let repeats = 1;
  while (timed(run, repeats) < MINIMUM_MS) repeats *= 2;
  return Math.min(...Array.from({ length: SAMPLES }, () => timed(run, repeats) / repeats));
}

function timed(run, repeats) {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) run();
  return performance.now() - start;
}

/** GFLOP/s from registers alone. */
export function peakOf(ladder, target) {
  const [rounds, at] = [2000, 40 << 20];
  new Float32Array(ladder.memory.buffer, at, 8).fill(1);
  const flops = 14 * 4 * (target === "relaxed" ? 2 : 1);
  return (flops * rounds) / measure(() => ladder.peak(rounds, at)) / 1e6;
}

/** Numbers in [-1, 1) at an address, the same ones for the same seed. */
export function fill(memory, ptr, n, seed, scale = 1) {
  let state = seed;
  const values = new Float32Array(memory.buffer, ptr, n);
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = (scale * state) / 2 ** 31;
  }
}

/** Runs `bench(ladder, lib, target)` for every build that the host accepts. */
export async function eachBuild(name, bench) {
  for (const target of ["simd", "relaxed"]) {
    const ladder = instance(await compileBenchKernel(name, target));
    const lib = library(target);
    if (ladder === null || lib === null) continue;
    console.log(`\n### ${process.version}, ${target}\n`);
    await bench(ladder, lib, target);
  }
}

/** Throws unless every element is as expected. */
export function check(name, got, want, tolerance) {
  for (let i = 0; i < want.length; i++) {
    if (!(Math.abs(got[i] - want[i]) <= tolerance)) throw new Error(`${name}: expected ${want[i]} at ${i}, got ${got[i]}`);
  }
}
