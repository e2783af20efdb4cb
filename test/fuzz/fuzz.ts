/**
 * Damaged and hostile input for readers, from fixed seeds. TAPELOOP_FUZZ sets how many inputs each reader gets (default 200).
 */

import { expect, vi } from "vitest";
import { isPlain } from "../../src/base/quote.ts";
import { memory } from "../../src/wasm/host.ts";

export const INPUTS = Number(process.env.TAPELOOP_FUZZ ?? 200);

vi.setConfig({ testTimeout: Math.max(60_000, 100 * INPUTS) });

/** Whole numbers below a bound, the same ones for the same seed (Mulberry32). */
export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[random(from.length)] as T;
}

const EDGES = [0, 1, 2, 7, 8, 0x20, 0x22, 0x30, 0x39, 0x5b, 0x5d, 0x7b, 0x7d, 0x7f, 0x80, 0xff];

/** The bytes with one to four changes: bits, bytes, cuts, insertions, parts of themselves or of others elsewhere. */
export function damage(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  let out = Array.from(bytes);
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(out.length + 1);
    const other = pick(random, others);
    const from = random(other.length + 1);
    const part = Array.from(other.subarray(from, from + random(64)));
    const kind = random(7);
    if (kind === 0) out[at] = (out[at] ?? 0) ^ (1 << random(8));
    if (kind === 1) out[at] = pick(random, EDGES);
    if (kind === 2) out = out.slice(0, at);
    if (kind === 3) out.splice(at, random(16));
    if (kind === 4) out.splice(at, 0, ...part);
    if (kind === 5) out.splice(at, part.length, ...part);
    if (kind === 6) out.splice(random(8), 1, pick(random, EDGES));
  }
  return Uint8Array.from(out);
}

function nested(depth: number): unknown {
  let value: unknown = 0;
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { a: value };
  return value;
}

const ODD: readonly (() => unknown)[] = [
  ...[null, true, "", "x", "__proto__", "F32", "\ud800", "n".repeat(5000)].map((value) => () => value),
  ...[0, -0, 1, -1, 0.5, 255, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e300, -1e300].map((value) => () => value),
  () => [],
  () => ({}),
  () => [0, 0],
  () => [[[]]],
  () => nested(70),
  () => nested(6000),
  () => new Array(1000).fill(0),
  () => JSON.parse('{"__proto__":1,"constructor":{},"length":-1}'),
];

/** Plain data with one of its parts replaced, left out, doubled or put in another's place. */
export function disturb(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(Array.isArray(value) || isPlain(value)) || random(6) === 0)
    return pick(random, ODD)();
  const entries = Object.entries(value);
  if (entries.length === 0) return pick(random, ODD)();
  const i = random(entries.length);
  const [key, part] = entries[i] as [string, unknown];
  const kind = random(8);
  if (kind === 0) entries.splice(i, 1);
  else if (kind === 1) entries.push([`${key}x`, part]);
  else if (kind === 2) entries[i] = [key, (pick(random, entries) as [string, unknown])[1]];
  else if (kind === 3) entries[i] = [pick(random, ["__proto__", "constructor", "", "0", "length", key.toUpperCase()]), part];
  else entries[i] = [key, disturb(random, part)];
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries);
}

/** JSON text of data as deep as `disturb` makes it, for which `JSON.stringify` has no stack. */
export function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch {
    return `${"[".repeat(9000)}${"]".repeat(9000)}`;
  }
}

/** Milliseconds of processor time that one input of some kilobytes may take on a slow machine. */
const LONGEST_MS = 1500;
const LONGEST_MESSAGE = 2000;

/** A reader's part: what it makes of an input is used and, unless its owner keeps it, released by the time it returns. */
export type Reader<T> = (input: T) => void;

/**
 * Gives a reader a good input, which it has to take, and then many others. Each is taken, or refused by one of the library's errors in few words, in little time; either way as much
 * memory is live as before.
 * @param keeps whether what is taken stays with its owner, until that is collected
 * @returns how many were taken
 */
export function feed<T>(reader: Reader<T>, good: T, seed: number, make: (random: Random) => T, keeps = false): number {
  const random = randomOf(seed);
  let taken = 0;
  reader(good);
  for (let i = 0; i < INPUTS; i++) {
    const input = make(random);
    const before = memory();
    const began = process.cpuUsage();
    const error = errorOf(() => reader(input));
    const { user, system } = process.cpuUsage(began);
    const which = `input ${i} of seed ${seed}: ${String(error).slice(0, 300)}`;
    if ((error as Error | null)?.name === "AssertionError") throw error;
    if (error === null) taken++;
    else {
      expect((error as { code?: unknown }).code, which).toMatch(/^ERR_(SHAPE|DTYPE|ARGUMENT|STATE|FORMAT)$/);
      expect((error as Error).message.length, which).toBeLessThan(LONGEST_MESSAGE);
      expect((error as Error).message, which).toMatch(/expected|cannot be read/);
    }
    expect((user + system) / 1000, which).toBeLessThan(LONGEST_MS);
    if (keeps && error === null) continue;
    expect(memory().liveBytes, which).toBe(before.liveBytes);
    expect(memory().blocks, which).toBe(before.blocks);
  }
  return taken;
}

function errorOf(fn: () => void): unknown {
  try {
    fn();
    return null;
  } catch (error) {
    return error ?? new Error("nothing was thrown");
  }
}
