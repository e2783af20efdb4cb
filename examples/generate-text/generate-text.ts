// Text from text: an LSTM learns to write on, character by character.

import { Adam, fit, noGrad, splitSequence, type Training, type TrainingStep, Vocabulary, WindowBatches } from "tapeloop";
import { bitsPerCharacter, CharModel, type CharState, CharStream } from "tapeloop/models";

interface Options {
  readonly text: string;
  readonly steps?: number;
  readonly seed?: number;
  /** A checkpoint from which to go on. */
  readonly resume?: Uint8Array | undefined;
  readonly onStep?: (step: TrainingStep, training: Pick<Training<CharModel, object>, "checkpoint">) => void | Promise<void>;
}

/** Trains on nine tenths of a text, measures on the rest, and writes. */
export async function run({ text, steps = 800, seed = 1, resume, onStep = () => {} }: Options) {
  const vocabulary = Vocabulary.fromText(text);
  const { train, test } = splitSequence(vocabulary.encode(text), { valid: 0, test: 0.1 });
  const model = new CharModel({ vocabSize: vocabulary.size, hidden: 128, seed });
  const training = fit(model, new WindowBatches(train, { batch: 32, window: 50 }), {
    optimizer: new Adam(model.parameters(), { lr: 5e-3 }),
    loss: (m, window, state: CharState | undefined) => m.loss(window, state),
    maxSteps: steps,
    clipNorm: 1,
    resume,
  });
  for await (const step of training) await onStep(step, training);
  const bits = noGrad(() => bitsPerCharacter(model, test, { batch: 16, window: 50 }));
  const stream = new CharStream(model, vocabulary);
  stream.start(seed);
  stream.read("\n\n");
  return { bits, written: stream.write(400, 0.7), history: training.history };
}
