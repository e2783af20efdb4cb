// Time per frame, cold start and bytes shipped beside onnxruntime-node and onnxruntime-web, one thread each, in one run.

import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { modelPath } from "./files.ts";

const RUNTIMES = ["tapeloop", "onnxruntime-node", "onnxruntime-web"];
const FRAMES = 363;
const ROUNDS = 7;

const now = () => performance.now();
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

/** A detector's `frame(samples)` by onnxruntime, and where its state is. */
async function byOnnxruntime(name, model) {
  const { default: ort } = await import(name === "onnxruntime-web" ? "onnxruntime-web/wasm" : name);
  if (name === "onnxruntime-web") ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const sr = new ort.Tensor("int64", BigInt64Array.of(16000n), []);
  const window = new Float32Array(576);
  let state = new ort.Tensor("float32", new Float32Array(256), [2, 1, 128]);
  return async (samples) => {
    window.set(samples, 64);
    const { output, stateN } = await session.run({ input: new ort.Tensor("float32", window.slice(), [1, 576]), state, sr });
    state = stateN;
    window.copyWithin(0, 512);
    return output.data[0];
  };
}

/** @param module where the detector is: this example's, or a bundle of it */
async function byTapeloop(model, module = "./detector.ts") {
  const { VoiceDetector, VoiceModel } = await import(module);
  const detector = new VoiceDetector(new VoiceModel(model));
  return async (samples) => detector.push(samples)[0];
}

async function detectorOf(name, module) {
  const model = await readFile(modelPath("v5"));
  return name === "tapeloop" ? byTapeloop(model, module) : byOnnxruntime(name, model);
}

async function frames() {
  const wav = await readFile(new URL("sound/speech.wav", import.meta.url));
  const samples = Float32Array.from(new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length)), (v) => v / 32768);
  return Array.from({ length: FRAMES - 1 }, (_, i) => samples.slice(512 * i, 512 * (i + 1)));
}

/** The detector in one file, as it is shipped. */
async function bundle(options) {
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("detector.ts", import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    logLevel: "error",
    ...options,
  });
  return outputFiles[0].contents;
}

/** From the start of a process, which has read nothing, to its first probability; less what an empty one takes. */
function coldStart(name, module) {
  const self = fileURLToPath(import.meta.url);
  const flags = [...process.execArgv, self];
  const times = Array.from({ length: 5 }, () => {
    const start = now();
    spawnSync(process.execPath, [...flags, "--nothing"]);
    const empty = now();
    const { status, stderr } = spawnSync(process.execPath, [...flags, "--first", name, module], { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
    return now() - empty - (empty - start);
  });
  return median(times);
}

/** Milliseconds a frame: medians of rounds in which the runtimes take turns. */
async function timesPerFrame(names) {
  const sound = await frames();
  const detectors = await Promise.all(names.map((runtime) => detectorOf(runtime)));
  const rounds = names.map(() => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [i, frame] of detectors.entries()) {
      const start = now();
      for (const samples of sound) await frame(samples);
      // The first round warms up.
      if (round > 0) rounds[i].push((now() - start) / sound.length);
    }
  }
  return rounds.map(median);
}

const gzipped = async (path) => gzipSync(await readFile(path), { level: 9 }).length;

/** What a page or a Worker loads besides the model, gzipped. */
async function bytesShipped() {
  const script = await bundle({ conditions: ["workerd", "worker", "browser"], external: ["*.wasm", "*.wasm?module"] });
  const kernels = fileURLToPath(import.meta.resolve("tapeloop/kernels.wasm"));
  const web = fileURLToPath(new URL("node_modules/onnxruntime-web/dist/", import.meta.url));
  const parts = [`${web}ort.wasm.min.mjs`, `${web}ort-wasm-simd-threaded.mjs`, `${web}ort-wasm-simd-threaded.wasm`];
  const present = await Promise.all(
    parts.map((path) =>
      stat(path).then(
        () => gzipped(path),
        () => 0,
      ),
    ),
  );
  return {
    script: gzipSync(script, { level: 9 }).length,
    kernels: await gzipped(kernels),
    web: present.reduce((a, b) => a + b, 0),
  };
}

const [mode, name, given] = process.argv.slice(2);
if (mode === "--first") {
  const frame = await detectorOf(name, given);
  await frame((await frames())[0]);
  process.exit(0);
}
if (mode === undefined) {
  const times = await timesPerFrame(RUNTIMES);
  const folder = await mkdtemp(join(tmpdir(), "voice-activity-"));
  const module = join(folder, "detector.mjs");
  await writeFile(module, await bundle({ platform: "node" }));
  for (const [i, runtime] of RUNTIMES.entries()) {
    const cold = coldStart(runtime, module);
    console.log(`${runtime}: ${times[i].toFixed(3)} ms a frame (${(times[i] / times[0]).toFixed(2)}), cold start ${cold.toFixed(0)} ms`);
  }
  await rm(folder, { recursive: true });
  const { script, kernels, web } = await bytesShipped();
  const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
  console.log(
    `bytes without the model, gzip: tapeloop ${kB(script + kernels)} (script ${kB(script)}, kernels ${kB(kernels)}), onnxruntime-web ${kB(web)}`,
  );
}
