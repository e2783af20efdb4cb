/** Associative memories, spin systems and Boltzmann machines against what statistical mechanics and enumeration say of them. */

import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { BAM } from "../../src/energy/bam.ts";
import { DenseAssociativeMemory } from "../../src/energy/dense-memory.ts";
import { Hopfield, type HopfieldOptions } from "../../src/energy/hopfield.ts";
import { modernHopfieldEnergy } from "../../src/energy/hopfield-layer.ts";
import { Ising } from "../../src/energy/ising.ts";
import { CRITICAL_TEMPERATURE, onsager } from "../../src/energy/onsager.ts";
import { RBM } from "../../src/energy/rbm.ts";
import { SherringtonKirkpatrick } from "../../src/energy/sherrington-kirkpatrick.ts";
import { overlaps } from "../../src/energy/states.ts";
import { mul, sub } from "../../src/ops/arithmetic.ts";
import { matmul } from "../../src/ops/linear.ts";
import { transpose } from "../../src/ops/shape.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { imageGrid } from "../../src/plot/images.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run, share } from "../experiment.ts";
import { Dice } from "../tasks/dice.ts";
import { damaged, letters, recallGrid, SIDE } from "../tasks/letters.ts";

/** P random patterns [P,N] of ±1, float64. */
function randomPatterns(dice: Dice, P: number, N: number): Tensor {
  return sub(mul(dice.generator.bernoulli([P, N], 0.5, "float64"), 2), 1);
}

function row(patterns: Tensor, p: number): Tensor {
  const N = patterns.dim(1);
  return tensor(Float64Array.from(patterns.data()).subarray(p * N, (p + 1) * N));
}

/** For every pattern [P,N] and unit, whether the field that the others make there agrees with it. */
function agreements(net: Hopfield, patterns: Tensor): boolean[][] {
  const [P, N] = patterns.shape as [number, number];
  return scope(() => {
    const [fields, W, X] = [matmul(patterns, net.weight).data(), net.weight.data(), patterns.data()];
    const agrees = (p: number, i: number): boolean => {
      const s = Number(X[p * N + i]);
      return s * (Number(fields[p * N + i]) - s * Number(W[i * N + i])) > 0;
    };
    return Array.from({ length: P }, (_, p) => Array.from({ length: N }, (__, i) => agrees(p, i)));
  });
}

/** The complementary error function to 1.2e-7: Numerical Recipes, 2nd edition, 1992, section 6.2. */
function erfc(x: number): number {
  const t = 1 / (1 + x / 2);
  const coefficients = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223,
  ];
  return t * Math.exp(-x * x + coefficients.reduce((sum, c) => sum * t + c, 0));
}

/** The chance that a unit's field disagrees with a stored pattern, at the load P/N. */
function firstStepError(load: number): number {
  return erfc(Math.sqrt(1 / (2 * load))) / 2;
}

const LOADS = [0.08, 0.12, 0.14, 0.16, 0.2] as const;

function hopfieldCapacity(run: Run) {
  const dice = new Dice(run.seed);
  const [N, cues] = run.short ? [200, 3] : [500, 6];
  let errorRatio = Number.NaN;
  const found = LOADS.map((load, k) => {
    const patterns = randomPatterns(dice, Math.round(load * N), N);
    const net = new Hopfield({ size: N }).store(patterns);
    if (load === 0.2) errorRatio = 1 - share(agreements(net, patterns).flat());
    const ends = Array.from({ length: cues }, (_, p) => net.recall(row(patterns, p), { generator: dice.generator }));
    run.progress((k + 1) / LOADS.length);
    return mean(ends.map(({ state }, p) => overlaps(row(patterns, p), state)[0] as number));
  });
  run.picture("overlap", lineChart([{ name: `N = ${N}`, x: LOADS, y: found }], { xLabel: "patterns / N", yLabel: "overlap at rest" }));
  run.picture("recall", recallStepByStep(new Dice(run.seed)));
  const [at08, at12, at14, at16, at20] = found as [number, number, number, number, number];
  return { at08, at12, at14, at16, at20, error: errorRatio / firstStepError(0.2) };
}

/** The states of a traced recall, one after the other. */
const statesOf = ({ states }: { readonly states: Tensor | null }): number[][] => (states as Tensor).toArray() as number[][];

/** Letters with a quarter of their pixels turned: the states after each update of all units. */
function recallStepByStep(dice: Dice): string {
  const net = new Hopfield({ size: SIDE * SIDE, rule: "pseudo-inverse" }).store(tensor([...letters]));
  const recalls = letters.slice(0, 3).map((letter) => {
    const cue = tensor(damaged(letter, 0.25, dice));
    return statesOf(net.recall(cue, { updates: "synchronous", trace: true, maxSteps: 3 }));
  });
  return recallGrid(recalls, "Damaged letters, recalled update by update");
}

function hopfieldRules(run: Run) {
  const dice = new Dice(run.seed);
  const N = run.short ? 100 : 200;
  const kept = (rule: HopfieldOptions["rule"] & string, load: number): number => {
    const patterns = randomPatterns(dice, Math.round(load * N), N);
    const net = new Hopfield({ size: N, rule }).store(patterns);
    return share(agreements(net, patterns).map((units) => units.every(Boolean)));
  };
  return {
    hebb14: kept("hebb", 0.14),
    storkey14: kept("storkey", 0.14),
    hebb30: kept("hebb", 0.3),
    storkey30: kept("storkey", 0.3),
    pseudoInverse30: kept("pseudo-inverse", 0.3),
    pseudoInverse80: kept("pseudo-inverse", 0.8),
  };
}

/** Binder's cumulant 1 − ⟨m⁴⟩ / (3 ⟨m²⟩²). */
function cumulant(m: Float64Array): number {
  const [second, fourth] = [mean(Array.from(m, (v) => v * v)), mean(Array.from(m, (v) => v ** 4))];
  return 1 - fourth / (3 * second * second);
}

/** Where a straight line through points, by least squares, crosses 0. */
function zeroOfLine(x: readonly number[], y: readonly number[]): number {
  const [mx, my] = [mean(x), mean(y)];
  const slope = x.reduce((sum, v, i) => sum + (v - mx) * ((y[i] as number) - my), 0) / x.reduce((sum, v) => sum + (v - mx) ** 2, 0);
  return mx - my / slope;
}

/** The magnetisation of the mean-field model with four neighbours, m = tanh(4m/T). */
function meanField(T: number): number {
  let m = 1;
  for (let k = 0; k < 10_000; k++) m = Math.tanh((4 * m) / T);
  return m;
}

const TEMPERATURES = [2.2, 2.25, 2.3, 2.35] as const;

function isingOnsager(run: Run) {
  const generator = new Generator(run.seed);
  const sampled = (L: number, T: number, sweeps: number) => {
    const lattice = Ising.lattice({ rows: L });
    const options = { temperature: T, order: "sequential", generator } as const;
    const start = lattice.sample(ones([L * L]), { ...options, sweeps: Math.ceil(sweeps / 5) }).state;
    return { ...lattice.sample(start, { ...options, sweeps }), sites: L * L };
  };
  const sweeps = run.short ? 200 : 8000;
  const differences = TEMPERATURES.map((T, k) => {
    const [small, large] = [sampled(8, T, sweeps), sampled(16, T, sweeps)].map((s) => cumulant(s.magnetizations)) as [number, number];
    run.progress((k + 1) / (TEMPERATURES.length + 2));
    return large - small;
  });
  const L = run.short ? 16 : 48;
  const [cold, hot] = [2.0, 2.6].map((T) => {
    const { magnetizations, energies, sites, state } = sampled(L, T, run.short ? 100 : 500);
    return { m: mean(Array.from(magnetizations, Math.abs)), e: mean(Array.from(energies)) / sites, state };
  }) as [Cell, Cell];
  run.picture(
    "lattices",
    imageGrid(
      [cold, hot].map(({ state }) => Float64Array.from(state.data(), (v) => (1 + Number(v)) / 2)),
      { width: L, columns: 2, scale: 4, title: "Spins at T = 2.0 and 2.6" },
    ),
  );
  run.picture("quench", quench(new Dice(run.seed)));
  return {
    critical: zeroOfLine(TEMPERATURES, differences),
    m20: cold.m,
    e20: cold.e,
    m26: hot.m,
    e26: hot.e,
    meanField26: meanField(2.6),
  };
}

/** A lattice from random spins to T = 1: after 0, 1, 4, 16, 64 and 256 sweeps. */
function quench({ generator }: Dice): string {
  const L = 48;
  const lattice = Ising.lattice({ rows: L });
  const states = [sub(mul(generator.bernoulli([L * L], 0.5), 2), 1)];
  for (const sweeps of [1, 3, 12, 48, 192]) states.push(lattice.sample(states.at(-1) as Tensor, { temperature: 1, sweeps, generator }).state);
  return imageGrid(states.map((s) => Float64Array.from(s.data(), (v) => (1 + Number(v)) / 2)), { width: L, columns: 6, scale: 3, title: "From random spins to T = 1: after 0, 1, 4, 16, 64 and 256 sweeps" });
} // biome-ignore format: long

interface Cell {
  readonly m: number;
  readonly e: number;
  readonly state: Tensor;
}

function spinGlass(run: Run) {
  const generator = new Generator(run.seed);
  const [N, instances, restarts] = run.short ? [100, 1, 2] : [200, 3, 5];
  const runs = Array.from({ length: instances }, (_, k) => {
    const glass = new SherringtonKirkpatrick({ size: N, generator });
    const start = () => sub(mul(generator.bernoulli([N], 0.5), 2), 1);
    const annealed = Array.from(
      { length: restarts },
      () => glass.anneal(start(), { sweeps: 300, from: 1.2, to: 0.02, generator }).energy / N,
    );
    const descended = Array.from({ length: restarts }, () => (glass.recall(start(), { generator }).energies.at(-1) as number) / N);
    run.progress((k + 1) / (instances + 1));
    return { annealed: Math.min(...annealed), descended: mean(descended) };
  });
  const exact = Array.from({ length: run.short ? 3 : 10 }, () => {
    const glass = new SherringtonKirkpatrick({ size: 12, generator });
    const { energies, ground } = glass.enumerate();
    const ends = Array.from({ length: restarts }, () => glass.anneal(ones([12]), { sweeps: 100, from: 1.2, generator }).energy);
    return Math.min(...ends) - (energies[ground] as number) < 1e-9;
  });
  return {
    annealed: mean(runs.map((r) => r.annealed)),
    predicted: -0.7632 + 0.7 * N ** (-2 / 3),
    descended: mean(runs.map((r) => r.descended)),
    exact: share(exact),
  };
}

function denseCapacity(run: Run) {
  const dice = new Dice(run.seed);
  const N = 100;
  const kept = (power: number, P: number, tried: number): number => {
    const patterns = randomPatterns(dice, P, N);
    const memory = new DenseAssociativeMemory({ patterns, power });
    return share(Array.from({ length: tried }, (_, p) => memory.recall(row(patterns, p), { maxSteps: 1 }).converged));
  };
  const tried = run.short ? 5 : 30;
  run.picture("landscape", energyLandscape());
  run.picture("recall", denseRecall(new Dice(run.seed)));
  // The paper's noise beside a signal of 1, of variance 3!! P / N², turns one of N units.
  const predicted = (1 - erfc(Math.sqrt((N * N) / (2 * 3 * 400))) / 2) ** N;
  return {
    square10: kept(2, 10, Math.min(10, tried)),
    square80: kept(2, 80, tried),
    cubic80: kept(3, 80, tried),
    cubic400: kept(3, 400, tried),
    cubic1600: kept(3, 1600, tried),
    quartic1600: kept(4, 1600, tried),
    predicted,
  };
}

/** The energy of a modern Hopfield network over the plane, with four patterns stored. */
function energyLandscape(): string {
  const patterns = tensor([
    [0.7, 0.6],
    [-0.8, 0.5],
    [-0.4, -0.8],
    [0.6, -0.5],
  ]);
  const side = Array.from({ length: 33 }, (_, k) => (k - 16) / 12);
  const states = tensor(side.flatMap((y) => side.map((x) => [x, -y])));
  const E = Array.from(
    scope(() => modernHopfieldEnergy(states, patterns, 12).data()),
    Number,
  );
  return heatMap(
    side.map((_, i) => E.slice(33 * i, 33 * (i + 1))),
    { cell: 10, title: "Energy around four patterns (white is low)", range: [Math.min(...E), Math.min(...E) + 0.8] },
  );
}

/** Letters among a hundred random patterns, with some pixels turned: the cue, a sweep by the fourth power, and three sweeps by the second. */
function denseRecall(dice: Dice): string {
  const others = randomPatterns(dice, 100, SIDE * SIDE).toArray() as number[][];
  const patterns = tensor([...letters.map((letter) => Array.from(letter)), ...others]);
  const recalls = letters.map((letter) => {
    const cue = tensor(damaged(letter, 0.15, dice));
    const sweeps = (power: number, maxSteps: number) => {
      const states = statesOf(new DenseAssociativeMemory({ patterns, power }).recall(cue, { trace: true, maxSteps, generator: dice.generator }));
      return Array.from({ length: maxSteps }, (_, k) => states[Math.min(k + 1, states.length - 1)] as number[]);
    };
    return [Array.from(cue.data(), Number), ...sweeps(4, 1), ...sweeps(2, 3)];
  });
  return recallGrid(recalls, "5 of 105 patterns: cue; n = 4; n = 2, sweep by sweep");
} // biome-ignore format: long

/** Letters in field A that recall their neighbours in field B: the cue in A and nothing in B, then B, A, B, A. */
function bamRecall(dice: Dice): string {
  const N = SIDE * SIDE;
  const partners = letters.map((_, k) => letters[(k + 1) % letters.length] as Float64Array);
  const [As, Bs] = [letters.slice(0, 3), partners.slice(0, 3)];
  const memory = new BAM({ inputSize: N, outputSize: N }).store(tensor(As), tensor(Bs));
  const recalls = As.map((letter) => {
    const sweeps = statesOf(memory.associate({ a: tensor(damaged(letter, 0.2, dice)) }, { trace: true }));
    // A sweep updates B and then A.
    const [a, b] = [sweeps.map((s) => s.slice(0, N)), sweeps.map((s) => s.slice(N))];
    return a.flatMap((field, k) => (k === 0 ? [field] : [b[k] as number[], field])).slice(0, 5);
  });
  return recallGrid(recalls, "Pairs of letters: cue in field A, then B, A, B, A");
}

function bamCapacity(run: Run) {
  const dice = new Dice(run.seed);
  run.picture("recall", bamRecall(new Dice(run.seed)));
  const N = 100;
  const signs = (x: Tensor) => Array.from(x.data(), (v) => Math.sign(Number(v)));
  const rounds = run.short ? 2 : 10;
  const stable = (m: number): { pairs: number; errors: number } => {
    const all = Array.from({ length: rounds }, () =>
      scope(() => {
        const [A, B] = [randomPatterns(dice, m, N), randomPatterns(dice, m, N)];
        const { weight } = new BAM({ inputSize: N, outputSize: N }).store(A, B);
        const [forth, back, a, b] = [matmul(A, weight), matmul(B, transpose(weight)), A, B].map(signs) as [
          number[],
          number[],
          number[],
          number[],
        ];
        const right = (p: number) => forth.every((v, k) => Math.floor(k / N) !== p || (v === b[k] && back[k] === a[k]));
        return { pairs: share(Array.from({ length: m }, (_, p) => right(p))), errors: share(forth.map((v, k) => v !== b[k])) };
      }),
    );
    return { pairs: mean(all.map((s) => s.pairs)), errors: mean(all.map((s) => s.errors)) };
  };
  const [few, some, many] = [stable(8), stable(20), stable(40)];
  const theory = (m: number) => erfc(Math.sqrt(N / (2 * (m - 1)))) / 2;
  return { at8: few.pairs, at20: some.pairs, at40: many.pairs, error40: many.errors / theory(40) };
}

/** Horizontal or vertical bars of 3 × 3, each of three with probability ½: all 16 cases. */
function bars(): number[][] {
  const cases = Array.from({ length: 8 }, (_, code) => [0, 1, 2].map((k) => (code >> k) & 1));
  const across = cases.map((on) => Array.from({ length: 9 }, (_, i) => on[Math.floor(i / 3)] as number));
  const down = cases.map((on) => Array.from({ length: 9 }, (_, i) => on[i % 3] as number));
  return [...across, ...down];
}

function rbmBars(run: Run) {
  const data = tensor(bars());
  const updates = run.short ? 300 : 3000;
  const trained = (persistent: boolean) => {
    const generator = new Generator(run.seed);
    const rbm = new RBM({ visibleSize: 9, hiddenSize: 12, std: 0.1, generator });
    const optimizer = new SGD(rbm.parameters(), { lr: persistent ? 0.05 : 0.1, momentum: 0.5 });
    let chain = generator.bernoulli([64, 9], 0.5);
    for (let k = 0; k < updates; k++) {
      chain = scope(() => {
        optimizer.zeroGrad();
        const { loss, chain: moved } = rbm.contrastiveDivergence(data, { k: 1, ...(persistent && { chain }), generator });
        backward(loss);
        optimizer.step();
        return moved;
      });
      if (k % 500 === 0) run.progress(k / updates / 2 + (persistent ? 0.5 : 0));
    }
    return { rbm, likelihood: scope(() => noGrad(() => rbm.logLikelihood(data).item())), generator };
  };
  const [cd, persistent] = [trained(false), trained(true)];
  const dreams = scope(() => cd.rbm.gibbs(ones([16, 9]), { steps: 200, generator: cd.generator }).data());
  run.picture(
    "dreams",
    imageGrid(
      Array.from({ length: 16 }, (_, k) => Array.from(dreams.slice(9 * k, 9 * k + 9), Number)),
      { width: 3, columns: 8, title: "Drawn from the trained machine" },
    ),
  );
  // 12 cases of probability 1/16 and 2 of 1/8.
  return {
    cd: cd.likelihood,
    persistent: persistent.likelihood,
    best: (12 / 16) * Math.log(1 / 16) + (4 / 16) * Math.log(1 / 8),
    independent: 9 * Math.log(1 / 2),
  };
}

export const energy: readonly Experiment[] = [
  experiment({
    name: "hopfield-capacity",
    system: "Hopfield network, Hebb's rule",
    file: "src/energy/hopfield.ts",
    paper:
      "Hopfield (1982), Neural networks and physical systems with emergent collective computational abilities; Amit, Gutfreund and Sompolinsky (1985)",
    task: "random patterns of 500 units; recall from 6 of them as they were stored, one by one in random order; first-step errors over all units of all patterns at 0.2 N",
    reported:
      "about 0.15 N patterns can be recalled before errors are severe (1982); retrieval vanishes at 0.138 N (1985), from an overlap of 0.967; errors in the first step ½ erfc(√(N/2P))",
    claim: "overlap above 0.99 at 0.08 N and above 0.9 at 0.12 N; below 0.75 at 0.2 N; first-step errors within a tenth of the theory",
    figures: {
      at08: "overlap at 0.08 N",
      at12: "at 0.12 N",
      at14: "at 0.14 N",
      at16: "at 0.16 N",
      at20: "at 0.2 N",
      error: "first-step errors over the theory's",
    },
    seeds: 5,
    remarks: "At 500 units the transition is rounded: it is sharp only for N → ∞.",
    run: hopfieldCapacity,
    claims: [
      { what: "recalls below", rate: 0.8, holds: ({ at08, at12 }) => at08 > 0.99 && at12 > 0.9 },
      { what: "fails above", rate: 0.8, holds: ({ at20 }) => at20 < 0.75 },
      { what: "first step", rate: 0.8, holds: ({ error }) => Math.abs(error - 1) < 0.1 },
    ],
    learns: ({ at08, at20, error }) => at08 > 0.97 && at20 < 0.85 && Math.abs(error - 1) < 0.25,
  }),
  experiment({
    name: "hopfield-rules",
    system: "Hopfield network, three rules",
    file: "src/energy/hopfield.ts",
    paper:
      "Storkey (1997), Increasing the capacity of a Hopfield network without sacrificing functionality; Personnaz, Guyon and Dreyfus (1986)",
    task: "random patterns of 200 units; the share that are fixed points",
    reported:
      "Storkey's rule holds about N / √(2 ln N) patterns, Hebb's N / (2 ln N); the projection rule any that are linearly independent",
    claim: "at 0.3 N Storkey's rule keeps at least 90 % where Hebb's keeps less than 10 %; the projection rule keeps all of 0.8 N",
    figures: {
      hebb14: "kept of 0.14 N, Hebb",
      storkey14: "of 0.14 N, Storkey",
      hebb30: "of 0.3 N, Hebb",
      storkey30: "of 0.3 N, Storkey",
      pseudoInverse30: "of 0.3 N, pseudo-inverse",
      pseudoInverse80: "of 0.8 N, pseudo-inverse",
    },
    run: hopfieldRules,
    claims: [
      { what: "Storkey", rate: 0.9, holds: ({ storkey30, hebb30 }) => storkey30 >= 0.9 && hebb30 < 0.1 },
      { what: "pseudo-inverse", rate: 1, holds: ({ pseudoInverse30, pseudoInverse80 }) => pseudoInverse30 === 1 && pseudoInverse80 === 1 },
    ],
    learns: ({ storkey14, hebb30, storkey30, pseudoInverse80 }) =>
      storkey14 > 0.95 && storkey30 > 0.6 && hebb30 < 0.3 && pseudoInverse80 === 1,
  }),
  experiment({
    name: "ising-onsager",
    system: "Ising model, Glauber dynamics",
    file: "src/energy/ising.ts",
    paper: "Onsager (1944), Crystal statistics. I. A two-dimensional model with an order-disorder transition; Yang (1952); Glauber (1963)",
    task: "periodic square lattices from all spins up, heat bath in sequence. Critical temperature: where Binder's cumulants of sides 8 and 16 cross, by a straight line through their difference at T = 2.2 to 2.35 (8,000 sweeps after 1,600). Magnetisation and energy: side 48, 500 sweeps after 100",
    reported: `T_c = 2 / ln(1 + √2) = 2.2692; |m| ${onsager(2).magnetization.toFixed(4)} and energy ${onsager(2).energy.toFixed(4)} per spin at T = 2.0, 0 and ${onsager(2.6).energy.toFixed(4)} at 2.6 (infinite lattice)`,
    claim:
      "T_c within 0.08; |m| and the energy within 0.01 at T = 2.0; |m| below 0.2 and the energy within 0.02 at 2.6, where mean-field theory is ordered",
    figures: {
      critical: "critical temperature",
      m20: "|m| at T = 2.0",
      e20: "energy per spin at T = 2.0",
      m26: "|m| at T = 2.6",
      e26: "energy per spin at T = 2.6",
      meanField26: "|m| at T = 2.6, mean-field theory",
    },
    seeds: 5,
    remarks: "Sides of 8 and 16 are small: their crossing lies near T_c, not at it, and its error is a few hundredths.",
    run: isingOnsager,
    claims: [
      { what: "critical temperature", rate: 0.8, holds: ({ critical }) => Math.abs(critical - CRITICAL_TEMPERATURE) < 0.08 },
      {
        what: "below",
        rate: 0.8,
        holds: ({ m20, e20 }) => Math.abs(m20 - onsager(2).magnetization) < 0.01 && Math.abs(e20 - onsager(2).energy) < 0.01,
      },
      {
        what: "above",
        rate: 0.8,
        holds: ({ m26, e26, meanField26 }) => m26 < 0.2 && Math.abs(e26 - onsager(2.6).energy) < 0.02 && meanField26 > 0.5,
      },
    ],
    learns: ({ m20, m26 }) => m20 > 0.8 && m26 < 0.6,
  }),
  experiment({
    name: "spin-glass-ground-state",
    system: "Sherrington-Kirkpatrick spin glass, annealed",
    file: "src/energy/sherrington-kirkpatrick.ts",
    paper: "Sherrington and Kirkpatrick (1975), Solvable model of a spin-glass; Parisi (1980); Boettcher (2005)",
    task: "3 glasses of 200 spins, the best of 5 annealings of 300 sweeps from T = 1.2 to 0.02 each; 10 glasses of 12 spins, the best of 5 annealings of 100 sweeps, against all 4,096 states",
    reported: "-0.7632 of energy per spin for N → ∞, with a correction of about 0.70 N^(-2/3): -0.743 at 200",
    claim:
      "energy within 0.02 of the prediction, and at least 0.03 below descent without temperature; the exact ground state of at least 8 in 10 small glasses",
    figures: {
      annealed: "energy per spin, annealed",
      predicted: "predicted",
      descended: "descent without temperature",
      exact: "small glasses at their exact ground state",
    },
    seeds: 5,
    remarks: "The amplitude 0.70 is from memory. Ground states of single glasses of 200 spins differ by about 0.01.",
    run: spinGlass,
    claims: [
      { what: "energy", rate: 0.8, holds: ({ annealed, predicted }) => Math.abs(annealed - predicted) < 0.02 },
      { what: "below descent", rate: 0.8, holds: ({ annealed, descended }) => annealed < descended - 0.03 },
      { what: "exact", rate: 0.8, holds: ({ exact }) => exact >= 0.8 },
    ],
    learns: ({ annealed, descended }) => annealed < descended - 0.01 && annealed < -0.65,
  }),
  experiment({
    name: "dense-memory-capacity",
    system: "Dense associative memory",
    file: "src/energy/dense-memory.ts",
    paper: "Krotov and Hopfield (2016), Dense associative memory for pattern recognition",
    task: "random patterns of 100 units; the share of 30 of them that are fixed points",
    reported: "without errors about N^(n-1) / (2 (2n - 3)!! ln N) patterns: 11 for n = 2, 362 for n = 3, 7,238 for n = 4",
    claim:
      "n = 3 keeps as many of 400 as predicted, within 0.2, where n = 2 keeps at most 10 % of 80; n = 4 keeps at least 90 % of 1,600 where n = 3 keeps at most 20 %",
    figures: {
      square10: "kept of 10, n = 2",
      square80: "of 80, n = 2",
      cubic80: "of 80, n = 3",
      cubic400: "of 400, n = 3",
      cubic1600: "of 1,600, n = 3",
      quartic1600: "of 1,600, n = 4",
      predicted: "of 400, n = 3, by the paper's noise",
    },
    seeds: 5,
    run: denseCapacity,
    claims: [
      {
        what: "n = 3 over 2",
        rate: 0.8,
        holds: ({ cubic400, square80, predicted }) => Math.abs(cubic400 - predicted) < 0.2 && square80 <= 0.1,
      },
      { what: "n = 4 over 3", rate: 0.8, holds: ({ quartic1600, cubic1600 }) => quartic1600 >= 0.9 && cubic1600 <= 0.2 },
    ],
    learns: ({ cubic400, square80, quartic1600 }) => cubic400 >= 0.6 && square80 <= 0.4 && quartic1600 >= 0.8,
  }),
  experiment({
    name: "bam-capacity",
    system: "Bidirectional associative memory",
    file: "src/energy/bam.ts",
    paper: "Kosko (1988), Bidirectional associative memories",
    task: "random pairs of 100 and 100 units of ±1, 10 memories; the share of pairs of which both fields recall each other without an error",
    reported: "fewer pairs than min(n, p) are kept; errors in the first step ½ erfc(√(n / 2(m - 1)))",
    claim: "at least 90 % of 8 pairs kept, less than 10 % of 40; first-step errors at 40 within a tenth of the theory",
    figures: { at8: "kept of 8", at20: "kept of 20", at40: "kept of 40", error40: "first-step errors at 40 over the theory's" },
    run: bamCapacity,
    claims: [
      { what: "few", rate: 0.9, holds: ({ at8 }) => at8 >= 0.9 },
      { what: "many", rate: 0.9, holds: ({ at40 }) => at40 < 0.1 },
      { what: "first step", rate: 0.8, holds: ({ error40 }) => Math.abs(error40 - 1) < 0.1 },
    ],
    learns: ({ at8, at40, error40 }) => at8 >= 0.8 && at40 < 0.2 && Math.abs(error40 - 1) < 0.3,
  }),
  experiment({
    name: "rbm-bars",
    system: "Restricted Boltzmann machine, contrastive divergence",
    file: "src/energy/rbm.ts",
    paper: "Hinton (2002), Training products of experts by minimizing contrastive divergence; Tieleman (2008) for persistent chains",
    task: "bars of 3 × 3, across or down, all 16 cases as one batch; 12 hidden units, 3,000 updates with SGD 0.1 (0.05 with 64 persistent chains) and momentum 0.5; the likelihood by summing over all states",
    reported:
      "contrastive divergence with one step learns good models; persistent chains come nearer to the likelihood's maximum; no table for bars",
    claim: "mean log-likelihood above -3.6, where units drawn independently have -6.24 and the data's own distribution -2.60",
    figures: {
      cd: "log-likelihood, one step",
      persistent: "log-likelihood, persistent chains",
      best: "of the data's own distribution",
      independent: "of independent units",
    },
    seeds: 5,
    run: rbmBars,
    claims: [{ rate: 0.8, holds: ({ cd, independent }) => cd > -3.6 && independent < -6 }],
    learns: ({ cd, independent }) => cd > independent + 0.3,
  }),
];
