// The edge service end to end: examples/edge-worker on the packed package, asked over HTTP by test/edge/checks.js.
//
// After it the voice detector of examples/voice-activity, under workerd and in Chromium (scripts/hosts/voice.mjs), and the page of
// examples/worker-page in Chromium (scripts/hosts/worker-page.mjs).
// Under workerd users are Durable Objects on the local disk. Ends with `N passed, N failed`.

import { spawn } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { NotInstalled, place, root, run } from "./hosts/common.mjs";
import { installHosts, installPackage } from "./hosts/install.mjs";
import { bunBinary, denoBinary, nodeBinary } from "./hosts/scripted.mjs";
import { VOICE_CHECKS } from "./hosts/voice.mjs";
import { trainOnPage } from "./hosts/worker-page.mjs";
import { bundleModules, startWorkerd } from "./hosts/workerd.mjs";
import { readOptions, refuse } from "./options.mjs";

const example = join(root, "examples/edge-worker");
const app = join(place, "edge");

/** An empty folder for one host, with the model in it. */
async function emptyFolder(name, file) {
  const folder = join(app, "runs", name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, "models"), { recursive: true });
  await mkdir(join(folder, "data"), { recursive: true });
  await writeFile(join(folder, "models/model.safetensors"), file);
  return folder;
}

/** A service in a folder that can be ended and started again: what test/edge/checks.js asks for. */
function service(folder, { start, damage, answersAll = false }) {
  let running = null;
  const host = {
    kills: true,
    answersAll,
    async start() {
      running = await start(folder);
    },
    async stop(signal = "SIGTERM") {
      await running?.stop(signal);
      running = null;
    },
    address: () => running.address,
    async restart(kill = false) {
      await host.stop(kill ? "SIGKILL" : "SIGTERM");
      await host.start();
    },
    setModel: (bytes) => writeFile(join(folder, "models/model.safetensors"), bytes),
    damage: (user, name) => damage(folder, user, name, host),
  };
  return host;
}

// ---------------------------------------------------------------- workerd

async function prepareWorkerd(folder) {
  await bundleModules({ entryPoints: [join(app, "worker.ts")] }, folder);
  await copyFile(join(example, "workerd.capnp"), join(folder, "workerd.capnp"));
}

/** The database written last. Its name is made of the user's by workerd; of who was written last there is no doubt. */
async function newestDatabase(folder) {
  const files = (await readdir(folder, { recursive: true })).filter((name) => /\.sqlite(-wal)?$/.test(name));
  const times = await Promise.all(files.map(async (name) => ({ name, time: (await stat(join(folder, name), { bigint: true })).mtimeNs })));
  const newest = times.reduce((a, b) => (b.time > a.time ? b : a));
  return join(folder, newest.name.replace(/-wal$/, ""));
}

async function damageObject(folder, _, name, host) {
  const database = await newestDatabase(join(folder, "data"));
  await host.stop();
  const done = run(await nodeBinary(24), [join(root, "scripts/hosts/damage.mjs"), database, `${name}/0`]);
  await host.start();
  if (!done.includes("damaged")) throw new Error(`expected ${name}/0 in ${database}, got: ${done}`);
}

// ---------------------------------------------------------------- programs

/** Starts a program that writes its address first. */
async function startProgram(binary, args, folder) {
  const settings = { MODEL: join(folder, "models/model.safetensors"), DATA: join(folder, "data"), PORT: "0" };
  const child = spawn(binary, args, {
    cwd: app,
    env: { ...process.env, ...settings, DENO_NO_UPDATE_CHECK: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (log += chunk));
  const ended = new Promise((resolve) => {
    child.on("exit", resolve);
    child.on("error", resolve);
  });
  const address = new Promise((resolve) => {
    child.stdout.on("data", () => {
      const found = log.match(/http:\S+/);
      if (found) resolve(found[0]);
    });
  });
  const first = await Promise.race([address, ended]);
  if (typeof first !== "string") throw new Error(`${basename(binary)} ended with ${first}\n${log.slice(-4000)}`);
  const stop = async (signal) => {
    child.kill(signal);
    await ended;
  };
  return { address: first, stop };
}

async function damageFile(folder, user, name) {
  const path = join(folder, "data", user, name);
  const bytes = await readFile(path);
  bytes[bytes.length >> 1] ^= 1;
  await writeFile(path, bytes);
}

/** Node 20 does not read TypeScript. */
async function prepareNode() {
  await build({
    entryPoints: [join(app, "node.ts")],
    outfile: join(app, "node.js"),
    bundle: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "error",
  });
}

const programs = { damage: damageFile };
const HOSTS = [
  { name: "workerd", prepare: prepareWorkerd, start: (folder) => startWorkerd(folder, "workerd.capnp"), damage: damageObject },
  {
    name: "Node",
    ...programs,
    answersAll: true,
    prepare: prepareNode,
    start: (folder) => startProgram(process.execPath, ["node.js"], folder),
  },
  { name: "Deno", ...programs, start: async (folder) => startProgram(await denoBinary(), ["run", "--allow-all", "deno.ts"], folder) },
  { name: "Bun", ...programs, start: async (folder) => startProgram(await bunBinary(), ["bun.ts"], folder) },
];

// ---------------------------------------------------------------- the run

const voice = Object.entries(VOICE_CHECKS).map(([name, check]) => [`voice ${name}`, check]);
/** Other examples; each returns what is worth saying. */
const EXAMPLES = { ...Object.fromEntries(voice), "worker page": trainOnPage };
const NAMES = [...HOSTS.map(({ name }) => name), ...Object.keys(EXAMPLES)];

const USAGE = `Usage: npm run test:edge -- [options] [NAME ...]   the edge service and other examples under every host, or those of these names

  --strict   a host that is not installed is a failure
  --help     shows this text

Hosts: ${NAMES.join(", ")}. Ends with "N passed, N failed".
`;

const { strict, names } = readOptions("test-edge", USAGE, { strict: { type: "boolean", default: false } }, { named: true });
const isNamed = (host, name) => host.toLowerCase().includes(name.toLowerCase());
const isChosen = (host) => names.length === 0 || names.some((name) => isNamed(host, name));
for (const name of names) {
  if (!NAMES.some((host) => isNamed(host, name))) refuse("test-edge", `expected some of ${NAMES.join(", ")}, got ${name}`);
}

const counts = { passed: 0, failed: 0, skipped: 0 };

function say(outcome, text) {
  counts[outcome]++;
  console.log(`${outcome.padEnd(8)}${text}`);
}

function sayFailure(name, error) {
  const missing = error instanceof NotInstalled;
  say(missing && !strict ? "skipped" : "failed", `${name}: ${missing ? `not installed: ${error.message}` : error.stack}`);
}

async function runChecks(host, running, checks) {
  for (const [name, check] of Object.entries(checks)) {
    const start = performance.now();
    try {
      await check();
      say("passed", `${host.name}: ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
    } catch (error) {
      say("failed", `${host.name}: ${name}: ${error.stack}`);
      await running.restart().catch(() => undefined);
    }
  }
}

async function testHost(host, file, checksOf) {
  const folder = await emptyFolder(host.name.toLowerCase(), file);
  const running = service(folder, host);
  try {
    await host.prepare?.(folder);
    await running.start();
    await runChecks(host, running, checksOf(running, file));
  } catch (error) {
    sayFailure(host.name, error);
  } finally {
    await running.stop();
  }
}

async function testExample(name, check) {
  try {
    say("passed", `${name}: ${await check(app)}`);
  } catch (error) {
    sayFailure(name, error);
  }
}

await installHosts();
await installPackage(app);
for (const name of await readdir(example)) if (name.endsWith(".ts")) await copyFile(join(example, name), join(app, name));
await copyFile(join(root, "test/edge/checks.js"), join(app, "checks.js"));
const { checksOf, makeModel } = await import(pathToFileURL(join(app, "checks.js")).href);
const file = await makeModel();
for (const host of HOSTS) if (isChosen(host.name)) await testHost(host, file, checksOf);
for (const [name, check] of Object.entries(EXAMPLES)) if (isChosen(name)) await testExample(name, check);
console.log(`\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
