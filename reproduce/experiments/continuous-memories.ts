/** Associative memories of graded units: Hopfield's of 1984, the modern one, and the latter as a layer that is trained. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { ContinuousHopfield } from "../../src/energy/continuous-hopfield.ts";
import { Hopfield } from "../../src/energy/hopfield.ts";
import { HopfieldLayer, modernHopfieldUpdate } from "../../src/energy/hopfield-layer.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add, div, mul, neg, sub } from "../../src/ops/arithmetic.ts";
import { broadcastTo, reshape, sum } from "../../src/ops/broadcast.ts";
import { equal, greater, where } from "../../src/ops/compare.ts";
import { matmul } from "../../src/ops/linear.ts";
import { norm } from "../../src/ops/reduce.ts";
import { cat, slice } from "../../src/ops/shape.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { zeros } from "../../src/tensor/create.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run, share } from "../experiment.ts";
import { Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const numbers = (t: Tensor): number[] => Array.from(t.data(), Number);
const vector = (values: readonly number[]): Tensor => tensor([...values], { dtype: "float64" });
const same = (a: readonly number[], b: readonly number[]): boolean => a.every((v, i) => v === b[i]);
const signsOf = (t: Tensor): number[] => numbers(t).map(Math.sign);

// ---- Hopfield 1984 ----

const UNITS = 100;

const randomSigns = (dice: Dice, n: number): number[] => Array.from({ length: n }, () => (dice.chance(0.5) ? 1 : -1));

/** The pattern with `count` of its units turned. */
function damaged(dice: Dice, pattern: readonly number[], count: number): number[] {
  const turned = new Set(dice.shuffle(pattern.map((_, i) => i)).slice(0, count));
  return pattern.map((v, i) => (turned.has(i) ? -v : v));
}

/** The eigenvalue of a symmetric matrix that is largest in size, by powers. */
function largestEigenvalue(weight: Tensor): number {
  return scope(() => {
    let [v, length] = [vector(Array.from({ length: weight.dim(0) }, (_, i) => Math.sin(i + 1))), 0];
    for (let k = 0; k < 300; k++) {
      const next = matmul(weight, v);
      length = norm(next).item();
      v = div(next, length);
    }
    return length;
  });
}

/** Steps at which an energy rises. */
const rises = (energies: readonly number[]): number => energies.filter((E, k) => k > 0 && E > (energies[k - 1] as number) + 1e-9).length;

/** −½ VᵀWV along a path [S,N] of potentials: the energy of 1982, without what graded outputs cost. */
function pairEnergies(net: ContinuousHopfield, path: Tensor): number[] {
  return scope(() => {
    const V = net.outputs(path);
    return numbers(mul(sum(mul(matmul(V, net.weight), V), { axis: 1 }), -0.5));
  });
}

function gradedUnits(run: Run) {
  const dice = new Dice(run.seed);
  const trials = run.short ? 4 : 10;
  const patterns = Array.from({ length: 5 }, () => randomSigns(dice, UNITS));
  const discrete = new Hopfield({ size: UNITS }).store(tensor(patterns));
  const { weight } = discrete;
  const critical = 1 / largestEigenvalue(weight);
  const at = (gain: number) => new ContinuousHopfield({ weight, gain });

  const completions = Array.from({ length: trials }, (_, k) => {
    const pattern = patterns[k % patterns.length] as number[];
    const cue = vector(damaged(dice, pattern, UNITS / 5).map((v) => 0.05 * v));
    return { pattern, recall: at(20).recall(cue) };
  });
  run.progress(0.3);
  const start = () => vector(randomSigns(dice, UNITS).map((v) => 0.05 * v));
  const isStable = (s: readonly number[]): boolean => discrete.recall(vector(s)).steps === 1;
  // From random starts, and from states at which the network of 1982 rests.
  const steep = at(100);
  const steepEnds = Array.from({ length: trials }, () => steep.recall(start(), { maxSteps: 20_000 }));
  const kept = Array.from({ length: trials }, () => {
    const rest = numbers(discrete.recall(vector(randomSigns(dice, UNITS)), { generator: dice.generator }).state);
    return same(signsOf(steep.recall(vector(rest), { maxSteps: 20_000 }).state), rest);
  });
  run.progress(0.8);
  const below = at(0.8 * critical);
  const faded = below.recall(vector(patterns[0] as number[]), { maxSteps: 20_000, trace: true });
  const above = at(1.2 * critical).recall(vector(patterns[0] as number[]), { maxSteps: 20_000 });
  const largest = (t: Tensor): number => Math.max(...numbers(t).map(Math.abs));

  const energies = completions.map(({ recall }) => recall.energies);
  run.picture(
    "energy",
    lineChart(
      energies.slice(0, 5).map((E, k) => ({ name: `recall ${k + 1}`, x: E.map((_, t) => t), y: E })),
      { title: "Energy along recalls of damaged patterns, gain 20", xLabel: "steps", yLabel: "E" },
    ),
  );
  run.picture("landscape", twoUnits());
  return {
    recalled: share(completions.map(({ pattern, recall }) => same(signsOf(recall.state), pattern))),
    rises: [...energies, ...steepEnds.map((e) => e.energies), faded.energies, above.energies].reduce((n, E) => n + rises(E), 0),
    pairRises: rises(pairEnergies(below, faded.states as Tensor)),
    below: largest(faded.state),
    above: largest(above.state),
    stable: share(steepEnds.map(({ state }) => isStable(signsOf(state)))),
    kept: share(kept),
  };
}

/** Hopfield's figure 3: the energy of two units that excite each other, by their outputs, at a gain that gives two resting states. */
function twoUnits(): string {
  const net = new ContinuousHopfield({ weight: tensor([[0, 1], [1, 0]]), gain: 1.4 }); // biome-ignore format: a matrix
  const side = Array.from({ length: 33 }, (_, k) => ((k - 16) / 16) * 0.97);
  const rows = side.map((y) => side.map((x) => net.energy(vector([x, -y].map((v) => Math.atanh(v) / 1.4)))));
  const least = Math.min(...rows.flat());
  return heatMap(rows, {
    cell: 10,
    title: "Energy by two outputs (white is low)",
    range: [least, least + 0.3],
    xLabel: "V1",
    yLabel: "V2",
  });
}

// ---- the modern network as a memory ----

/** P points [P,d] on the unit sphere. */
function directions(generator: Generator, P: number, d: number): Tensor {
  const x = generator.normal([P, d]);
  return div(x, norm(x, { axis: 1, keepDim: true }));
}

const [CUES, BETA, NOISE] = [200, 50, 0.8];

/** The part of cues, patterns with noise of length 0.8, that one update takes to within 0.1 of their pattern. */
function retrieved(generator: Generator, P: number, d: number): number {
  return scope(() => {
    const patterns = directions(generator, P, d);
    const wanted = slice(patterns, 0, 0, Math.min(P, CUES));
    const cues = add(wanted, mul(directions(generator, wanted.dim(0), d), NOISE));
    const errors = norm(sub(modernHopfieldUpdate(cues, patterns, BETA), wanted), { axis: 1 });
    return share(numbers(errors).map((e) => e < 0.1));
  });
}

/** The most patterns, by doubling from 2, of which nine in ten are retrieved: a mean of several draws. */
function capacity(most: number, rate: (P: number) => number): number {
  let P = 2;
  while (P < most && rate(2 * P) >= 0.9) P *= 2;
  return P;
}

function exponentialCapacity(run: Run) {
  const { generator } = new Dice(run.seed);
  const most = run.short ? 2048 : 32768;
  const dimensions = [8, 12, 16, 20, 24];
  const found = dimensions.map((d, k) => {
    run.progress(k / dimensions.length);
    // Few patterns are few cues: enough draws for 100.
    return capacity(most, (P) => {
      const draws = Math.max(1, Math.ceil(100 / P));
      return Array.from({ length: draws }, () => retrieved(generator, P, d)).reduce((a, b) => a + b, 0) / draws;
    });
  });
  const hebb = capacity(64, (P) => {
    const kept = Array.from({ length: 10 }, () => {
      const patterns = sub(mul(generator.bernoulli([P, 24], 0.5, "float64"), 2), 1);
      const net = new Hopfield({ size: 24 }).store(patterns);
      return share(Array.from({ length: P }, (_, p) => net.recall(vector(numbers(slice(patterns, 0, p, p + 1)))).steps === 1));
    });
    return kept.reduce((a, b) => a + b, 0) / kept.length;
  });
  run.picture(
    "capacity",
    lineChart([{ name: "modern network", x: dimensions, y: found.map(Math.log2) }], { xLabel: "units", yLabel: "log2 of patterns" }),
  );
  const [p8, p12, p16, p20, p24] = found as [number, number, number, number, number];
  return { p8, p12, p16, p20, p24, hebb };
}

// ---- the layer ----

const [BITS, INSTANCES] = [12, 32];

/** `batch` bags [S,B,bits] of random words, and 1 for each that holds the signal [bits], else 0 [B]. */
function draw(generator: Generator, signal: Tensor, batch: number): { words: Tensor; labels: Tensor } {
  const random = sub(mul(generator.bernoulli([INSTANCES, batch, BITS], 0.5), 2), 1);
  // Where chance made the signal, its opposite stands.
  const made = equal(sum(mul(random, signal), { axis: 2, keepDim: true }), BITS);
  const labels = generator.bernoulli([1, batch, 1], 0.5);
  // The order of words says nothing to the layer: the first may be the one.
  const first = cat([labels, zeros([INSTANCES - 1, batch, 1])], 0);
  const words = where(greater(first, 0), signal, where(made, neg(random), random));
  return { words, labels: reshape(labels, [batch]) };
}

/** A state that is learned looks into the bag; a linear unit reads what it finds. */
class BagClassifier extends Module {
  readonly state: Parameter;
  readonly layer: HopfieldLayer;
  readonly head: Linear;

  constructor(beta: number, generator: Generator) {
    super();
    this.layer = new HopfieldLayer({ inputSize: BITS, heads: 2, beta, generator });
    this.state = new Parameter(generator.normal([1, 1, BITS]));
    this.head = new Linear(BITS, 1, { generator });
  }

  /** Scores [B] of bags [S,B,bits]. */
  scores(words: Tensor): Tensor {
    const B = words.dim(1);
    return reshape(this.head.forward(this.layer.forward(broadcastTo(this.state, [1, B, BITS]), words)), [B]);
  }
}

function bags(run: Run, beta: number, part: readonly [number, number]): number {
  const { weights, training, test } = streams(run.seed);
  const signal = tensor(randomSigns(training, BITS));
  const model = new BagClassifier(beta, weights);
  const updates = run.short ? 300 : 800;
  train(run, {
    parameters: model.parameters(),
    updates,
    lr: 5e-3,
    part,
    loss: () => {
      const { words, labels } = draw(training.generator, signal, 64);
      return bceWithLogits(model.scores(words), labels);
    },
  });
  const { words, labels } = draw(test.generator, signal, 1000);
  const wanted = numbers(labels);
  const scores = scope(() => noGrad(() => numbers(model.scores(words))));
  return 100 * share(scores.map((s, b) => (s > 0 ? 1 : 0) === wanted[b]));
}

export const continuousMemories: readonly Experiment[] = [
  experiment({
    name: "continuous-hopfield",
    system: "Hopfield network of graded units",
    file: "src/energy/continuous-hopfield.ts",
    paper: "Hopfield (1984), Neurons with graded response have collective computational properties like those of two-state neurons",
    task: "5 random patterns of 100 units, stored by Hebb's rule; 10 recalls with a fifth of the units turned, at gain 20; 10 runs from random starts and 10 from resting states of the network of 1982, at gain 100; a stored pattern as start at 0.8 and 1.2 of the gain at which the largest eigenvalue of λW is 1",
    reported:
      "the energy with its integral term falls along every path; in the high-gain limit the stable states are those of the network of two-state units; at low gain there is one, at 0. No numbers for such a task",
    claim:
      "all recalls complete, no step raises the energy, while without the integral term it rises; at gain 100 every resting state has the signs of a stable state of 1982, and at least nine in ten of those keep their signs; below the critical gain outputs die out, above it they do not",
    figures: {
      recalled: "recalls completed, gain 20",
      rises: "steps that raise the energy, all runs",
      pairRises: "steps that raise the energy without its integral, low gain",
      stable: "resting states whose signs are stable in 1982, gain 100",
      kept: "stable states of 1982 that keep their signs, gain 100",
      below: "largest potential at rest, 0.8 of the critical gain",
      above: "largest potential at rest, 1.2 of the critical gain",
    },
    run: gradedUnits,
    claims: [
      { what: "energy", rate: 1, holds: ({ rises: up, pairRises }) => up === 0 && pairRises > 0 },
      { what: "recall", rate: 0.9, holds: ({ recalled }) => recalled === 1 },
      { what: "high gain", rate: 0.9, holds: ({ stable, kept }) => stable === 1 && kept >= 0.9 },
      { what: "low gain", rate: 1, holds: ({ below, above }) => below < 1e-3 && above > 0.01 },
    ],
    learns: ({ recalled, rises: up, pairRises, below, above }) =>
      recalled === 1 && up === 0 && pairRises > 0 && below < 1e-3 && above > 0.01,
  }),
  experiment({
    name: "modern-hopfield-capacity",
    system: "Modern Hopfield network",
    file: "src/energy/hopfield-layer.ts",
    paper: "Ramsauer, Schäfl, Lehner, Seidl, Widrich, Gruber et al. (2020), Hopfield networks is all you need",
    task: "patterns on the unit sphere of 8, 12, 16, 20 and 24 dimensions, cues with noise of length 0.8; one update with β = 50 takes at least nine in ten to within 0.1 of their pattern; patterns double from 2 to 32,768",
    reported: "the number of patterns grows exponentially with the dimension; retrieval after one update",
    claim: "8 dimensions more multiply the patterns by at least 8; 24 units hold at least 256 times as many as by Hebb's rule",
    figures: {
      p8: "patterns, 8 dimensions",
      p12: "12 dimensions",
      p16: "16 dimensions",
      p20: "20 dimensions",
      p24: "24 dimensions",
      hebb: "patterns that are fixed points, 24 units of ±1, Hebb",
    },
    run: exponentialCapacity,
    claims: [{ rate: 0.9, holds: ({ p8, p16, p24, hebb }) => p16 >= 8 * p8 && p24 >= 8 * p16 && p24 >= 256 * hebb }],
    learns: ({ p8, p16, p24, hebb }) => p16 >= 8 * p8 && p24 >= 8 * p16 && p24 >= 256 * hebb,
  }),
  experiment({
    name: "hopfield-layer-bags",
    system: "Modern Hopfield layer",
    file: "src/energy/hopfield-layer.ts",
    paper: "Ramsauer, Schäfl, Lehner, Seidl, Widrich, Gruber et al. (2020), Hopfield networks is all you need",
    task: "bags of 32 random words of 12 bits, half of which hold a certain word; a state that is learned looks into the bag through a layer of two heads, a linear unit reads what it finds; 800 updates of 64 bags, Adam 0.005, 1,000 new bags; beside it the same layer with β = 0 but for rounding, which takes the mean of the bag",
    reported: "state of the art in multiple instance learning, where one instance of many decides; no such task with numbers",
    claim: "at least 95 % of new bags told right, by the mean at most 75 %",
    figures: { layer: "% of new bags right, β = 1", mean: "% of new bags right, mean of the bag" },
    run: (run) => ({ layer: bags(run, 1, [0, 0.5]), mean: bags(run, 1e-9, [0.5, 1]) }),
    claims: [{ rate: 0.9, holds: ({ layer, mean }) => layer >= 95 && mean <= 75 }],
    learns: ({ layer, mean }) => layer > mean + 10,
  }),
];
