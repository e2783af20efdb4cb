// What is measured: every case with the work of one run and the least time that work can take.
//
// Arithmetic counts two operations for a multiplication with its addition, in matrix products only: gates, losses and
// updates count as nothing, so a share of 100 % cannot be reached. `least(ceiling)` is the time in seconds of one run
// at the ceiling of the machine: `peak` in FLOP/s from registers, and `read(bytes)` in bytes/s for a working set.

export const VOCABULARY = 65;

/** Two operations for each of the products of an m × k matrix with a k × n one. */
const product = (m, n, k) => 2 * m * n * k;

/** FLOP of one step of a layer of `gates` gates on one sequence, forward: input part and recurrent part. */
const inputPart = (gates, I, H) => product(1, gates * H, I);
const recurrentPart = (gates, H) => product(1, gates * H, H);

function gemm(n) {
  const flop = product(n, n, n);
  return {
    workload: "W1",
    name: `matrix product n = ${n}`,
    kind: "gemm",
    n,
    unit: "GFLOP/s",
    units: flop / 1e9,
    least: ({ peak }) => flop / peak,
  };
}

/** The input part is one product over all steps; the recurrent part is at best limited by reading its 16H² bytes once a step. */
function sequence(H) {
  const T = 100;
  const [input, recurrent] = [inputPart(4, H, H), recurrentPart(4, H)];
  const bytes = 16 * H * H;
  return {
    workload: "W2",
    name: `LSTM ${H}, batch 1, whole sequence of ${T}`,
    kind: "sequence",
    T,
    B: 1,
    H,
    unit: "steps/s",
    units: T,
    least: ({ peak, read }) => T * (input / peak + Math.max(recurrent / peak, bytes / read(bytes))),
  };
}

/** A step reads all 32H² bytes of both matrices. */
function stream(H) {
  const flop = inputPart(4, H, H) + recurrentPart(4, H);
  const bytes = 32 * H * H;
  return {
    workload: "W2",
    name: `LSTM ${H}, batch 1, streaming`,
    kind: "stream",
    H,
    unit: "steps/s",
    units: 1,
    least: ({ peak, read }) => Math.max(flop / peak, bytes / read(bytes)),
  };
}

/** The same with int8 weights, 8H² bytes, which are all that counts: no ceiling is measured for whole numbers. Peers run their floats. */
function int8Stream(H) {
  const floats = stream(H);
  const bytes = 8 * H * H;
  return { ...floats, name: `${floats.name}, int8 weights (peers: floats)`, int8: true, least: ({ read }) => bytes / read(bytes) };
}

function batch(H) {
  const [T, B] = [50, 32];
  const flop = T * B * (inputPart(4, H, H) + recurrentPart(4, H));
  return {
    workload: "W3",
    name: `LSTM ${H}, batch ${B}, sequence of ${T}`,
    kind: "sequence",
    T,
    B,
    H,
    unit: "sample-steps/s",
    units: T * B,
    least: ({ peak }) => flop / peak,
  };
}

/**
 * A step's gradient costs twice its value: three times the recurrent part and the output layer.
 * The one-hot input is a look-up and counts as nothing.
 */
function characters(cell, H) {
  const [T, B] = [64, 32];
  const gates = cell === "LSTM" ? 4 : 3;
  const flop = 3 * T * B * (recurrentPart(gates, H) + product(1, VOCABULARY, H));
  return {
    workload: "W4",
    name: `character model, ${cell} ${H}, training`,
    kind: "characters",
    cell,
    T,
    B,
    H,
    unit: "characters/s",
    units: T * B,
    least: ({ peak }) => flop / peak,
  };
}

/** Nothing but overhead: at the ceiling a step would take about a microsecond. */
function elman() {
  const [T, I, H] = [20, 4, 16];
  const flop = T * (2 * inputPart(1, I, H) + 3 * recurrentPart(1, H) + 3 * product(1, 1, H));
  return {
    workload: "W5",
    name: `Elman ${I}-${H}-1, T = ${T}, batch 1, training`,
    kind: "elman",
    T,
    I,
    H,
    unit: "training steps/s",
    units: 1,
    // Nearly all of it is JavaScript, which engines compile for speed only after tens of thousands of runs.
    warmUp: 2,
    least: ({ peak }) => flop / peak,
  };
}

/** Inputs want no gradient, so their part is paid twice, the recurrent part three times. */
function customCell(form) {
  const [T, B, H] = [64, 32, 128];
  const flop = T * B * (2 * inputPart(4, H, H) + 3 * recurrentPart(4, H));
  return {
    workload: "W8",
    name: `LSTM ${H} ${form}, training`,
    kind: "customCell",
    form,
    T,
    B,
    H,
    unit: "sample-steps/s",
    units: T * B,
    least: ({ peak }) => flop / peak,
  };
}

/** Lengths uniform in 1..T, the same in every run; full lengths are the measure. */
export function raggedLengths({ T, B, full }) {
  return Array.from({ length: B }, (_, b) => (full ? T : 1 + ((b * 37 + 11) % T)));
}

function ragged(mode, full) {
  const [T, B, H] = [64, 32, 128];
  const steps = raggedLengths({ T, B, full }).reduce((a, b) => a + b, 0);
  const [input, recurrent] = [inputPart(4, H, H), recurrentPart(4, H)];
  const flop = steps * (mode === "training" ? 2 * input + 3 * recurrent : input + recurrent);
  return {
    workload: "W9",
    name: `LSTM ${H}, ${full ? "full" : "uniform"} lengths, ${mode}`,
    kind: "ragged",
    mode,
    full,
    T,
    B,
    H,
    unit: "real sample-steps/s",
    units: steps,
    least: ({ peak }) => flop / peak,
  };
}

/** A machine with N rows of W numbers: its controller, what its heads say, looking rows up, writing and reading; a gradient costs twice that. */
function memoryMachine(machine) {
  const [T, B, N, W, I, O, H] = [40, 16, 128, 20, 9, 8, 100];
  const [gates, said, links] = machine === "NTM" ? [1, 4 * W + 12, 0] : [4, 4 * W + 8, 2 * product(1, N, N)];
  const controller = product(1, gates * H, I + W + (gates > 1 ? H : 0)) + product(1, said, H) + product(1, O, H + W);
  const flop = 3 * T * B * (controller + 5 * product(1, N, W) + links);
  return {
    workload: "W10",
    name: `${machine} with ${N} rows of ${W}, T = ${T}, batch ${B}, training`,
    kind: "memoryMachine",
    machine,
    T,
    B,
    N,
    W,
    I,
    O,
    H,
    unit: "training steps/s",
    units: 1,
    least: ({ peak }) => flop / peak,
  };
}

const SIZES = [64, 128, 256, 512];

/** Every timed case, in order. W6 (cold start) and W7 (bytes) are measured by programs of their own. */
export const CASES = [
  ...SIZES.map(gemm),
  ...SIZES.map(sequence),
  ...SIZES.map(stream),
  ...SIZES.map(int8Stream),
  ...[128, 256].map(batch),
  ...[128, 256, 512].map((H) => characters("LSTM", H)),
  characters("GRU", 256),
  elman(),
  customCell("fused"),
  customCell("in ten lines"),
  ...["inference", "training"].flatMap((mode) => [true, false].map((full) => ragged(mode, full))),
  ...["NTM", "DNC"].map(memoryMachine),
];

/** Working sets whose reading speed the ceilings ask for. */
export const READ_SIZES = [16, 64, 128, 256, 512, 1024, 2048, 4096, 8192].map((kib) => kib * 1024);
