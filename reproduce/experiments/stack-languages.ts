/** Context-free languages: balanced brackets by a pushdown automaton, aⁿbⁿ by a stack-augmented network. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { acceptsByStack, extractPushdown } from "../../src/automata/pushdown.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { PushdownAutomaton, pushdownLoss } from "../../src/memory/pushdown-automaton.ts";
import { StackRNN } from "../../src/memory/stack-rnn.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import type { Parameter } from "../../src/nn/module.ts";
import { div, mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { select } from "../../src/ops/shape.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run, share } from "../experiment.ts";
import { Net } from "../net.ts";
import { allBrackets, type Brackets, balancedWord, countedText, isBalanced, spoiltWord } from "../tasks/brackets.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { oneHot } from "../tasks/one-hot.ts";
import { train } from "../training.ts";
import { watch } from "../watch.ts";

/** Actions are a matter of yes and no from here on: what decides them is multiplied by so much. */
const HARDENED = 1000;

/** Multiplies numbers from some place on. */
function scaleFrom(parameter: Parameter, start: number): void {
  assign(
    parameter,
    Array.from(parameter.data(), (v, i) => (i < start ? v : HARDENED * v)),
  );
}

// ---- aⁿbⁿ ----

/** Strings of a training text, and the largest n in it. */
const [STRINGS, TRAINED] = [4, 10];

/** Texts in parallel [T,B] of the same lengths: all counts of one text, in another order in each. */
function countedBatch(dice: Dice, batch: number, most: number): { xs: Tensor; targets: Tensor } {
  const counts = Array.from({ length: STRINGS }, () => dice.between(1, most));
  const texts = Array.from({ length: batch }, () => countedText(dice.shuffle(counts)).symbols);
  const T = (texts[0] as number[]).length - 1;
  const symbol = (i: number, ahead: number) => texts[i % batch]?.[Math.floor(i / batch) + ahead] as number;
  const symbols = (ahead: number) => Array.from({ length: T * batch }, (_, i) => symbol(i, ahead));
  return { xs: oneHot(symbols(0), [T, batch], 2), targets: tensor(symbols(1), { dtype: "int32" }) };
}

/** Whether all that is certain in aⁿbⁿaⁿbⁿa… is predicted. */
function counts(net: Net<State>, n: number): boolean {
  const { symbols, certain } = countedText([n, n, 1]);
  const xs = oneHot(symbols.slice(0, -1), [symbols.length - 1, 1], 2);
  const said = scope(() => noGrad(() => Array.from(argmax(net.run(xs)[0], { axis: 2 }).data(), Number)));
  return said.every((symbol, t) => !certain[t + 1] || symbol === symbols[t + 1]);
}

/** The largest n up to which all are right. */
function reach(net: Net<State>): number {
  let n = 0;
  while (n < 60 && counts(net, n + 1)) n++;
  return n;
}

function learnToCount(run: Run, net: Net<State>, part: readonly [number, number]): void {
  const { training } = streams(run.seed);
  const most = run.short ? 4 : TRAINED;
  const updates = run.short ? 600 : COUNTING_UPDATES;
  train(run, {
    parameters: net.parameters,
    updates,
    lr: 1e-2,
    clip: 1,
    decay: { every: Math.ceil(updates / 2), factor: 0.3 },
    part,
    loss: () => {
      const { xs, targets } = countedBatch(training, 8, most);
      return crossEntropy(reshape(net.run(xs)[0], [-1, 2]), targets);
    },
  });
}

const COUNTING_UPDATES = 1500;

function counting(run: Run) {
  const { weights: generator } = streams(run.seed);
  const cell = new StackRNN({ inputSize: 2, hiddenSize: 10, capacity: 64, recurrent: false, generator });
  const net = new Net<State>(cell as never, 2, generator);
  learnToCount(run, net, [0, 0.8]);
  const soft = reach(net);
  scaleFrom(cell.weightAction, 0);
  const stack = reach(net);
  drawNumbers(run, cell);
  const lstm = new Net<State>(new LSTMCell({ inputSize: 2, hiddenSize: 10, generator }) as never, 2, generator);
  if (!run.short) learnToCount(run, lstm, [0.8, 1]);
  return { stack, soft, lstm: reach(lstm) };
}

function drawNumbers(run: Run, cell: StackRNN): void {
  const { symbols } = countedText([6, 4]);
  const rows = watch(cell, oneHot(symbols, [symbols.length, 1], 2), (state) => select(state.stacks, 1, 0)).slice(0, 10);
  const columns = symbols.map((k) => "ab"[k] as string);
  run.picture("stack", heatMap(rows, { title: "Numbers on the stack, top first; −1 is empty", columns, yLabel: "place" }));
}

// ---- Balanced brackets ----

/** Outputs of a model of outputs [T,B,·] over words of different lengths. */
function over(model: (xs: Tensor, lengths: number[]) => Tensor, words: readonly Brackets[]): Tensor {
  const lengths = words.map((word) => word.length);
  const T = Math.max(...lengths);
  return model(
    oneHot(
      timeMajor(words, T, (word, t) => word[t] ?? -1),
      [T, words.length],
      2,
    ),
    lengths,
  );
}

/** A number for each step of each word, [T·B]. */
function timeMajor(words: readonly Brackets[], T: number, of: (word: Brackets, t: number) => number): number[] {
  const B = words.length;
  return Array.from({ length: T * B }, (_, i) => of(words[i % B] as Brackets, Math.floor(i / B)));
}

/** For each beginning of each word, which is a string too, whether it is balanced: 1 or 0, and `none` beyond a word's end, [T·B]. */
function verdicts(words: readonly Brackets[], T: number, none: number): number[] {
  return timeMajor(words, T, (word, t) => (t < word.length ? Number(isBalanced(word.slice(0, t + 1))) : none));
}

/** Half balanced strings, half others, of even length from `shortest` to `longest`. */
function words(dice: Dice, count: number, shortest: number, longest: number): number[][] {
  const length = () => 2 * dice.between(shortest / 2, longest / 2);
  return Array.from({ length: count }, (_, b) => (b % 2 === 0 ? balancedWord(dice, length()) : spoiltWord(dice, length())));
}

/** What tells balanced strings from others. */
interface Judge {
  readonly parameters: readonly Parameter[];
  loss(words: readonly Brackets[]): Tensor;
  accepts(words: readonly Brackets[]): boolean[];
}

/** What a model [T,B,·] says at the end of each word. */
function atEnds(ys: Tensor, words: readonly Brackets[]): number[][] {
  const rows = ys.toArray() as number[][][];
  return words.map((word, b) => rows[word.length - 1]?.[b] as number[]);
}

function automatonJudge(cell: PushdownAutomaton): Judge {
  const run = (words: readonly Brackets[]) => over((xs, lengths) => cell.scan(xs, undefined, { lengths })[0], words);
  return {
    parameters: cell.parameters(),
    loss: (words) => {
      const ys = run(words);
      const T = ys.dim(0);
      const counted = verdicts(words, T, -1).map((verdict) => Number(verdict >= 0));
      const each = pushdownLoss(reshape(ys, [-1, cell.outputSize]), tensor(verdicts(words, T, 0)));
      return div(sum(mul(each, tensor(counted))), counted.reduce((a, b) => a + b)); // biome-ignore format: one line
    },
    accepts: (words) =>
      scope(() => noGrad(() => atEnds(run(words), words).map((row) => (row[0] as number) - (row.at(-1) as number) > 0.5))),
  };
}

function netJudge(net: Net<State>): Judge {
  const run = (words: readonly Brackets[]) => over((xs, lengths) => net.head.forward(net.cell.scan(xs, undefined, { lengths })[0]), words);
  return {
    parameters: net.parameters,
    loss: (words) => {
      const ys = run(words);
      return crossEntropy(reshape(ys, [-1, 2]), tensor(verdicts(words, ys.dim(0), -100), { dtype: "int32" }));
    },
    accepts: (words) => scope(() => noGrad(() => atEnds(run(words), words).map(([no, yes]) => (yes as number) > (no as number)))),
  };
}

function rightShare(judge: Judge, words: readonly Brackets[]): number {
  const said = judge.accepts(words);
  return share(words.map((word, i) => said[i] === isBalanced(word)));
}

/** Learns from strings of 2 symbols first, and from longer ones each time that these are told apart well. */
function learnBrackets(run: Run, judge: Judge, part: readonly [number, number]): void {
  const { training } = streams(run.seed);
  const most = run.short ? 4 : 8;
  let [longest, good] = [2, 0];
  train(run, {
    parameters: judge.parameters,
    updates: run.short ? 600 : BRACKET_UPDATES,
    lr: 1e-2,
    clip: 1,
    part,
    loss: () => judge.loss(words(training, 32, 2, longest)),
    after: (_, loss) => {
      good = loss < 0.01 ? good + 1 : 0;
      if (longest === most) return good === 100;
      if (good < 10) return false;
      longest += 2;
      good = 0;
      return false;
    },
  });
}

const BRACKET_UPDATES = 4000;

/** Share of words that the machine extracted from a network judges rightly; 0 if none explains the short strings. */
function byMachine(cell: PushdownAutomaton, short: readonly Brackets[], words: readonly Brackets[]): number {
  try {
    const machine = extractPushdown(cell, { examples: short.map((word) => ({ word, accepted: isBalanced(word) })) });
    return share(words.map((word) => acceptsByStack(machine, word) === isBalanced(word)));
  } catch (error) {
    if (error instanceof ArgumentError) return 0;
    throw error;
  }
}

function brackets(run: Run) {
  const { weights: generator, test } = streams(run.seed);
  const cell = new PushdownAutomaton({ inputSize: 2, hiddenSize: 3, capacity: 40, order: 3, generator });
  const judge = automatonJudge(cell);
  learnBrackets(run, judge, [0, 0.8]);
  const long = words(test, run.short ? 100 : 1000, 10, 40);
  const soft = rightShare(judge, long);
  // The rows of the action, in which pushing and popping become a matter of yes and no.
  scaleFrom(cell.weight, cell.weight.size - cell.weight.size / (cell.hiddenSize + 1));
  scaleFrom(cell.bias, cell.hiddenSize);
  drawThickness(run, cell);
  const net = netJudge(new Net<State>(new LSTMCell({ inputSize: 2, hiddenSize: 4, generator }) as never, 2, generator));
  if (!run.short) learnBrackets(run, net, [0.8, 1]);
  const short = allBrackets(1, run.short ? 4 : 8);
  return {
    trained: rightShare(judge, short),
    long: rightShare(judge, long),
    extracted: byMachine(cell, short, [...allBrackets(1, 12), ...long]),
    soft,
    lstm: rightShare(net, long),
  };
}

function drawThickness(run: Run, cell: PushdownAutomaton): void {
  const word = [0, 0, 1, 0, 0, 1, 1, 1, 0, 1];
  const rows = watch(cell, oneHot(word, [word.length, 1], 2), (state) => state.stack.strengths).slice(0, 6);
  const labels = { columns: word.map((k) => "()"[k] as string), yLabel: "row", range: [0, 1] } as const;
  run.picture("stack", heatMap(rows, { title: "Thickness on the stack, top first", ...labels }));
}

export const stackLanguages: readonly Experiment[] = [
  experiment({
    name: "stack-rnn-anbn",
    system: "Stack-augmented RNN",
    file: "src/memory/stack-rnn.ts",
    paper: "Joulin & Mikolov (2015), Inferring algorithmic patterns with stack-augmented recurrent nets",
    task: "predict the next symbol of texts of four strings aⁿbⁿ, n = 1 to 10; 10 units without connections among them, one stack, 1,500 updates of 8 texts with Adam 1e-2, 0.3 of it in the second half, clipped at 1; an LSTM of 10 units likewise. At the test the stack is pushed or popped, nothing in between",
    reported: "trained on n up to 19, the best nets predict all that can be known for n up to 60; an RNN does not, an LSTM does here",
    claim: "every n up to 60 is right, where the LSTM fails earlier",
    figures: {
      stack: "largest n up to which all are right (60 tried)",
      soft: "the same, with actions as they were trained",
      lstm: "the same, LSTM",
    },
    run: counting,
    claims: [{ rate: 0.6, holds: ({ stack, lstm }) => stack === 60 && lstm < 60 }],
    learns: ({ stack }) => stack >= 4,
  }),
  experiment({
    name: "pushdown-brackets",
    system: "Neural network pushdown automaton",
    file: "src/memory/pushdown-automaton.ts",
    paper:
      "Das, Giles & Sun (1992), Learning context-free grammars: capabilities and limitations of a recurrent neural network with an external stack memory",
    task: "tell balanced brackets from others; third order, three units, strings of 2 to 8 symbols and all their beginnings, longer ones each time that ten batches were told apart well, up to 4,000 updates of 32, or until a hundred batches of the longest were with Adam 1e-2, clipped at 1; tried on strings of 10 to 40, those that are not balanced being so but for one or two brackets, with whole pushes and pops; an LSTM of four units likewise",
    reported: "balanced parentheses are learned from short strings, and the automaton that is extracted is right for all others",
    claim: "at least 98 % of the long strings are right, where the LSTM has fewer; the machine extracted is right for all strings tried",
    figures: {
      trained: "right among all strings of up to 8",
      long: "right among strings of 10 to 40",
      soft: "the same, with actions as they were trained",
      extracted: "right among these and all strings of up to 12, machine extracted from the network (0: none was found)",
      lstm: "right among strings of 10 to 40, LSTM",
    },
    remarks: "With a verdict at the end of a string alone, 3 of the seeds 100 to 109 came to 98 %",
    run: brackets,
    claims: [
      { what: "the network", rate: 0.4, holds: ({ long, lstm }) => long >= 0.98 && lstm < long },
      { what: "the machine extracted", rate: 0.4, holds: ({ extracted }) => extracted === 1 },
    ],
    learns: ({ trained }) => trained > 0.8,
  }),
];
