// Kills a worker in the middle of an evaluation and the server in the middle of a generation, and counts: nothing may be lost or counted
// twice, and the search has to come to the bits that it comes to in one process.

import { fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { evolve } from "tapeloop/search";
import { cost, newSearch } from "./problem.js";
import { QueueEvaluator } from "./queue.js";

const WORKERS = 3;
const GENERATIONS = Number(process.env.GENERATIONS ?? 6);
const SEARCH = { seed: 1, maxGenerations: GENERATIONS };

if (spawnSync("redis-server", ["--version"]).error !== undefined) {
  console.log("skipped: there is no redis-server here (Debian: apt-get install redis-server)");
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "evolution-queue-"));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

const port = await freePort();
const url = `redis://127.0.0.1:${port}`;

/** A server on loopback whose every write is on the disk before it is answered. */
async function startRedis() {
  const options = { port, bind: "127.0.0.1", dir: folder, appendonly: "yes", appendfsync: "always", save: "" };
  const server = spawn(
    "redis-server",
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: "ignore" },
  );
  for (let k = 0; k < 200; k++) {
    const { stdout } = spawnSync("redis-cli", ["-p", String(port), "ping"], { encoding: "utf8" });
    if (stdout?.startsWith("PONG")) return server;
    await pause(50);
  }
  throw new Error("redis-server does not answer");
}

const workers = new Set();
/** Jobs that each worker has at present. */
const busy = new Map();
let begun = 0;

function startWorker() {
  const worker = fork(fileURLToPath(new URL("worker.js", import.meta.url)), {
    env: { ...process.env, REDIS_URL: url, QUEUE: "test", EVALUATION_MS: "60" },
  });
  workers.add(worker);
  worker.on("message", ({ active, completed }) => {
    if (active !== undefined) {
      begun++;
      busy.set(worker, active);
    } else if (busy.get(worker) === completed) busy.delete(worker);
  });
  return worker;
}

/** Kills a process at once, without any warning. */
async function kill(child) {
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

async function until(what, holds) {
  for (let k = 0; !holds(); k++) {
    if (k > 6000) throw new Error(`waited in vain until ${what}`);
    await pause(10);
  }
}

/** Waits for a worker in the middle of an evaluation, kills it, and starts another. */
async function killWorker() {
  await until("a worker is busy", () => busy.size > 0);
  const [victim, job] = [...busy][0];
  busy.delete(victim);
  workers.delete(victim);
  await kill(victim);
  console.log(`killed a worker that had ${job}`);
  startWorker();
}

let redis = await startRedis();
const failures = [];
const check = (what, holds) => {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}`);
  if (!holds) failures.push(what);
};

try {
  const alone = newSearch(SEARCH);
  await evolve(alone, cost);

  for (let k = 0; k < WORKERS; k++) startWorker();
  const evaluator = new QueueEvaluator({ url, name: "test", run: "test" });
  const queued = newSearch(SEARCH);
  const running = evolve(queued, evaluator, {
    onGeneration: ({ generations, evaluations }) => console.log(`generation ${generations}, ${evaluations} evaluations`),
  });

  await until("a generation is done", () => queued.result.generations >= 1);
  await killWorker();
  await until("two generations are done", () => queued.result.generations >= 2);
  await until("a worker is busy", () => busy.size > 0);
  await kill(redis);
  console.log("killed the server");
  await pause(1000);
  redis = await startRedis();
  console.log("started it again");
  await until("four generations are done", () => queued.result.generations >= 4);
  await killWorker();
  const result = await running;

  const counts = await evaluator.queue.getJobCounts("completed", "failed", "active", "waiting", "delayed");
  const ids = (await evaluator.queue.getCompleted(0, -1)).map((job) => Number(job.id.slice("test-".length))).sort((a, b) => a - b);
  console.log(`${result.evaluations} evaluations were told, ${begun} were begun; jobs: ${JSON.stringify(counts)}`);
  check("no evaluation was lost: every one has a completed job", ids.length === result.evaluations && ids.every((id, i) => id === i));
  check("none was counted twice: as many were told as in one process", result.evaluations === alone.result.evaluations);
  check(
    "nothing failed and nothing is left",
    counts.completed === result.evaluations && counts.failed + counts.active + counts.waiting + counts.delayed === 0,
  );
  check("the search came to the same bits", Buffer.compare(queued.toBytes(), alone.toBytes()) === 0);
  await evaluator.close();
} catch (error) {
  failures.push(error.message);
  console.error(error);
} finally {
  await Promise.all([...workers].map(kill));
  await kill(redis);
  rmSync(folder, { recursive: true, force: true });
}
console.log(failures.length === 0 ? "passed" : `${failures.length} failed`);
process.exit(failures.length === 0 ? 0 : 1);
