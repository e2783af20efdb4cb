/** Files, for hosts that have them: the one place of the library that touches node:fs. */

import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Tensor } from "../tensor/tensor.ts";
import { parse, type Safetensors, serialize } from "./safetensors.ts";

let written = 0;

/**
 * Writes a whole file or nothing: a temporary file in the same folder, flushed to disk, then renamed over the old one.
 * Whoever reads meanwhile sees the old file or the new one.
 */
export async function writeAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${++written}.tmp`);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Flushes the folder's list of names, so that the rename outlives a power cut. Not every system can. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => null);
  if (folder === null) return;
  await folder.sync().catch(() => undefined);
  await folder.close();
}

/** Anything with a state dict, or the tensors themselves. */
export type Savable = ReadonlyMap<string, Tensor> | { stateDict(): ReadonlyMap<string, Tensor> };

/**
 * Saves tensors by name as a safetensors file, atomically.
 * @example await save("model.safetensors", model);
 */
export async function save(path: string, source: Savable, metadata?: Readonly<Record<string, string>>): Promise<void> {
  await writeAtomic(path, serialize("stateDict" in source ? source.stateDict() : source, metadata));
}

/**
 * Loads a safetensors file.
 * @throws FormatError when the file is not whole
 * @example model.loadStateDict((await load("model.safetensors")).tensors);
 */
export async function load(path: string): Promise<Safetensors> {
  return parse(await readFile(path));
}
