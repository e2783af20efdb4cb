// The ladder of the LSTM: 20 steps at batch 1, inputs' part given, from plain loops to the shipped kernel.
//
//   node bench/kernels/lstm.mjs            after `npm run build:kernels`

import { check, eachBuild, fill, measure } from "./common.mjs";

const T = 20;
const [TABLE, GX, W, WT, H0, C0, YS, WORK] = [2, 4, 12, 20, 28, 29, 30, 34].map((mib) => mib << 20);

/** Every rung as [name, memory, function of H]. */
function rungs(ladder, lib) {
  const rung = (name, run, w) => [name, ladder.memory, (H) => run(T, H, GX, w, H0, C0, YS)];
  return [
    rung("1 plain loops", ladder.plain, W),
    rung("2 product in vectors", ladder.vectorProduct, WT),
    rung("3 gates in vectors", ladder.vectorGates, WT),
    ["4 `lstmForward`", lib.memory, (H) => lib.call("lstmForward", T, TABLE, T, 1, H, H, GX, W, 0, 0, H0, C0, YS, 0, WORK)],
  ];
}

function prepare(memory, H) {
  const table = new Int32Array(memory.buffer, TABLE, 2 * T);
  for (let t = 0; t < T; t++) table.set([t, 1], 2 * t);
  fill(memory, GX, 4 * H * T, 1, 2);
  fill(memory, W, 4 * H * H, 2, 1 / Math.sqrt(H));
  const w = new Float32Array(memory.buffer, W, 4 * H * H);
  const wt = new Float32Array(memory.buffer, WT, 4 * H * H);
  for (let i = 0; i < 4 * H; i++) for (let k = 0; k < H; k++) wt[4 * H * k + i] = w[H * i + k];
  reset(memory, H);
}

function reset(memory, H) {
  new Float32Array(memory.buffer, H0, H).fill(0);
  new Float32Array(memory.buffer, C0, H).fill(0);
}

await eachBuild("lstm", (ladder, lib) => {
  const sizes = [64, 128, 256, 512];
  console.log(`| rung, µs a step | ${sizes.map((H) => `H = ${H}`).join(" | ")} |\n|---|${sizes.map(() => "---:|").join("")}`);
  for (const [name, memory, run] of rungs(ladder, lib)) {
    const cells = sizes.map((H) => {
      for (const m of [ladder.memory, lib.memory]) prepare(m, H);
      run(H);
      const got = new Float32Array(memory.buffer, YS, T * H).slice();
      reset(ladder.memory, H);
      ladder.plain(T, H, GX, W, H0, C0, YS);
      check(name, got, new Float32Array(ladder.memory.buffer, YS, T * H), 1e-4);
      return ((1000 * measure(() => run(H))) / T).toFixed(2);
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
  const gates = sizes.map((H) => (1000 * measure(() => ladder.gates(H, H0, C0))).toFixed(2));
  console.log(`| of rung 3, the gates | ${gates.join(" | ")} |`);
});
