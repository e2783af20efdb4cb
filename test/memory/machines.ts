/** What oracles of networks with memories have in common, over plain numbers. */

import { FeedforwardController } from "../../src/memory/controller.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import type { Numbers } from "../oracle/equations.ts";
import { each, logistic, part, plus, times, type Vector } from "../oracle/numbers.ts";

export const softplus = (v: number): number => Math.log(1 + Math.exp(v));

export function softmax(values: Vector): number[] {
  const powers = values.map((v) => Math.exp(v));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((v) => v / total);
}

/** W x + b of a layer in a state dict. */
export function affine(p: Numbers, name: string, x: Vector): number[] {
  return plus(times(p.matrix(`${name}.weight`, x.length), x), p.vector(`${name}.bias`));
}

/** A list in stretches of the given sizes. */
export function cut(values: Vector, sizes: readonly number[]): Vector[] {
  let end = 0;
  const pieces = sizes.map((size) => {
    end += size;
    return values.slice(end - size, end);
  });
  if (end !== values.length) throw new Error(`expected ${end} numbers, got ${values.length}`);
  return pieces;
}

/** A list as n rows. */
export function rowsOf(values: Vector, n: number): number[][] {
  return Array.from({ length: n }, (_, i) => part(values, i, n));
}

/** A step of a controller: a layer of tanh units without a state, or an LSTM, whose gates are i f g o. */
export function controllerBy(controller: Recurrence, p: Numbers, x: Vector, state: readonly Vector[]): [h: number[], next: number[][]] {
  if (controller instanceof FeedforwardController) return [affine(p, "controller.map", x).map(Math.tanh), []];
  const [h, c] = state as [Vector, Vector];
  const ofInput = plus(times(p.matrix("controller.weight_ih", x.length), x), p.vector("controller.bias_ih"));
  const sums = plus(ofInput, times(p.matrix("controller.weight_hh", h.length), h), p.vector("controller.bias_hh"));
  const [i, f, g, o] = [0, 1, 2, 3].map((k): Vector => part(sums, k, 4)) as [Vector, Vector, Vector, Vector];
  const cell = each((ci, ii, fi, gi) => logistic(fi) * ci + logistic(ii) * Math.tanh(gi), c, i, f, g);
  const next = each((oi, ci) => logistic(oi) * Math.tanh(ci), o, cell);
  return [next, [next, cell]];
}
