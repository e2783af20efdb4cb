/** Nets from before backpropagation: regular events, sequences, associations, the law of synchronous noise, and what follows what. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { McCullochPittsNetwork } from "../../src/automata/index.ts";
import { AmariNetwork, Associatron, LittleNetwork, overlaps } from "../../src/energy/index.ts";
import { CrossCoupledPerceptron } from "../../src/learning/cross-coupled.ts";
import { type DrawnNetwork, networkDiagram } from "../../src/plot/network.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run, share } from "../experiment.ts";
import { Dice, streams } from "../tasks/dice.ts";
import { damaged, recallGrid, SIDE, textures } from "../tasks/letters.ts";

function patterns(dice: Dice, P: number, N: number): Tensor {
  return tensor(
    Float64Array.from({ length: P * N }, () => (dice.chance(0.5) ? 1 : -1)),
    { shape: [P, N] },
  );
}

function rowOf(t: Tensor, k: number): Tensor {
  return tensor((t.toArray() as number[][])[k] as number[], { dtype: "float64" });
}

// ---- McCulloch and Pitts ----

const LETTERS = "ab";
const LONGEST = 8;

/** All words of a length. */
function wordsOf(length: number): string[] {
  return Array.from({ length: 2 ** length }, (_, n) => Array.from({ length }, (__, t) => LETTERS[(n >> t) & 1]).join(""));
}

/** A random regular expression. */
function expressionOf(dice: Dice, depth: number): string {
  if (depth === 0) return dice.chance(0.5) ? "a" : "b";
  const part = () => expressionOf(dice, depth - 1);
  const kind = dice.below(4);
  if (kind === 0) return `(${part()}|${part()})`;
  if (kind === 1) return `(${part()})*`;
  return part() + part();
}

/** What a net answers for all words of a length, one step after their ends. */
function answersOf(net: McCullochPittsNetwork, words: readonly string[]): boolean[] {
  const length = (words[0] as string).length;
  const steps = Array.from({ length: length + 1 }, (_, t) => words.map((word) => [...LETTERS].map((letter) => Number(word[t] === letter))));
  const last = scope(() => noGrad(() => net.scan(tensor(steps))[1].toArray() as number[][]));
  return last.map((row) => row[net.units.indexOf("answer")] === 1);
}

/** Whether the last three letters of a word decide: all that a net without circles of that depth can know. */
function isDefinite(language: ReadonlyMap<string, boolean>): boolean {
  const byEnd = new Map<string, boolean>();
  for (const [word, taken] of language) {
    const end = word.slice(-3);
    if ((byEnd.get(end) ?? taken) !== taken) return false;
    byEnd.set(end, taken);
  }
  return true;
}

/** A net of an event: lines of letters, units by their number, the answer. */
export function drawnEventNet(net: McCullochPittsNetwork): DrawnNetwork {
  const names = [...net.inputs, ...net.units];
  const layer = (name: string) => (net.inputs.includes(name) ? 0 : name === "answer" ? 3 : name === "start" ? 1 : 2);
  const [ih, hh] = [net.excitationIh.toArray() as number[][], net.excitationHh.toArray() as number[][]];
  const into = (rows: number[][], first: number) =>
    rows.flatMap((row, i) => row.flatMap((weight, j) => (weight > 0 ? [{ from: first + j, to: net.inputSize + i, weight }] : [])));
  return { nodes: names.map((label) => ({ label, layer: layer(label) })), edges: [...into(ih, 0), ...into(hh, net.inputSize)] };
}

function regularEvents(run: Run) {
  const { training: dice } = streams(run.seed);
  const count = run.short ? 6 : 40;
  const lengths = Array.from({ length: LONGEST + 1 }, (_, length) => wordsOf(length));
  const verdicts = Array.from({ length: count }, (_, k) => {
    run.progress(k / count);
    const expression = expressionOf(dice, 3);
    const known = new RegExp(`^(?:${expression})$`);
    const net = McCullochPittsNetwork.ofExpression(expression, LETTERS);
    const right = lengths.every((words) => answersOf(net, words).every((said, i) => said === known.test(words[i] as string)));
    return { right, definite: isDefinite(new Map(lengths.flat().map((word) => [word, known.test(word)]))) };
  });
  const shown = McCullochPittsNetwork.ofExpression("(ab)*a", LETTERS);
  run.picture("net", networkDiagram(drawnEventNet(shown), { title: "A net of McCulloch and Pitts for (ab)*a" }));
  return { right: share(verdicts.map((v) => v.right)), definite: share(verdicts.map((v) => v.definite)) };
}

// ---- Amari ----

const LOADS = { load10: 0.1, load20: 0.2, load24: 0.24, load26: 0.26, load30: 0.3 };

/** Agreement with the pattern that is due after two rounds of a cyclic sequence, and after one step of a net that stores the same patterns as such. */
function sequenceOverlap(dice: Dice, N: number, load: number): { moving: number; resting: number } {
  return scope(() => {
    const P = Math.round(load * N);
    const stored = patterns(dice, P, N);
    const first = rowOf(stored, 0);
    const net = new AmariNetwork({ size: N }).storeSequence(stored, { cyclic: true });
    const { state, steps } = net.recall(first, { maxSteps: 2 * P });
    const due = (t: Tensor, k: number) => overlaps(stored, t)[k % P] as number;
    const fixed = new AmariNetwork({ size: N }).store(stored);
    return { moving: due(state, steps), resting: due(fixed.update(first), 1) };
  });
}

/** Five patterns as a cycle, shown a damaged one: the states after each step forwards, and by the transposed weights backwards. */
function oneByOne(dice: Dice): string {
  const net = new AmariNetwork({ size: SIDE * SIDE }).storeSequence(tensor([...textures]), { cyclic: true });
  const cue = tensor(damaged(textures[0] as Float64Array, 0.2, dice));
  const recalls = [net, net.backward()].map((memory) => {
    const { states } = memory.recall(cue, { trace: true, maxSteps: 7 });
    return (states as Tensor).toArray() as number[][];
  });
  return recallGrid(recalls, "A cycle of five patterns, forwards and backwards");
}

function sequences(run: Run) {
  const { training: dice } = streams(run.seed);
  const N = run.short ? 200 : 500;
  const names = Object.keys(LOADS) as (keyof typeof LOADS)[];
  const found = names.map((name, k) => {
    run.progress(k / names.length);
    return sequenceOverlap(dice, N, LOADS[name]);
  });
  const x = names.map((name) => LOADS[name]);
  const line = lineChart(
    [
      { name: "stored as a sequence, after two rounds", x, y: found.map(({ moving }) => moving) },
      { name: "stored as patterns, after one step", x, y: found.map(({ resting }) => resting), dashed: true },
    ],
    { title: "Cyclic sequences in Amari's network", xLabel: "patterns per unit", yLabel: "overlap with the pattern that is due" },
  );
  run.picture("load", line);
  run.picture("recall", oneByOne(new Dice(run.seed)));
  const overlapsByLoad = Object.fromEntries(names.map((name, k) => [name, found[k]?.moving])) as Record<keyof typeof LOADS, number>;
  return { ...overlapsByLoad, resting: found[0]?.resting as number };
}

// ---- Nakano ----

const FIELDS = 3;

/** Part of the elements outside a field that are recalled from that field alone. */
function recalled(memory: Associatron, shown: Tensor): number {
  const rows = shown.toArray() as number[][];
  const N = memory.size;
  const field = (i: number) => Math.floor((i * FIELDS) / N);
  const parts = rows.flatMap((row) =>
    Array.from({ length: FIELDS }, (_, f) => {
      const cue = tensor(row.map((x, i) => (field(i) === f ? x : 0)), { dtype: "float64" }); // biome-ignore format: short
      const got = memory.recall(cue).state.toArray() as number[];
      return share(row.flatMap((x, i) => (field(i) === f ? [] : [got[i] === x])));
    }),
  );
  return mean(parts);
}

function associations(run: Run) {
  const { training: dice } = streams(run.seed);
  const N = 180;
  const counts = run.short ? [3, 30] : [3, 6, 12, 30];
  return scope(() => {
    const found = counts.map((P) => {
      const stored = patterns(dice, P, N);
      return recalled(new Associatron({ size: N }).store(stored), stored);
    });
    const stored = patterns(dice, 3, N);
    const others = recalled(new Associatron({ size: N }).store(patterns(dice, 3, N)), stored);
    run.picture("fields", lineChart([{ name: "elements outside the cue's field", x: counts, y: found }], { title: "The associatron, 180 elements, one field of three shown", xLabel: "patterns", yLabel: "part recalled" }));
    return { three: found[0] as number, thirty: found.at(-1) as number, others };
  }); // biome-ignore format: long
}

// ---- Little ----

function noisyUnits(run: Run) {
  const [N, T] = [6, 1];
  const { training: dice, weights } = streams(run.seed);
  const draws = weights.normal([N, N], 0, 1, "float64").toArray() as number[][];
  const W = draws.map((row, i) => row.map((_, j) => (i === j ? 0 : (draws[Math.max(i, j)]?.[Math.min(i, j)] as number) / Math.sqrt(N))));
  const net = new LittleNetwork({ size: N, temperature: T, generator: dice.generator });
  assign(net.weight, W.flat());
  const counts = new Array<number>(2 ** N).fill(0);
  const [chunks, chunk] = [run.short ? 4 : 40, 5000];
  let state = tensor(new Array<number>(N).fill(1));
  for (let k = 0; k < chunks; k++) {
    run.progress(k / chunks);
    const rows = scope(() => net.sample(state, { steps: chunk }).toArray() as number[][]);
    for (const row of rows) {
      const code = row.reduce((sum, s, i) => sum + (s > 0 ? 2 ** i : 0), 0);
      counts[code] = (counts[code] as number) + 1;
    }
    state = tensor(rows.at(-1) as number[]);
  }
  const seen = counts.map((n) => n / (chunks * chunk));
  const distance = (law: ArrayLike<number>) => seen.reduce((sum, p, k) => sum + Math.abs(p - (law[k] as number)), 0) / 2;
  const energy = (k: number) => {
    const s = Array.from({ length: N }, (_, i) => ((k >> i) & 1 ? 1 : -1));
    return -W.reduce((sum, row, i) => sum + (s[i] as number) * row.reduce((l, w, j) => l + w * (s[j] as number), 0), 0) / 2;
  };
  const gibbs = seen.map((_, k) => Math.exp(-energy(k) / T));
  const Z = gibbs.reduce((a, b) => a + b, 0);
  return { own: distance(net.stationary().data()), hopfield: distance(gibbs.map((w) => w / Z)) };
}

// ---- Rosenblatt ----

const [RETINA, UNITS, DOTS] = [100, 800, 20];

/** Perceptron learning of ±1 labels; a function that answers. */
function readout(rows: readonly (readonly number[])[], labels: readonly number[]): (row: readonly number[]) => number {
  const w = new Array<number>((rows[0] as readonly number[]).length + 1).fill(0);
  const value = (row: readonly number[]) => [...row, 1].reduce((sum, x, i) => sum + x * (w[i] as number), 0);
  for (let epoch = 0; epoch < 200; epoch++) {
    const wrong = rows.filter((row, k) => {
      if (value(row) * (labels[k] as number) > 0) return false;
      [...row, 1].forEach((x, i) => {
        w[i] = (w[i] as number) + (labels[k] as number) * x;
      });
      return true;
    });
    if (wrong.length === 0) break;
  }
  return (row) => Math.sign(value(row));
}

function transfer(run: Run) {
  const { training: dice, weights } = streams(run.seed);
  const [classes, each] = [2, 10];
  const net = new CrossCoupledPerceptron({ inputSize: RETINA, units: UNITS, threshold: 3, lr: 0.4, generator: weights });
  const shown = Array.from({ length: classes * each }, () => {
    const dots = new Set(dice.shuffle([...Array(RETINA).keys()]).slice(0, DOTS));
    return Array.from({ length: RETINA }, (_, i) => Number(dots.has(i)));
  });
  const moved = shown.map((row) => row.map((_, i) => row[(i + RETINA / 2) % RETINA] as number));
  const labels = shown.map((_, k) => (k < each ? 1 : -1));
  /** What a readout that was trained on the stimuli says of them, and of the others. */
  const exam = () => {
    const activity = (stimuli: number[][]) => scope(() => noGrad(() => net.scan(tensor([stimuli, stimuli]))[1].toArray() as number[][]));
    const answer = readout(activity(shown), labels);
    const right = (stimuli: number[][]) => share(activity(stimuli).map((row, k) => answer(row) === labels[k]));
    return { trained: right(shown), moved: right(moved) };
  };
  const before = exam();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) {
    run.progress(round / rounds);
    scope(() => void net.learn(tensor([shown, moved])));
  }
  const after = exam();
  return { coupled: after.moved, uncoupled: before.moved, trained: after.trained };
}

export const earlyNets: readonly Experiment[] = [
  experiment({
    name: "mcculloch-pitts-events",
    system: "Nets of McCulloch and Pitts with circles",
    file: "src/automata/mcculloch-pitts.ts",
    paper:
      "McCulloch and Pitts (1943), A logical calculus of the ideas immanent in nervous activity; Kleene (1956), Representation of events in nerve nets and finite automata",
    task: "40 random regular expressions over two letters, with up to eight of them; nets built from them; all 511 words up to length 8, against JavaScript's expressions",
    reported: "nets with circles represent the regular events, and no others (theorem)",
    claim:
      "all nets tell all words; the last three letters, which is what nets of three steps without circles see, decide less than half of the languages",
    figures: { right: "share of expressions whose net is right on all words", definite: "share that the last three letters decide" },
    run: regularEvents,
    claims: [{ rate: 1, holds: (f) => f.right === 1 && f.definite < 0.5 }],
    learns: (f) => f.right === 1,
  }),
  experiment({
    name: "amari-sequences",
    system: "Amari's network with sequences",
    file: "src/energy/amari.ts",
    paper:
      "Amari (1972), Learning patterns and pattern sequences by self-organizing nets of threshold elements; Düring, Coolen and Sherrington (1998), Phase diagram and storage capacity of sequence processing neural networks",
    task: "cyclic sequences of random patterns in 500 units; from the first pattern on, after two rounds",
    reported: "sequences of up to about 0.27 patterns a unit are recalled (Düring and others: 0.269); Amari gives no number for this",
    claim:
      "overlap with the pattern that is due above 0.9 at 0.2 patterns a unit and below 0.3 at 0.3; patterns stored as patterns do not move on (below 0.3)",
    figures: {
      load10: "overlap at 0.10 patterns a unit",
      load20: "overlap at 0.20",
      load24: "overlap at 0.24",
      load26: "overlap at 0.26",
      load30: "overlap at 0.30",
      resting: "overlap at 0.10, stored as patterns",
    },
    run: sequences,
    claims: [{ rate: 0.8, holds: (f) => f.load20 > 0.9 && f.load30 < 0.3 && Math.abs(f.resting) < 0.3 }],
    learns: (f) => f.load10 > 0.9 && Math.abs(f.resting) < 0.4,
  }),
  experiment({
    name: "associatron-fields",
    system: "The associatron",
    file: "src/energy/associatron.ts",
    paper: "Nakano (1972), Associatron, a model of associative memory",
    task: "random patterns of 180 elements in three fields; one field is shown, the others are unknown",
    reported: "whole patterns are recalled from parts, less well the more there are; in figures",
    claim: "of 3 patterns 99 % of the elements outside the field are recalled, of 30 at most 90 %; a memory of other patterns: 40 to 60 %",
    figures: { three: "part recalled, 3 patterns", thirty: "part recalled, 30 patterns", others: "part recalled by a memory of others" },
    run: associations,
    claims: [{ rate: 0.8, holds: (f) => f.three >= 0.99 && f.thirty <= 0.9 && f.others > 0.4 && f.others < 0.6 }],
    learns: (f) => f.three > 0.95 && f.others < 0.7,
  }),
  experiment({
    name: "little-law",
    system: "Little's network",
    file: "src/energy/little.ts",
    paper: "Little (1974), The existence of persistent states in the brain; Peretto (1984), Collective properties of neural networks",
    task: "6 units with symmetric weights from N(0, 1/6) at temperature 1; 200,000 updates of all units at once; total variation distance to laws of all 64 states",
    reported: "the law is a product of hyperbolic cosines of the fields, not Boltzmann's of the pair energy (theorem)",
    claim: "within 0.02 of its own law, and at least three times as far from Boltzmann's",
    figures: { own: "distance to Π 2 cosh(l/T)", hopfield: "distance to exp(−E/T) of pairs" },
    run: noisyUnits,
    claims: [{ rate: 0.8, holds: (f) => f.own < 0.02 && f.hopfield > 3 * f.own }],
    learns: (f) => f.own < 0.08,
  }),
  experiment({
    name: "cross-coupled-transfer",
    system: "Rosenblatt's closed-loop cross-coupled perceptron",
    file: "src/learning/cross-coupled.ts",
    paper: "Rosenblatt (1962), Principles of neurodynamics",
    task: "20 random stimuli of 20 of 100 points in two classes, each followed by itself moved by half the retina, 20 times, without a teacher; then a readout is trained on the stimuli alone and asked about the moved ones",
    reported: "responses transfer to stimuli that have followed those they were learned for; no number for this task",
    claim: "at least 80 % of the moved stimuli are told right; without couplings at most 70 %, by chance half",
    figures: {
      coupled: "moved stimuli told right",
      uncoupled: "the same before couplings have grown",
      trained: "stimuli trained on told right",
    },
    run: transfer,
    claims: [{ rate: 0.8, holds: (f) => f.coupled >= 0.8 && f.uncoupled <= 0.7 }],
    learns: (f) => f.coupled >= 0.7 && f.coupled > f.uncoupled,
  }),
];
