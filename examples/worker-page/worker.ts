// Trains a character model in the background. { text } starts it or lets it go on, "stop" stops it; each answer says how far it is.

import { Adam, fit, lineChart, Vocabulary, WindowBatches } from "tapeloop";
import { CharModel, type CharState, CharStream } from "tapeloop/models";

const STEPS = 600;

function begin(text: string) {
  const vocabulary = Vocabulary.fromText(text);
  const model = new CharModel({ vocabSize: vocabulary.size, hidden: 64, seed: 1 });
  const training = fit(model, new WindowBatches(vocabulary.encode(text), { batch: 8, window: 32 }), {
    optimizer: new Adam(model.parameters(), { lr: 5e-3 }),
    loss: (m, window, state: CharState | undefined) => m.loss(window, state),
    maxSteps: STEPS,
    clipNorm: 1,
  });
  return { vocabulary, model, training };
}

let run: ReturnType<typeof begin> | undefined;
let isStopping = false;

async function train(text: string): Promise<void> {
  run ??= begin(text);
  const { vocabulary, model, training } = run;
  const report = (more = {}) => postMessage({ step: training.step, steps: STEPS, chart: lineChart([training.history.loss]), ...more });
  isStopping = false;
  for await (const { step } of training) {
    if (step % 20 === 0) report();
    if (isStopping) break;
  }
  const stream = new CharStream(model, vocabulary);
  stream.read(text.slice(0, 8));
  report({ written: text.slice(0, 8) + stream.write(250, 0.5) });
}

addEventListener("message", ({ data }) => {
  if (data === "stop") isStopping = true;
  else train(data.text);
});
