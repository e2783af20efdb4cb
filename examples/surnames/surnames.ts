// Which language does a surname come from? An LSTM reads it letter by letter.

import { readdirSync, readFileSync } from "node:fs";
import { Adam, accuracy, argmax, confusionMatrix, crossEntropy, fit, manualSeed, predict, randomSplit } from "tapeloop";
import { SequenceBatches, Vocabulary } from "tapeloop/data";
import { sequence } from "tapeloop/models";

const folder = new URL("names/", import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith(".txt"));
export const languages = files.map((file) => file.replace(".txt", ""));
const namesIn = (file: string) => readFileSync(new URL(file, folder), "utf8").trim().split("\n");
const names = files.flatMap((file, language) => namesIn(file).map((name) => ({ name: name.trim(), language })));
const vocabulary = Vocabulary.fromText(names.map(({ name }) => name).join(""));
const examples = names.map(({ name, language }) => ({ xs: vocabulary.encode(name), ys: language }));

/** Trains on most of the names and asks for the languages of the others. `every: 10` takes one name of ten. */
export async function run({ epochs = 8, seed = 1, every = 1 } = {}) {
  manualSeed(seed);
  const used = examples.filter((_, i) => i % every === 0);
  const { train, test } = randomSplit(used, { valid: 0, test: 0.15, stratify: ({ ys }) => ys });
  const model = sequence({ inputSize: vocabulary.size, layers: [{ embedding: 32 }, { lstm: 128 }, "last", { linear: languages.length }] });
  const { history } = await fit(model, new SequenceBatches(train, { batchSize: 64, shuffle: true, epochs }), {
    optimizer: new Adam(model.parameters(), { lr: 3e-3 }),
    loss: (m, { xs, ys, lengths }) => crossEntropy(m.forward(xs, { lengths }), ys),
    clipNorm: 1,
  });
  const batches = new SequenceBatches(test, { batchSize: 256, epochs: 1 });
  const guesses = predict(model, batches, (m, { xs, lengths }) => [...argmax(m.forward(xs, { lengths }), { axis: 1 }).data()]).flat();
  const targets = test.map(({ ys }) => ys);
  return { history, right: accuracy(guesses, targets), confusion: confusionMatrix(guesses, targets, { classes: languages.length }) };
}
