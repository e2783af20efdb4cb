// What a step costs under each gradient algorithm, by the number of units: seconds and bytes, and the slopes of both in log-log scale beside the
// theory. See bench/notes.md, "Gradient algorithms".

import { gradients } from "../dist/autodiff/sweep.js";
import { FullyRecurrentNetwork, LeakyRNN, LocalFeedbackNetwork, MinGRU } from "../dist/cells/index.js";
import {
  bptt,
  crbp,
  eprop,
  hybrid,
  KalmanFilter,
  kfRtrl,
  rflo,
  rtrl,
  snap,
  truncated,
  truncatedLstm,
  uoro,
} from "../dist/learning/index.js";
import { GRUCell, LSTMCell, RNNCell } from "../dist/recurrence/rnn-cells.js";
import { Generator } from "../dist/tensor/random.js";
import { scope } from "../dist/tensor/tensor.js";
import { host } from "../dist/wasm/host.js";
import { readOptions } from "../scripts/options.mjs";

const generator = () => new Generator(1);
const full = (n) => new FullyRecurrentNetwork({ inputSize: 4, units: n, outputSize: 1, generator: generator() });
const square = (Cell) => (n) => new Cell({ inputSize: n, hiddenSize: n, generator: generator() });
const [rnn, gru, minGru, lstm] = [RNNCell, GRUCell, MinGRU, LSTMCell].map(square);
const leaky = (n) => new LeakyRNN({ inputSize: n, hiddenSize: n, tau: 4, generator: generator() });
const filters = (n) => new LocalFeedbackNetwork({ sizes: [n, n, n], inputDelays: 1, feedbackDelays: 1, generator: generator() });
const small = (n) => new RNNCell({ inputSize: 1, hiddenSize: n, generator: generator() });

/** A gradient algorithm over scans of T steps: what runs, and how many steps that is. */
const scans =
  (make, algorithm, steps = () => 8) =>
  (n) => {
    const [cell, rule, T] = [make(n), algorithm(n), steps(n)];
    const xs = new Generator(2).uniform([T, 1, cell.inputSize], -1, 1);
    return {
      T,
      prepare() {
        const [ys] = rule.scan(cell, xs);
        return () => gradients([ys], cell.parameters(), [ys.detach()]);
      },
    };
  };

/** A Kalman filter over all weights, one update a step. */
function kalman(n) {
  const cell = small(n);
  const filter = new KalmanFilter(cell);
  const xs = new Generator(2).uniform([1, 1, 1], -1, 1);
  return {
    T: 1,
    prepare() {
      const [ys] = cell.scan(xs);
      return () => filter.update(ys, ys.detach());
    },
  };
}

const [MIDDLE, LARGE] = [
  [16, 32, 64, 128],
  [64, 128, 256, 512],
];

/**
 * A row an algorithm: what runs for a net of n units, and the slopes of the theory in n: time and memory. With `tape`, memory is that of the forward
 * pass, too, which keeps steps.
 */
export const ROWS = [
  { name: "rtrl, fully recurrent", run: scans(full, rtrl, () => 3), sizes: [...MIDDLE, 256, 384], theory: [4, 3] },
  { name: "hybrid(n), fully recurrent", run: scans(full, hybrid, (n) => 2 * n), sizes: MIDDLE, theory: [3, 3] },
  { name: "rtrl, GRU", run: scans(gru, rtrl), sizes: MIDDLE, theory: [4, 3] },
  { name: "rtrl, MinGRU (a trace a weight)", run: scans(minGru, rtrl), sizes: LARGE, theory: [2, 2] },
  { name: "truncatedLstm", run: scans(lstm, truncatedLstm), sizes: LARGE, theory: [2, 2] },
  {
    name: "bptt, LSTM",
    run: scans(
      lstm,
      () => bptt(),
      () => 64,
    ),
    sizes: LARGE,
    theory: [2, 2],
    tape: true,
  },
  {
    name: 'bptt({ memory: "sqrt" }), LSTM',
    run: scans(
      lstm,
      () => bptt({ memory: "sqrt" }),
      () => 64,
    ),
    sizes: LARGE,
    theory: [2, 2],
    tape: true,
  },
  {
    name: "truncated([16, 8]), LSTM",
    run: scans(
      lstm,
      () => truncated({ steps: [16, 8] }),
      () => 64,
    ),
    sizes: LARGE,
    theory: [2, 2],
    tape: true,
  },
  { name: "snap(1), RNN", run: scans(rnn, () => snap(1)), sizes: [32, 64, 128, 256], theory: [2, 2] },
  { name: "snap(1), GRU", run: scans(gru, () => snap(1)), sizes: [32, 64, 128, 256], theory: [2, 2] },
  { name: "kfRtrl, RNN", run: scans(rnn, () => kfRtrl({ generator: generator() })), sizes: [32, 64, 128, 256], theory: [3, 2] },
  { name: "uoro, RNN", run: scans(rnn, () => uoro({ generator: generator() })), sizes: LARGE, theory: [2, 2] },
  { name: "eprop, LSTM", run: scans(lstm, eprop), sizes: LARGE, theory: [2, 2] },
  { name: "rflo, LeakyRNN", run: scans(leaky, rflo), sizes: LARGE, theory: [2, 2] },
  { name: "crbp({ Q: 3 }), two layers of filters", run: scans(filters, () => crbp({ Q: 3 })), sizes: [32, 64, 128, 256], theory: [2, 2] },
  { name: "KalmanFilter, RNN", run: kalman, sizes: [8, 16, 24, 32], theory: [4, 4] },
];

const USAGE =
  "Usage: node bench/learning.mjs [part of a row's name]   seconds and bytes a step of gradient algorithms; after `npm run build`\n";
const { names } = readOptions("learning", USAGE, {}, { named: true });

/** Seconds of the processor a step, the least of some rounds, and the most bytes at once. */
function measure({ run, tape = false }, n) {
  const { T, prepare } = run(n);
  let [best, bytes] = [Number.POSITIVE_INFINITY, 0];
  const started = performance.now();
  for (let round = 0; round < 3 || (round < 20 && performance.now() - started < 2000); round++) {
    scope(() => {
      const { heap } = host();
      const before = heap.liveBytes;
      heap.peakBytes = before;
      const go = prepare();
      const live = tape ? before : heap.liveBytes;
      if (!tape) heap.peakBytes = live;
      const clock = process.cpuUsage();
      go();
      const { user, system } = process.cpuUsage(clock);
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
