/** Links within the documentation lead to files and headings that exist. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { PAGES, textOf } from "./pages.ts";

const root = new URL("../../", import.meta.url);

/** A heading as the name by which links reach it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s-]/gu, "")
    .trim()
    .replace(/\s/g, "-");

const anchorsOf = (page: string): string[] => [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading as string));

/** Links of a page that are not to the web: their text, and the file they lead to. */
function linksOf(page: string): { link: string; file: string; anchor: string | undefined }[] {
  const text = textOf(page).replace(/^```[\s\S]*?^```/gm, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link as string)
    .filter((link) => !/^\w+:/.test(link))
    .map((link) => {
      const [path, anchor] = link.split("#") as [string, string?];
      const file = path === "" ? page : new URL(path, new URL(page, root)).href.slice(root.href.length);
      return { link, file, anchor };
    });
}

describe("links in the documentation", () => {
  it.each([...PAGES, "bench/notes.md", "bench/results.md"])("lead somewhere: %s", (page) => {
    const broken = linksOf(page).filter(({ file, anchor }) => {
      if (!existsSync(fileURLToPath(new URL(file, root)))) return true;
      return anchor !== undefined && file.endsWith(".md") && !anchorsOf(file).includes(anchor);
    });
    expect(broken.map(({ link }) => link)).toEqual([]);
  });

  it("are found", () => {
    expect(PAGES.flatMap(linksOf).length).toBeGreaterThan(60);
  });
});
