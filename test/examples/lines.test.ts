/** The programs of examples/ beside the same job in PyTorch or Keras (`reference.py`): no more than 1.3 times the lines. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const examples = new URL("../../examples/", import.meta.url);
const withReference = readdirSync(examples).filter((name) => existsSync(new URL(`${name}/reference.py`, examples)));

/** Lines of code: without imports, comments, docstrings and empty lines. */
function linesOf(file: URL): number {
  const text = readFileSync(file, "utf8");
  const code = file.pathname.endsWith(".py")
    ? text
        .replace(/^\s*"""[\s\S]*?"""$/gm, "")
        .replace(/^from .* import \([\s\S]*?\)$/gm, "")
        .replace(/^(?:from .* import|import) .*$/gm, "")
        .replace(/^\s*#.*$/gm, "")
    : text
        .replace(/^import (?:[\s\S]*?from )?"[^"]*";$/gm, "")
        .replace(/^\s*\/\*\*?[\s\S]*?\*\/$/gm, "")
        .replace(/^\s*\/\/.*$/gm, "");
  return code.split("\n").filter((line) => line.trim() !== "").length;
}

describe("lines of code", () => {
  it("are counted where there is something to compare", () => {
    expect(withReference.length).toBeGreaterThan(0);
  });

  it.each(withReference)("%s: at most 1.3 times the reference's", (name) => {
    const folder = new URL(`${name}/`, examples);
    const programs = readdirSync(folder).filter((file) => /\.(?:ts|js|html)$/.test(file));
    const own = programs.reduce((sum, file) => sum + linesOf(new URL(file, folder)), 0);
    const reference = linesOf(new URL("reference.py", folder));
    console.info(`${name}: ${own} lines, reference ${reference}`);
    expect(own).toBeLessThanOrEqual(1.3 * reference);
  });
});
