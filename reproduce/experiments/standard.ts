/** The standard recurrence: a delay of three steps, with outputs read in both ways. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { slice } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { MealyMachine, MooreMachine } from "../../src/wrappers/machines.ts";
import { bitAccuracy } from "../bits.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const DELAY = 3;
const [T, B, H] = [40, 32, 16];

/** Random bits [T,B,1]. */
function bits(dice: Dice, batch: number): Tensor {
  return dice.generator.bernoulli([T, batch, 1], 0.5);
}

/** Logits for the bits of three steps before, where there are any, and these bits. */
function answers<S extends State>(net: Recurrence<S>, xs: Tensor): [logits: Tensor, targets: Tensor] {
  return [slice(net.scan(xs)[0], 0, DELAY), slice(xs, 0, 0, T - DELAY)];
}

/** Share of bits on 1,000 fresh sequences that come again three steps later. */
function echoed<S extends State>(run: Run, net: Recurrence<S>, part: readonly [number, number]): number {
  const { training, test } = streams(run.seed);
  train(run, {
    parameters: net.parameters(),
    updates: run.short ? 250 : 1000,
    lr: 1e-2,
    part,
    loss: () => bceWithLogits(...answers(net, bits(training, B))),
  });
  return scope(() => bitAccuracy(...noGrad(() => answers(net, bits(test, 1000)))));
}

function echoRun(run: Run) {
  const { weights: generator } = streams(run.seed);
  const cell = () => new RNNCell({ inputSize: 1, hiddenSize: H, generator });
  return {
    moore: echoed(run, new MooreMachine(cell(), new Linear(H, 1, { generator })), [0, 0.5]),
    mealy: echoed(run, new MealyMachine(cell(), new Linear(H + 1, 1, { generator })), [0.5, 1]),
  };
}

export const standard: readonly Experiment[] = [
  experiment({
    name: "standard-recurrence-echo",
    system: "Standard recurrence, read as a Moore and as a Mealy machine",
    file: "src/wrappers/machines.ts",
    paper:
      "Rumelhart, Hinton and Williams (1986), Learning internal representations by error propagation; Werbos (1990), Backpropagation through time: what it does and how to do it",
    task: "repeat each of a stream of random bits three steps later; 16 tanh units, 40 steps, batch 32, 1,000 updates with Adam 1e-2",
    reported: "no such task; a delay within reach of backpropagation through time is learned without error",
    claim: "accuracy at least 99.5 % from the fourth step on, read either way (chance: 50 %)",
    figures: { moore: "accuracy, output from the new state", mealy: "accuracy, output from old state and input" },
    run: echoRun,
    claims: [{ rate: 1, holds: ({ moore, mealy }) => Math.min(moore, mealy) >= 0.995 }],
    learns: ({ moore, mealy }) => Math.min(moore, mealy) >= 0.9,
  }),
];
