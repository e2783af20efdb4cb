/** The next frame of a film: convolutions in place of products, against an LSTM on flattened frames. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { ConvLSTM } from "../../src/cells/gated/conv-lstm.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { indexSelect } from "../../src/ops/gather.ts";
import { sigmoid } from "../../src/ops/math.ts";
import { permute, select, slice } from "../../src/ops/shape.ts";
import { imageGrid } from "../../src/plot/images.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { keep, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { filmBatch } from "../tasks/blobs.ts";
import { streams } from "../tasks/dice.ts";
import { train } from "../training.ts";

/** Films that are shown in training, again and again. */
const KNOWN = 100;
const BATCH = 12;
const [SIDE, FRAMES] = [10, 8];
const UPDATES = 800;

/** Two squares that fly through each other; the short form has one. */
const squaresOf = (run: Run) => (run.short ? 1 : 2);

interface Filters {
  readonly hiddenChannels: number;
  readonly kernelSize: number;
}

/** Frames [T,B,side²] to the logits of each next frame. */
interface Painter {
  parameters(): ReturnType<Module["parameters"]>;
  forward(xs: Tensor): Tensor;
}

/** A ConvLSTM, and one filter of 1 × 1 over its channels. */
class ConvPainter extends Module implements Painter {
  readonly cell: ConvLSTM;
  readonly head: Linear;

  constructor(filters: Filters, generator: Generator) {
    super();
    this.cell = new ConvLSTM({ height: SIDE, width: SIDE, inputChannels: 1, ...filters, generator });
    this.head = new Linear(filters.hiddenChannels, 1, { generator });
  }

  forward(xs: Tensor): Tensor {
    const [T, B] = [xs.dim(0), xs.dim(1)];
    const maps = reshape(this.cell.scan(xs)[0], [T, B, this.cell.hiddenChannels, SIDE * SIDE]);
    return reshape(this.head.forward(permute(maps, [0, 1, 3, 2])), [T, B, SIDE * SIDE]);
  }
}

class FullPainter extends Module implements Painter {
  readonly cell: LSTMCell;
  readonly head: Linear;

  constructor(generator: Generator) {
    super();
    this.cell = new LSTMCell({ inputSize: SIDE * SIDE, hiddenSize: 96, generator });
    this.head = new Linear(96, SIDE * SIDE, { generator });
  }

  forward(xs: Tensor): Tensor {
    return this.head.forward(this.cell.scan(xs)[0]);
  }
}

/** Cross-entropy of a frame's last prediction on fresh films. */
function entropy(run: Run, net: Painter, lr: number, part: readonly [number, number]): number {
  const { training, test } = streams(run.seed);
  const film = (from: typeof test, batch: number) => filmBatch(from, { frames: FRAMES, batch, side: SIDE, squares: squaresOf(run) });
  const updates = run.short ? 110 : UPDATES;
  const known = keep(film(training, KNOWN));
  const predicted = (frames: Tensor) => net.forward(slice(frames, 0, 0, FRAMES - 1));
  const loss = () => {
    const frames = indexSelect(known, 1, training.generator.integers([BATCH], 0, KNOWN));
    return bceWithLogits(predicted(frames), slice(frames, 0, 1));
  };
  train(run, {
    parameters: net.parameters(),
    updates,
    lr,
    clip: 1,
    decay: { every: Math.ceil(updates / 2), factor: 0.3 },
    part,
    loss,
  });
  return scope(() =>
    noGrad(() => {
      const frames = film(test, 200);
      const last = select(predicted(frames), 0, FRAMES - 2);
      return SIDE * SIDE * bceWithLogits(last, select(frames, 0, FRAMES - 1)).item();
    }),
  );
}

/** A film and, below each frame from the second on, what was expected in its place. */
function draw(run: Run, net: Painter): void {
  const { test } = streams(run.seed);
  scope(() => {
    const frames = filmBatch(test, { frames: FRAMES, batch: 1, side: SIDE, squares: squaresOf(run) });
    const said = noGrad(() => sigmoid(net.forward(slice(frames, 0, 0, FRAMES - 1))));
    const images = (x: Tensor) => Array.from({ length: FRAMES - 1 }, (_, t) => Array.from(select(x, 0, t).data(), Number));
    const all = [...images(slice(frames, 0, 1)), ...images(said)];
    run.picture("conv-lstm-film", imageGrid(all, { width: SIDE, columns: FRAMES - 1, title: "frames, and what was expected" }));
  });
}

function filmRun(run: Run) {
  const { weights } = streams(run.seed);
  const conv = new ConvPainter(run.short ? { hiddenChannels: 12, kernelSize: 3 } : { hiddenChannels: 8, kernelSize: 5 }, weights);
  const full = new FullPainter(weights);
  const found = {
    conv: entropy(run, conv, run.short ? 2e-2 : run.rate("conv"), [0, 0.9]),
    full: run.short ? 0 : entropy(run, full, run.rate("full"), [0.9, 1]),
  };
  draw(run, conv);
  return found;
}

export const convLstm: readonly Experiment[] = [
  experiment({
    name: "conv-lstm-moving-squares",
    system: "convolutional LSTM",
    file: "src/cells/gated/conv-lstm.ts",
    paper: "Shi, Chen, Wang, Yeung, Wong, Woo 2015, Convolutional LSTM network: a machine learning approach for precipitation nowcasting",
    task: "two squares of 2 × 2 on 10 × 10 points, bouncing off the walls; predict the 8th frame from seven; 8 channels, 5 × 5 filters (9,600 parameters, of which 2,400 peepholes) against an LSTM of 96 units (86,000), 100 films for training, batch 12, 800 updates with Adam, its rate falling",
    reported:
      "table 1, Moving-MNIST, cross-entropy of a frame: LSTM of 2 × 2,048 units 4,832.49 with 143 million parameters; ConvLSTM 3,887.94 to 3,670.85 with 14 to 8 million",
    claim: "cross-entropy of the frame below 0.9 times the LSTM's, with an eighth of its parameters",
    figures: { conv: "ConvLSTM, nats a frame", full: "LSTM, nats a frame" },
    remarks:
      "The ConvLSTM wins where few films stand for many. In a world small enough to be memorised (one square on 8 × 8 points), an LSTM at its own learning rate is better.",
    tuning: { grid: [2e-3, 5e-3, 1e-2, 2e-2, 4e-2], seeds: [0], updates: UPDATES, better: "lower", rates: { conv: 2e-2, full: 5e-3 } },
    run: filmRun,
    claims: [{ rate: 0.8, holds: ({ conv, full }) => conv <= 0.9 * full }],
    learns: ({ conv }) => conv <= 13,
  }),
];
