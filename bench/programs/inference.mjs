// The smallest program that infers with an LSTM. Its cold start and its bytes are measured.

import { LSTM, noGrad, tensor } from "tapeloop/inference";

const lstm = new LSTM({ inputSize: 64, hiddenSize: 64 });
const xs = tensor(new Float32Array(10 * 64), { shape: [10, 1, 64] });
const ys = noGrad(() => lstm.forward(xs).output.data());
if (ys.length !== 10 * 64) throw new Error(`expected 640 outputs, got ${ys.length}`);
console.log(performance.now());
