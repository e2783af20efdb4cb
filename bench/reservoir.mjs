// Steps a second of a large sparse reservoir (10,000 units, 100 connections each, float32, one thread), beside scipy.sparse where python3 has it. Both take
// turns, and the best step of each counts: on a machine that does other things, that is the one that was disturbed least. See bench/notes.md, "Reservoirs".

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { noGrad } from "../dist/autodiff/tape.js";
import { sparseLinear } from "../dist/ops/sparse.js";
import { Stream } from "../dist/recurrence/stream.js";
import { Reservoir } from "../dist/reservoirs/index.js";
import { Generator } from "../dist/tensor/random.js";
import { scope } from "../dist/tensor/tensor.js";
import { readOptions } from "../scripts/options.mjs";

const USAGE = "Usage: node bench/reservoir.mjs   steps of a reservoir of 10,000 units, beside scipy.sparse; after `npm run build`\n";
readOptions("reservoir", USAGE);

const [UNITS, CONNECTIONS, ROUNDS, SECONDS] = [10_000, 100, 5, 1];

/** Seconds of the best call in a second of calls. */
function best(fn) {
  let least = Number.POSITIVE_INFINITY;
  const end = performance.now() + 1000 * SECONDS;
  while (performance.now() < end) {
    const start = performance.now();
    fn();
    least = Math.min(least, (performance.now() - start) / 1000);
  }
  return least;
}

/** The same step by scipy; null where there is none. */
function scipy() {
  const program = fileURLToPath(new URL("rivals/scipy_reservoir.py", import.meta.url));
  const options = JSON.stringify({ units: UNITS, connections: CONNECTIONS, seconds: SECONDS });
  try {
    return JSON.parse(execFileSync("python3", [program, options], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return null;
  }
}

const made = performance.now();
const reservoir = new Reservoir({ inputSize: 1, hiddenSize: UNITS, connections: CONNECTIONS, leak: 0.3, generator: new Generator(1) });
const seconds = (performance.now() - made) / 1000;
const stream = new Stream(reservoir);
const [x, h] = [[0.5], new Generator(2).uniform([1, UNITS])];
const product = () => scope(() => noGrad(() => sparseLinear(h, reservoir.weightHh)));

const rounds = Array.from({ length: ROUNDS }, () => ({ step: best(() => stream.step(x)), product: best(product), rival: scipy() }));
const least = (times) => Math.min(...times);
const perSecond = (times) => `${Math.round(1 / least(times))}/s`;
console.log(`reservoir of ${UNITS} units with ${CONNECTIONS} connections each, made in ${seconds.toFixed(1)} s`);
console.log(`stream      step ${perSecond(rounds.map((r) => r.step))}   product alone ${perSecond(rounds.map((r) => r.product))}`);
const rivals = rounds.map((r) => r.rival).filter((r) => r !== null);
if (rivals.length === 0) console.log("scipy       not found");
else
  console.log(
    `scipy ${rivals[0].version}  step ${perSecond(rivals.map((r) => r.step))}   product alone ${perSecond(rivals.map((r) => r.product))}`,
  );
