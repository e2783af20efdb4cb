/** The pages of documentation and their code, as programs. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);

/** README and the rest of what is read, but for the generated catalogue. */
export const PAGES: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  ...["docs", "docs/guides"].flatMap((folder) =>
    readdirSync(new URL(folder, root))
      .filter((file) => file.endsWith(".md") && file !== "catalogue.md")
      .map((file) => `${folder}/${file}`),
  ),
];

export function textOf(page: string): string {
  return readFileSync(new URL(page, root), "utf8");
}

/** The JavaScript and TypeScript of a page, block by block. */
export function blocksOf(page: string): string[] {
  return [...textOf(page).matchAll(/^```(?:ts|js|tsx|jsx|typescript|javascript)\n([\s\S]*?)^```/gm)].map(([, code]) => code as string);
}

/** Files in memory, for programs that read and write some. */
const DISK = fileURLToPath(new URL("disk.ts", import.meta.url));

/**
 * Runs code as a module of its own, with its imports as they are written; `node:fs/promises` is a disk in memory.
 * @param given code that goes before it: what the page takes for granted
 * @param results names of the program that are returned
 */
export async function runProgram(
  name: string,
  code: string,
  given = "",
  results: readonly string[] = [],
): Promise<Record<string, unknown>> {
  const folder = new URL("build/pages/", root);
  mkdirSync(folder, { recursive: true });
  const file = new URL(`${name.replace(/\W/g, "-")}.ts`, folder);
  const program = `${given}\n${code}\nexport const results = { ${results.join(", ")} };\n`;
  writeFileSync(file, program.replaceAll('"node:fs/promises"', JSON.stringify(DISK)));
  const module = await import(/* @vite-ignore */ fileURLToPath(file));
  return module.results;
}
