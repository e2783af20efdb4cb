// What a step costs under each gradient algorithm, by the number of units: seconds and bytes, and the slopes of both in log-log scale beside the
// theory. See docs/performance.md, "Gradient algorithms".

import { gradients } from "../dist/autodiff/sweep.js";
import { FullyRecurrentNetwork, MinGRU } from "../dist/cells/index.js";
import { hybrid, rtrl, truncatedLstm } from "../dist/learning/index.js";
import { GRUCell, LSTMCell } from "../dist/recurrence/rnn-cells.js";
import { Generator } from "../dist/tensor/random.js";
import { scope } from "../dist/tensor/tensor.js";
import { host } from "../dist/wasm/host.js";
import { readOptions } from "../scripts/options.mjs";

const full = (n) => new FullyRecurrentNetwork({ inputSize: 4, units: n, outputSize: 1, generator: new Generator(1) });
const gru = (n) => new GRUCell({ inputSize: n, hiddenSize: n, generator: new Generator(1) });
const minGru = (n) => new MinGRU({ inputSize: n, hiddenSize: n, generator: new Generator(1) });
const lstm = (n) => new LSTMCell({ inputSize: n, hiddenSize: n, generator: new Generator(1) });

/** A row an algorithm: a net of n units, the algorithm for it, and the slopes of the theory in n: time and memory. */
export const ROWS = [
  { name: "rtrl, fully recurrent", make: full, algorithm: () => rtrl(), sizes: [16, 32, 64, 128], theory: [4, 3] },
  { name: "hybrid(n), fully recurrent", make: full, algorithm: (n) => hybrid(n), sizes: [16, 32, 64, 128], theory: [3, 3] },
  { name: "rtrl, GRU", make: gru, algorithm: () => rtrl(), sizes: [16, 32, 64, 128], theory: [4, 3] },
  { name: "rtrl, MinGRU (a trace a weight)", make: minGru, algorithm: () => rtrl(), sizes: [64, 128, 256, 512], theory: [2, 2] },
  { name: "truncatedLstm", make: lstm, algorithm: () => truncatedLstm(), sizes: [64, 128, 256, 512], theory: [2, 2] },
];

const USAGE =
  "Usage: node bench/learning.mjs [part of a row's name]   seconds and bytes a step of gradient algorithms; after `npm run build`\n";
const { names } = readOptions("learning", USAGE, {}, { named: true });

/** Seconds of the processor a step, the least of some rounds, and the most bytes at once, over scans of T steps. */
function measure({ make, algorithm }, n) {
  const cell = make(n);
  const rule = algorithm(n);
  const T = rule.name.startsWith("hybrid") ? 2 * n : 8;
  const xs = new Generator(2).uniform([T, 1, cell.inputSize], -1, 1);
  let [best, bytes] = [Number.POSITIVE_INFINITY, 0];
  const started = performance.now();
  for (let round = 0; round < 3 || (round < 20 && performance.now() - started < 2000); round++) {
    scope(() => {
      const [ys] = rule.scan(cell, xs);
      const { heap } = host();
      const live = heap.liveBytes;
      heap.peakBytes = live;
      const before = process.cpuUsage();
      gradients([ys], cell.parameters(), [ys.detach()]);
      const { user, system } = process.cpuUsage(before);
      best = Math.min(best, (user + system) / 1e6 / T);
      bytes = heap.peakBytes - live;
    });
  }
  return { seconds: best, bytes };
}

/** The slope of a line through (log n, log y), by least squares. */
function slope(sizes, values) {
  const [x, y] = [sizes.map(Math.log), values.map(Math.log)];
  const mean = (v) => v.reduce((a, b) => a + b) / v.length;
  const [mx, my] = [mean(x), mean(y)];
  return x.reduce((sum, v, i) => sum + (v - mx) * (y[i] - my), 0) / x.reduce((sum, v) => sum + (v - mx) ** 2, 0);
}

for (const row of ROWS.filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)))) {
  const found = row.sizes.map((n) => measure(row, n));
  console.log(row.name);
  row.sizes.forEach((n, i) => {
    const { seconds, bytes } = found[i];
    console.log(
      `  n = ${String(n).padStart(3)}   ${(1e6 * seconds).toFixed(0).padStart(8)} µs a step   ${(bytes / 1024).toFixed(0).padStart(8)} KiB`,
    );
  });
  const last = (values) => slope(row.sizes.slice(-2), values.slice(-2));
  const time = found.map(({ seconds }) => seconds);
  const memory = found.map(({ bytes }) => bytes);
  const show = (values) => `${slope(row.sizes, values).toFixed(2)} (last two ${last(values).toFixed(2)})`;
  console.log(`  slope of time ${show(time)}, theory ${row.theory[0]};  of memory ${show(memory)}, theory ${row.theory[1]}`);
}
