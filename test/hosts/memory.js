// A minimal Worker: one LSTM of hidden size 128 that takes a sequence further with every request, as a service would.

import { Generator, LSTM, memory, Stream } from "tapeloop";

let stream = null;
const x = new Float32Array(64).fill(0.1);

/** Advances by 100 steps. */
export async function exercise() {
  stream ??= new Stream(new LSTM({ inputSize: 64, hiddenSize: 128, generator: new Generator(1) }).eval());
  for (let i = 0; i < 100; i++) stream.step(x);
  return memory();
}
