// TensorFlow.js on its backends in plain JavaScript (cpu) or WebAssembly (wasm).

import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { headWeights, recurrentWeights, SEEDS, uniform, whole } from "../inputs.mjs";
import { VOCABULARY } from "../workloads.mjs";
import { lastStep, transposed } from "./layouts.mjs";

const LEARNING_RATE = 1e-3;
const require = createRequire(import.meta.url);

const random = (shape, seed) =>
  tf.tensor(
    uniform(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );

/** Sequences are batch-major here: [T,B,…] to [B,T,…]. */
const batchMajor = (x) => tf.tidy(() => tf.transpose(x, [1, 0, ...x.shape.slice(2).map((_, i) => i + 2)]));

function gemm({ n }) {
  const [a, b] = [random([n, n], SEEDS.a), random([n, n], SEEDS.b)];
  return { run: () => tf.tidy(() => void tf.matMul(a, b)), result: () => tf.tidy(() => tf.matMul(a, b).dataSync()) };
}

/** A recurrent layer with weights in PyTorch's layout; the default initialisers take minutes. */
function recurrent(make, gates, I, H, options = {}) {
  const zeros = { kernelInitializer: "zeros", recurrentInitializer: "zeros" };
  const layer = make({ units: H, returnSequences: true, activation: "tanh", ...zeros, ...options });
  layer.apply(tf.zeros([1, 1, I])).dispose();
  const { weightIh, weightHh, bias } = recurrentWeights(gates, I, H);
  layer.setWeights([
    tf.tensor(transposed(weightIh, gates * H, I), [I, gates * H]),
    tf.tensor(transposed(weightHh, gates * H, H), [H, gates * H]),
    tf.tensor(bias),
  ]);
  return layer;
}

const lstm = (I, H) => recurrent(layers.layers.lstm, 4, I, H, { recurrentActivation: "sigmoid", unitForgetBias: false });

function sequence({ T, B, H }) {
  const layer = lstm(H, H);
  const xs = batchMajor(random([T, B, H], SEEDS.x));
  const result = () => tf.tidy(() => lastStep(batchMajor(layer.apply(xs)).dataSync(), B, H));
  return { run: () => tf.tidy(() => void layer.apply(xs).dataSync()), result };
}

/** basicLSTMCell: the fastest way there is here; its kernel has the gates i g f o and both inputs in one matrix. */
function stream({ H }) {
  const { weightIh, weightHh, bias } = recurrentWeights(4, H, H);
  const [kernel, biases] = tf.tidy(() => {
    const weights = tf.concat([tf.tensor(weightIh, [4 * H, H]), tf.tensor(weightHh, [4 * H, H])], 1);
    const swapped = (x) => {
      const [i, f, g, o] = tf.split(x, 4);
      return tf.concat([i, g, f, o]);
    };
    return [tf.transpose(swapped(weights)), swapped(tf.tensor1d(bias))];
  });
  const noForgetBias = tf.scalar(0);
  const x = random([1, H], SEEDS.x);
  let [c, h] = [tf.zeros([1, H]), tf.zeros([1, H])];
  const run = () => {
    const [nextC, nextH] = tf.tidy(() => tf.basicLSTMCell(noForgetBias, kernel, biases, x, c, h));
    c.dispose();
    h.dispose();
    [c, h] = [nextC, nextH];
    return h.dataSync();
  };
  const result = () => {
    for (let i = 0; i < 9; i++) run();
    return run();
  };
  return { run: () => void run(), result };
}

function trainer(parts, loss, incomparable) {
  const adam = tf.train.adam(LEARNING_RATE, 0.9, 0.999, 1e-8);
  const variables = parts.flatMap((layer) => layer.trainableWeights.map((w) => w.read()));
  const step = () => {
    const cost = adam.minimize(loss, true, variables);
    const value = cost.dataSync()[0];
    cost.dispose();
    return value;
  };
  return { run: () => void step(), result: () => [step(), step(), step()], incomparable };
}

function dense(I, O) {
  const layer = layers.layers.dense({ units: O, kernelInitializer: "zeros" });
  layer.apply(tf.zeros([1, I])).dispose();
  const { weight, bias } = headWeights(I, O);
  layer.setWeights([tf.tensor(transposed(weight, O, I), [I, O]), tf.tensor(bias)]);
  return layer;
}

function characters({ cell, T, B, H }) {
  const layer = cell === "LSTM" ? lstm(VOCABULARY, H) : recurrent(layers.layers.gru, 3, VOCABULARY, H, { recurrentActivation: "sigmoid" });
  const head = dense(H, VOCABULARY);
  const oneHot = (seed) =>
    batchMajor(tf.cast(tf.oneHot(tf.tensor(whole(T * B, seed, VOCABULARY), [T, B], "int32"), VOCABULARY), "float32"));
  const [inputs, targets] = [oneHot(SEEDS.ids), tf.reshape(oneHot(SEEDS.targets), [T * B, VOCABULARY])];
  const loss = () => tf.losses.softmaxCrossEntropy(targets, head.apply(tf.reshape(layer.apply(inputs), [T * B, H])));
  return trainer([layer, head], loss, cell === "GRU" ? "older GRU" : undefined);
}

function elman({ T, I, H }) {
  const layer = recurrent(layers.layers.simpleRNN, 1, I, H);
  const head = dense(H, 1);
  const xs = batchMajor(random([T, 1, I], SEEDS.x));
  const targets = random([T, 1], SEEDS.targets);
  return trainer([layer, head], () => tf.losses.meanSquaredError(targets, head.apply(tf.reshape(layer.apply(xs), [T, H]))));
}

export async function open({ backend }) {
  tf.enableProdMode();
  const module = await import(`@tensorflow/tfjs-backend-${backend}`);
  if (backend === "wasm") {
    module.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
    module.setThreadsCount(1);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`the ${backend} backend does not start`);
  await tf.ready();
  return { version: tf.version_core, kinds: { gemm, sequence, stream, characters, elman } };
}
