// brain.js: nets of its own kind. Weights cannot be set, recurrent nets use ReLU, training is RMSprop-like, one sequence at a time.

import { createRequire } from "node:module";
import { SEEDS, uniform } from "../inputs.mjs";

const require = createRequire(import.meta.url);
const OTHER = "another net";

/** brain.js only returns from `train` after this many steps. */
const ITERATIONS = 50;

export async function open() {
  const { recurrent } = require("brain.js");
  const rows = (T, I) => {
    const values = uniform(T * I, SEEDS.x);
    return Array.from({ length: T }, (_, t) => Array.from(values.subarray(t * I, (t + 1) * I)));
  };
  const train = (net, data) => net.train([data], { iterations: ITERATIONS, errorThresh: 0, log: false });

  function sequence({ T, B, H }) {
    if (B > 1) throw new Error("no batches");
    const net = new recurrent.LSTMTimeStep({ inputSize: H, hiddenLayers: [H], outputSize: H });
    const data = rows(T, H);
    net.train([data.slice(0, 3)], { iterations: 1, errorThresh: 0, log: false });
    return { run: () => void net.run(data), result: () => Array.from(net.run(data)), incomparable: OTHER };
  }

  /** Predicts its next input (4-16-4); a run is as many training steps as a call makes. */
  function elman({ T, I, H }) {
    const net = new recurrent.RNNTimeStep({ inputSize: I, hiddenLayers: [H], outputSize: I });
    const data = rows(T, I);
    return { run: () => void train(net, data), result: () => [train(net, data).error], incomparable: OTHER, repeats: ITERATIONS };
  }

  const { version } = require("./node_modules/brain.js/package.json");
  const missing = { stream: "no state between calls", gemm: "no matrix product", characters: "no batches" };
  return { version, kinds: { sequence, elman }, missing };
}
