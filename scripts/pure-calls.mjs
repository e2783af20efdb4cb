// Calls at module level, such as those that define operations, have no effect. Bundlers are told, and drop them when nobody uses the result.

import { readFile } from "node:fs/promises";

/** `const name = make(` at the beginning of a line, with or without types. */
const CALL = /^((?:export )?const \w+(?:: .+?)? = )(?=\w+(?:<[^()]*>)?\()/gm;

/** TypeScript whose calls at module level are marked as pure. */
export function withPureCalls(code) {
  return code.replace(CALL, "$1/* @__PURE__ */ ");
}

export const pureCalls = {
  name: "pure-calls",
  setup(plugin) {
    plugin.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => ({
      contents: withPureCalls(await readFile(path, "utf8")),
      loader: "ts",
    }));
  },
};
