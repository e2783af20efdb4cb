// The small entries: the library without derivatives.
//
// `tapeloop/inference` runs recurrent layers, around the small binary; `tapeloop/onnx/inference` runs ONNX models, around the whole one.

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

/** By source: what names the entry (in src/base), and what brings its kernels (in src/wasm). */
export const SMALL_ENTRIES = {
  "src/inference.ts": { library: "library.inference.ts", binary: "binary.inference" },
  "src/onnx/inference.ts": { library: "library.onnx.ts", binary: "binary" },
};

/**
 * esbuild's plugin for a small entry.
 * @param source its file, one of SMALL_ENTRIES
 * @param edge whether its host gives the kernels as a module
 */
export function smallEntry(root, source, edge = false) {
  const { library, binary } = SMALL_ENTRIES[source];
  return {
    name: "small-entry",
    setup(plugin) {
      plugin.onResolve({ filter: /\/binary\.ts$/ }, () => ({ path: join(root, "src/wasm", `${binary}${edge ? ".edge" : ""}.ts`) }));
      plugin.onResolve({ filter: /\/base\/library\.ts$/ }, () => ({ path: join(root, "src/base", library) }));
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
