// The smallest LSTM inference with TensorFlow.js, cpu backend.

import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";

await tf.setBackend("cpu");
const zeros = { kernelInitializer: "zeros", recurrentInitializer: "zeros" };
const lstm = layers.lstm({ units: 64, returnSequences: true, recurrentActivation: "sigmoid", ...zeros });
const ys = lstm.apply(tf.zeros([1, 10, 64])).dataSync();
if (ys.length !== 640) throw new Error(`expected 640 outputs, got ${ys.length}`);
console.log(performance.now());
