/** Sequences told by units that fall silent after they have fired. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { gather } from "../../src/ops/gather.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { SilencingLayer } from "../../src/reservoirs/silencing.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

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
