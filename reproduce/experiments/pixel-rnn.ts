/** PixelRNN on small images whose entropy is known. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { PixelRNN, type PixelRNNOptions } from "../../src/grids/pixel-rnn.ts";
import { slice } from "../../src/ops/shape.ts";
import { imageGrid } from "../../src/plot/images.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import {
  cleanDigits,
  crossedEntropy,
  crossedImages,
  digitEntropy,
  digitImages,
  parityEntropy,
  parityImages,
  SIDE,
} from "../tasks/pixels.ts";
import { train } from "../training.ts";

const BATCH = 32;

interface Plan {
  readonly images: (dice: Dice, count: number) => Tensor;
  readonly options: Omit<PixelRNNOptions, "hiddenChannels">;
  readonly updates: number;
  readonly part?: readonly [number, number];
}

/** A model trained on fresh images, and its nats per image on images of another stream. */
function fit(run: Run, { images, options, updates, part = [0, 1] }: Plan): { model: PixelRNN; nats: number } {
  const { weights, training, test } = streams(run.seed);
  const model = new PixelRNN({ hiddenChannels: 12, generator: weights, ...options });
  train(run, {
    parameters: model.parameters(),
    updates,
    lr: 3e-3,
    decay: { every: Math.ceil((2 * updates) / 3), factor: 0.3 },
    part,
    loss: () => model.nll(images(training, BATCH)),
  });
  return { model, nats: testNats(model, images(test, run.short ? 400 : 2000)) };
}

function testNats(model: PixelRNN, images: Tensor): number {
  const size = 100;
  const parts = Array.from({ length: images.dim(0) / size }, (_, k) =>
    scope(() => noGrad(() => model.nll(slice(images, 0, k * size, (k + 1) * size)).item())),
  );
  return parts.reduce((a, b) => a + b) / parts.length;
}

// ---- Tiny digits ----

/** Nats per image of a model of independent pixels, from the frequencies in the images themselves. */
function independentNats(images: Tensor): number {
  const [values, count] = [images.data(), images.dim(0)];
  let nats = 0;
  for (let k = 0; k < SIDE * SIDE; k++) {
    let ones = 0;
    for (let n = 0; n < count; n++) ones += values[n * SIDE * SIDE + k] as number;
    const p = ones / count;
    if (p > 0 && p < 1) nats -= p * Math.log(p) + (1 - p) * Math.log(1 - p);
  }
  return nats;
}

/** Pixels in which each image differs from the nearest clean digit, on average. */
function distanceToDigits(images: readonly (readonly number[])[]): number {
  const distances = images.map((image) =>
    Math.min(...cleanDigits.map((digit) => digit.reduce((d, v, k) => d + Math.abs(v - (image[k] as number)), 0))),
  );
  return distances.reduce((a, b) => a + b) / distances.length;
}

function imagesOf(x: Tensor): number[][] {
  const values = x.data();
  return Array.from({ length: x.dim(0) }, (_, n) => Array.from(values.slice(n * SIDE * SIDE, (n + 1) * SIDE * SIDE), Number));
}

function digits(run: Run) {
  const { model, nats } = fit(run, { images: digitImages, options: { kind: "diagonal" }, updates: run.short ? 140 : 1500 });
  const { test } = streams(run.seed);
  const samples = imagesOf(model.sample({ count: 16, height: SIDE, width: SIDE, generator: test.generator }));
  run.picture("samples", imageGrid(samples, { width: SIDE, columns: 8, title: "Digits drawn pixel by pixel" }));
  return { nats, independent: independentNats(digitImages(test, 2000)), distance: distanceToDigits(samples) };
}

const PAPER = "van den Oord, Kalchbrenner, Kavukcuoglu (2016), Pixel recurrent neural networks";
const SETTING = "h = 12, one layer, Adam 3e-3 (a third after two thirds), batches of 32 fresh images; tested on 2,000 others";
const MNIST = "binarised MNIST, nats per image: Diagonal BiLSTM 79.20, Row LSTM 80.54, PixelCNN 81.30; no images of known entropy";

export const pixelRnn: readonly Experiment[] = [
  experiment({
    name: "pixel-rnn-parity",
    system: "PixelRNN (Diagonal BiLSTM, Row LSTM)",
    file: "src/grids/pixel-rnn.ts",
    paper: PAPER,
    task: `8 × 8 images whose pixels are the exclusive or of left and upper neighbour, flipped in one case of ten; ${SETTING}, 1,500 updates`,
    reported: MNIST,
    claim: `both kinds reach 20.3 to 22.9 nats; the entropy is ${parityEntropy.toFixed(2)}, so that less than 20.3 would mean that a pixel sees itself; guessing gives 44.36`,
    figures: { diagonal: "nats per image, Diagonal BiLSTM", row: "nats per image, Row LSTM" },
    run: (run) => {
      const updates = run.short ? 100 : 1500;
      const of = (kind: "row" | "diagonal", part: readonly [number, number]) =>
        fit(run, { images: parityImages, options: { kind, ...(run.short ? { inputKernel: 3 } : {}) }, updates, part }).nats;
      return { diagonal: of("diagonal", [0, 0.6]), row: of("row", [0.6, 1]) };
    },
    claims: [{ rate: 1, holds: ({ diagonal, row }) => [diagonal, row].every((nats) => nats >= 20.3 && nats <= 22.9) }],
    learns: ({ diagonal, row }) => [diagonal, row].every((nats) => nats >= 19 && nats <= 35),
  }),
  experiment({
    name: "pixel-rnn-context",
    system: "PixelRNN (Diagonal BiLSTM, Row LSTM)",
    file: "src/grids/pixel-rnn.ts",
    paper: PAPER,
    task: `8 × 8 images whose rows repeat the row above moved by four columns, one pixel of ten flipped; ${SETTING}; Row LSTM on a first convolution of 3 × 3`,
    reported: `the Row LSTM sees a triangle, the Diagonal BiLSTM the whole context (section 3, figure 4); ${MNIST}`,
    claim: `Diagonal BiLSTM at most 26.5 nats, Row LSTM at least 33.2, Diagonal BiLSTM on a first convolution of 9 × 9 at most 24.6. Knowing everything above and to the left gives ${crossedEntropy.full.toFixed(2)}, all but the end of the row above ${crossedEntropy.blind.toFixed(2)}, less than four columns to either side ${crossedEntropy.narrow.toFixed(2)}, nothing 44.36`,
    figures: {
      diagonal: "nats per image, Diagonal BiLSTM",
      row: "nats per image, Row LSTM",
      wide: "nats per image, Diagonal BiLSTM on 9 × 9",
    },
    remarks:
      "The diagonal layers cannot see the last pixel of the row above: no feature of that row contains it, since the first convolution hides each pixel from itself. A first convolution of 7 × 7 reaches it from the last four columns only, one of 9 × 9 from all that need it here",
    seeds: 5,
    run: (run) => {
      const updates = run.short ? 60 : 1500;
      const nats = (options: Plan["options"], part: readonly [number, number]) =>
        fit(run, { images: crossedImages, options, updates, part }).nats;
      return {
        row: nats({ kind: "row", inputKernel: 3 }, [0, 0.2]),
        diagonal: nats({ kind: "diagonal" }, [0.2, 0.6]),
        wide: nats({ kind: "diagonal", inputKernel: 9 }, [0.6, 1]),
      };
    },
    claims: [{ rate: 1, holds: ({ diagonal, row, wide }) => diagonal <= 26.5 && row >= 33.2 && wide <= 24.6 }],
    learns: ({ diagonal, row }) => diagonal <= row - 2 && row <= 43,
  }),
  experiment({
    name: "pixel-rnn-digits",
    system: "PixelRNN (Diagonal BiLSTM)",
    file: "src/grids/pixel-rnn.ts",
    paper: PAPER,
    task: `5 × 7 digits at one of eight places of an 8 × 8 image, one pixel of fifty flipped; ${SETTING}, 1,500 updates; 16 samples`,
    reported: MNIST,
    claim: `at most 13 nats; the entropy is at most ${digitEntropy.toFixed(2)}; independent pixels as the baseline`,
    figures: {
      nats: "nats per image",
      independent: "nats per image, independent pixels",
      distance: "pixels between a sample and the nearest digit (1.3 by the noise)",
    },
    run: digits,
    claims: [{ rate: 0.8, holds: ({ nats }) => nats <= 13 }],
    learns: ({ nats, independent }) => nats <= independent - 6,
  }),
];
