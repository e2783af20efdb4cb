/** Streams without end: without a forget gate the cells fill up. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { OdysseyLSTM, type OdysseyState } from "../../src/cells/gated/lstm-odyssey.ts";
import { uniform } from "../../src/nn/init.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { norm } from "../../src/ops/reduce.ts";
import { mapState } from "../../src/recurrence/state.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { assign, keep, scope } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run, share } from "../experiment.ts";
import { Net } from "../net.ts";
import { streams } from "../tasks/dice.ts";
import { coins, continualReber, legalPredictions, oneHotSymbols, REBER_SYMBOLS, type ReberStep, symbolIds } from "../tasks/reber.ts";
import { train } from "../training.ts";

const K = REBER_SYMBOLS.length;
const H = 12;
const STRINGS = 6;

/** Embedded strings one after another, `STRINGS` at a time. */
function stream(generator: Generator): () => ReberStep[] {
  const steps = continualReber(coins(generator));
  return () => {
    const chunk: ReberStep[] = [];
    for (let ends = 0; ends < 2 * STRINGS; ) {
      const { value } = steps.next() as IteratorYieldResult<ReberStep>;
      chunk.push(value);
      // A string within and the string around it end with an E each.
      if (value.symbol === "E") ends++;
    }
    return chunk;
  };
}

/** Weights from U(±0.2/√fan-in), gates i and o nearly closed, f nearly open. */
function makeCell(forgetGate: boolean, generator: Generator): OdysseyLSTM {
  const cell = new OdysseyLSTM({ inputSize: K, hiddenSize: H, peepholes: false, forgetGate, generator });
  for (const w of [cell.weightIh, cell.weightHh]) {
    const bound = 0.2 / Math.sqrt(w.dim(1));
    uniform(w, { low: -bound, high: bound, generator });
  }
  const biases = forgetGate ? [-1, 1, 0, -1] : [-1, 0, -1];
  assign(
    cell.bias,
    Float32Array.from({ length: biases.length * H }, (_, k) => biases[Math.floor(k / H)] as number),
  );
  return cell;
}

interface Outcome {
  /** Share of strings in which every prediction is legal, the second T or P with them. */
  readonly strings: number;
  /** Share of predictions that are legal. */
  readonly legal: number;
  /** Euclidean norm of the cells at the end. */
  readonly cells: number;
}

function continual(run: Run, forgetGate: boolean, lr: number, part: readonly [number, number]): Outcome {
  const { weights, training, test } = streams(run.seed);
  const net = new Net(makeCell(forgetGate, weights), K, weights);
  const next = stream(training.generator);
  const logits = (chunk: readonly ReberStep[], state: OdysseyState) => net.run(oneHotSymbols([chunk]), state);
  const initial = net.cell.initialState(1);
  let state = mapState(keep, initial);
  let chunk = next();
  train(run, {
    parameters: net.parameters,
    updates: run.short ? 250 : 2000,
    lr,
    clip: 5,
    part,
    loss: () => {
      const following = next();
      const targets = symbolIds([...chunk.slice(1), following[0] as ReberStep]);
      const [ys, last] = logits(chunk, state);
      state = mapState((s) => keep(s.detach()), last);
      const loss = crossEntropy(reshape(ys, [chunk.length, K]), targets);
      chunk = following;
      return loss;
    },
  });
  const fresh = stream(test.generator);
  let carried = initial;
  const verdicts: boolean[] = [];
  const understood: boolean[] = [];
  for (let i = 0; i < 50; i++) {
    const steps = fresh();
    const said = scope(() => {
      const [ys, last] = noGrad(() => logits(steps, carried));
      carried = mapState(keep, last);
      return legalPredictions(reshape(ys, [steps.length, K]), steps);
    });
    verdicts.push(...said);
    understood.push(...perString(steps, said));
  }
  return { strings: share(understood), legal: share(verdicts), cells: norm(carried.c).item() };
}

/** Whether all verdicts on a string are good, for each of `STRINGS` strings. */
function perString(steps: readonly ReberStep[], verdicts: readonly boolean[]): boolean[] {
  const good = new Array<boolean>(STRINGS).fill(true);
  let ends = 0;
  for (const [t, { symbol }] of steps.entries()) {
    if (!verdicts[t]) good[ends >> 1] = false;
    if (symbol === "E") ends++;
  }
  return good;
}

function continualRun(run: Run) {
  const rate = (system: string) => (run.short ? 1e-2 : run.rate(system));
  const withGate = continual(run, true, rate("forget"), [0, 0.5]);
  const without = continual(run, false, rate("none"), [0.5, 1]);
  const ofStrings = { forget: withGate.strings, none: without.strings };
  return { ...ofStrings, forgetLegal: withGate.legal, noneLegal: without.legal, forgetCells: withGate.cells, noneCells: without.cells };
}

export const lstmForget: readonly Experiment[] = [
  experiment({
    name: "lstm-forget-continual-reber",
    system: "LSTM with and without forget gate",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: "Gers, Schmidhuber and Cummins (2000), Learning to forget: continual prediction with LSTM",
    task: "embedded Reber strings one after another without resets; 12 cells, 2,000 chunks of 6 strings with the state carried, Adam, clipped at 5; then 300 fresh strings",
    reported:
      "standard LSTM solves the stream in no run, LSTM with forget gates in 18 % of the runs, in 62 % with decaying learning rate; internal states grow without bound where nothing is forgotten",
    claim: "strings without an illegal prediction: at least 97 % with a forget gate, at most 75 % without",
    figures: {
      forget: "forget gate: strings without an error",
      none: "no forget gate: strings without an error",
      forgetLegal: "forget gate: legal predictions",
      noneLegal: "no forget gate: legal predictions",
      forgetCells: "forget gate: norm of the cells at the end",
      noneCells: "no forget gate: norm of the cells",
    },
    tuning: { grid: [1e-3, 3e-3, 1e-2, 3e-2], seeds: [0], updates: 2000, better: "higher", rates: { forget: 1e-2, none: 3e-2 } },
    run: continualRun,
    claims: [{ rate: 0.8, holds: ({ forget, none }) => forget >= 0.97 && none <= 0.75 }],
    learns: ({ forgetLegal }) => forgetLegal >= 0.8,
  }),
];
