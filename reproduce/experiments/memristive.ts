/** Networks of devices: memristive circuits that settle in low energies, and a crossbar that finds what is correlated. */

import {
  type Branch,
  type Circuit,
  isingNetwork,
  MemristiveCircuit,
  MemristiveCrossbar,
  type MemristiveNetwork,
} from "../../src/physics/index.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { full } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, median, type Run, share } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { binaryProblem, descend, energyOf, leastEnergy, randomSpins, type Spins, spinGlass } from "../tasks/ising.ts";

// ---- Ground states ----

/** Energies this near to the least are the least. */
const SAME = 1e-9;
const STEPS = 1000;
const DT = 0.02;

/** The signs of the states in which a network comes to rest from the middle. */
function settled(network: MemristiveNetwork): { spins: number[]; states: number[][]; energies: Float64Array } {
  return scope(() => {
    const { states, energies } = network.trajectory(full([network.size], 0.5, "float64"), { steps: STEPS, dt: DT });
    const rows = states.toArray() as number[][];
    return { spins: (rows.at(-1) as number[]).map((w) => (w > 0.5 ? 1 : -1)), states: rows, energies };
  });
}

/** What came out for one problem, as excess over the least energy, in parts of what random states have on average. */
interface Excess {
  readonly network: number;
  readonly descended: number;
  readonly greedy: number;
  readonly random: number;
}

function excessOf(problem: Spins, spins: readonly number[], dice: Dice): Excess {
  const least = leastEnergy(problem);
  const excess = (s: readonly number[]) => 1 - energyOf(problem, s) / least;
  const start = randomSpins(dice, spins.length);
  return {
    network: excess(spins),
    descended: excess(descend(problem, spins)),
    greedy: excess(descend(problem, start)),
    random: excess(start),
  };
}

function figuresOf(all: readonly Excess[]) {
  const exact = (name: keyof Excess) => share(all.map((excess) => excess[name] < SAME));
  return {
    exact: exact("network"),
    descended: exact("descended"),
    greedy: exact("greedy"),
    gap: median(all.map(({ network }) => network)),
    randomGap: median(all.map(({ random }) => random)),
  };
}

const FIGURES = {
  exact: "share of ground states found, signs of the network",
  descended: "share, after greedy descent",
  greedy: "share, greedy descent from a random state",
  gap: "median excess energy of the network, parts of a random state's",
  randomGap: "median excess energy of random states",
};

/** A connected circuit of seven nodes with a cycle and at most 14 branches. */
function randomCircuit(dice: Dice): Circuit {
  const nodes = 7;
  for (;;) {
    const branches: Branch[] = [];
    for (let i = 0; i < nodes; i++) for (let j = 0; j < i; j++) if (dice.chance(0.55)) branches.push([i, j]);
    if (branches.length >= nodes && branches.length <= 14 && isConnected(nodes, branches)) return { nodes, branches };
  }
}

function isConnected(nodes: number, branches: readonly Branch[]): boolean {
  const reached = new Set([0]);
  for (let round = 0; round < nodes; round++) {
    for (const [a, b] of branches) if (reached.has(a) || reached.has(b)) reached.add(a).add(b);
  }
  return reached.size === nodes;
}

function circuits(run: Run) {
  const { training: dice } = streams(run.seed);
  const count = run.short ? 8 : 40;
  const all = Array.from({ length: count }, (_, k) => {
    run.progress(k / count);
    const circuit = randomCircuit(dice);
    const sources = Array.from(dice.generator.normal([circuit.branches.length], 0, 1, "float64").data());
    const network = new MemristiveCircuit({ circuit, sources });
    const { spins, states, energies } = settled(network);
    if (k === 0) draw(run, states, energies);
    return excessOf(binaryProblem(network), spins, dice);
  });
  return figuresOf(all);
}

function draw(run: Run, states: readonly (readonly number[])[], energies: Float64Array): void {
  const x = Array.from(energies, (_, k) => k * DT);
  const held = states.findIndex((w) => w.some((v) => v === 0 || v === 1));
  const free = held < 0 ? states.length : held + 1;
  const parts = [
    { name: "all memristors between 0 and 1: falls", x: x.slice(0, free), y: energies.slice(0, free) },
    { name: "some held at 0 or 1: no bound on it", x: x.slice(free - 1), y: energies.slice(free - 1), dashed: true },
  ];
  run.picture("lyapunov", lineChart(parts, { title: "The Lyapunov function of a memristive circuit", xLabel: "time", yLabel: "L" }));
  const m = (states[0] as readonly number[]).length;
  const lines = Array.from({ length: m }, (_, i) => ({ name: String(i), x, y: states.map((row) => row[i] as number) }));
  run.picture("states", lineChart(lines, { title: "Its memristors, from the middle to rest", xLabel: "time", yLabel: "w" }));
} // biome-ignore format: long

function glasses(run: Run) {
  const { training: dice } = streams(run.seed);
  const count = run.short ? 10 : 60;
  const all = Array.from({ length: count }, (_, k) => {
    run.progress(k / count);
    const problem = spinGlass(dice, 12, 0.5);
    return excessOf(problem, settled(isingNetwork(problem)).spins, dice);
  });
  return figuresOf(all);
}

// ---- A crossbar ----

const [INPUTS, GROUP, RATE] = [50, 10, 20];
const CHUNK = 5000;
/** With it the neuron fires below the rate at which all states would rise: see the remarks. */
const GAIN = 0.08;

/** Spikes of Poisson lines at 20 a second; those of the group take half of theirs from one common train, if there is one. */
function spikes(generator: Generator, correlated: boolean): Float32Array {
  const draws = scope(() => generator.uniform([CHUNK, INPUTS + 1 + GROUP]).data());
  const width = INPUTS + 1 + GROUP;
  const p = RATE * 0.001;
  const out = new Float32Array(CHUNK * INPUTS);
  for (let t = 0; t < CHUNK; t++) {
    const common = (draws[t * width + INPUTS] as number) < p;
    for (let i = 0; i < INPUTS; i++) {
      const own = draws[t * width + i] as number;
      const shared = correlated && i < GROUP;
      const copied = shared && common && (draws[t * width + INPUTS + 1 + i] as number) < 0.5;
      out[t * INPUTS + i] = copied || own < (shared ? p / 2 : p) ? 1 : 0;
    }
  }
  return out;
}

/** How far the mean state of each ten lines ends above the others'. */
function differences(states: readonly number[]): number[] {
  return Array.from({ length: INPUTS / GROUP }, (_, g) => {
    const inside = (i: number) => Math.floor(i / GROUP) === g;
    return mean(states.filter((_w, i) => inside(i))) - mean(states.filter((_w, i) => !inside(i)));
  });
}

/** How far the group's mean state ends above the others', and the states on the way. */
function learnSpikes(run: Run, seconds: number, correlated: boolean, defects: number) {
  const generator = new Generator(3 * run.seed);
  const crossbar = new MemristiveCrossbar({ inputSize: INPUTS, outputSize: 1, low: 0.3, high: 0.7, gain: GAIN, defects, generator });
  const source = streams(run.seed).training.generator;
  const course = [Array.from(crossbar.weight.data())];
  for (let k = 0; k < (seconds * 1000) / CHUNK; k++) {
    scope(() => void crossbar.run(tensor(spikes(source, correlated), { shape: [CHUNK, INPUTS] })));
    course.push(Array.from(crossbar.weight.data()));
  }
  return { differences: differences(course.at(-1) as number[]), course };
}

function crossbar(run: Run) {
  const seconds = run.short ? 40 : 100;
  const { differences: found, course } = learnSpikes(run, seconds, true, 0);
  run.progress(1 / 3);
  const uncorrelated = Math.sqrt(mean(learnSpikes(run, seconds, false, 0).differences.map((d) => d * d)));
  run.progress(2 / 3);
  const [defective] = learnSpikes(run, seconds, true, 0.2).differences as [number];
  const [difference] = found as [number];
  const rows = Array.from({ length: INPUTS }, (_, i) => course.map((states) => states[i] as number));
  run.picture("states", heatMap(rows, { title: "Memristors over time; the first ten lines are correlated", xLabel: `${CHUNK / 1000} s a column`, cell: 9, range: [0, 1] }));
  return { difference, uncorrelated, defective };
} // biome-ignore format: long

export const memristive: readonly Experiment[] = [
  experiment({
    name: "memristive-circuits",
    system: "Memristive circuits",
    file: "src/physics/memristive-network.ts",
    paper:
      "Caravelli, Traversa and Di Ventra (2017), Complex dynamics of memristive circuits; Caravelli (2019), Asymptotic behavior of memristive circuits",
    task: "40 random circuits of 7 nodes and at most 14 memristors with sources from N(0, 1), off/on = 10; from w = 0.5 for 20 units of time, rounded; against all 2^m states",
    reported:
      "the Lyapunov function of the binary states is an Ising energy, so circuits relax towards low energies; no rate for this measurement",
    claim:
      "signs alone are the ground state in 30 % of circuits and 0.02 above it in the median; after greedy descent in 50 %; random states lie ten times as far above",
    figures: FIGURES,
    remarks:
      "greedy descent from a random state finds as many: binary problems of such small circuits are easy; memristive-ising has harder ones",
    run: circuits,
    claims: [{ rate: 0.8, holds: (f) => f.exact >= 0.3 && f.gap <= 0.02 && f.descended >= 0.5 && f.randomGap > 10 * f.gap }],
    learns: (f) => f.gap < 0.1 && f.randomGap > 0.3,
  }),
  experiment({
    name: "memristive-ising",
    system: "Memristive networks as solvers of Ising problems",
    file: "src/physics/memristive-network.ts",
    paper: "Caravelli (2019), Asymptotic behavior of memristive circuits",
    task: "60 problems of 12 spins, couplings from N(0, 1/12) between all and fields from N(0, 0.25); from w = 0.5 for 20 units of time, rounded; against all 4,096 states",
    reported: "couplings of memristors as those of Hopfield-Little networks and spin glasses; no rate for this measurement",
    claim: "after greedy descent more ground states than greedy descent from random states finds, by at least a tenth of the problems",
    figures: FIGURES,
    run: glasses,
    claims: [{ rate: 0.8, holds: (f) => f.descended >= f.greedy + 0.1 && f.randomGap > 2 * f.gap }],
    learns: (f) => f.gap < 0.5 && f.gap < f.randomGap,
  }),
  experiment({
    name: "crossbar-correlations",
    system: "Crossbar of memristors with spike-timing dependent plasticity",
    file: "src/physics/crossbar.ts",
    paper:
      "Snider (2008), Spike-timing-dependent learning in memristive nanodevices; Snider (2007), Self-organized computation with unreliable, memristive nanodevices",
    task: "50 Poisson lines at 20 spikes a second on one leaky neuron, of which 10 take half of their spikes from a common train; A₋τ₋ = 1.05 A₊τ₊; 100 s in steps of 1 ms",
    reported:
      "memristive synapses learn correlations by the times of spikes alone, and do so with many defective devices; no number for this task",
    claim:
      "the ten end above the others by more than 0.3 of the range, with a fifth of the devices stuck by more than 0.2, and both by more than three times what any ten lines differ by where nothing is correlated",
    figures: {
      difference: "difference of mean states, correlated",
      defective: "the same, a fifth of the devices stuck",
      uncorrelated: "difference of mean states, nothing correlated: root mean square over the five groups of ten",
    },
    remarks:
      "Where only the last spikes count, states rise on average if the neuron fires faster than (A₋τ₋(1 + rτ₊)/(A₊τ₊) − 1)/τ₋, 23.5 a second for lines of r = 20, and fall below that: faster still, all end at 1 alike. With a gain of 0.1 the neuron began at that rate, and one seed in ten went that way; with 0.08 it begins below. States of lines that are not correlated drift apart, too: ten of fifty differ from the others by 0.1 and more by chance, which a bound of 0.1 on a single group does not allow for.",
    run: crossbar,
    claims: [
      { rate: 0.8, holds: (f) => f.difference > 0.3 && f.defective > 0.2 && Math.min(f.difference, f.defective) > 3 * f.uncorrelated },
    ],
    learns: (f) => f.difference > 0.1 && f.difference > f.uncorrelated + 0.1,
  }),
];
