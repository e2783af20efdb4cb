/** Handwriting: digits from the path of the pen, by people whom the network has never seen. */

import { Adam, accuracy, argmax, bootstrapInterval, cosineAnnealingLR, crossEntropy, Generator, predict, SequenceBatches } from "tapeloop";
import { type SequenceModel, sequence } from "tapeloop/models";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { logisticRegression } from "../shared/logistic-regression.ts";
import { nearest, squaredDistance } from "../shared/neighbours.ts";
import { type Digit, features, readDigits, rewritten } from "./strokes.ts";

const examplesOf = (digits: readonly Digit[]) => digits.map((own) => ({ xs: features(own), ys: own.digit }));

function readBy(model: SequenceModel, digits: readonly Digit[]): number[] {
  const batches = new SequenceBatches(examplesOf(digits), { batchSize: 250, epochs: 1 });
  return predict(model, batches, (m, { xs }) => argmax(m.forward(xs), { axis: 1 }).toArray() as number[]).flat();
}

/** Pen paths in rows, from light to dark, under what they were read as. */
function picture(digits: readonly Digit[], guesses: readonly number[]): string {
  const [cell, columns] = [72, 12];
  const cells = digits.map(({ digit, path }, i) => {
    const [left, top] = [cell * (i % columns) + 14, (cell + 22) * Math.floor(i / columns) + 44];
    const place = ([x, y]: readonly [number, number]) => [left + 22 * (x + 1), top + 22 * (1 - y)] as const;
    const strokes = path.slice(1).map((to, t) => {
      const [[x1, y1], [x2, y2]] = [place(path[t] as readonly [number, number]), place(to)];
      return `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="hsl(205 90% ${70 - 7 * t}%)"/>`;
    });
    const isRight = guesses[i] === digit;
    const label = isRight ? String(digit) : `${guesses[i]}, not ${digit}`;
    return `${strokes.join("")}<text x="${left + 22}" y="${top - 8}" fill="${isRight ? "#222" : "#d55e00"}">${label}</text>`;
  });
  const [width, height] = [cell * columns + 8, (cell + 22) * Math.ceil(digits.length / columns) + 34];
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/><text x="14" y="18" font-weight="600">Twelve digits as they were read, and then those that were misread</text><g fill="none" stroke-width="3" stroke-linecap="round" text-anchor="middle">${cells.join("")}</g></svg>`;
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false } = options;
  const generator = new Generator(seed);
  const all = readDigits();
  const [training, test] = quick ? [all.training.slice(0, 500), all.test.slice(0, 200)] : [all.training, all.test];
  const layers = [{ lstm: 48, bidirectional: true }, "last", { dropout: 0.2 }, { linear: 10 }] as const;
  const model = sequence({ inputSize: 4, layers, generator });
  if (!restored(model, options)) {
    const dice = new Dice(seed);
    const epochs = quick ? 1 : full ? 15 : 5;
    // Each digit as it is, and three times as somebody else might have written it.
    const hands = training.flatMap((own) => [own, rewritten(own, dice), rewritten(own, dice), rewritten(own, dice)]);
    const batches = new SequenceBatches(examplesOf(hands), { batchSize: 64, shuffle: true, epochs, generator });
    await train(
      "BLSTM",
      model,
      batches,
      {
        optimizer: new Adam(model.parameters(), { lr: 5e-3 }),
        loss: (m, { xs, ys }) => crossEntropy(m.forward(xs), ys),
        schedule: cosineAnnealingLR({ tMax: epochs * batches.batchesPerEpoch }),
        clipNorm: 1,
      },
      options,
    );
  }
  const truth = test.map(({ digit }) => digit);
  const figure = (of: string, guesses: readonly number[]): Figure => {
    const right = (chosen: readonly number[]) =>
      accuracy(
        chosen.map((i) => guesses[i] as number),
        chosen.map((i) => truth[i] as number),
      );
    const interval = bootstrapInterval(test.length, right, { resamples: 200, generator });
    return { metric: "accuracy for 14 new writers", of, value: right([...test.keys()]), interval };
  };
  const own = readBy(model, test);
  const flat = (digits: readonly Digit[]) => digits.map(({ path }) => path.flat());
  const [rows, classes] = [flat(training), training.map(({ digit }) => digit)];
  const regression = logisticRegression(rows, classes, { classes: 10, maxIter: 100 });
  const figures = [
    figure("BLSTM, 2 × 48 units", own),
    figure(
      "nearest neighbour",
      flat(test).map((row) => classes[nearest(row, rows, squaredDistance)] as number),
    ),
    figure("logistic regression", regression.classes(flat(test))),
  ];
  const [lstm, neighbour, linear] = figures.map(({ value }) => value) as [number, number, number];
  const misread = test.flatMap((_, i) => (own[i] === truth[i] ? [] : [i])).slice(0, 36);
  const shown = [...Array.from({ length: 12 }, (_, i) => i), ...misread];
  return resultOf(model, {
    figures,
    gates: [
      { what: "accuracy of 0.96 or more, above logistic regression", passed: lstm >= 0.96 && lstm > linear },
      { what: "better than the nearest neighbour", passed: lstm > neighbour },
    ],
    data: "Pen-Based Recognition of Handwritten Digits (Alpaydin and Alimoglu, UCI; ODC-PDDL as packaged by datasets/openml-datasets)",
    pictures: {
      "digits.svg": picture(
        shown.map((i) => test[i] as Digit),
        shown.map((i) => own[i] as number),
      ),
    },
  });
}
