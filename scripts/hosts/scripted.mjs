// Hosts that are given a file to run: Node, Deno, Bun.

import { join } from "node:path";
import { app, firstThatExists, parseReport, run, tools } from "./common.mjs";

/** The Node that runs this, if it is of that version; else the hosts' own. */
export async function nodeBinary(major) {
  const inside = process.versions.node.startsWith(`${major}.`);
  return inside ? process.execPath : firstThatExists(join(tools, `node${major}/bin/node`));
}

export const denoBinary = () => firstThatExists(...["x64", "arm64"].map((arch) => join(tools, `@deno/linux-${arch}-glibc/deno`)));
export const bunBinary = () => firstThatExists(...["x64", "aarch64"].map((arch) => join(tools, `@oven/bun-linux-${arch}/bin/bun`)));

export function node(major) {
  return {
    name: `Node ${major}`,
    relaxed: major > 20,
    async run(mode) {
      return parseReport(run(await nodeBinary(major), [`${mode}-main.js`], { cwd: app }));
    },
  };
}

/** No permission is asked for: nothing is read, fetched or looked up beside the modules. Only threads are read as files. */
export const deno = {
  name: "Deno",
  relaxed: true,
  async run(mode) {
    const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1" };
    return parseReport(
      run(await denoBinary(), ["run", "--no-prompt", ...(mode === "threads" ? ["--allow-read"] : []), `${mode}-main.js`], {
        cwd: app,
        env,
      }),
    );
  },
};

export const bun = {
  name: "Bun",
  relaxed: true,
  async run(mode) {
    return parseReport(run(await bunBinary(), [`${mode}-main.js`], { cwd: app }));
  },
};
