/** Continuous-time networks: the oscillator of two units, chaos in three, the order of the solvers, training through one. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { CTRNN, type CTRNNOptions } from "../../src/cells/timescales/ctrnn.ts";
import { fixedPoints } from "../../src/dynamics/fixed-points.ts";
import { type Oscillation, oscillation } from "../../src/dynamics/limit-cycle.ts";
import { lyapunovExponents } from "../../src/dynamics/lyapunov.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { zeros } from "../../src/tensor/create.ts";
import { assign, scope, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const BEER = "Beer (1995), On the dynamics of small continuous-time recurrent neural networks";
const SYSTEM = "Continuous-time recurrent network";
const FILE = "src/cells/timescales/ctrnn.ts";

/** Two units that excite themselves by `wSelf`; the second excites the first, the first inhibits the second. */
function circuit(wSelf: number, options: Partial<CTRNNOptions> = {}): CTRNN {
  const cell = new CTRNN({ inputSize: 1, hiddenSize: 2, interval: 0.01, dtype: "float64", ...options });
  assign(cell.weightHh, [wSelf, 1, -1, wSelf]);
  cell.centreCrossing();
  return cell;
}

/** Outputs of each unit in time, without input. */
function trajectory(cell: CTRNN, time: number, start: readonly number[]): number[][] {
  const T = Math.round(time / cell.interval);
  const H = cell.outputSize;
  return scope(() => {
    const [ys] = noGrad(() => cell.scan(zeros([T, 1, 1], "float64"), [tensor([[...start]], { dtype: "float64" })]));
    const flat = Array.from(ys.data());
    return start.map((_, i) => flat.filter((_, k) => k % H === i));
  });
}

// ---- Where a fixed point turns into a cycle ----

/** Of the first unit's output once the transient has died out. */
function settled(cell: CTRNN, time: number, start: readonly number[]): Oscillation {
  const [o] = trajectory(cell, time, start) as [number[], number[]];
  return oscillation(o.slice(Math.floor(o.length / 2)), { interval: cell.interval });
}

/** The weight at which the real part of the centre's eigenvalues is zero, by halving. */
function hopfWeight(): number {
  let [stable, unstable] = [3, 5];
  for (let i = 0; i < 30; i++) {
    const w = (stable + unstable) / 2;
    const cell = circuit(w);
    const [centre] = fixedPoints((y) => cell.slope(y), { starts: [Array.from(cell.bias.data(), (theta) => -theta)] });
    if (centre?.stable) stable = w;
    else unstable = w;
  }
  return (stable + unstable) / 2;
}

/** How many fixed points Newton's method finds from a grid of starts. */
function fixedPointsOf(cell: CTRNN, spacing: number): number {
  const grid = Array.from({ length: Math.floor(12 / spacing) + 1 }, (_, i) => -3 + spacing * i);
  return fixedPoints((y) => cell.slope(y), { starts: grid.flatMap((a) => grid.map((b) => [a, b])) }).length;
}

function hopf(run: Run) {
  const { test } = streams(run.seed);
  const start = [test.uniform(-1, 6), test.uniform(-2, 5)];
  const time = run.short ? 200 : 800;
  const interval = run.short ? 0.05 : 0.01;
  const ringing = oscillation((trajectory(circuit(3.8, { interval }), 150, start)[0] as number[]).slice(10 / interval), {
    interval,
    level: 0.5,
  });
  const [rest, at42, at45, at50, at65] = [3.8, 4.2, 4.5, 5, 6.5].map((w) => settled(circuit(w, { interval }), time, start)) as [
    Oscillation,
    Oscillation,
    Oscillation,
    Oscillation,
    Oscillation,
  ];
  run.progress(0.7);
  const euler = settled(circuit(4.5, { method: "euler", interval: 0.1 }), time, start);
  const [largest] = lyapunovExponents(circuit(4.5, { interval: 0.05 }), {
    transient: 4000,
    steps: run.short ? 2900 : 29000,
    interval: 0.05,
    state: [tensor([start], { dtype: "float64" })],
  });
  run.picture("phase-portrait", portrait());
  return {
    hopf: hopfWeight(),
    ringing: ringing.period ?? 0,
    rest: 2 * rest.amplitude,
    period42: at42.period ?? 0,
    range42: 2 * at42.amplitude,
    period45: at45.period ?? 0,
    range45: 2 * at45.amplitude,
    period50: at50.period ?? 0,
    range50: 2 * at50.amplitude,
    rest65: 2 * at65.amplitude,
    points65: fixedPointsOf(circuit(6.5), run.short ? 2 : 1),
    eulerPeriod: euler.period ?? 0,
    eulerRange: 2 * euler.amplitude,
    lyapunov: largest as number,
  };
}

/** Every fourth value: what a picture needs. */
function thinned(values: readonly number[]): number[] {
  return values.filter((_, k) => k % 4 === 0);
}

/** Outputs of the two units against each other, for weights on both sides of the bifurcation. */
function portrait(): string {
  const lines = [3.8, 4.2, 4.5, 5].map((w) => {
    const [x, y] = trajectory(circuit(w, { interval: 0.05 }), 300, [w / 2 + 2, w / 2 - 0.5]) as [number[], number[]];
    // Of the cycles only the last turns, of the spiral all.
    const from = w < 4 ? 0 : 5200;
    return { name: w < 4 ? `w = ${w}: comes to rest` : `w = ${w}: cycles`, x: thinned(x.slice(from)), y: thinned(y.slice(from)) };
  });
  const title = "Two units of a continuous-time network";
  return lineChart(lines, { title, xLabel: "output of the first unit", yLabel: "output of the second", width: 560, height: 480 });
}

const within = (value: number, expected: number, part = 0.005) => Math.abs(value - expected) <= part * expected;

// ---- Chaos ----

/** The circuit of three units with a chaotic attractor. */
function chaotic(interval: number): CTRNN {
  const cell = new CTRNN({ inputSize: 1, hiddenSize: 3, interval, dtype: "float64" });
  assign(cell.weightHh, [5.422, -0.018, 2.75, -0.24, 4.59, 1.21, 0.535, -2.25, 3.885]);
  assign(cell.bias, [-4.108, -2.787, -1.114]);
  assign(cell.logTau, [0, Math.log(2.5), 0]);
  return cell;
}

function chaos(run: Run) {
  const { test } = streams(run.seed);
  const cell = chaotic(0.05);
  const start = [2, 2, 2].map((v) => v + test.uniform(-1, 1));
  const [first, second, third] = lyapunovExponents(cell, {
    transient: 10000,
    steps: run.short ? 20000 : 200000,
    interval: 0.05,
    every: 20,
    state: [tensor([start], { dtype: "float64" })],
  }) as [number, number, number];
  const [x, y] = trajectory(cell, 700, start).map((o) => thinned(o.slice(4000))) as [number[], number[]];
  const options = { title: "A chaotic attractor of three units", xLabel: "output of the first unit", yLabel: "output of the second" };
  run.picture("attractor", lineChart([{ name: "500 time constants", x, y }], { ...options, width: 560, height: 480 }));
  return { first, second, third, dimension: 2 + (first + second) / Math.abs(third) };
}

// ---- Order of the solvers ----

/** The largest error of the state at t = 10. */
function errorAt(cell: CTRNN, start: readonly number[], exact: readonly number[]): number {
  return Math.max(...endState(cell, start).map((v, i) => Math.abs(v - (exact[i] as number))));
}

function endState(cell: CTRNN, start: readonly number[]): number[] {
  const T = Math.round(10 / cell.interval);
  return scope(() => {
    const [, [y]] = noGrad(() => cell.scan(zeros([T, 1, 1], "float64"), [tensor([[...start]], { dtype: "float64" })]));
    return Array.from((y as NonNullable<typeof y>).data());
  });
}

function orders(run: Run) {
  const { test } = streams(run.seed);
  const start = [test.uniform(0, 5), test.uniform(-1, 4)];
  const exact = endState(circuit(4.5, { interval: 0.001 }), start);
  const order = (method: "euler" | "heun" | "rk4") => {
    const [coarse, , fine] = [0.2, 0.1, 0.05].map((interval) => errorAt(circuit(4.5, { method, interval }), start, exact));
    return Math.log2((coarse as number) / (fine as number)) / 2;
  };
  const adaptive = (method: "bogacki-shampine" | "dormand-prince") =>
    errorAt(circuit(4.5, { method, interval: 10, tolerance: 1e-8 }), start, exact);
  return {
    euler: order("euler"),
    heun: order("heun"),
    rk4: order("rk4"),
    bogackiShampine: adaptive("bogacki-shampine"),
    dormandPrince: adaptive("dormand-prince"),
  };
}

// ---- Training ----

const WAVE = { period: 20, interval: 0.5, cycles: 3 } as const;

/** 0.5 + 0.25 sin(2πt/20) after each step. */
function wave(cycles: number): Float32Array {
  const T = (cycles * WAVE.period) / WAVE.interval;
  return Float32Array.from({ length: T }, (_, k) => 0.5 + 0.25 * Math.sin((2 * Math.PI * (k + 1) * WAVE.interval) / WAVE.period));
}

function follow(run: Run) {
  const { weights } = streams(run.seed);
  const options = { inputSize: 1, hiddenSize: 4, interval: WAVE.interval, bound: 4, tau: [1, 3], centreCrossing: true } as const;
  const cell = new CTRNN({ ...options, generator: weights });
  const outputs = (cycles: number) => {
    const T = (cycles * WAVE.period) / WAVE.interval;
    return slice(cell.scan(zeros([T, 1, 1]))[0], 2, 0, 1);
  };
  const target = (cycles: number) => tensor(wave(cycles), { shape: [wave(cycles).length, 1, 1] });
  const before = scope(() => mseLoss(outputs(WAVE.cycles), target(WAVE.cycles)).item());
  const loss = () => mseLoss(outputs(WAVE.cycles), target(WAVE.cycles));
  const parameters = cell.parameters().filter((p) => p !== cell.weightIh);
  const updates = run.short ? 150 : 1500;
  const mse = train(run, { parameters, updates, lr: 2e-2, clip: 1, decay: { every: Math.ceil(updates / 3), factor: 0.3 }, loss });
  const longer = scope(() => noGrad(() => Array.from(outputs(10).data())));
  const beyond = longer.slice(wave(WAVE.cycles).length);
  const period = oscillation(beyond, { interval: WAVE.interval }).period ?? 0;
  const t = longer.map((_, k) => (k + 1) * WAVE.interval);
  const lines = [
    { name: "target", x: t, y: wave(10), dashed: true },
    { name: "output, trained to t = 60", x: t, y: longer },
  ];
  run.picture(
    "wave",
    lineChart(lines, { title: "Trained through the Runge-Kutta method", xLabel: "t", yLabel: "output of the first unit" }),
  );
  return { before, mse, period };
}

export const ctrnn: readonly Experiment[] = [
  experiment({
    name: "ctrnn-hopf",
    system: SYSTEM,
    file: FILE,
    paper: BEER,
    task: "two centre-crossing units, w = ((w, 1), (−1, w)), τ = 1, from a random state; RK4 with steps of 0.01, transient dropped",
    reported:
      "the centre loses its stability at w = 4, where a limit cycle is born (eigenvalues w/4 − 1 ± i/4); periods and ranges computed once by another program: 26.49 and 0.424 at 4.2, 29.00 and 0.622 at 4.5",
    claim:
      "all within 0.5 % of these values; decaying oscillation at 3.8 within 1 % of 8π; the known bias of Euler's method with steps of 0.1 (29.09, 0.627); λ₁ = 0 ± 0.005 on the cycle; at 6.5 a state of rest and nine fixed points",
    figures: {
      hopf: "w at which the centre loses its stability",
      ringing: "period at w = 3.8",
      rest: "range of output 1 at 3.8",
      period42: "period at 4.2",
      range42: "range at 4.2",
      period45: "period at 4.5",
      range45: "range at 4.5",
      period50: "period at 5.0",
      range50: "range at 5.0",
      rest65: "range at 6.5",
      points65: "fixed points found at 6.5",
      eulerPeriod: "period at 4.5, Euler",
      eulerRange: "range at 4.5, Euler",
      lyapunov: "largest Lyapunov exponent at 4.5",
    },
    remarks:
      "At w = 5 the circuit cycles, too (35.41, 0.784); it stays at rest only if started at the centre itself, (3, 2). The cycle ends near 6.1, where four pairs of fixed points are born on it.",
    run: hopf,
    claims: [
      {
        rate: 1,
        holds: (f) =>
          Math.abs(f.hopf - 4) < 1e-6 &&
          within(f.ringing, 8 * Math.PI, 0.01) &&
          f.rest < 1e-3 &&
          within(f.period42, 26.49) &&
          within(f.range42, 0.424) &&
          within(f.period45, 29) &&
          within(f.range45, 0.622) &&
          within(f.eulerPeriod, 29.09, 0.001) &&
          within(f.eulerRange, 0.627, 0.001) &&
          f.rest65 < 1e-3 &&
          f.points65 === 9 &&
          Math.abs(f.lyapunov) < 0.005,
      },
    ],
    learns: (f) => Math.abs(f.hopf - 4) < 1e-6 && within(f.period45, 29) && within(f.range45, 0.622) && Math.abs(f.lyapunov) < 0.01,
  }),
  experiment({
    name: "ctrnn-chaos",
    system: SYSTEM,
    file: FILE,
    paper: BEER,
    task: "three units with the weights of the chaotic circuit, 10,000 time units by RK4 with steps of 0.05, from a random state",
    reported: "a chaotic attractor in a circuit of three units",
    claim: "Lyapunov exponents λ₁ ≥ 0.005, |λ₂| ≤ 0.005, λ₃ ≤ −0.1: one direction of growth, one neutral, one of contraction",
    figures: { first: "λ₁ per time constant", second: "λ₂", third: "λ₃", dimension: "Kaplan-Yorke dimension" },
    run: chaos,
    claims: [{ rate: 1, holds: (f) => f.first >= 0.005 && Math.abs(f.second) <= 0.005 && f.third <= -0.1 }],
    learns: (f) => f.first > 0 && Math.abs(f.second) <= 0.01 && f.third <= -0.1,
  }),
  experiment({
    name: "ctrnn-solver-order",
    system: "Runge-Kutta methods",
    file: "src/numerics/runge-kutta.ts",
    paper: "Dormand and Prince (1980), A family of embedded Runge-Kutta formulae; Bogacki and Shampine (1989)",
    task: "the circuit of ctrnn-hopf with w = 4.5 from a random state to t = 10, steps of 0.2, 0.1 and 0.05 against RK4 with 0.001",
    reported: "orders 1 (Euler), 2 (Heun), 4 (RK4); adaptive steps keep the local error at the tolerance",
    claim: "orders 0.95 to 1.1, 1.9 to 2.2 and 3.8 to 4.2; adaptive with tolerance 1e-8: error at most 1e-6",
    figures: {
      euler: "order of Euler's method",
      heun: "order of Heun's",
      rk4: "order of RK4",
      bogackiShampine: "error of Bogacki-Shampine",
      dormandPrince: "error of Dormand-Prince",
    },
    run: orders,
    claims: [
      {
        rate: 0.9,
        holds: (f) => {
          const ordered = f.euler >= 0.95 && f.euler <= 1.1 && f.heun >= 1.9 && f.heun <= 2.2 && f.rk4 >= 3.8 && f.rk4 <= 4.2;
          return ordered && f.bogackiShampine <= 1e-6 && f.dormandPrince <= 1e-6;
        },
      },
    ],
    learns: (f) => f.rk4 > 3.5 && f.rk4 < 4.5 && f.dormandPrince < 1e-6,
  }),
  experiment({
    name: "ctrnn-sine",
    system: SYSTEM,
    file: FILE,
    paper: "Funahashi and Nakamura (1993), Approximation of dynamical systems by continuous time recurrent neural networks",
    task: "without input, unit 1 of 4 follows 0.5 + 0.25 sin(2πt/20) over three cycles; RK4 with steps of 0.5, gradients through all stages, 1,500 updates with Adam 2e-2",
    reported: "any trajectory of finite length can be approximated; no number",
    claim: "mean squared error at most 0.003 (a constant: 0.031)",
    figures: { before: "error before training", mse: "error", period: "period in the seven cycles that follow" },
    run: follow,
    claims: [{ rate: 0.8, holds: ({ mse }) => mse <= 0.003 }],
    learns: ({ before, mse }) => before > 0.02 && mse < 0.02,
  }),
];
