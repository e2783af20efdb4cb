/** Records as files, for Node, Deno and Bun. One process a folder: comparing and replacing happen without a pause in between. */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Store, sameBytes } from "./store.ts";

export class FileStore implements Store {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async read(name: string): Promise<Uint8Array | null> {
    return readOrNull(join(this.#folder, name));
  }

  async replace(name: string, before: Uint8Array | null, after: Uint8Array | null): Promise<boolean> {
    const path = join(this.#folder, name);
    if (!sameBytes(readOrNull(path), before)) return false;
    if (after === null) rmSync(path, { force: true });
    else writeWhole(this.#folder, path, after);
    return true;
  }
}

function readOrNull(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}

/** Whoever reads sees the old file or the new one. */
function writeWhole(folder: string, path: string, bytes: Uint8Array): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${path}.new`, bytes, { flush: true });
  renameSync(`${path}.new`, path);
}
