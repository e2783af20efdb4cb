// A step of an LSTM at batch 1 with weights of floats and of int8, taking turns in one process; beside them ONNX Runtime (native, floats), where
// `npm run bench -- --rivals` has installed it. See bench/notes.md, "Int8 weights".

import { existsSync } from "node:fs";
import { quantize } from "../dist/quantized/index.js";
import { LSTM } from "../dist/recurrence/rnn.js";
import { Stream } from "../dist/recurrence/stream.js";
import { readOptions, refuse } from "../scripts/options.mjs";

const USAGE = `Usage: node bench/int8.mjs [--rounds N]   after npm run build: microseconds a step, the fastest of N rounds (default 500) and their lower quartile\n`;
const { rounds } = readOptions("int8", USAGE, { rounds: { type: "string", default: "500" } });
if (!(Number(rounds) >= 4)) refuse("int8", `--rounds: expected a number of at least 4, got ${rounds}`);

/** Short enough to fall between other work. */
const SECONDS = 0.5e-3;

const rival = "onnxruntime-node";
const isThere = existsSync(new URL(`rivals/node_modules/${rival}`, import.meta.url));
const runtime = isThere ? await (await import("./rivals/ort.mjs")).open({ library: rival }) : null;

function ours(H, int8) {
  const layer = new LSTM({ inputSize: H, hiddenSize: H });
  if (int8) quantize(layer);
  const stream = new Stream(layer);
  const x = Float32Array.from({ length: H }, (_, i) => Math.sin(i));
  return () => void stream.step(x);
}

/** Microseconds of a run, as many in a row as take half a millisecond. */
async function timed(run, repeats) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < repeats; i++) {
    const pending = run();
    if (pending) await pending;
  }
  return Number(process.hrtime.bigint() - start) / 1e3 / repeats;
}

async function measure(H) {
  const runs = { floats: ours(H, false), int8: ours(H, true), ...(runtime && { [rival]: (await runtime.kinds.stream({ H })).run }) };
  const times = Object.fromEntries(Object.keys(runs).map((name) => [name, []]));
  const repeats = Object.fromEntries(Object.keys(runs).map((name) => [name, 1]));
  for (let round = 0; round < Number(rounds); round++) {
    for (const [name, run] of Object.entries(runs)) {
      const time = await timed(run, repeats[name]);
      times[name].push(time);
      repeats[name] = Math.max(1, Math.round((SECONDS * 1e6) / Math.min(...times[name])));
    }
  }
  return Object.entries(times).map(([name, all]) => ({ name, sorted: all.sort((a, b) => a - b) }));
}

for (const H of [64, 128, 256, 512]) {
  const found = await measure(H);
  const int8 = found.find(({ name }) => name === "int8").sorted;
  for (const { name, sorted } of found) {
    const quartile = sorted.length >> 2;
    const ratio = (i) => (sorted[i] / int8[i]).toFixed(2);
    console.log(
      `H ${H} ${name}: ${sorted[0].toFixed(1)} µs, quartile ${sorted[quartile].toFixed(1)}; over int8: ${ratio(0)}, ${ratio(quartile)}`,
    );
  }
}
process.exit(0);
