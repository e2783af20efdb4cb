// Every workload of this library, and of its peers, against the ceilings of this core: `npm run bench -- --help`.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkNames, readOptions, refuse } from "../scripts/options.mjs";
import { compileBenchKernel } from "./kernels/compile.mjs";
import { chosenCore, chosenCores, runLines } from "./processes.mjs";
import { bundleProfile } from "./profile-bundle.mjs";
import { figuresOf, printJson, printTables, writeResults } from "./report.mjs";
import { installRivals, rivalPeers, rivalSizes, rivalStarts } from "./rivals/peers.mjs";
import { bytesShipped, coldStart, startPrograms } from "./start.mjs";
import { CASES } from "./workloads.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const PASSES = 2;
const ALL = [...new Set(CASES.map((c) => c.workload)), "W6", "W7"].sort();

const USAGE = `Usage: npm run bench -- [options]   every workload of this library against the ceilings of this core

  --rivals            its peers too, from bench/rivals (installed there on first use)
  --peers NAME,NAME   some of the peers
  --only W1,W4        some workloads; bench/results.md is left as it is
  --seconds S         length of a sample (default 1 a case and pass)
  --kernels NAME      simd (default), or relaxed: with fused multiply-add (Node 21 and later)
  --threads N         on N threads, and so PyTorch and ONNX Runtime (default 1); bench/results.md is left as it is
  --node PATH         on another Node
  --json              one line a figure: {peer, version, workload, metric, value, unit}
  --profile           where the time goes, by kernel, instead
  --help              shows this text

Workloads: ${ALL.join(", ")}. W6 is the cold start, W7 bytes shipped.
`;

const flag = { type: "boolean", default: false };
const options = readOptions("bench", USAGE, {
  ...{ rivals: flag, json: flag, profile: flag, only: { type: "string" }, peers: { type: "string" } },
  node: { type: "string", default: process.execPath },
  kernels: { type: "string", default: "simd" },
  seconds: { type: "string", default: "1" },
  threads: { type: "string", default: "1" },
});
const seconds = Number(options.seconds);
checkNames("bench", "--kernels", [options.kernels], ["simd", "relaxed"]);
if (!(seconds > 0 && seconds < Infinity)) refuse("bench", `--seconds: expected a positive number, got ${options.seconds}`);
const threads = Number(options.threads);
if (!(Number.isInteger(threads) && threads >= 1 && threads <= cpus().length))
  refuse("bench", `--threads: expected a whole number from 1 to the ${cpus().length} cores, got ${options.threads}`);
if (threads > 1 && options.kernels !== "simd") refuse("bench", "--threads: expected the simd kernels, the only ones for several threads");
const wanted = options.only?.split(",") ?? ALL;
checkNames("bench", "--only", wanted, ALL);
const timed = wanted.filter((w) => CASES.some((c) => c.workload === w));

const say = (text) => process.stderr.write(`${text}\n`);
const core = chosenCore();
const cores = chosenCores(threads);

/** Builds the package unless it is newer than its sources: what is measured is what is shipped. */
async function buildPackage() {
  const built = (await stat(join(root, "dist/index.d.ts")).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
  for (const folder of ["src", "assembly"]) {
    for (const file of await readdir(join(root, folder), { recursive: true })) {
      if (file.endsWith(".gen.ts") || (await stat(join(root, folder, file))).mtimeMs < built) continue;
      say(`building the package (${join(folder, file)} has changed)`);
      const { status } = spawnSync(process.execPath, [join(root, "scripts/build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
      if (status !== 0 && !existsSync(join(root, "dist/index.js"))) throw new Error("the package could not be built");
      return;
    }
  }
}

/** The Node under test: its version, and whether it takes the kernels. */
function checkNode() {
  const script = `console.log(process.versions.node, WebAssembly.validate(require("fs").readFileSync("build/${options.kernels}.wasm")))`;
  const { stdout, error } = spawnSync(options.node, ["-e", script], { cwd: root, encoding: "utf8" });
  if (error) refuse("bench", `--node: expected a Node, got ${options.node} (${error.message})`);
  const [version, valid] = stdout.trim().split(" ");
  if (valid !== "true")
    refuse("bench", `--kernels: Node ${version} does not accept the ${options.kernels} ones; pass --node with Node 21 or later`);
  return version;
}

/** One workload of one peer; every line of its process goes to `collect`. */
async function runPeer(peer, workload, collect, extra = {}) {
  const { module, command = [options.node, join(root, "bench/peer.mjs")] } = peer;
  const cases = CASES.filter((c) => c.workload === workload);
  const request = { module, workload, cases, seconds, threads, kernels: options.kernels, ...peer.options, ...extra };
  const { lines, error } = await runLines(cores, [...command, JSON.stringify(request)], { threads });
  for (const line of lines) collect({ peer: peer.name, workload, ...line });
  if (error) collect({ peer: peer.name, workload, failed: error });
}

async function measureCeiling(ladder, collect) {
  const memory = await compileBenchKernel("memory", options.kernels);
  const { lines, error } = await runLines(core, [options.node, join(root, "bench/ceiling.mjs"), ladder, memory, "0.06"]);
  if (error) throw new Error(`the ceiling could not be measured: ${error}`);
  lines.forEach(collect);
}

async function measure() {
  await buildPackage();
  const node = checkNode();
  const ladder = await compileBenchKernel("ladder", options.kernels);
  const lines = [];
  const collect = (line) => lines.push(line);
  const ours = { name: "tapeloop", module: join(root, "bench/tapeloop.mjs") };
  await measureCeiling(ladder, collect);
  for (let pass = 1; pass <= PASSES; pass++) {
    for (const workload of timed) {
      say(`tapeloop ${workload}, pass ${pass} of ${PASSES}`);
      await runPeer(ours, workload, collect, { ladder });
    }
  }
  const rivals = options.rivals ? await measureRivals(collect) : [];
  await measureCeiling(ladder, collect);
  const [starts, sizes] = [[], []];
  if (wanted.includes("W6")) {
    say("W6 cold start");
    starts.push(...coldStart(core, options.node, [...(await startPrograms()), ...(options.rivals ? rivalStarts(rivals) : [])]));
  }
  if (wanted.includes("W7")) {
    say("W7 bytes shipped");
    sizes.push(...(await bytesShipped()), ...(options.rivals ? await rivalSizes(rivals) : []));
  }
  const machine = {
    cpu: cpus()[0].model,
    cores: cpus().length,
    core: cores,
    node,
    kernels: options.kernels,
    date: new Date().toISOString().slice(0, 10),
  };
  return figuresOf({ lines, starts, sizes, machine, rivals });
}

/** The peers that are there, each workload in a process of its own. */
async function measureRivals(collect) {
  installRivals(say);
  const chosen = options.peers?.split(",");
  const peers = rivalPeers();
  checkNames(
    "bench",
    "--peers",
    chosen ?? [],
    peers.map(({ name }) => name),
  );
  const present = [];
  for (const peer of peers) {
    if (chosen && !chosen.includes(peer.name)) continue;
    if (peer.missing) {
      say(`${peer.name}: not there (${peer.missing})`);
      collect({ peer: peer.name, failed: `not there: ${peer.missing}` });
      continue;
    }
    present.push(peer);
    for (const workload of timed.filter((w) => peer.workloads.includes(w))) {
      say(`${peer.name} ${workload}`);
      await runPeer(peer, workload, collect);
    }
  }
  return present;
}

async function profile() {
  await buildPackage();
  checkNode();
  const file = await bundleProfile();
  for (const workload of timed) {
    const request = JSON.stringify({ workload, seconds, kernels: options.kernels });
    const command = core === null ? [options.node, file, request] : ["taskset", "-c", String(core), options.node, file, request];
    spawnSync(command[0], command.slice(1), { cwd: root, stdio: "inherit" });
  }
}

if (options.profile) {
  await profile();
} else {
  const figures = await measure();
  if (options.json) printJson(figures);
  else printTables(figures);
  if (options.only === undefined && threads === 1) await writeResults(figures);
}
