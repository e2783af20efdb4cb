/** Rows of elementwise operations: one plain formula, every way two operands can meet. */

import { broadcastShapes } from "../../src/tensor/shape.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import type { Grid } from "./grid.ts";
import type { Row } from "./rows.ts";
import { waves } from "./rows.ts";

/** The formula for every element, the grids broadcast. */
export function broadcast(fn: (...values: number[]) => number): (...xs: Grid[]) => Grid {
  return (...xs) => ({
    shape: xs.map((x) => x.shape).reduce((a, b) => broadcastShapes("broadcast", a, b)),
    at: (...index) =>
      fn(...xs.map((x) => x.at(...x.shape.map((d, axis) => (d === 1 ? 0 : (index[index.length - x.shape.length + axis] as number)))))),
  });
}

/** Waves between low and high. */
export function between(low: number, high: number): (shape: readonly number[], number: number) => Grid {
  return (shape, number) => {
    const { at } = waves(shape, number);
    return { shape, at: (...index) => (low + high) / 2 + ((high - low) / 2) * at(...index) };
  };
}

/** A function of one tensor on [low, high]. */
export function unaryRow(name: string, fn: (x: Tensor) => Tensor, formula: (x: number) => number, low = -2, high = 2): Row {
  return { name, shapes: [[3, 5]], fn, expected: broadcast(formula), inputs: between(low, high) };
}

const MEETINGS: readonly (readonly [string, readonly number[], readonly number[]])[] = [
  ["same shapes", [3, 5], [3, 5]],
  ["row", [3, 5], [5]],
  ["column", [3, 1], [3, 5]],
  ["outer", [3, 1], [1, 5]],
  ["scalar", [2, 3], []],
  ["four axes", [2, 1, 3, 1], [2, 1, 4]],
  ["nothing", [2, 0, 3], [2, 1, 3]],
];

/** A function of two tensors on [low, high], in all shapes, and with a number on either side. */
export function binaryRows(
  name: string,
  fn: (a: Tensor | number, b: Tensor | number) => Tensor,
  formula: (a: number, b: number) => number,
  low = -2,
  high = 2,
): Row[] {
  const inputs = between(low, high);
  return [
    ...MEETINGS.map(([how, a, b]) => ({ name: `${name}, ${how}`, shapes: [a, b], fn, expected: broadcast(formula), inputs })),
    { name: `${name} of a number`, shapes: [[3, 5]], fn: (x: Tensor) => fn(1.5, x), expected: broadcast((x) => formula(1.5, x)), inputs },
    { name: `${name} with a number`, shapes: [[3, 5]], fn: (x: Tensor) => fn(x, 1.5), expected: broadcast((x) => formula(x, 1.5)), inputs },
  ];
}
