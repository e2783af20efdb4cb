// Cloudflare's runtime, on a free loopback port, with a bundle as Wrangler would make it.

import { spawn } from "node:child_process";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { app, firstThatExists, place, tool, tools } from "./common.mjs";

const workerdBinary = () => firstThatExists(...["64", "arm64"].map((arch) => join(tools, `@cloudflare/workerd-linux-${arch}/bin/workerd`)));

const WORKERD_CONFIG = (binaries) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .worker)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  compatibilityDate = "2026-11-01",
  modules = [
    (name = "worker.js", esModule = embed "worker.js"),
    ${binaries.map((name) => `(name = "${name}", wasm = embed "${name}"),`).join("\n    ")}
  ],
);
`;

/**
 * Bundles a Worker as Wrangler does: its conditions, and the binaries beside the script as modules of their own.
 * @param input esbuild's `stdin` or `entryPoints`
 * @returns the binaries' names
 */
export async function bundleModules(input, out) {
  const { default: lib } = await tool("esbuild/lib/main.js");
  const binaries = [];
  const asModule = {
    name: "wasm-as-module",
    setup(plugin) {
      plugin.onResolve({ filter: /\.wasm(\?module)?$/ }, async ({ path, resolveDir }) => {
        const file = join(resolveDir, path.replace("?module", ""));
        const name = basename(file);
        if (!binaries.includes(name)) binaries.push(name);
        await copyFile(file, join(out, name));
        return { path: `./${name}`, external: true };
      });
    },
  };
  await lib.build({
    ...input,
    outfile: join(out, "worker.js"),
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker", "browser"],
    plugins: [asModule],
    logLevel: "error",
  });
  return binaries;
}

/** An empty folder with a Worker of this source in it. */
export async function bundleWorker(source, out) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const binaries = await bundleModules({ stdin: { contents: source, resolveDir: app, loader: "js" } }, out);
  await writeFile(join(out, "config.capnp"), WORKERD_CONFIG(binaries));
}

/**
 * Starts workerd on a free loopback port.
 * @returns its address and process id, a promise that fails when it ends, and what ends it
 */
export async function startWorkerd(out, config = "config.capnp") {
  const child = spawn(await workerdBinary(), ["serve", config, "--control-fd=3"], {
    cwd: out,
    stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk) => {
    log += chunk;
  });
  const ended = new Promise((_, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`workerd ended with ${code}\n${log.slice(-4000)}`)));
  });
  ended.catch(() => undefined);
  const stop = async (signal) => {
    child.kill(signal);
    await ended.catch(() => undefined);
  };
  const listening = new Promise((resolve) => {
    child.stdio[3].on("data", (chunk) => {
      for (const line of String(chunk).split("\n").filter(Boolean)) {
        const { event, port } = JSON.parse(line);
        if (event === "listen") resolve(port);
      }
    });
  });
  try {
    const port = await Promise.race([listening, ended]);
    return { address: `http://127.0.0.1:${port}/`, pid: child.pid, ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts workerd, hands `use` its address and process id, and stops it. */
export async function withWorkerd(out, use) {
  const { address, pid, ended, stop } = await startWorkerd(out);
  try {
    return await Promise.race([use(address, pid), ended]);
  } finally {
    await stop();
  }
}

export async function textOf(address) {
  const response = await fetch(address);
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  return text;
}

export const handler = (file, expression) => `import * as program from "./${file}.js";
export default {
  async fetch() {
    try {
      return Response.json(await ${expression});
    } catch (error) {
      return new Response(error.stack, { status: 500 });
    }
  },
};
`;

export const workerd = {
  name: "workerd",
  relaxed: true,
  async run(mode) {
    await workerdBinary();
    const out = join(place, "workerd", mode);
    await bundleWorker(handler(mode, "program.exercise()"), out);
    return JSON.parse(await withWorkerd(out, textOf));
  },
};

/** Memory of a process that is its own: resident, without the pages of files. */
async function ownBytes(pid) {
  const [, kilobytes] = /^RssAnon:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8"));
  return 1024 * Number(kilobytes);
}

/** What workerd holds after its Worker of this source has answered 100 requests. */
async function bytesWith(source, name) {
  const out = join(place, "workerd", name);
  await bundleWorker(source, out);
  return withWorkerd(out, async (address, pid) => {
    let answer = "";
    for (let i = 0; i < 100; i++) answer = await textOf(address);
    return { bytes: await ownBytes(pid), answer };
  });
}

/**
 * What a Worker with an LSTM of hidden size 128 takes beyond one that does nothing: memory of the process, median of three.
 * More than its isolate: what V8 needs to compile is in it, too.
 */
export async function isolateBytes() {
  await workerdBinary();
  const beyond = [];
  let tensors = null;
  for (let i = 0; i < 3; i++) {
    const idle = await bytesWith('export default { fetch: () => new Response("{}") };', "idle");
    const busy = await bytesWith(handler("memory", "program.exercise()"), "memory");
    beyond.push(busy.bytes - idle.bytes);
    tensors = JSON.parse(busy.answer);
  }
  return { beyondIdle: beyond.sort((a, b) => a - b)[1], ...tensors };
}
