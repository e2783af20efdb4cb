/** Neural stacks, queues and deques say sequences again: each in the orders that are its own. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { NeuralDeque, NeuralQueue, NeuralStack } from "../../src/memory/neural-stack.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, mean, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { answers, symbolsToSay, type Transduction } from "../tasks/transduction.ts";
import { train } from "../training.ts";
import { watch } from "../watch.ts";

const SYMBOLS = 8;
/** Lengths that are trained, and those that are tried after that. */
const FULL = { shortest: 2, longest: 6, tried: [8, 10, 12], updates: 800 } as const;
const SHORT = { shortest: 2, longest: 4, tried: [4, 5, 6], updates: 400 } as const;
/** Sequences tried of each length. */
const SEQUENCES = 50;
/** Room for the longest sequence, and for what is left over of items that are popped by degrees. */
const CAPACITY = 16;

const LISTS = { stack: NeuralStack, queue: NeuralQueue, deque: NeuralDeque } as const;
type System = keyof typeof LISTS | "lstm";
/** Whether sequences are to be said in reverse, for each kind of sequence that there is. */
type Orders = readonly boolean[];

function netOf(run: Run, system: System): Net<State> {
  const { weights: generator } = streams(run.seed);
  const sizes = { inputSize: SYMBOLS + 2, hiddenSize: 64, generator };
  if (system === "lstm") return new Net<State>(new LSTMCell(sizes) as never, SYMBOLS, generator);
  const cell = new LISTS[system]({ ...sizes, outputSize: 64, valueSize: 16, capacity: CAPACITY, controller: "feedforward" });
  return new Net<State>(cell as never, SYMBOLS, generator);
}

function logits(net: Net<State>, task: Transduction): Tensor {
  return reshape(answers(net.run(task.xs)[0], task), [-1, SYMBOLS]);
}

/** The share of fresh sequences of a length that are said without a mistake. */
function exact(net: Net<State>, dice: Dice, length: number, reverse: boolean): number {
  const task = symbolsToSay(dice, { batch: SEQUENCES, symbols: SYMBOLS, length, reverse });
  const said = scope(() => noGrad(() => Array.from(argmax(logits(net, task), { axis: 1 }).data(), Number)));
  const wanted = task.targets.data();
  const wrong = new Set(said.flatMap((symbol, k) => (symbol === wanted[k] ? [] : [k % SEQUENCES])));
  return 1 - wrong.size / SEQUENCES;
}

function learn(run: Run, system: System, orders: Orders, part: readonly [number, number]): number {
  const { training, test } = streams(run.seed);
  const net = netOf(run, system);
  const { shortest, longest, tried, updates } = run.short ? SHORT : FULL;
  let good = 0;
  train(run, {
    parameters: net.parameters,
    updates: updates * orders.length,
    lr: 1e-2,
    clip: 1,
    part,
    loss: () => {
      const length = training.between(shortest, longest);
      const task = symbolsToSay(training, { batch: 16, symbols: SYMBOLS, length, reverse: training.pick(orders) });
      return crossEntropy(logits(net, task), reshape(task.targets, [-1]));
    },
    after: (_, loss) => {
      good = loss < 1e-3 ? good + 1 : 0;
      return good === 50;
    },
  });
  if (system !== "lstm") draw(run, net, system, orders);
  return mean(orders.flatMap((reverse) => tried.map((length) => exact(net, test, length, reverse))));
}

/** How much of each value is there while a sequence is shown and said again. */
function draw(run: Run, net: Net<State>, system: System, orders: Orders): void {
  for (const reverse of orders) {
    const { xs } = symbolsToSay(streams(run.seed).test, { batch: 1, symbols: SYMBOLS, length: 8, reverse });
    const strengths = watch(net.cell as unknown as NeuralStack, xs, (state) => state.strengths).slice(0, 14);
    const name = orders.length === 1 ? system : `${system}-${reverse ? "reverse" : "again"}`;
    run.picture(
      name,
      heatMap(strengths, { title: `Strengths in the ${system}, top first`, xLabel: "step", yLabel: "row", range: [0, 1], cell: 18 }),
    );
  }
}

/** Systems on one task, the one that is to learn it first; a short run trains no other. */
function compare<S extends System>(run: Run, orders: Orders, systems: readonly S[]): Record<S, number> {
  const K = systems.length;
  const figures = systems.map((system, i) => [system, run.short && i > 0 ? 0 : learn(run, system, orders, [i / K, (i + 1) / K])] as const);
  return Object.fromEntries(figures) as Record<S, number>;
}

const PAPER = "Grefenstette, Hermann, Suleyman & Blunsom (2015), Learning to transduce with unbounded memory";
const FILE = "src/memory/neural-stack.ts";
const REMARKS =
  "The paper's controllers are LSTMs. Here they have no state of their own, so that all memory is in the list: stacks with LSTMs of 32 units, on seeds 0 and 1, said nine in ten sequences of 4 symbols after 1,000 updates, fewer than half of those of 6, and none of 10";
const setting = (updates: string) =>
  `2 to 6 of 8 symbols, tried on 8, 10 and 12; feed-forward controllers of 64 units, values of 16 numbers, batches of 16, Adam 1e-2, clipped at 1, up to ${updates} updates, or until 50 in a row were nearly perfect; an LSTM of 64 units likewise`;
const REPORTED = "lengths 8 to 64 of 128 symbols, tried on 65 to 128";
const FIGURES = {
  stack: "share of sequences said exactly, neural stack",
  queue: "share of sequences said exactly, neural queue",
  lstm: "share of sequences said exactly, LSTM",
} as const;

export const neuralLists: readonly Experiment[] = [
  experiment({
    name: "neural-stack-reversal",
    system: "Neural stack",
    file: FILE,
    paper: PAPER,
    task: `say a sequence in reverse: ${setting("800")}`,
    reported: `${REPORTED}: the stack is right nearly everywhere, LSTMs of up to 8 layers are nowhere`,
    claim: "at least 95 % of the longer sequences are said exactly by the stack, and at most 10 % by the queue and by the LSTM",
    figures: FIGURES,
    remarks: REMARKS,
    seeds: 5,
    run: (run) => compare(run, [true], ["stack", "queue", "lstm"]),
    claims: [{ rate: 0.6, holds: ({ stack, queue, lstm }) => stack >= 0.95 && queue <= 0.1 && lstm <= 0.1 }],
    learns: ({ stack }) => stack > 0.5,
  }),
  experiment({
    name: "neural-queue-copying",
    system: "Neural queue",
    file: FILE,
    paper: PAPER,
    task: `say a sequence again: ${setting("800")}`,
    reported: `${REPORTED}: the queue is right nearly everywhere, LSTMs of up to 8 layers are nowhere`,
    claim: "at least 95 % of the longer sequences are said exactly by the queue, and at most 10 % by the stack and by the LSTM",
    figures: FIGURES,
    remarks: REMARKS,
    seeds: 5,
    run: (run) => compare(run, [false], ["queue", "stack", "lstm"]),
    claims: [{ rate: 0.6, holds: ({ stack, queue, lstm }) => queue >= 0.95 && stack <= 0.1 && lstm <= 0.1 }],
    learns: ({ queue }) => queue > 0.5,
  }),
  experiment({
    name: "neural-deque-both",
    system: "Neural deque",
    file: FILE,
    paper: PAPER,
    task: `say a sequence again or in reverse, as a mark asks: ${setting("1,600")}`,
    reported: `${REPORTED}: the deque does what the stack does and what the queue does; the paper trains a net for each`,
    claim: "at least 95 % of the longer sequences are said exactly by the deque, and at most 60 % by stack, queue and LSTM",
    figures: { deque: "share of sequences said exactly, neural deque", ...FIGURES },
    remarks: REMARKS,
    seeds: 5,
    run: (run) => compare(run, [false, true], ["deque", "stack", "queue", "lstm"]),
    claims: [{ rate: 0.6, holds: ({ deque, stack, queue, lstm }) => deque >= 0.95 && Math.max(stack, queue, lstm) <= 0.6 }],
    learns: ({ deque }) => deque > 0.3,
  }),
];
