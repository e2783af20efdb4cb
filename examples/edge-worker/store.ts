/** What is kept of a user: named records, replaced as a whole or not at all. */

import { HttpError } from "./http.ts";

export interface Store {
  /** The record of that name; null if there is none. */
  read(name: string): Promise<Uint8Array | null>;
  /**
   * Puts `after` where `before` is (null: nothing), in one piece.
   * @returns false, with nothing changed, if something else has been put there meanwhile
   */
  replace(name: string, before: Uint8Array | null, after: Uint8Array | null): Promise<boolean>;
}

export function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

/** The part of a Durable Object's storage that is used. */
export interface KeyValueStorage {
  get<T>(key: string): Promise<T | undefined>;
  get<T>(keys: string[]): Promise<Map<string, T>>;
  put(entries: Readonly<Record<string, unknown>>): Promise<void>;
  delete(keys: string[]): Promise<number>;
  transaction<T>(run: (storage: KeyValueStorage) => Promise<T>): Promise<T>;
}

/** Below the smallest limit on a value, 128 KiB with its envelope. */
const PART_BYTES = 120 * 1024;
/** Keys in one call are limited, too. */
const MOST_PARTS = 127;

/** Records in key-value storage: the number of parts under the name, each part under a key of its own. */
export class KeyValueStore implements Store {
  readonly #storage: KeyValueStorage;

  constructor(storage: KeyValueStorage) {
    this.#storage = storage;
  }

  read(name: string): Promise<Uint8Array | null> {
    return readParts(this.#storage, name);
  }

  replace(name: string, before: Uint8Array | null, after: Uint8Array | null): Promise<boolean> {
    return this.#storage.transaction(async (storage) => {
      if (!sameBytes(await readParts(storage, name), before)) return false;
      const now = after === null ? {} : partsOf(name, after);
      const old = before === null ? [] : Object.keys(partsOf(name, before)).filter((key) => !(key in now));
      if (old.length > 0) await storage.delete(old);
      if (after !== null) await storage.put(now);
      return true;
    });
  }
}

const partKey = (name: string, i: number) => `${name}/${i}`;

function partsOf(name: string, bytes: Uint8Array): Record<string, unknown> {
  const count = Math.ceil(bytes.length / PART_BYTES);
  if (count > MOST_PARTS) {
    throw new HttpError(507, "ERR_STORAGE", `${name}: expected a record of at most ${MOST_PARTS * PART_BYTES} bytes, got ${bytes.length}`);
  }
  const parts = Array.from({ length: count }, (_, i) => [partKey(name, i), bytes.slice(i * PART_BYTES, (i + 1) * PART_BYTES)]);
  return Object.fromEntries([[name, count], ...parts]);
}

async function readParts(storage: KeyValueStorage, name: string): Promise<Uint8Array | null> {
  const count = await storage.get<number>(name);
  if (count === undefined) return null;
  const keys = Array.from({ length: count }, (_, i) => partKey(name, i));
  const found = await storage.get<Uint8Array>(keys);
  const parts = keys.map((key) => found.get(key) ?? new Uint8Array());
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
