// What threads evaluate in the tests: the first number of a candidate says what happens.

import { existsSync, writeFileSync } from "node:fs";

const square = (x) => x.reduce((sum, v) => sum + v * v, 0);

export function evaluate(candidate) {
  return square(candidate);
}

/** [kind, ...rest]: dies, hangs, throws, or answers. */
export async function troubled([kind, ...rest], { evaluation }) {
  if (kind === 1) process.exit(3);
  if (kind === 2) for (;;);
  if (kind === 3) throw new RangeError(`no cost for ${evaluation}`);
  if (kind === 4) setTimeout(() => Promise.reject(new Error("later")), 0);
  if (kind === 4) await new Promise(() => {});
  if (kind === 5) return "seven";
  if (kind === 6) await new Promise((resolve) => setTimeout(resolve, 60_000));
  return square(rest);
}

/** Dies the first time that a candidate, { file }, is seen. */
export function once({ file, cost }) {
  if (existsSync(file)) return cost;
  writeFileSync(file, "");
  process.exit(1);
}
