/** A language of repetitions: what RWKV's time mix is for. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { RWKVChannelMix, RWKVTimeMix } from "../../src/cells/diagonal/rwkv.ts";
import { Embedding, LayerNorm, Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { slice } from "../../src/ops/shape.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { repeatBatch } from "../tasks/copying.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

const D = 32;
const SYMBOLS = 5;
const LAYERS = 2;

/** Blocks x + time(norm(x)), x + channel(norm(x)); without their time mix where `mixes` is false. */
class LanguageModel extends Module {
  readonly embed: Embedding;
  readonly times: readonly RWKVTimeMix[];
  readonly channels: readonly RWKVChannelMix[];
  readonly norms: readonly LayerNorm[];
  readonly head: Linear;

  constructor(mixes: boolean, generator: Generator) {
    super();
    const layers = <T>(make: () => T) => Array.from({ length: LAYERS }, make);
    this.embed = new Embedding(SYMBOLS, D, { generator });
    this.times = mixes ? layers(() => new RWKVTimeMix({ inputSize: D, generator })) : [];
    this.channels = layers(() => new RWKVChannelMix({ inputSize: D, hiddenSize: 2 * D, generator }));
    this.norms = Array.from({ length: 2 * LAYERS }, () => new LayerNorm(D));
    this.head = new Linear(D, SYMBOLS, { generator });
  }

  /** Symbols [T,B] to the logits of each next one. */
  forward(symbols: Tensor): Tensor {
    let x = this.embed.forward(symbols);
    for (const [l, channel] of this.channels.entries()) {
      const normed = (half: number) => (this.norms[2 * l + half] as LayerNorm).forward(x);
      const time = this.times[l];
      if (time) x = add(x, time.scan(normed(0))[0]);
      x = add(x, channel.scan(normed(1))[0]);
    }
    return this.head.forward(x);
  }
}

/** Share of right guesses in the repetition, after training. */
function accuracy(run: Run, mixes: boolean, lr: number, part: readonly [number, number]): number {
  const { weights, training, test } = streams(run.seed);
  const net = new LanguageModel(mixes, weights);
  const period = run.short ? 2 : 4;
  const updates = run.short ? 150 : 500;
  const size = { period, symbols: SYMBOLS, batch: 32 };
  const repeated = (logits: Tensor) => reshape(slice(logits, 0, period - 1), [-1, SYMBOLS]);
  const loss = () => {
    const { xs, targets } = repeatBatch(training.generator, size);
    return crossEntropy(repeated(net.forward(xs)), targets);
  };
  train(run, {
    parameters: net.parameters(),
    updates,
    lr,
    clip: 1,
    decay: { every: Math.ceil(updates / 3), factor: 0.4 },
    part,
    loss,
  });
  const { xs, targets } = repeatBatch(test.generator, { ...size, batch: 300 });
  const said = scope(() => noGrad(() => Array.from(argmax(repeated(net.forward(xs)), { axis: 1 }).data(), Number)));
  const wanted = targets.data();
  return said.filter((symbol, i) => symbol === wanted[i]).length / said.length;
}

export const rwkv: readonly Experiment[] = [
  experiment({
    name: "rwkv-repetition",
    system: "RWKV-4",
    file: "src/cells/diagonal/rwkv.ts",
    paper: "Peng et al. 2023, RWKV: Reinventing RNNs for the transformer era",
    task: "a language whose strings are a random word of 4 letters out of 5, three times over; predict the next letter from the second time on; two blocks of width 32, batch 32, 500 updates with Adam, its rate falling",
    reported:
      "section 5: as good as transformers of its size on language; the time mix is what carries information from step to step, with decays learned for each channel",
    claim:
      "accuracy on the repetitions at least 95 %, and at most 60 % without the time mix, when each layer remembers one input (chance: 20 %)",
    figures: { rwkv: "accuracy, RWKV", channel: "accuracy without time mix" },
    tuning: { grid: [2e-3, 5e-3, 2e-2], seeds: [0], updates: 500, better: "higher", rates: { rwkv: 2e-3, channel: 5e-3 } },
    run: (run) => ({
      rwkv: accuracy(run, true, run.short ? 5e-3 : run.rate("rwkv"), [0, 0.6]),
      channel: run.short ? 0 : accuracy(run, false, run.rate("channel"), [0.6, 1]),
    }),
    claims: [{ rate: 0.8, holds: ({ rwkv, channel }) => rwkv >= 0.95 && channel <= 0.6 }],
    learns: ({ rwkv }) => rwkv >= 0.8,
  }),
];
