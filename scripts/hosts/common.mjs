// Where the hosts and the installed package are, and how programs are run.

import { spawnSync } from "node:child_process";
import { access } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
/** Everything that is installed or built for the hosts. */
export const place = join(root, "build/hosts");
/** The hosts themselves. */
export const tools = join(place, "node_modules");
/** The folder with the installed package and the programs. */
export const app = join(place, "app");

const TIME_LIMIT = 300_000;

/** A host that is not on this machine. */
export class NotInstalled extends Error {}

async function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

export async function firstThatExists(...paths) {
  for (const path of paths) if (await exists(path)) return path;
  throw new NotInstalled(`expected ${paths.map((p) => p.replace(root, "")).join(" or ")}, got none`);
}

/** Runs a program and returns what it wrote. */
export function run(file, args, options = {}) {
  const { status, stdout, stderr, error, signal } = spawnSync(file, args, {
    encoding: "utf8",
    timeout: TIME_LIMIT,
    maxBuffer: 1 << 28,
    ...options,
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${basename(file)} ended with ${signal ?? status}\n${stdout.slice(-2000)}${stderr.slice(-4000)}`);
  return stdout;
}

/** A package of the hosts' folder. */
export async function tool(path) {
  return import(pathToFileURL(await firstThatExists(join(tools, path))).href);
}

/** The programs of test/hosts write one report as JSON. */
export function parseReport(text) {
  return JSON.parse(text.slice(text.indexOf("{")));
}
