// A model that was trained in PyTorch, loaded from the file of torch.save.

import { readFileSync } from "node:fs";
import { Embedding, Linear, LSTM, Module, noGrad, padSequences, parseTorch, select, type Tensor, Vocabulary } from "tapeloop";

const read = (name: string) => readFileSync(new URL(name, import.meta.url));
const { letters, languages } = JSON.parse(read("vocabulary.json").toString()) as { letters: string[]; languages: string[] };
const vocabulary = new Vocabulary(letters);

/** The same fields as in the Python class, so that the weights have the same names. */
class Classifier extends Module {
  readonly embedding = new Embedding(letters.length, 16);
  readonly lstm = new LSTM({ inputSize: 16, hiddenSize: 32 });
  readonly head = new Linear(32, languages.length);

  forward(xs: Tensor, lengths: readonly number[]): Tensor {
    const { state } = this.lstm.forward(this.embedding.forward(xs), { lengths });
    return this.head.forward(select(state.h, 0, -1));
  }
}

const model = new Classifier();
model.loadStateDict(parseTorch(read("model.pt")).tensors);
model.eval();

/** Logits of the languages for each name, [B,18]. */
export function logitsOf(names: readonly string[]): Tensor {
  const { padded, lengths } = padSequences(names.map((name) => vocabulary.encode(name)));
  return noGrad(() => model.forward(padded, lengths));
}

export { languages };
