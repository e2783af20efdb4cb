// The smallest LSTM inference with TensorFlow.js, wasm backend.

import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";

// Browsers take the module from where the page is; Node is told where the package lies.
if (typeof process !== "undefined")
  setWasmPaths(decodeURI(new URL("../node_modules/@tensorflow/tfjs-backend-wasm/dist/", import.meta.url).pathname));
await tf.setBackend("wasm");
const zeros = { kernelInitializer: "zeros", recurrentInitializer: "zeros" };
const lstm = layers.lstm({ units: 64, returnSequences: true, recurrentActivation: "sigmoid", ...zeros });
const ys = lstm.apply(tf.zeros([1, 10, 64])).dataSync();
if (ys.length !== 640) throw new Error(`expected 640 outputs, got ${ys.length}`);
console.log(performance.now());
