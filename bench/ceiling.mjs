// The ceilings of this core inside WebAssembly: arithmetic from registers alone, and reading of memory.
// As a program it prints them: `node bench/ceiling.mjs LADDER.wasm MEMORY.wasm SECONDS`.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { emit } from "./measure.mjs";
import { READ_SIZES } from "./workloads.mjs";

const BASE = 1 << 20;
const SAMPLES = 25;

const instantiate = (path) => new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path))).exports;

/** Seconds of one run: the fastest of samples that take `seconds` together. Whatever else the machine does can only slow one down. */
function time(run, seconds) {
  const timed = (repeats) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) run();
    return (performance.now() - start) / 1000;
  };
  let repeats = 1;
  while (timed(repeats) < seconds / SAMPLES) repeats *= 2;
  return Math.min(...Array.from({ length: SAMPLES }, () => timed(repeats) / repeats));
}

/** A function that measures FLOP/s from registers: fused multiply-add where the build has it, else multiplications and additions. */
export function peakProbe(ladderPath) {
  const ladder = instantiate(ladderPath);
  new Float32Array(ladder.memory.buffer, BASE, 8).fill(1);
  const rounds = 2000;
  const flop = 14 * 4 * (ladderPath.includes("relaxed") ? 2 : 1) * rounds;
  const run = () => ladder.peak(rounds, BASE);
  return (seconds) => flop / time(run, seconds);
}

/** Bytes read a second, for a working set. */
function readProbe(memoryPath) {
  const { memory, read } = instantiate(memoryPath);
  new Float32Array(memory.buffer, BASE, 8 << 20).fill(0);
  return (bytes, seconds) => {
    const rounds = Math.max(1, Math.ceil((1 << 18) / bytes));
    return (bytes * rounds) / time(() => read(bytes, BASE, rounds, 1024), seconds);
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [ladderPath, memoryPath, seconds] = process.argv.slice(2);
  const [peak, read] = [peakProbe(ladderPath), readProbe(memoryPath)];
  for (let i = 0; i < 3; i++) emit({ probe: peak(Number(seconds)) });
  for (const bytes of READ_SIZES) emit({ bytes, read: read(bytes, Number(seconds)) });
}
