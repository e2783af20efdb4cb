// The ladder of matrix products, from the naive form to the shipped kernel, each as a share of the register-only
// peak measured in the same run. Rungs 1 to 4 are compiled from bench/kernels/assembly; 5 and 6 are the library's.
//
//   node bench/kernels/gemm.mjs            after `npm run build:kernels`
//
// Both builds are measured where the host accepts relaxed SIMD. Every rung's result is compared with rung 1.

import { eachBuild, fill, measure, peakOf } from "./common.mjs";

const A = 8 << 20;
const B = 24 << 20;
const C = 40 << 20;
const PACKED = 56 << 20;

function fillMatrices(memory, n) {
  fill(memory, A, n * n, 1);
  fill(memory, B, n * n, 2);
}

const result = (memory, n) => new Float32Array(memory.buffer, C, n * n);

/** Every rung as [name, memory, function of n]. */
function rungs(ladder, { memory, call }) {
  const square = (name, run) => [name, memory, run];
  const gemm = (n, aRow, aCol, bRow, bCol) => call("gemm", n, n, n, A, aRow, aCol, B, bRow, bCol, C, n, 0, 0, 1, 0, 0, 0);
  return [
    ["1 dot products", ladder.memory, (n) => ladder.dots(n, A, B, C)],
    ["2 rows of B", ladder.memory, (n) => ladder.rows(n, A, B, C)],
    ["3 vectors", ladder.memory, (n) => ladder.vectors(n, A, B, C)],
    ["4 register tiles", ladder.memory, (n) => ladder.tiles(n, A, B, C)],
    square("5 packed panels of B (gemmPanels)", (n) => call("gemmPanels", n, n, n, A, n, PACKED, C, n, 0, 0)),
    square("6 gemm, A·B", (n) => gemm(n, n, 1, n, 1)),
    square("6 gemm, A·Bᵀ", (n) => gemm(n, n, 1, 1, n)),
    square("6 gemm, Aᵀ·B", (n) => gemm(n, 1, n, n, 1)),
    square("6 gemm, Aᵀ·Bᵀ", (n) => gemm(n, 1, n, 1, n)),
  ];
}

function checkRung(name, memory, run, n, want) {
  result(memory, n).fill(0);
  run(n);
  const got = result(memory, n);
  for (let i = 0; i < want.length; i++) {
    if (!(Math.abs(got[i] - want[i]) <= n * 2 ** -20)) throw new Error(`${name}: expected ${want[i]} at ${i}, got ${got[i]}`);
  }
}

function benchSquares(ladder, lib, peak, sizes) {
  const table = rungs(ladder, lib);
  console.log(`| rung, GFLOP/s (share of peak) | ${sizes.map((n) => `n = ${n}`).join(" | ")} |`);
  console.log(`|---|${sizes.map(() => "---:|").join("")}`);
  for (const [name, memory, run] of table) {
    const cells = sizes.map((n) => {
      if (n > 256 && /^[12]/.test(name)) return "";
      for (const m of [ladder.memory, lib.memory]) fillMatrices(m, n);
      lib.call("packWeights", n, n, B, n, 1, PACKED);
      if (n <= 128 && !/ᵀ/.test(name)) {
        result(ladder.memory, n).fill(0);
        ladder.dots(n, A, B, C);
        checkRung(name, memory, run, n, result(ladder.memory, n).slice());
      }
      const rate = (2 * n ** 3) / measure(() => run(n)) / 1e6;
      return `${rate.toFixed(1)} (${Math.round((100 * rate) / peak)} %)`;
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

/** One row against a matrix: what a step at batch 1 costs. */
function benchRows(lib, sizes) {
  const gemm = (m, n, k, strides) => lib.call("gemm", m, n, k, A, ...strides(m, n, k), 0, 0, 1, 0, 0, 0);
  const forms = [
    ["x·W, W packed", (n, k) => lib.call("gemmPanels", 1, n, k, A, k, PACKED, C, n, 0, 0)],
    ["x·W", (n, k) => gemm(1, n, k, () => [k, 1, B, n, 1, C, n])],
    ["x·Wᵀ", (n, k) => gemm(1, n, k, () => [k, 1, B, 1, k, C, n])],
    ["W·x", (n, k) => gemm(n, 1, k, () => [k, 1, B, 1, 1, C, 1])],
    ["Wᵀ·x", (n, k) => gemm(n, 1, k, () => [1, n, B, 1, 1, C, 1])],
  ];
  console.log(`\n| n × k of W, GFLOP/s | ${sizes.map(([n, k]) => `${n} × ${k}`).join(" | ")} |`);
  console.log(`|---|${sizes.map(() => "---:|").join("")}`);
  for (const [name, run] of forms) {
    const cells = sizes.map(([n, k]) => {
      lib.call("packWeights", n, k, B, 1, k, PACKED);
      return ((2 * n * k) / measure(() => run(n, k)) / 1e6).toFixed(1);
    });
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

/** A few rows (a batch, a sequence) against a layer's weights. */
function benchLayers(lib, peak, sizes) {
  console.log(`\n| m × n × k, GFLOP/s (share of peak) | gemmPanels | gemm, A·Bᵀ |`);
  console.log("|---|---:|---:|");
  for (const [m, n, k] of sizes) {
    lib.call("packWeights", n, k, B, 1, k, PACKED);
    const rate = (run) => (2 * m * n * k) / measure(run) / 1e6;
    const cells = [
      rate(() => lib.call("gemmPanels", m, n, k, A, k, PACKED, C, n, 0, 0)),
      rate(() => lib.call("gemm", m, n, k, A, k, 1, B, 1, k, C, n, 0, 0, 1, 0, 0, 0)),
    ].map((r) => `${r.toFixed(1)} (${Math.round((100 * r) / peak)} %)`);
    console.log(`| ${m} × ${n} × ${k} | ${cells.join(" | ")} |`);
  }
}

await eachBuild("ladder", (ladder, lib, target) => {
  const peak = peakOf(ladder, target);
  console.log(`Peak from registers: ${peak.toFixed(1)} GFLOP/s.\n`);
  benchSquares(ladder, lib, peak, [64, 128, 256, 512]);
  benchLayers(lib, peak, [
    [4, 512, 128],
    [32, 512, 128],
    [32, 1024, 256],
    [2048, 65, 128],
    [1600, 512, 128],
    [7, 33, 65],
  ]);
  benchRows(lib, [
    [256, 64],
    [512, 128],
    [1024, 256],
    [2048, 512],
  ]);
});
