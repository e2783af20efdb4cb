// A chain of element-wise calls as a replay runs it, whole arrays against tiles: does it pay to keep intermediates in the
// first-level cache? See bench/notes.md, "Captured steps".

import { init } from "../dist/index.js";
import * as code from "../dist/ops/codes.js";
import { empty, keep } from "../dist/tensor/tensor.js";
import { call, host, view } from "../dist/wasm/host.js";
import { elementwise, replay } from "../dist/wasm/kernels.gen.js";
import { checkNames, readOptions } from "../scripts/options.mjs";

const USAGE =
  "Usage: node bench/chains.mjs [simd | relaxed]   chains of element-wise calls on one build of the kernels; after `npm run build`\n";
const { names } = readOptions("chains", USAGE, {}, { named: true });
checkNames("chains", "kernels", names, ["simd", "relaxed"]);
if (names.includes("relaxed")) init((await import("../dist/wasm/relaxed.js")).relaxedKernels());

const BATCH = 32;
const ROUNDS = 150;

/** Numbers in linear memory that stay where they are. */
function resident(words) {
  const memory = keep(empty([words.length], "float64"));
  view("float64", memory.ptr, words.length).set(words);
  return memory;
}

/** Calls of the element-wise kernel as one replay. */
function program(calls) {
  const records = resident(calls.flatMap((args) => [elementwise, args.length, 0, ...args]));
  const args = resident([1, calls.length, records.ptr, 0, 0, 0]);
  const { run } = host();
  return () => run(replay, args.ptr);
}

/** Rows of one step's arrays, from `first` on: the calls that an LSTM's gates make, forward and backward. */
function gateCalls(at, H, first, rows) {
  const array = (name) => at(name) + 4 * H * first;
  const gate = (k) => at("sums") + 4 * (4 * H * first + k * H);
  const ofGate = (op, k, y) => [op, gate(k), 0, 0, 0, 0, array(y), 2, rows, H, 4 * H, 1, 0, 0, 0, 0];
  const of = (op, a, y) => [op, array(a), 0, 0, 0, 0, array(y), 1, rows * H, 1, 0, 0];
  const both = (op, a, b, y) => [op, array(a), array(b), 0, 0, 0, array(y), 1, rows * H, 1, 1, 0];
  const forward = [
    ofGate(code.SIGMOID, 1, "f"),
    both(code.MUL, "f", "c", "u"),
    ofGate(code.SIGMOID, 0, "i"),
    ofGate(code.TANH, 2, "g"),
    both(code.MUL, "i", "g", "v"),
    both(code.ADD, "u", "v", "next"),
    ofGate(code.SIGMOID, 3, "o"),
    of(code.TANH, "next", "t"),
    both(code.MUL, "o", "t", "y"),
  ];
  const backward = [
    both(code.MUL, "dh", "t", "u"),
    both(code.MUL, "dh", "o", "v"),
    both(code.TANH_GRAD, "v", "t", "w"),
    both(code.ADD, "dc", "w", "v"),
    both(code.SIGMOID_GRAD, "u", "o", "w"),
    both(code.MUL, "v", "g", "u"),
    both(code.MUL, "v", "i", "x"),
    both(code.TANH_GRAD, "x", "g", "z"),
    both(code.SIGMOID_GRAD, "u", "i", "x"),
    both(code.MUL, "v", "c", "u"),
    both(code.MUL, "v", "f", "next"),
    both(code.SIGMOID_GRAD, "u", "f", "z"),
  ];
  return { forward, backward };
}

/** Microseconds of each run, the rounds taken in turns; a low quantile, as other processes only ever add. */
function times(runs, repeats) {
  const samples = runs.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    runs.forEach((run, r) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) run();
      samples[r].push((1000 * (performance.now() - start)) / repeats);
    });
  }
  return samples.map((list) => list.sort((a, b) => a - b)[ROUNDS >> 3]);
}

console.log("µs a step of the gates, batch 32, by elements a call (whole arrays first)");
for (const H of [64, 128, 256, 512]) {
  const arrays = new Map();
  const at = (name) => {
    if (!arrays.has(name)) {
      const t = keep(empty([(name === "sums" ? 4 : 1) * BATCH * H]));
      view("float32", t.ptr, t.size).forEach((_, i, values) => {
        values[i] = Math.sin(0.37 * i);
      });
      arrays.set(name, t);
    }
    return arrays.get(name).ptr;
  };
  for (const pass of ["forward", "backward"]) {
    const tiles = [32, 16, 8, 4].filter((rows) => rows * H >= 512);
    const runs = tiles.map((rows) =>
      program(Array.from({ length: BATCH / rows }, (_, k) => gateCalls(at, H, k * rows, rows)[pass]).flat()),
    );
    const found = times(runs, Math.ceil(60_000 / (BATCH * H)));
    console.log(`H ${H} ${pass}: ${tiles.map((rows, i) => `${rows * H}: ${found[i].toFixed(1)}`).join(", ")}`);
  }
}

console.log("ns an element of one call, by elements");
for (const n of [1024, 4096, 16384, 65536, 1 << 20]) {
  const [a, b, y] = ["a", "b", "y"].map(() => keep(empty([n])));
  for (const t of [a, b]) view("float32", t.ptr, n).fill(0.5);
  const codes = { add: code.ADD, "slope of tanh": code.TANH_GRAD, divide: code.DIV, tanh: code.TANH };
  const runs = Object.values(codes).map((op) => () => call(elementwise, "float32", op, a.ptr, b.ptr, 0, 0, 0, y.ptr, 1, n, 1, 1, 0));
  const found = times(runs, Math.ceil(200_000 / n));
  console.log(
    `${n}: ${Object.keys(codes)
      .map((name, i) => `${name} ${((1000 * found[i]) / n).toFixed(3)}`)
      .join(", ")}`,
  );
  for (const t of [a, b, y]) t.dispose();
}
