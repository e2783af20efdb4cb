// Hosts that are given a file to run: Node, Deno, Bun.

import { join } from "node:path";
import { app, firstThatExists, parseReport, run, tools } from "./common.mjs";

export function node(major) {
  const inside = process.versions.node.startsWith(`${major}.`);
  return {
    name: `Node ${major}`,
    relaxed: major > 20,
    async run(mode) {
      const binary = inside ? process.execPath : await firstThatExists(join(tools, `node${major}/bin/node`));
      return parseReport(run(binary, [`${mode}-main.js`], { cwd: app }));
    },
  };
}

/** No permission is asked for: nothing is read, fetched or looked up beside the modules. */
export const deno = {
  name: "Deno",
  relaxed: true,
  async run(mode) {
    const binary = await firstThatExists(...["x64", "arm64"].map((arch) => join(tools, `@deno/linux-${arch}-glibc/deno`)));
    return parseReport(
      run(binary, ["run", "--no-prompt", `${mode}-main.js`], { cwd: app, env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" } }),
    );
  },
};

export const bun = {
  name: "Bun",
  relaxed: true,
  async run(mode) {
    const binary = await firstThatExists(...["x64", "aarch64"].map((arch) => join(tools, `@oven/bun-linux-${arch}/bin/bun`)));
    return parseReport(run(binary, [`${mode}-main.js`], { cwd: app }));
  },
};
