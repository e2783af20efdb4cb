// From English to French: an encoder that reads both ways, and a decoder that attends to it.

import { readFileSync } from "node:fs";
import { Adam, bleu, fit, GRUCell, manualSeed, randomSplit, SequenceBatches, TokenVocabulary, tokenize } from "tapeloop";
import { BahdanauDecoder, Encoder, EncoderDecoder } from "tapeloop/encoder-decoder";
import { Bidirectional } from "tapeloop/wrappers";

const rows = readFileSync(new URL("eng-fra.txt", import.meta.url), "utf8")
  .toLowerCase()
  .trim()
  .split("\n");
/** English sentences with all their translations. */
const sentences = new Map<string, string[]>();
for (const [english = "", french = ""] of rows.map((row) => row.split("\t"))) {
  sentences.set(english, [...(sentences.get(english) ?? []), french]);
}

/** Trains on nine sentences of ten and translates the others. `every: 10` takes one sentence of ten. */
export async function run({ epochs = 8, seed = 1, every = 1, onStep = (_: { step: number; loss: number }) => {} } = {}) {
  manualSeed(seed);
  const { train, test } = randomSplit(
    [...sentences].filter((_, i) => i % every === 0),
    { valid: 0, test: 0.1 },
  );
  const english = TokenVocabulary.fromTexts(train.map(([text]) => text));
  const french = TokenVocabulary.fromTexts(train.flatMap(([, texts]) => texts)); // id 0, the padding, ends a sentence
  const examples = train.flatMap(([text, texts]) => texts.map((own) => ({ xs: english.encode(text), ys: french.encode(own) })));

  const encoder = new Encoder(
    new Bidirectional(new GRUCell({ inputSize: 64, hiddenSize: 64 }), new GRUCell({ inputSize: 64, hiddenSize: 64 })),
  );
  const decoder = new BahdanauDecoder({ encoder, attentionSize: 64, cell: new GRUCell({ inputSize: 64 + 128, hiddenSize: 128 }) });
  const model = new EncoderDecoder({ encoder, decoder, sourceSymbols: english.size, targetSymbols: french.size });
  const training = fit(model, new SequenceBatches(examples, { batchSize: 32, shuffle: true, epochs }), {
    optimizer: new Adam(model.parameters(), { lr: 3e-3 }),
    loss: (m, { xs, ys, lengths, targetLengths }) => m.loss({ padded: xs, lengths }, { padded: ys, lengths: targetLengths }),
    clipNorm: 1,
  });
  for await (const step of training) onStep(step);

  const translate = (texts: readonly string[]) => {
    const sources = texts.map((text) => english.encode(text));
    return model.greedy(sources, { maxLength: 15 }).map(({ symbols }) => french.decode(symbols));
  };
  const guesses = translate(test.map(([text]) => text));
  const references = test.map(([, texts]) => texts.map(tokenize));
  const exact = references.filter((own, i) => own.some((words) => words.join() === guesses[i]?.join())).length / test.length;
  /** How much each word of a translation looks at each word of the source. */
  const attention = (text: string) => {
    const [words = []] = translate([text]);
    const [weights = []] = model.alignments([english.encode(text)], [french.encode(words)]);
    return { source: tokenize(text), words: [...words, "(end)"], weights };
  };
  return { score: bleu(guesses, references, { smooth: true }), exact, guesses, test, references, attention };
}
