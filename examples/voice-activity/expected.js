// Writes sound/expected.json: what onnxruntime-node says of every frame of sound/speech.wav. It shares no code with the detector.

import { readFile, writeFile } from "node:fs/promises";
import ort from "onnxruntime-node";
import { modelPath } from "./files.ts";
import { withHalves } from "./halves.ts";

const folder = new URL("sound/", import.meta.url);
const wav = await readFile(new URL("speech.wav", folder));
const data = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length));
const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
const rate = new ort.Tensor("int64", BigInt64Array.of(16000n), []);
const floats = (values, shape) => new ort.Tensor("float32", values, shape);

/** Frames with what comes before them, the last one completed by silence. */
function* frames(size, before) {
  for (let start = 0; start < data.length; start += size) {
    yield Float32Array.from({ length: before + size }, (_, i) => (data[start + i - before] ?? 0) / 32768);
  }
}

const rounded = (p) => Math.round(p * 1e7) / 1e7;

async function newer(model) {
  const session = await ort.InferenceSession.create(model, options);
  let state = floats(new Float32Array(256), [2, 1, 128]);
  const all = [];
  for (const frame of frames(512, 64)) {
    const { output, stateN } = await session.run({ input: floats(frame, [1, 576]), state, sr: rate });
    state = stateN;
    all.push(rounded(Number(output.data[0])));
  }
  return all;
}

async function legacy(model) {
  const session = await ort.InferenceSession.create(model, options);
  let [h, c] = [floats(new Float32Array(128), [2, 1, 64]), floats(new Float32Array(128), [2, 1, 64])];
  const all = [];
  for (const frame of frames(1536, 0)) {
    const { output, hn, cn } = await session.run({ input: floats(frame, [1, 1536]), h, c, sr: rate });
    [h, c] = [hn, cn];
    all.push(rounded(Number(output.data[0])));
  }
  return all;
}

const model = (version) => readFile(modelPath(version));
const expected = {
  v5: await newer(await model("v5")),
  v6: await newer(await model("v6")),
  legacy: await legacy(await model("legacy")),
  halves: await newer(withHalves(await model("v5"))),
};
await writeFile(new URL("expected.json", folder), `${JSON.stringify(expected)}\n`);
