/** Automata and second-order networks: read out of trained ones, and built into untrained ones. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { type Automaton, acceptsWord, differingWord, minimizeAutomaton, tomita } from "../../src/automata/automaton.ts";
import { extractAutomaton, type LabelledWord } from "../../src/automata/extraction.ts";
import { insertAutomaton } from "../../src/automata/insertion.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { SecondOrderRNN } from "../../src/cells/simple/second-order.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { cat, select } from "../../src/ops/shape.ts";
import { automatonDiagram } from "../../src/plot/automaton.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Figures, median, type Run, share } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { oneHot } from "../tasks/one-hot.ts";
import { train } from "../training.ts";

const GRAMMARS = [1, 2, 3, 4, 5, 6, 7] as const;
type Index = (typeof GRAMMARS)[number];
type Grammar = `t${Index}`;
const NAMES = GRAMMARS.map((k): Grammar => `t${k}`);

function each(value: (k: Index) => number): Figures<Grammar> {
  return Object.fromEntries(GRAMMARS.map((k) => [`t${k}`, value(k)])) as Figures<Grammar>;
}

// ---- Learning ----

/** N for each grammar. */
const UNITS = [3, 4, 6, 5, 5, 4, 6];
/** Length of the training strings at most, and of those that are tried afterwards. */
const [TRAINED, TRIED] = [10, 15];

/** All strings of up to `longest` symbols. */
function allWords(longest: number): number[][] {
  const words: number[][] = [[]];
  for (const word of words) if (word.length < longest) words.push([...word, 0], [...word, 1]);
  return words;
}

/** Examples by class and length, short ones first. */
type Lesson = readonly (readonly (readonly LabelledWord[])[])[];

function lessonOf(examples: readonly LabelledWord[]): Lesson {
  const longest = Math.max(...examples.map(({ word }) => word.length));
  const lengths = Array.from({ length: longest + 1 }, (_, n) => examples.filter(({ word }) => word.length === n));
  return [true, false].map((side) =>
    lengths.map((same) => same.filter(({ accepted }) => accepted === side)).filter((same) => same.length > 0),
  );
}

/** Half accepted, half not, and short strings as often as long ones. Of the lengths, only the first `share` is drawn from. */
function balanced(dice: Dice, lesson: Lesson, size: number, share: number): LabelledWord[] {
  const sides = lesson.map((lengths) => lengths.slice(0, Math.max(3, Math.ceil(lengths.length * share))));
  return Array.from({ length: size }, (_, b) => dice.pick(dice.pick(sides[b % 2] as Lesson[number])));
}

/** The response unit S₀ at the end of each string, [B]. */
function responses(cell: SecondOrderRNN, batch: readonly LabelledWord[]): Tensor {
  const lengths = batch.map(({ word }) => word.length);
  const T = Math.max(1, ...lengths);
  const codes = Array.from({ length: T * batch.length }, (_, k) => batch[k % batch.length]?.word[Math.floor(k / batch.length)] ?? -1);
  const [, last] = cell.scan(oneHot(codes, [T, batch.length], 2), undefined, { lengths });
  return select(last, 1, 0);
}

/** The states after all strings of one symbol more, those with 0 first. */
function grown(cell: SecondOrderRNN, states: Tensor): Tensor {
  const n = states.dim(0);
  return cat([0, 1].map((symbol) => cell.step(oneHot(new Array<number>(n).fill(symbol), [n], 2), states)[1]));
}

/** The share of all strings of `from` to `to` symbols that are put on the right side of one half. */
function rightShare(cell: SecondOrderRNN, target: Automaton, from: number, to: number): number {
  let [states, expected] = [cell.initialState(1), [0]];
  let [right, all] = [0, 0];
  const count = () => {
    const said = select(states, 1, 0).data();
    right += expected.filter((q, i) => (said[i] as number) > 0.5 === target.accepting[q]).length;
    all += expected.length;
  };
  for (let length = 0; length <= to; length++) {
    if (length >= from) count();
    states = noGrad(() => grown(cell, states));
    expected = [0, 1].flatMap((symbol) => expected.map((q) => target.transitions[q]?.[symbol] as number));
  }
  return right / all;
}

/** The extracted automaton, or null where no partition of the state space explains the examples. */
function extracted(cell: SecondOrderRNN, examples: readonly LabelledWord[]): Automaton | null {
  try {
    return extractAutomaton(cell, { examples });
  } catch (error) {
    if (error instanceof ArgumentError) return null;
    throw error;
  }
}

/** What came of learning a language. */
interface Learned {
  /** 1 when the automaton read out is the language's smallest one. */
  readonly found: number;
  /** The share of the longer strings that the network gets right. */
  readonly right: number;
}

function learned(run: Run, k: Index): Learned {
  const { weights, training } = streams(run.seed);
  const target = tomita(k);
  const longest = run.short ? 6 : TRAINED;
  const updates = run.short ? 600 : 3000;
  const examples = allWords(longest).map((word) => ({ word, accepted: acceptsWord(target, word) }));
  const cell = new SecondOrderRNN({ inputSize: 2, hiddenSize: UNITS[k - 1] as number, generator: weights });
  const lesson = lessonOf(examples);
  const loss = (update: number) => {
    const batch = balanced(training, lesson, 64, (2 * (update + 1)) / updates);
    const wanted = batch.map(({ accepted }) => Number(accepted));
    return mseLoss(responses(cell, batch), tensor(wanted, { dtype: "float32" }));
  };
  train(run, {
    parameters: cell.parameters(),
    updates,
    lr: 2e-2,
    decay: { every: Math.round(updates / 6), factor: 0.6 },
    part: [(k - 1) / 7, k / 7],
    loss,
  });
  const right = rightShare(cell, target, longest + 1, run.short ? 9 : TRIED);
  const automaton = extracted(cell, examples.slice(-512));
  const found = automaton !== null && differingWord(automaton, target) === null;
  if (found && k === 5)
    run.picture("automaton", automatonDiagram(minimizeAutomaton(automaton), { title: "Even numbers of 0s and of 1s, read out" }));
  return { found: Number(found), right };
}

/** Short runs learn two of the languages only. */
function learning(run: Run): Figures<Grammar | "right"> {
  const results = GRAMMARS.map((k) => (run.short && k !== 1 && k !== 4 ? { found: 0, right: 1 } : learned(run, k)));
  return { ...each((k) => (results[k - 1] as Learned).found), right: Math.min(...results.map(({ right }) => right)) };
}

// ---- Insertion ----

const STRINGS = 200;
const LENGTH = 300;

/** The share of random strings during which the response unit is right after every symbol. */
function runsWell(run: Run, k: Index, strength: number): number {
  const { test } = streams(run.seed);
  const automaton = tomita(k);
  const cell = insertAutomaton(automaton, { strength });
  const length = run.short ? 60 : LENGTH;
  const codes = Array.from({ length: length * STRINGS }, () => test.below(2));
  const states = scope(() =>
    noGrad(() =>
      select(cell.scan(oneHot(codes, [length, STRINGS], 2))[0], 2, 0)
        .data()
        .slice(),
    ),
  );
  const right = Array.from({ length: STRINGS }, (_, b) => {
    let q = 0;
    return Array.from({ length }, (_, t) => {
      q = automaton.transitions[q]?.[codes[t * STRINGS + b] as number] as number;
      return (states[t * STRINGS + b] as number) > 0.5 === automaton.accepting[q];
    }).every(Boolean);
  });
  return share(right);
}

function insertion(run: Run) {
  const weakest = (strength: number) => GRAMMARS.map((k) => runsWell(run, k, strength));
  const three = weakest(3);
  return { eight: Math.min(...weakest(8)), six: Math.min(...weakest(6)), five: median(weakest(5)), three: Math.max(...three.slice(2)) };
}

const MEANINGS = Object.fromEntries(NAMES.map((name, i) => [name, `the automaton of Tomita ${i + 1} (1: yes)`])) as Readonly<
  Record<Grammar, string>
>;

export const secondOrder: readonly Experiment[] = [
  experiment({
    name: "second-order-tomita",
    system: "Second-order network; automaton extraction",
    file: "src/cells/simple/second-order.ts, src/automata/extraction.ts",
    paper:
      "Giles, Miller, Chen, Chen, Sun and Lee (1992), Learning and extracting finite state automata with second-order recurrent neural networks",
    task: "Tomita's seven languages from all strings of up to 10 symbols; 3 to 6 units, batches of 64 balanced over classes and lengths, short strings first and the longest from half way on; 3,000 updates with Adam, from 2e-2 down to 1e-3",
    reported:
      "grammars learned within about a hundred epochs, and the minimal automaton extracted from the trained network is the true one",
    claim:
      "for each grammar, the automaton extracted from the trained network is the minimal one of the language, and so right on strings of any length, whether or not the network is",
    figures: { ...MEANINGS, right: "share of all 63,488 strings of 11 to 15 symbols that the network gets right, worst language" },
    remarks:
      "Short strings are drawn as often as long ones. Drawn evenly from all strings, three quarters of which have 9 or 10 symbols, languages 5 and 6 are not learned in 3,000 updates; the paper's training set grows from short strings, too.",
    run: learning,
    claims: GRAMMARS.map((k) => ({ what: `Tomita ${k}`, rate: 0.9, holds: (figures) => figures[`t${k}`] === 1 })),
    learns: ({ t1, t4 }) => t1 === 1 && t4 === 1,
  }),
  experiment({
    name: "second-order-insertion",
    system: "Second-order network; automaton insertion",
    file: "src/automata/insertion.ts",
    paper: "Omlin and Giles (1996), Constructing deterministic finite-state automata in recurrent neural networks",
    task: "Tomita's automata built in with weights of ±H; the response unit after every symbol of 200 random strings of 300",
    reported:
      "with H large enough (6 to 8 is sufficient for automata of any size in practice) strings of any length are classified correctly",
    claim: "strings without an error: all of them with H = 8 and H = 6 on all seven languages, below 30 % with H = 3 on languages 3 to 7",
    figures: {
      eight: "H = 8, worst language",
      six: "H = 6, worst language",
      five: "H = 5, median of the languages",
      three: "H = 3, best of languages 3 to 7",
    },
    run: insertion,
    claims: [{ rate: 1, holds: ({ eight, six, three }) => eight === 1 && six === 1 && three < 0.3 }],
    learns: ({ eight, six }) => eight === 1 && six === 1,
  }),
];
