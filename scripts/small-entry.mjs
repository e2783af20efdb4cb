// The small entry: the library without derivatives, around the small binary.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "acorn";
import { transform } from "esbuild";
import { withPureCalls } from "./pure-calls.mjs";

/** Derivatives of operations, as properties of what defines them: nothing else of that name is in src/ops and src/autodiff. */
const RULES = new Set(["vjp", "jvp", "backward", "composed"]);

function isRule(property) {
  if (property.type === "SpreadElement") return property.argument.callee?.name === "composedRules";
  return RULES.has(property.key.name);
}

/** Stretches of text that hold a rule, up to the next property. */
function* rulesIn(node) {
  if (Array.isArray(node)) for (const part of node) yield* rulesIn(part);
  else if (node?.type === "ObjectExpression") {
    for (const [i, property] of node.properties.entries()) {
      if (isRule(property)) yield [property.start, node.properties[i + 1]?.start ?? property.end];
      else yield* rulesIn(property);
    }
  } else if (typeof node?.type === "string") for (const part of Object.values(node)) yield* rulesIn(part);
}

/** JavaScript without the rules of its operations. */
function withoutRules(code) {
  const rules = [...rulesIn(parse(code, { ecmaVersion: 2022, sourceType: "module" }))];
  return rules.reduceRight((text, [start, end]) => text.slice(0, start) + text.slice(end), code);
}

/** What keeps and follows derivatives: each of these files is replaced by src/autodiff/values-only.ts. */
const DERIVATIVES = /\/(primitive|define-op|fused|composed|sweep|tape)\.ts$/;

/**
 * esbuild's plugin for the small entry.
 * @param binary the file of src/wasm that brings the kernels
 */
export function smallEntry(root, binary) {
  return {
    name: "small-entry",
    setup(plugin) {
      plugin.onResolve({ filter: /\/binary\.ts$/ }, () => ({ path: join(root, "src/wasm", binary) }));
      plugin.onResolve({ filter: /\/base\/library\.ts$/ }, () => ({ path: join(root, "src/base/library.inference.ts") }));
      plugin.onResolve({ filter: DERIVATIVES }, ({ path, resolveDir }) =>
        join(resolveDir, path).startsWith(join(root, "src/autodiff/")) ? { path: join(root, "src/autodiff/values-only.ts") } : undefined,
      );
      plugin.onLoad({ filter: /\/src\/(ops|autodiff)\/.*\.ts$/ }, async ({ path }) => {
        const { code } = await transform(withPureCalls(await readFile(path, "utf8")), { loader: "ts", target: "es2022" });
        return { contents: withoutRules(code), loader: "js" };
      });
      plugin.onResolve({ filter: /\.wasm/ }, ({ path }) => ({ path, external: true }));
    },
  };
}
