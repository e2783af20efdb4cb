// ONNX Runtime, native (onnxruntime-node) or WebAssembly (onnxruntime-web): inference only.

import { createRequire } from "node:module";
import { recurrentWeights, SEEDS, uniform } from "../inputs.mjs";
import { reordered } from "./layouts.mjs";
import { lstmModel, matmulModel } from "./onnx.mjs";

/** i f g o to ONNX's i o f c. */
const GATES = [0, 3, 1, 2];

export async function open({ library, threads = 1 }) {
  const ort = await import(library);
  if (library === "onnxruntime-web") ort.env.wasm.numThreads = threads;
  const session = (model) =>
    ort.InferenceSession.create(model, {
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: "sequential",
      logSeverityLevel: 3,
    });
  const input = (values, shape) => new ort.Tensor("float32", values, shape);

  async function gemm({ n }) {
    const matmul = await session(matmulModel(n));
    const feeds = { A: input(uniform(n * n, SEEDS.a), [n, n]), B: input(uniform(n * n, SEEDS.b), [n, n]) };
    return { run: () => matmul.run(feeds), result: async () => (await matmul.run(feeds)).C.data };
  }

  async function lstm(T, B, H) {
    const { weightIh, weightHh, bias } = recurrentWeights(4, H, H);
    const both = new Float32Array(8 * H);
    both.set(reordered(bias, GATES));
    const zeros = () => input(new Float32Array(B * H), [1, B, H]);
    const model = lstmModel({ T, B, I: H, H, W: reordered(weightIh, GATES), R: reordered(weightHh, GATES), bias: both });
    return { layer: await session(model), X: input(uniform(T * B * H, SEEDS.x), [T, B, H]), zeros };
  }

  async function sequence({ T, B, H }) {
    const { layer, X, zeros } = await lstm(T, B, H);
    const feeds = { X, h: zeros(), c: zeros() };
    return { run: () => layer.run(feeds, ["Y"]), result: async () => (await layer.run(feeds)).Yh.data };
  }

  async function stream({ H }) {
    const { layer, X, zeros } = await lstm(1, 1, H);
    let [h, c] = [zeros(), zeros()];
    const run = async () => {
      const { Yh, Yc } = await layer.run({ X, h, c }, ["Yh", "Yc"]);
      [h, c] = [Yh, Yc];
    };
    const result = async () => {
      for (let i = 0; i < 10; i++) await run();
      return h.data;
    };
    return { run, result };
  }

  const { version } = createRequire(import.meta.url)(`./node_modules/${library}/package.json`);
  const missing = { characters: "inference only", elman: "inference only" };
  return { version, kinds: { gemm, sequence, stream }, missing };
}
