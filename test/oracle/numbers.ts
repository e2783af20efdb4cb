/** Arithmetic on plain numbers: what oracles are written in. */

import type { Tensor } from "../../src/tensor/tensor.ts";

export type Vector = readonly number[];
export type Matrix = readonly Vector[];

/** The rows of a matrix. */
export function rows(t: Tensor): number[][] {
  const [m, n] = t.shape as [number, number];
  const flat = Array.from(t.data());
  return Array.from({ length: m }, (_, i) => flat.slice(i * n, (i + 1) * n));
}

export const logistic = (v: number): number => 1 / (1 + Math.exp(-v));

/** W v */
export const times = (W: Matrix, v: Vector): number[] => W.map((row) => row.reduce((total, w, j) => total + w * (v[j] as number), 0));

/** f of the elements that stand at one place in several vectors. */
export const each = (f: (...values: number[]) => number, ...vectors: Vector[]): number[] =>
  (vectors[0] as Vector).map((_, k) => f(...vectors.map((v) => v[k] as number)));

/** The sum of several vectors. */
export const plus = (...vectors: Vector[]): number[] => each((...values) => values.reduce((a, b) => a + b), ...vectors);

/** Part k of n of a list, as of the rows of a matrix that belong to one gate. */
export const part = <V>(list: readonly V[], k: number, n: number): V[] => list.slice((k * list.length) / n, ((k + 1) * list.length) / n);
