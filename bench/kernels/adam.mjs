// The ladder of Adam, from the paper's formula element by element to the shipped kernel.
//
//   node bench/kernels/adam.mjs            after `npm run build:kernels`

import { check, eachBuild, fill, measure } from "./common.mjs";

const [P, G, M, V, SCRATCH] = [4, 14, 24, 34, 44].map((mib) => mib << 20);
const STEP = 7;

/** Every rung as [name, memory, function of n]. */
function rungs(ladder, lib) {
  const rung = (name, run) => [name, ladder.memory, (n) => run(n, STEP, P, G, M, V, SCRATCH)];
  const [rate, unit] = [0.001 / (1 - 0.9 ** STEP), 1 / Math.sqrt(1 - 0.999 ** STEP)];
  return [
    rung("1 plain loop", ladder.plain),
    rung("2 corrections once", ladder.hoisted),
    rung("3 vectors, an operation a pass", ladder.passes),
    ["4 `adam`", lib.memory, (n) => lib.call("adam", 1, 1, 0, 1, 0.9, 0.999, rate, 0, unit, 1e-8, n, P, G, M, V, V)],
  ];
}

function prepare(memory, n) {
  [P, G, M].forEach((ptr, i) => {
    fill(memory, ptr, n, i + 1);
  });
  new Float32Array(memory.buffer, V, n).fill(0.25);
}

await eachBuild("adam", (ladder, lib) => {
  const sizes = [1024, 16384, 262144, 1048576];
  console.log(`| rung, ns a parameter | ${sizes.map((n) => `n = ${n}`).join(" | ")} |\n|---|${sizes.map(() => "---:|").join("")}`);
  for (const [name, memory, run] of rungs(ladder, lib)) {
    const cells = sizes.map((n) => {
      prepare(memory, n);
      run(n);
      const got = new Float32Array(memory.buffer, P, n).slice();
      prepare(ladder.memory, n);
      ladder.plain(n, STEP, P, G, M, V);
      check(name, got, new Float32Array(ladder.memory.buffer, P, n), 1e-6);
      return ((1e6 * measure(() => run(n))) / n).toFixed(2);
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
});
