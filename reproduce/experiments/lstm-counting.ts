/** Peepholes count: languages of strings aⁿbⁿ and aⁿbⁿcⁿ beyond those that were trained. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { OdysseyLSTM, type OdysseyState } from "../../src/cells/gated/lstm-odyssey.ts";
import { normal } from "../../src/nn/init.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import type { Parameter } from "../../src/nn/module.ts";
import { add } from "../../src/ops/arithmetic.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { accepts, countingString, symbolCount } from "../tasks/counting.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

interface Language {
  readonly letters: number;
  readonly hiddenSize: number;
  readonly updates: number;
  /** How far to look. */
  readonly most: number;
}

/** Counters that forget nothing to begin with: what leaks while they count bounds how far they count. */
const FORGET_BIAS = 8;

/** The paper's network: outputs see the cells, and the symbol itself. */
class Counter {
  readonly #net: Net<OdysseyState>;
  readonly #direct: Linear;

  constructor(symbols: number, cells: number, generator: Generator) {
    const cell = new OdysseyLSTM({ inputSize: symbols, hiddenSize: cells, forgetBias: FORGET_BIAS, generator });
    assign(
      cell.bias,
      cell.bias.data().map((b, k) => (k < cells ? -1 : b)),
    );
    this.#net = new Net(cell, symbols, generator);
    this.#direct = new Linear(symbols, symbols, { bias: false, generator });
    for (const p of this.#net.head.parameters()) normal(p, { std: 0.1, generator });
  }

  get parameters(): Parameter[] {
    return [...this.#net.parameters, ...this.#direct.parameters()];
  }

  run(xs: Tensor): Tensor {
    return add(this.#net.run(xs)[0], this.#direct.forward(xs));
  }
}

/** Trained on n = 1 … 10: the largest n up to which every string is accepted. */
function reach(run: Run, { letters, hiddenSize, updates, most }: Language): number {
  const { weights, training } = streams(run.seed);
  const net = new Counter(symbolCount(letters), hiddenSize, weights);
  const longest = run.short ? 4 : 10;
  train(run, {
    parameters: net.parameters,
    updates,
    lr: 3e-2,
    clip: 1,
    loss: () => {
      const { xs, targets } = countingString(letters, training.between(1, longest));
      return bceWithLogits(net.run(xs), targets, { reduction: "sum" });
    },
  });
  const accepted = (n: number) => {
    const string = countingString(letters, n);
    return scope(() => noGrad(() => accepts(net.run(string.xs), string)));
  };
  let n = 0;
  while (n < most && accepted(n + 1)) n++;
  return n;
}

const PAPER = "Gers and Schmidhuber (2001), LSTM recurrent networks learn simple context-free and context-sensitive languages";

export const lstmCounting: readonly Experiment[] = [
  experiment({
    name: "lstm-peephole-anbn",
    system: "LSTM with peepholes",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: PAPER,
    task: "name the symbols that may follow in S aⁿbⁿ T; one cell, forget bias 8, direct connections from inputs to outputs, n = 1 to 10, 5,000 strings one by one with Adam 3e-2, clipped at 1",
    reported: "trained on 1 to 10, generalises to n = 1 to 118 on average and to 1,000 at best",
    claim: "every n up to 50 is accepted",
    figures: { reach: "largest n up to which all are accepted (500 tried)" },
    remarks:
      "One cell and direct connections make it: with two cells and outputs that see the cells only, nets end as often in solutions that count no further than 20 to 40, whatever the learning rate (six or seven of ten count to 50). The paper trains for longer.",
    run: (run) => ({ reach: reach(run, { letters: 2, hiddenSize: 1, updates: run.short ? 1500 : 5000, most: run.short ? 20 : 500 }) }),
    claims: [{ rate: 0.8, holds: ({ reach }) => reach >= 50 }],
    learns: ({ reach }) => reach >= 4,
  }),
  experiment({
    name: "lstm-peephole-anbncn",
    system: "LSTM with peepholes",
    file: "src/cells/gated/lstm-odyssey.ts",
    paper: PAPER,
    task: "name the symbols that may follow in S aⁿbⁿcⁿ T; two cells, forget bias 8, direct connections from inputs to outputs, n = 1 to 10, 6,000 strings one by one with Adam 3e-2, clipped at 1",
    reported: "trained on 1 to 40, generalises to n = 1 to 500 at best",
    claim: "every n up to 15 is accepted",
    figures: { reach: "largest n up to which all are accepted (500 tried)" },
    run: (run) => ({ reach: reach(run, { letters: 3, hiddenSize: 2, updates: run.short ? 2500 : 6000, most: run.short ? 20 : 500 }) }),
    claims: [{ rate: 0.8, holds: ({ reach }) => reach >= 15 }],
    learns: ({ reach }) => reach >= 3,
  }),
];
