/** Every public name has a description: what editors show, and the API reference. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = new URL("../../", import.meta.url);
const { exports } = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as { exports: Record<string, { types?: string }> };

/** The source of each entry that has code. */
const entries = Object.values(exports)
  .flatMap(({ types }) => types ?? [])
  .map((types) => new URL(types.replace("./dist/", "src/").replace(/\.d\.ts$/, ".ts"), root))
  .filter((file) => existsSync(fileURLToPath(file)));

const texts = new Map<string, string>();

function textOf(file: URL): string {
  const known = texts.get(file.href) ?? readFileSync(file, "utf8");
  texts.set(file.href, known);
  return known;
}

const DECLARED = /^export (?:declare )?(?:abstract )?(?:async )?(?:class|function\*?|const|let|interface|type|enum) (\w+)/gm;
const LISTED = /^export (?:type )?\{([^}]*)\} from "(\.[^"]*)"/gm;
const STARRED = /^export \* from "(\.[^"]*)"/gm;

/** Where each name that a file exports is declared. */
function exportsOf(file: URL): Map<string, URL> {
  const text = textOf(file);
  const found = new Map<string, URL>();
  for (const [, name] of text.matchAll(DECLARED)) found.set(name as string, file);
  for (const [, names, from] of text.matchAll(LISTED)) {
    const inner = exportsOf(new URL(from as string, file));
    for (const item of (names as string).split(",").map((part) => part.trim().replace(/^type /, ""))) {
      if (item === "") continue;
      const [source, name = source] = item.split(/ as /) as [string, string?];
      found.set(name, inner.get(source) as URL);
    }
  }
  for (const [, from] of text.matchAll(STARRED)) {
    for (const [name, at] of exportsOf(new URL(from as string, file))) found.set(name, at);
  }
  return found;
}

/** Whether the first declaration of a name comes after a documentation comment. */
function isDescribed(name: string, file: URL): boolean {
  const text = textOf(file);
  const declared = [...text.matchAll(DECLARED)].find((match) => match[1] === name);
  if (declared === undefined) return true; // a name that is exported under another
  return /\*\/\s*(?:\/\/[^\n]*\s*)*$/.test(text.slice(0, declared.index));
}

/** Types whose name says what they are: what they hold is described field by field. */
const TELLING = /(Options|Result|State)$/;

describe("public names", () => {
  const all = entries.flatMap((entry) => [...exportsOf(entry)]);

  it("are found", () => {
    expect(entries.length).toBeGreaterThan(30);
    expect(new Set(all.map(([name]) => name)).size).toBeGreaterThan(700);
    expect(all.filter(([, file]) => file === undefined).map(([name]) => name)).toEqual([]);
  });

  it("have descriptions, unless a name says it all", () => {
    const silent = all
      .filter(([name, file]) => !(TELLING.test(name) || isDescribed(name, file)))
      .map(([name, file]) => `${name} in ${file.pathname.split("/src/")[1]}`);
    expect([...new Set(silent)].sort()).toEqual([]);
  });
});
