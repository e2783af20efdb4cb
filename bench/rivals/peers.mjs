// The peers: how each is measured, started and shipped.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bytesOf } from "../start.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const modules = join(here, "node_modules");
const program = (name) => join(here, "programs", name);

const INFERENCE = ["W1", "W2", "W3"];
const TRAINING = ["W4", "W5"];

const PEERS = [
  {
    name: "tfjs-cpu",
    needs: "@tensorflow/tfjs-backend-cpu",
    module: join(here, "tfjs.mjs"),
    options: { backend: "cpu" },
    workloads: [...INFERENCE, ...TRAINING],
    start: program("tfjs-cpu.mjs"),
    entry: program("tfjs-cpu-shipped.mjs"),
  },
  {
    name: "tfjs-wasm",
    needs: "@tensorflow/tfjs-backend-wasm",
    module: join(here, "tfjs.mjs"),
    options: { backend: "wasm" },
    workloads: [...INFERENCE, ...TRAINING],
    start: program("tfjs-wasm.mjs"),
    entry: program("tfjs-wasm-shipped.mjs"),
    files: [join(modules, "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm")],
  },
  {
    name: "ort-web",
    needs: "onnxruntime-web",
    module: join(here, "ort.mjs"),
    options: { library: "onnxruntime-web" },
    workloads: INFERENCE,
    start: program("ort-web.mjs"),
    files: [join(modules, "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm")],
  },
  {
    name: "ort-node",
    needs: "onnxruntime-node",
    module: join(here, "ort.mjs"),
    options: { library: "onnxruntime-node" },
    workloads: INFERENCE,
    start: program("ort-node.mjs"),
    folder: join(modules, `onnxruntime-node/bin/napi-v6/${process.platform}/${process.arch}`),
  },
  {
    name: "jax-js",
    needs: "@jax-js/jax",
    module: join(here, "jax.mjs"),
    workloads: [...INFERENCE, ...TRAINING],
    start: program("jax.mjs"),
  },
  { name: "brain.js", needs: "brain.js", module: join(here, "brain.mjs"), workloads: ["W2", "W5"], start: program("brain.mjs") },
  {
    name: "torch",
    python: true,
    command: ["python3", join(here, "torch_peer.py")],
    workloads: [...INFERENCE, ...TRAINING],
    start: ["python3", program("torch_start.py")],
  },
];

/** Installs what bench/rivals/package.json names, once. No package's install script runs. */
export function installRivals(say) {
  if (existsSync(join(modules, ".package-lock.json"))) return;
  say("installing the peers into bench/rivals/node_modules");
  const { status } = spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: here, stdio: ["ignore", 2, 2] });
  if (status !== 0) say(`npm install ended with status ${status}`);
}

/** Every peer, with why it is missing if it is. */
export function rivalPeers() {
  const python = spawnSync("python3", ["-c", "import torch"]).status === 0;
  return PEERS.map((peer) => {
    if (peer.python) return python ? peer : { ...peer, missing: "python3 cannot import torch" };
    return existsSync(join(modules, peer.needs)) ? peer : { ...peer, missing: `${peer.needs} is not installed` };
  });
}

/** Programs for the cold start: packages as installed. */
export function rivalStarts(peers) {
  return peers.map(({ name, start }) => (Array.isArray(start) ? { name, command: start, foreign: true } : { name, file: start }));
}

/** Bytes of the same programs bundled for the browser, or of the native library. */
export async function rivalSizes(peers) {
  const sizes = [];
  for (const peer of peers.filter((p) => !p.python)) {
    try {
      sizes.push({ name: peer.name, ...(await bytesOf(await shippedFiles(peer))) });
    } catch (error) {
      sizes.push({ name: peer.name, error: `not bundled: ${error.message.split("\n")[0]}` });
    }
  }
  return sizes;
}

async function shippedFiles({ name, start, entry = start, folder, files = [] }) {
  if (folder) return (await readdir(folder)).map((f) => join(folder, f));
  const outfile = join(here, "../../build/bench", `shipped-${name}.mjs`);
  // What a browser has no use for, and what the libraries ask for only in Node.
  const external = ["fs", "path", "os", "crypto", "stream", "util", "url", "worker_threads", "perf_hooks", "gl"];
  const options = {
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "silent",
    legalComments: "none",
  };
  const conditions = ["onnxruntime-web-use-extern-wasm"];
  await build({ ...options, entryPoints: [entry], outfile, external: [...external, ...external.map((m) => `node:${m}`)], conditions });
  return [outfile, ...files];
}
