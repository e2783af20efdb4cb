// Child processes pinned to one core, or as many as they have threads, on the Node that is measured.

import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const hasTaskset = process.platform === "linux" && spawnSync("taskset", ["--version"]).status === 0;

/** The last core that this process may use: the first often serves interrupts. */
export function chosenCore() {
  if (!hasTaskset) return null;
  const { stdout } = spawnSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
  const last = /(\d+)\s*$/.exec(stdout);
  return last ? Number(last[1]) : availableParallelism() - 1;
}

/** That core and those before it, one for each thread, as taskset lists them. */
export function chosenCores(threads) {
  const core = chosenCore();
  return core === null || threads === 1 ? core : Array.from({ length: threads }, (_, i) => core - i).join(",");
}

/** The command pinned to a core, or to a list of them. */
function pinned(core, command) {
  return core === null ? command : ["taskset", "-c", String(core), ...command];
}

/** For peers that start threads of their own accord. */
const threadsOf = (n) => ({ OMP_NUM_THREADS: `${n}`, MKL_NUM_THREADS: `${n}`, OPENBLAS_NUM_THREADS: `${n}` });

/** Runs a command; resolves to its lines of JSON, and to why it failed if it did. */
export function runLines(core, command, { timeoutSeconds = 600, cwd, threads = 1 } = {}) {
  const [file, ...args] = pinned(core, command);
  const child = spawn(file, args, { cwd, env: { ...process.env, ...threadsOf(threads) }, stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = [[], []];
  child.stdout.on("data", (chunk) => out.push(chunk));
  child.stderr.on("data", (chunk) => err.push(chunk));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeoutSeconds * 1000);
  return new Promise((resolve) => {
    child.on("error", (error) => resolve({ lines: [], error: error.message }));
    child.on("close", (status) => {
      clearTimeout(timer);
      const lines = Buffer.concat(out)
        .toString()
        .split("\n")
        .filter((l) => l.startsWith("{"))
        .flatMap(parsed);
      resolve({
        lines,
        error: late ? `no end after ${timeoutSeconds} s` : status === 0 ? null : reason(Buffer.concat(err).toString(), status),
      });
    });
  });
}

function parsed(line) {
  try {
    return [JSON.parse(line)];
  } catch {
    return []; // cut off by the end of the process
  }
}

/** The line of an error output that says most. */
function reason(text, status) {
  const lines = text.split("\n").filter((l) => l.trim() !== "");
  return lines.find((l) => /error|cannot|not found/i.test(l)) ?? lines.at(-1) ?? `status ${status}`;
}

/** Runs a program that prints one number: milliseconds since its process began. */
export function runNumber(core, command, options = {}) {
  const [file, ...args] = pinned(core, command);
  const { stdout, stderr, status } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, ...threadsOf(1) },
    ...options,
  });
  const value = Number.parseFloat((stdout ?? "").trim().split("\n").at(-1));
  return status === 0 && Number.isFinite(value) ? { value } : { error: reason(stderr ?? "", status) };
}
