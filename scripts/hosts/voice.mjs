// The voice detector of examples/voice-activity on the packed package: its Worker under workerd, its page in Chromium.
//
// Probabilities are compared with onnxruntime-node's (sound/expected.json).

import { copyFile, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { withPage } from "./chromium.mjs";
import { firstThatExists, NotInstalled, place, root, run, tool } from "./common.mjs";
import { bundleModules, startWorkerd } from "./workerd.mjs";

const example = join(root, "examples/voice-activity");
const MODEL = "silero_vad_v5.onnx";
const PACKAGE = "@ricky0123/vad-web@0.0.31";
const LIMIT = 1e-4;

/** The model file, out of its npm package. */
async function modelFile() {
  const folder = join(place, "voice-model");
  const file = join(folder, "package/dist", MODEL);
  const installed = [process.env.VAD_MODELS ?? "", join(example, "node_modules/@ricky0123/vad-web/dist")].map((path) => join(path, MODEL));
  return firstThatExists(...installed, file).catch(async () => {
    await mkdir(folder, { recursive: true });
    try {
      const [{ filename }] = JSON.parse(run("npm", ["pack", PACKAGE, "--json", "--loglevel=error"], { cwd: folder }));
      run("tar", ["xzf", filename], { cwd: folder });
    } catch (error) {
      throw new NotInstalled(`${PACKAGE}: ${error.message}`);
    }
    return file;
  });
}

const sound = (name) => readFile(join(example, "sound", name));

function check(what, holds, detail) {
  if (!holds) throw new Error(`${what}: ${detail}`);
}

async function checkProbabilities(got) {
  const { v5: expected } = JSON.parse(await sound("expected.json"));
  check("frames", got.length === expected.length, `expected ${expected.length}, got ${got.length}`);
  const error = got.reduce((most, p, i) => Math.max(most, Math.abs(p - expected[i])), 0);
  check("probabilities", error <= LIMIT, `expected at most ${LIMIT} off, got ${error}`);
  return error;
}

/** An empty folder with the model in it. */
async function emptyFolder(name) {
  const folder = join(place, "voice", name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "models"), { recursive: true });
  await copyFile(await modelFile(), join(folder, "models", MODEL));
  return folder;
}

/** Imports of the package, from the folder in which it is installed. */
const installedIn = (app) => ({ nodePaths: [join(app, "node_modules")] });

async function post(address, body) {
  const response = await fetch(address, { method: "POST", body, duplex: "half" });
  const text = await response.text();
  check("status", response.status === 200, `expected 200, got ${response.status}: ${text}`);
  return text;
}

async function underWorkerd(app) {
  const folder = await emptyFolder("workerd");
  await bundleModules({ entryPoints: [join(example, "worker.ts")], ...installedIn(app) }, folder);
  await copyFile(join(example, "workerd.capnp"), join(folder, "workerd.capnp"));
  const { address, stop } = await startWorkerd(folder, "workerd.capnp");
  try {
    const wav = await sound("speech.wav");
    const { segments, probabilities } = JSON.parse(await post(`${address}segments`, wav));
    const error = await checkProbabilities(probabilities);
    const pieces = new ReadableStream({
      start(controller) {
        for (let at = 44; at < wav.length; at += 1001) controller.enqueue(wav.subarray(at, at + 1001));
        controller.close();
      },
    });
    const lines = (await post(`${address}stream`, pieces)).trim().split("\n");
    const expected = [...segments, { samples: (wav.length - 44) / 2 }].map((line) => JSON.stringify(line));
    check("stream", lines.join() === expected.join(), `expected ${expected.join()}, got ${lines.join()}`);
    const refused = await fetch(`${address}segments`, { method: "POST", body: "no sound" });
    check("no sound", refused.status === 422, `expected 422, got ${refused.status}`);
    return `${segments.length} segments, at most ${error.toExponential(1)} off`;
  } finally {
    await stop("SIGTERM");
  }
}

async function inChromium(app) {
  const folder = await emptyFolder("chromium");
  const { default: esbuild } = await tool("esbuild/lib/main.js");
  await esbuild.build({
    entryPoints: [join(example, "page.js")],
    outfile: join(folder, "page.js"),
    bundle: true,
    format: "esm",
    target: "es2022",
    logLevel: "error",
    ...installedIn(app),
  });
  for (const name of ["page.html", "worklet.js", "sound/speech.wav"])
    await copyFile(join(example, name), join(folder, name.split("/").at(-1)));
  const { probabilities, quanta } = await withPage(folder, (page) =>
    page.evaluate(async (model) => {
      const { listenTo } = await import("/page.js");
      return listenTo(`/models/${model}`, "/speech.wav");
    }, MODEL),
  );
  const error = await checkProbabilities(probabilities);
  return `${quanta} quanta of an AudioWorklet, at most ${error.toExponential(1)} off`;
}

/** By host; each returns what is worth saying. */
export const VOICE_CHECKS = { workerd: underWorkerd, Chromium: inChromium };
