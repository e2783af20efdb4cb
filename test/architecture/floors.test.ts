/** Who may import whom: the floors of docs/architecture.md, and no circles. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const src = fileURLToPath(new URL("../../src", import.meta.url));

const page = readFileSync(new URL("../../docs/architecture.md", import.meta.url), "utf8");

/** The folders of src by floor, from the ground up, as the page has them. Folders of one floor do not import each other. */
const FLOORS: readonly (readonly string[])[] = page
  .slice(page.indexOf("## Floors"), page.indexOf("## Kernels"))
  .split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) => [...(line.split("|")[2] as string).matchAll(/`src\/([\w-]+)\//g)].map(([, folder]) => folder as string))
  .filter((folders) => folders.length > 0);

/** The one import within a floor. */
const BESIDE: ReadonlySet<string> = new Set(["grids → cells"]);

/** The one place that looks at a later floor: a tensor has room for what the tape and forward mode tie to it. Types only, no code. */
const LOOKS_AHEAD: ReadonlySet<string> = new Set(["tensor/tensor.ts → autodiff/forward.ts", "tensor/tensor.ts → autodiff/tape.ts"]);

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const files = (readdirSync(src, { recursive: true }) as string[]).map((f) => f.replaceAll("\\", "/")).filter((f) => f.endsWith(".ts"));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(src, file), "utf8");
  return [...text.matchAll(/^(?:import|export)\b([^;]*?)from\s+"(\.[^"]+)";/gm)].map(([, what, path]) => {
    const names = (what as string).trim();
    const typeOnly = names.startsWith("type ") || (names.startsWith("{") && parts(names).every((name) => name.startsWith("type ")));
    const to = relative(src, normalize(join(src, dirname(file), path as string))).replaceAll("\\", "/");
    return { from: file, to, typeOnly };
  });
}

function parts(names: string): string[] {
  return names
    .slice(1, -1)
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

const imports = files.flatMap(importsOf).filter(({ to }) => files.includes(to));
const folderOf = (file: string): string => (file.includes("/") ? (file.split("/")[0] as string) : "");
const floorOf = (folder: string): number => FLOORS.findIndex((floor) => floor.includes(folder));

/** The groups of files that reach each other: Tarjan's strongly connected components of more than one file. */
function circles(edges: readonly Import[]): string[][] {
  const next = new Map(files.map((f) => [f, edges.filter((e) => e.from === f).map((e) => e.to)]));
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (file: string): void => {
    index.set(file, index.size);
    low.set(file, index.get(file) as number);
    stack.push(file);
    for (const to of next.get(file) ?? []) {
      if (!index.has(to)) visit(to);
      if (stack.includes(to)) low.set(file, Math.min(low.get(file) as number, low.get(to) as number));
    }
    if (low.get(file) !== index.get(file)) return;
    const group = stack.splice(stack.indexOf(file));
    if (group.length > 1) found.push(group.sort());
  };
  for (const file of files) if (!index.has(file)) visit(file);
  return found;
}

describe("the floors of src", () => {
  it("name every folder once", () => {
    const folders = [...new Set(files.map(folderOf))].filter((f) => f !== "").sort();
    expect(FLOORS.flat().sort()).toEqual(folders);
  });

  it("import only from the floors before", () => {
    const wrong = imports.filter(({ from, to }) => {
      const [a, b] = [folderOf(from), folderOf(to)];
      if (a === b || a === "" || LOOKS_AHEAD.has(`${from} → ${to}`)) return false;
      return b === "" || !(floorOf(a) > floorOf(b) || BESIDE.has(`${a} → ${b}`));
    });
    expect(wrong.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
  });

  it("look ahead for types alone", () => {
    const up = imports.filter(({ from, to }) => LOOKS_AHEAD.has(`${from} → ${to}`));
    expect(up.length).toBe(LOOKS_AHEAD.size);
    expect(up.filter((i) => !i.typeOnly)).toEqual([]);
  });

  it("import no values in a circle", () => {
    expect(circles(imports.filter((i) => !i.typeOnly))).toEqual([]);
  });

  it("sees a circle where there is one", () => {
    const edge = (from: string, to: string): Import => ({ from, to, typeOnly: false });
    const [a, b, c] = files as [string, string, string];
    expect(circles([edge(a, b), edge(b, c), edge(c, a)])).toEqual([[a, b, c].sort()]);
  });
});
