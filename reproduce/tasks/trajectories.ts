/** Movements in the plane that are made of primitives. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

/** Steps of a cycle of each primitive. */
export const CYCLE = 24;

type Primitive = (phase: number) => readonly [x: number, y: number];

/** A circle, a figure of eight and a line; all begin and end at the origin. */
const primitives: Readonly<Record<string, Primitive>> = {
  P: (phase) => [0.4 * Math.sin(phase), 0.4 - 0.4 * Math.cos(phase)],
  Q: (phase) => [0.8 * Math.sin(phase), 0.4 * Math.sin(2 * phase)],
  R: (phase) => [0.8 * Math.sin(phase), 0],
};

/** The points of a row of primitives, "PPQ", from the origin at step 0 to the origin at the last: [steps + 1][2]. */
export function trajectory(name: string): number[][] {
  const points = [...name].flatMap((primitive) =>
    Array.from({ length: CYCLE }, (_, k) => [...(primitives[primitive] as Primitive)((2 * Math.PI * k) / CYCLE)]),
  );
  return [...points, [0, 0]];
}

/** Several rows of equal length, [T, B, 2]. */
export function trajectories(names: readonly string[]): Tensor {
  const all = names.map(trajectory);
  const T = (all[0] as number[][]).length;
  const values = Array.from({ length: T }, (_, t) => all.map((points) => points[t] as number[]));
  return tensor(values.flat(2), { shape: [T, names.length, 2], dtype: "float32" });
}
