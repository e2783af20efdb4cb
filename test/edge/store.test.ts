import { describe, expect, it } from "vitest";
import { type KeyValueStorage, KeyValueStore } from "../../examples/edge-worker/store.ts";

const PART = 120 * 1024;

/** A Durable Object's storage in memory: values are copies of at most 128 KiB, calls take at most 128 keys. */
class MemoryStorage implements KeyValueStorage {
  readonly values = new Map<string, unknown>();

  async get<T>(key: string): Promise<T | undefined>;
  async get<T>(keys: string[]): Promise<Map<string, T>>;
  async get(key: string | string[]): Promise<unknown> {
    if (typeof key === "string") return this.values.get(key);
    if (key.length > 128) throw new RangeError("too many keys");
    return new Map(key.filter((k) => this.values.has(k)).map((k) => [k, this.values.get(k)]));
  }

  async put(entries: Readonly<Record<string, unknown>>): Promise<void> {
    if (Object.keys(entries).length > 128) throw new RangeError("too many keys");
    for (const [key, value] of Object.entries(entries)) {
      if (value instanceof Uint8Array && value.length >= 128 * 1024) throw new RangeError("value too large");
      this.values.set(key, structuredClone(value));
    }
  }

  async delete(keys: string[]): Promise<number> {
    return keys.filter((key) => this.values.delete(key)).length;
  }

  transaction<T>(run: (storage: KeyValueStorage) => Promise<T>): Promise<T> {
    return run(this);
  }
}

/** Faster than a deep comparison. */
function expectSame(got: Uint8Array | null, expected: Uint8Array): void {
  expect(got?.length).toBe(expected.length);
  expect(Buffer.compare(got as Uint8Array, expected)).toBe(0);
}

const record = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => i * 7 + (i >> 8) * 13 + seed);

describe("records in key-value storage", () => {
  it.each([0, 1, PART - 1, PART, PART + 1, 2 * PART + 3])("of %i bytes come back whole, and go without a trace", async (length) => {
    const storage = new MemoryStorage();
    const store = new KeyValueStore(storage);
    expect(await store.read("a")).toBe(null);
    expect(await store.replace("a", null, record(length, 1))).toBe(true);
    expect(await store.replace("b", null, record(5, 2))).toBe(true);
    expectSame(await store.read("a"), record(length, 1));
    expect(storage.values.get("a")).toBe(Math.ceil(length / PART));
    expect(await store.replace("a", record(length, 1), null)).toBe(true);
    expect(await store.read("a")).toBe(null);
    expect([...storage.values.keys()]).toEqual(["b", "b/0"]);
  });

  it("shrink and grow", async () => {
    const storage = new MemoryStorage();
    const store = new KeyValueStore(storage);
    let before: Uint8Array | null = null;
    for (const [i, length] of [3 * PART, 10, PART + 1, PART].entries()) {
      const after = record(length, i);
      expect(await store.replace("a", before, after)).toBe(true);
      expectSame(await store.read("a"), after);
      expect(storage.values.size).toBe(1 + Math.ceil(length / PART));
      before = after;
    }
  });

  it("are replaced only if they are what they were", async () => {
    const store = new KeyValueStore(new MemoryStorage());
    const [a, b] = [record(PART + 9, 1), record(PART + 9, 2)];
    expect(await store.replace("x", a, b)).toBe(false);
    expect(await store.replace("x", null, a)).toBe(true);
    for (const before of [null, b, a.slice(1)]) expect(await store.replace("x", before, b)).toBe(false);
    expectSame(await store.read("x"), a);
  });

  it("above the limit are refused before anything is changed", async () => {
    const storage = new MemoryStorage();
    const store = new KeyValueStore(storage);
    await store.replace("x", null, record(3, 1));
    await expect(store.replace("x", record(3, 1), new Uint8Array(127 * PART + 1))).rejects.toThrow(/at most 15605760 bytes, got 15605761/);
    expectSame(await store.read("x"), record(3, 1));
    expect(await store.replace("x", record(3, 1), new Uint8Array(127 * PART))).toBe(true);
  });
});
