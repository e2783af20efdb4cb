// The packed package in every real host: installs the tarball into an empty folder and runs test/hosts/program.js in each.

import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { esbuild, vite, webpack } from "./hosts/bundlers.mjs";
import { chromium } from "./hosts/chromium.mjs";
import { app, NotInstalled, root } from "./hosts/common.mjs";
import { installHosts, installPackage } from "./hosts/install.mjs";
import { bun, deno, node } from "./hosts/scripted.mjs";
import { isolateBytes, workerd } from "./hosts/workerd.mjs";
import { readOptions, refuse } from "./options.mjs";

const HOSTS = [node(20), node(22), node(24), node(26), deno, bun, workerd, chromium, esbuild, vite, webpack];
const PROGRAMS = ["program", "relaxed", "threads", "memory", "bytes", "fetched", "refused"];
/** What a Worker with an LSTM of hidden size 128 may take, in MiB. */
const ISOLATE_LIMIT = 32;

const USAGE = `Usage: npm run test:hosts -- [options] [NAME ...]   the packed package in every real host, or in those of these names

  --strict    a host that is not installed is a failure
  --update    first writes test/hosts/expected.json from the Node that runs this
  --relaxed   measures by how much the relaxed kernels differ from host to host, instead
  --help      shows this text

Hosts: ${HOSTS.map(({ name }) => name).join(", ")}. They come from npm into build/hosts; Chromium is the system's own.
Ends with "N passed, N failed".
`;

const flag = { type: "boolean", default: false };
const options = readOptions("test-hosts", USAGE, { strict: flag, update: flag, relaxed: flag }, { named: true });
const { names } = options;
for (const name of names) {
  if (HOSTS.some((h) => h.name.toLowerCase().includes(name.toLowerCase()))) continue;
  refuse("test-hosts", `expected some of ${HOSTS.map((h) => h.name).join(", ")}, got ${name}`);
}
const chosen = HOSTS.filter(({ name }) => names.length === 0 || names.some((n) => name.toLowerCase().includes(n.toLowerCase())));
const expectedFile = join(root, "test/hosts/expected.json");

/** The programs beside the installed package. */
async function writePrograms() {
  for (const name of PROGRAMS) {
    await copyFile(join(root, `test/hosts/${name}.js`), join(app, `${name}.js`));
    const main = `import { exercise } from "./${name}.js";\nconsole.log(JSON.stringify(await exercise()));\n`;
    await writeFile(join(app, `${name}-main.js`), main);
  }
}

/** What of a report must be the same on every host. */
function summary({ infer, train, short, float32, float64 }) {
  const bits = ({ hash, text }) => ({ hash, text });
  return { infer, train, short, float32: bits(float32), float64: bits(float64) };
}

/** Throws for the first entry of a report that is not as expected. */
function compare(report, expected, path = "") {
  for (const [key, value] of Object.entries(expected)) {
    if (typeof value === "object") compare(report[key], value, `${path}${key}.`);
    else if (report[key] !== value) throw new Error(`${path}${key}: expected ${value}, got ${report[key]}`);
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 };

function say(name, outcome, detail) {
  counts[outcome]++;
  console.log(`${outcome.padEnd(8)}${name}: ${detail}`);
}

/** Runs one check; a host that is missing is skipped, by name. */
async function attempt(name, check) {
  const start = Date.now();
  try {
    const detail = await check();
    say(name, "passed", detail ?? `${((Date.now() - start) / 1000).toFixed(1)} s`);
  } catch (error) {
    const missing = error instanceof NotInstalled;
    say(name, missing && !options.strict ? "skipped" : "failed", missing ? `not installed: ${error.message}` : error.message);
  }
}

async function checkBits() {
  if (options.update) {
    const own = node(Number(process.versions.node.split(".")[0]));
    await writeFile(expectedFile, `${JSON.stringify(summary(await own.run("program")), null, 2)}\n`);
  }
  const expected = JSON.parse(await readFile(expectedFile, "utf8"));
  for (const host of chosen) await attempt(host.name, async () => compare(summary(await host.run("program")), expected));
}

/** The kernels as a module by the standard's import, which not every parser knows. */
const SOURCE = `import source kernels from "tapeloop/kernels.wasm";
import { init } from "tapeloop";
import { inference } from "./program.js";
init(kernels);
console.log(JSON.stringify(await inference()));
`;

const TOLD = { name: "StateError", code: "ERR_STATE", tells: "what to allow" };

/** Other ways to start than the synchronous one: on which hosts, and what is to come out. */
const STARTS = [
  { way: "bytes", hosts: /^(Node|Bun)/, run: (host) => host.run("bytes") },
  { way: "import source", hosts: /^(Node 24|Node 26|Deno)/, run: (host) => host.run("source") },
  { way: "threads", hosts: /^(Node|Deno|Bun|Chromium)/, run: (host) => host.run("threads"), alike: ["infer", "short"] },
  { way: "fetch", hosts: /^Chromium/, run: (host) => host.run("fetched"), also: { refused: { code: "ERR_STATE", namesReady: true } } },
  {
    way: "policy against it",
    hosts: /^Chromium/,
    run: (host) => host.run("refused", { wasm: false }),
    only: { atOnce: TOLD, later: TOLD, fetched: TOLD },
  },
];

async function checkStarts() {
  await writeFile(join(app, "source-main.js"), SOURCE);
  const expected = JSON.parse(await readFile(expectedFile, "utf8"));
  const parts = (names) => Object.fromEntries(names.map((name) => [name, expected[name]]));
  for (const { way, hosts, run, also, alike = ["infer"], only = { ...parts(alike), ...also } } of STARTS) {
    for (const host of chosen.filter(({ name }) => hosts.test(name))) {
      await attempt(`${host.name}, ${way}`, async () => compare(await run(host), only));
    }
  }
}

/** A Worker's memory on an edge host. */
async function checkIsolate() {
  const { beyondIdle, linearBytes, liveBytes } = await isolateBytes();
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);
  const detail = `${mib(beyondIdle)} MiB beyond an idle Worker, of which ${mib(linearBytes)} linear memory (${mib(liveBytes)} live)`;
  if (!(beyondIdle / 2 ** 20 < ISOLATE_LIMIT)) throw new Error(`expected less than ${ISOLATE_LIMIT} MiB, got ${detail}`);
  return detail;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** The largest difference between two lists of numbers, and of their last hundred's means. */
function apart(a, b) {
  const largest = (x, y) => x.reduce((m, v, i) => Math.max(m, Math.abs(v - y[i])), 0);
  const weights = Math.max(...a.weights.map((w, i) => largest(w, b.weights[i])));
  const steps = a.losses.findIndex((v, i) => v !== b.losses[i]);
  return {
    firstLoss: steps < 0 ? "none" : steps + 1,
    loss: largest(a.losses, b.losses),
    end: Math.abs(mean(a.losses.slice(-100)) - mean(b.losses.slice(-100))),
    weights,
  };
}

/** The relaxed kernels in every host that takes them, against each other and against the deterministic kernels. */
async function measureRelaxed() {
  const exact = await node(Number(process.versions.node.split(".")[0])).run("program");
  for (const host of chosen.filter((h) => h.relaxed)) {
    await attempt(host.name, async () => {
      const report = await host.run("relaxed");
      return ["float32", "float64"]
        .map((dtype) => {
          const { firstLoss, loss, end, weights } = apart(report[dtype], exact[dtype]);
          const figures = `loss at most ${loss.toExponential(1)} (mean of the last 100: ${end.toExponential(1)}), weights ${weights.toExponential(1)}`;
          return `${dtype} ${report[dtype].hash.slice(0, 12)}, off the exact run from step ${firstLoss}: ${figures}`;
        })
        .join("; ");
    });
  }
}

await installHosts();
await installPackage(app);
await writePrograms();
if (options.relaxed) await measureRelaxed();
else {
  await checkBits();
  await checkStarts();
  if (chosen.includes(workerd)) await attempt("workerd memory", checkIsolate);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
