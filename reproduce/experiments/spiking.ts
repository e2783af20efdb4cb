/** Spiking reservoirs: templates of spikes told by a liquid state machine, and sequences told by units that fall silent. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { RidgeRegression } from "../../src/numerics/ridge.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { gather } from "../../src/ops/gather.ts";
import { select } from "../../src/ops/shape.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { LiquidStateMachine, neuronConstants } from "../../src/reservoirs/liquid-state-machine.ts";
import { SilencingLayer } from "../../src/reservoirs/silencing.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { type SpikeTrial, spikeTemplates, spikeTrial } from "../tasks/spike-templates.ts";
import { train } from "../training.ts";

// ---- liquid state machine ----

const [SEGMENTS, STEPS, CHANNELS] = [4, 1000, 4];

/** Trials [T,B,channels] of 1 ms steps. */
function spikeTensor(trials: readonly SpikeTrial[]): Tensor {
  const values = new Float32Array(STEPS * trials.length * CHANNELS);
  trials.forEach(({ spikes }, b) => {
    for (const { channel, time } of spikes) values[(time * trials.length + b) * CHANNELS + channel] = 1;
  });
  return tensor(values, { shape: [STEPS, trials.length, CHANNELS] });
}

/** Input spikes through the filter that the readout sees the liquid by, at the end: what is known without a liquid. */
function rawStates(trials: readonly SpikeTrial[]): number[][] {
  return trials.map(({ spikes }) => {
    const state = new Array<number>(CHANNELS).fill(0);
    for (const { channel, time } of spikes)
      state[channel] = (state[channel] as number) + Math.exp(-(STEPS - 1 - time) / neuronConstants.readout);
    return state;
  });
}

/** In which part of the test trials a linear readout of the states tells each segment's template. */
function accuracies(
  learned: readonly number[][],
  tested: readonly number[][],
  labels: readonly SpikeTrial[],
  truth: readonly SpikeTrial[],
): number[] {
  const rows = (states: readonly number[][]) =>
    tensor(
      states.map((s) => [1, ...s]),
      { dtype: "float64" },
    );
  const targets = tensor(
    labels.map(({ choice }) => choice.map((c) => 2 * c - 1)),
    { dtype: "float64" },
  );
  const F = (learned[0] as number[]).length + 1;
  const regression = new RidgeRegression(F, SEGMENTS);
  regression.add(rows(learned), targets);
  const { weight } = regression.solve();
  return Array.from({ length: SEGMENTS }, (_, s) => {
    const right = tested.filter((state, i) => {
      const sum = [1, ...state].reduce((total, v, j) => total + v * (weight[s * F + j] as number), 0);
      return sum > 0 === (truth[i]?.choice[s] === 1);
    });
    return right.length / tested.length;
  });
}

/** The liquid's states at the end of trials. */
function liquidStates(liquid: LiquidStateMachine, trials: readonly SpikeTrial[], each: (done: number) => void): number[][] {
  const states: number[][] = [];
  const at = 50;
  for (let from = 0; from < trials.length; from += at) {
    const part = trials.slice(from, from + at);
    const last = scope(() => noGrad(() => select(liquid.scan(spikeTensor(part))[0], 0, STEPS - 1).toArray())) as number[][];
    states.push(...last);
    each((from + part.length) / trials.length);
  }
  return states;
}

/** Distance of the liquid's states half a second after the start, for pairs of inputs at a distance, and for one input from two starts. */
function separation(liquid: LiquidStateMachine, dice: Dice, pairs: number): number[] {
  const templates = spikeTemplates(dice, 1, 2 * pairs);
  return [0, 0.1, 0.2, 0.4].map((distance) => {
    const trials = Array.from({ length: pairs }, (_, i) => {
      const [u, other] = [templates[0]?.[2 * i], templates[0]?.[2 * i + 1]] as [SpikeTrial["spikes"], SpikeTrial["spikes"]];
      // A part of the spikes of one input is exchanged for those of another.
      const v = [...u.filter(() => !dice.chance(distance)), ...other.filter(() => dice.chance(distance))];
      return [u, v].map((spikes) => ({ spikes, choice: [] }));
    }).flat();
    const x = spikeTensor(trials);
    return scope(() =>
      noGrad(() => {
        const states = select(liquid.scan(x)[0], 0, 499).toArray() as number[][];
        const apart = Array.from({ length: pairs }, (_, i) => {
          const [a, b] = [states[2 * i], states[2 * i + 1]] as [number[], number[]];
          return Math.sqrt(a.reduce((sum, v, j) => sum + (v - (b[j] as number)) ** 2, 0));
        });
        return mean(apart);
      }),
    );
  });
}

function liquidRun(run: Run) {
  const { weights, training, test } = streams(run.seed);
  const templates = spikeTemplates(training, SEGMENTS, 2);
  const [learned, tested] = run.short ? [100, 60] : [400, 200];
  const make = (n: number, dice: Dice) => Array.from({ length: n }, () => spikeTrial(templates, dice));
  const [trials, fresh] = [make(learned, training), make(tested, test)];
  const liquid = new LiquidStateMachine({ inputSize: CHANNELS, generator: weights });
  const known = liquidStates(liquid, trials, (done) => run.progress(0.6 * done));
  const unknown = liquidStates(liquid, fresh, (done) => run.progress(0.6 + 0.3 * done));
  const own = accuracies(known, unknown, trials, fresh);
  const raw = accuracies(rawStates(trials), rawStates(fresh), trials, fresh);
  const apart = separation(liquid, test, run.short ? 5 : 20);
  raster(run, liquid, fresh[0] as SpikeTrial);
  run.picture(
    "separation",
    lineChart([{ name: "liquid", x: [0, 0.1, 0.2, 0.4], y: apart }], {
      title: "Distance of the states after half a second",
      xLabel: "part of the spikes that differ",
      yLabel: "distance",
    }),
  );
  return {
    oldest: 100 * (own[0] as number),
    third: 100 * (own[1] as number),
    previous: 100 * (own[2] as number),
    newest: 100 * (own[3] as number),
    rawPrevious: 100 * (raw[2] as number),
    rawNewest: 100 * (raw[3] as number),
    apart0: apart[0] as number,
    apart1: apart[1] as number,
    apart2: apart[2] as number,
    apart4: apart[3] as number,
  };
}

/** The liquid state in time, one row a neuron, every fifth millisecond. */
function raster(run: Run, liquid: LiquidStateMachine, trial: SpikeTrial): void {
  const states = scope(() => noGrad(() => liquid.scan(spikeTensor([trial]))[0].toArray())) as number[][][];
  const rows = Array.from({ length: liquid.outputSize }, (_, i) => states.filter((_s, t) => t % 5 === 0).map((s) => s[0]?.[i] as number));
  run.picture("liquid", heatMap(rows, { title: "The liquid state of 135 neurons during one trial", xLabel: "5 ms", yLabel: "neuron" }));
}

// ---- units that fall silent ----

const [PIXELS, CLASSES, HIDDEN] = [64, 10, 100];

class Identifier extends Module {
  readonly layer: SilencingLayer;
  readonly head: Linear;

  constructor(duration: number, generator: Dice["generator"]) {
    super();
    this.layer = new SilencingLayer({ inputSize: PIXELS, hiddenSize: HIDDEN, duration, threshold: 0.5, generator });
    this.head = new Linear(HIDDEN, CLASSES, { generator });
    assign(this.layer.weight, generator.normal([HIDDEN, PIXELS], 0, 1 / Math.sqrt(PIXELS)));
    assign(this.head.weight, generator.normal([CLASSES, HIDDEN], 0, 1 / Math.sqrt(HIDDEN)));
    assign(this.layer.bias, new Array(HIDDEN).fill(0));
    assign(this.head.bias as Tensor, new Array(CLASSES).fill(0));
  }

  /** Class scores [T,B,classes]. */
  scores(xs: Tensor): Tensor {
    return this.head.forward(this.layer.scan(xs)[0]);
  }
}

/** The part of pairs of a genuine and another sequence in which the genuine one has the higher score: the area under the ROC curve. */
function area(genuine: readonly number[], others: readonly number[]): number {
  return mean(genuine.flatMap((g) => others.map((o) => (g > o ? 1 : g === o ? 0.5 : 0))));
}

const isLargest = (scores: readonly number[], i: number): boolean => scores[i] === Math.max(...scores);

function identification(run: Run, duration: number, part: readonly [number, number]): { area: number; right: number } {
  const { weights, training, test } = streams(run.seed);
  const prototypes = Array.from({ length: CLASSES }, () => Array.from({ length: PIXELS }, () => (training.chance(0.5) ? 1 : -1)));
  const noisy = (c: number, dice: Dice) => (prototypes[c] as number[]).map((v) => (dice.chance(0.2) ? -v : v));
  const samples = prototypes.map((_, c) => Array.from({ length: 20 }, () => noisy(c, training)));
  const model = new Identifier(duration, weights);
  const order = Array.from({ length: CLASSES }, (_, c) => c);
  const parameters = model.parameters();
  train(run, {
    parameters,
    updates: run.short ? 100 : 200,
    optimizer: new SGD(parameters, { lr: 0.05 }),
    part,
    loss: () => {
      const xs = tensor(order.map((c) => [training.pick(samples[c] as number[][])]));
      const scores = reshape(model.scores(xs), [CLASSES, CLASSES]);
      return crossEntropy(scores, tensor(order, { dtype: "int32" }), { reduction: "sum" });
    },
  });
  const count = run.short ? 100 : 200;
  const sequences = (arrange: () => number[]) => Array.from({ length: count }, arrange);
  const judged = (orders: readonly number[][]) =>
    scope(() =>
      noGrad(() => {
        const xs = tensor(order.map((t) => orders.map((o) => noisy(o[t] as number, test))));
        const target = tensor(
          order.map((t) => orders.map((o) => [o[t] as number])),
          { dtype: "int32" },
        );
        const log = logSoftmax(model.scores(xs));
        const each = gather(log, 2, target).toArray() as number[][][];
        const best = log.toArray() as number[][][];
        return orders.map((o, b) => ({
          score: mean(order.map((t) => each[t]?.[b]?.[0] as number)),
          right: mean(order.map((t) => (isLargest(best[t]?.[b] ?? [], o[t] as number) ? 1 : 0))),
        }));
      }),
    );
  const genuine = judged(sequences(() => order));
  const others = judged(sequences(() => test.shuffle(order)));
  return {
    area: area(
      genuine.map((g) => g.score),
      others.map((g) => g.score),
    ),
    right: mean(genuine.map((g) => g.right)),
  };
}

function silencing(run: Run) {
  const [none, one, three] = [0, 1, 3].map((duration, i) => identification(run, duration, [i / 3, (i + 1) / 3])) as [
    ReturnType<typeof identification>,
    ReturnType<typeof identification>,
    ReturnType<typeof identification>,
  ];
  return { none: none.area, one: one.area, three: three.area, right: 100 * three.right };
}

export const spiking: readonly Experiment[] = [
  experiment({
    name: "liquid-state-templates",
    system: "Liquid state machine",
    file: "src/reservoirs/liquid-state-machine.ts",
    paper:
      "Maass, Natschläger, Markram 2002, Real-time computing without stable states; task: 2004, Fading memory and kernel properties of generic cortical microcircuit models",
    task: "4 channels of spikes for 1 s: in each of 4 segments one of two Poisson templates (20 Hz), every spike moved by N(0, 4 ms); linear readouts tell at the end which was used in each; one column of 135 neurons a seed, steps of 1 ms, 400 trials to learn, 200 to test",
    reported: "the newest segments are told nearly without error, older ones less and less; no table at hand",
    claim:
      "newest at least 95 %; the one before at least 60 % and 8 points above a readout of the filtered input; oldest 40 to 60 %; states lie further apart the more inputs differ",
    figures: {
      oldest: "% right, oldest segment",
      third: "% right, second",
      previous: "% right, third",
      newest: "% right, newest",
      rawPrevious: "% right without a liquid, third",
      rawNewest: "% right without a liquid, newest",
      apart0: "distance of states, same input",
      apart1: "distance, 10 % of spikes exchanged",
      apart2: "distance, 20 %",
      apart4: "distance, 40 %",
    },
    seeds: 5,
    run: liquidRun,
    claims: [
      { rate: 0.8, what: "newest segment", holds: ({ newest }) => newest >= 95 },
      { rate: 0.6, what: "the one before", holds: ({ previous, rawPrevious }) => previous >= 60 && previous >= rawPrevious + 8 },
      { rate: 0.8, what: "oldest forgotten", holds: ({ oldest }) => oldest >= 40 && oldest <= 60 },
      { rate: 0.8, what: "separation", holds: (f) => f.apart0 < f.apart1 && f.apart1 < f.apart2 && f.apart2 < f.apart4 },
    ],
    learns: ({ newest, apart0, apart4 }) => newest >= 85 && apart4 > apart0,
  }),
  experiment({
    name: "silencing-sequences",
    system: "Units that fall silent after firing",
    file: "src/reservoirs/silencing.ts",
    paper:
      "Hodassman, Meir, Kisos, Ben-Noam, Tugendhaft, Goldental, Vardi, Kanter 2022, Brain inspired neuronal silencing mechanism to enable reliable sequence identification",
    task: "an order of 10 classes of noisy pixel patterns is learned; 200 sequences in that order are to be told from 200 in others, by the mean log-probability of the classes shown; 100 ReLU units, 200 presentations, SGD 0.05. A task of our own: the paper's digits and sizes were not at hand",
    reported: "identification networks tell sequences of handwritten digits reliably without feedback weights; numbers not at hand",
    claim: "area under the ROC curve at least 0.85 with silence of 3 steps, at most 0.6 without silence",
    figures: {
      none: "area under the curve, no silence",
      one: "area, silence of 1 step",
      three: "area, silence of 3 steps",
      right: "% classes right in order, silence of 3 steps",
    },
    run: silencing,
    claims: [{ rate: 0.9, holds: ({ none, three }) => none <= 0.6 && three >= 0.85 }],
    learns: ({ none, three }) => three > none + 0.1,
  }),
];
