// Parts of speech: an LSTM that reads a sentence in both directions gives each word its tag.

import { readFileSync } from "node:fs";
import { Adam, accuracy, argmax, crossEntropy, evaluate, fit, manualSeed, noGrad, randomSplit, reshape, SequenceBatches } from "tapeloop";
import { padSequences, TokenVocabulary } from "tapeloop/data";
import { sequence } from "tapeloop/models";

const lines = readFileSync(new URL("sentences.txt", import.meta.url), "utf8")
  .trim()
  .split("\n");
const sentences = lines.map((line) => {
  const tokens = line.split(" ").map((token) => token.split("/") as [word: string, tag: string]);
  return { words: tokens.map(([word]) => word), tags: tokens.map(([, tag]) => tag) };
});

/** Trains on four sentences of five and tags the others. */
export async function run({ epochs = 10, seed = 1, bidirectional = true } = {}) {
  manualSeed(seed);
  const { train, test } = randomSplit(sentences, { valid: 0, test: 0.2 });
  const words = TokenVocabulary.fromTexts(train.map((sentence) => sentence.words));
  const tags = TokenVocabulary.fromTexts(
    train.map((sentence) => sentence.tags),
    { padding: null, unknown: null },
  );
  const examplesOf = (list: typeof sentences) => list.map((own) => ({ xs: words.encode(own.words), ys: tags.encode(own.tags) }));
  const model = sequence({ inputSize: words.size, layers: [{ embedding: 16 }, { lstm: 32, bidirectional }, { linear: tags.size }] });
  const { history } = await fit(model, new SequenceBatches(examplesOf(train), { batchSize: 32, shuffle: true, epochs }), {
    optimizer: new Adam(model.parameters(), { lr: 1e-2 }),
    loss: (m, { xs, ys, lengths }) => crossEntropy(reshape(m.forward(xs, { lengths }), [-1, tags.size]), reshape(ys, [-1])),
    clipNorm: 1,
  });
  const batches = new SequenceBatches(examplesOf(test), { batchSize: 100, epochs: 1 });
  const right = evaluate(model, batches, (m, { xs, ys, lengths }) => accuracy(m.forward(xs, { lengths }), ys));
  /** The tags of a sentence's words. */
  const tag = (sentence: string) =>
    tags.decode(noGrad(() => argmax(model.forward(padSequences([words.encode(sentence)]).padded), { axis: 2 })).data());
  return { history, right, test, tag };
}
