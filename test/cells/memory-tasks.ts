/** Two small tasks of memory; a constant answer has the error 1/3 in both. */

import { backward } from "../../src/autodiff/backward.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { Cell } from "../../src/recurrence/recurrence.ts";
import type { State } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { learn } from "./acceptance.ts";

const [T, B] = [8, 32];

/** Trains a cell of float32 and a linear reader; the mean squared error at the end. */
function errorOf<S extends State>(
  cell: Cell<S>,
  updates: number,
  batch: () => [xs: Tensor, read: (ys: Tensor) => Tensor, target: Tensor],
): number {
  const head = new Linear(cell.outputSize, 1, { generator: new Generator(2) });
  const optimizer = new Adam([...cell.parameters(), ...head.parameters()], { lr: 1e-2 });
  return learn(updates, () => {
    const [xs, read, target] = batch();
    const loss = mseLoss(head.forward(read(cell.scan(xs)[0])), target);
    optimizer.zeroGrad();
    backward(loss);
    optimizer.step();
    return loss;
  });
}

/** One step of [value, mark] in eight is marked: after the last, its value. */
export function latchError<S extends State>(cell: Cell<S>, updates = 300): number {
  const g = new Generator(3);
  return errorOf(cell, updates, () => {
    const values = g.uniform([T, B], -1, 1).data();
    const places = Array.from(g.uniform([B], 0, T).data(), Math.floor);
    const xs = Float32Array.from({ length: T * B * 2 }, (_, k) => {
      const [t, b] = [Math.floor(k / (2 * B)), (k >> 1) % B];
      return k % 2 === 0 ? (values[t * B + b] as number) : Number(places[b] === t);
    });
    const target = Float32Array.from(places, (t, b) => values[t * B + b] as number);
    return [tensor(xs, { shape: [T, B, 2], dtype: "float32" }), (ys) => select(ys, 0, T - 1), tensor(target, { shape: [B, 1] })];
  });
}

/** At each step, the value of two steps before (two inputs: the value and a constant). */
export function echoError<S extends State>(cell: Cell<S>, updates = 300): number {
  const g = new Generator(3);
  return errorOf(cell, updates, () => {
    const values = g.uniform([T, B], -1, 1).data();
    const xs = Float32Array.from({ length: T * B * 2 }, (_, k) => (k % 2 === 0 ? (values[k >> 1] as number) : 1));
    const target = Float32Array.from(values.subarray(0, (T - 2) * B));
    return [tensor(xs, { shape: [T, B, 2], dtype: "float32" }), (ys) => slice(ys, 0, 2), tensor(target, { shape: [T - 2, B, 1] })];
  });
}
