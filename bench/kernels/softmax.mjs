// The ladder of cross-entropy with its gradient, from plain loops to the shipped pair of kernels.
//
//   node bench/kernels/softmax.mjs         after `npm run build:kernels`

import { check, eachBuild, fill, measure } from "./common.mjs";

const ROWS = 2048;
const [X, TARGETS, LOSS, STATS, G, DX] = [4, 24, 25, 26, 27, 28].map((mib) => mib << 20);

/** Every rung as [name, memory, function of n]. */
function rungs(ladder, lib) {
  const rung = (name, run) => [name, ladder.memory, (n) => run(ROWS, n, X, TARGETS, LOSS, DX)];
  const shipped = (n) => {
    lib.call("crossEntropyRows", ROWS, n, X, TARGETS, -1, 0, 0, LOSS, STATS);
    lib.call("crossEntropyGradRows", ROWS, n, X, TARGETS, -1, 0, 0, STATS, G, DX);
  };
  return [
    rung("1 plain loops", ladder.plain),
    rung("2 exponentials kept", ladder.kept),
    rung("3 exponentials in vectors", ladder.vectors),
    ["4 `crossEntropyRows` and its gradient", lib.memory, shipped],
  ];
}

function prepare(memory, n) {
  fill(memory, X, ROWS * n, 1, 4);
  new Float32Array(memory.buffer, G, ROWS).fill(1 / ROWS);
  new Int32Array(memory.buffer, TARGETS, ROWS).forEach((_, r, targets) => {
    targets[r] = (r * 37) % n;
  });
}

await eachBuild("softmax", (ladder, lib) => {
  const sizes = [10, 65, 256, 1024];
  console.log(`| rung, ns a logit | ${sizes.map((n) => `n = ${n}`).join(" | ")} |\n|---|${sizes.map(() => "---:|").join("")}`);
  for (const [name, memory, run] of rungs(ladder, lib)) {
    const cells = sizes.map((n) => {
      for (const m of [ladder.memory, lib.memory]) prepare(m, n);
      run(n);
      const got = new Float32Array(memory.buffer, DX, ROWS * n).slice();
      ladder.plain(ROWS, n, X, TARGETS, LOSS, DX);
      check(name, got, new Float32Array(ladder.memory.buffer, DX, ROWS * n), 1e-7);
      return ((1e6 * measure(() => run(n))) / (ROWS * n)).toFixed(2);
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
});
