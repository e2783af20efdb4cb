/** What oracles of networks with memories have in common, over plain numbers. */

import { FeedforwardController } from "../../src/memory/controller.ts";
import { PushdownAutomaton } from "../../src/memory/pushdown-automaton.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { assign } from "../../src/tensor/tensor.ts";
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

/** Weights that count brackets: an opening one is pushed, a closing one takes it away, and one that finds nothing marks unit 1 for good. */
export function bracketCounter(big = 60): PushdownAutomaton {
  const cell = new PushdownAutomaton({ inputSize: 2, hiddenSize: 2, capacity: 40, dtype: "float64" });
  const [N, K, L] = [2, 2, 3];
  const W = new Float64Array((N + 1) * N * K * L);
  const set = (i: number, j: number, k: number, l: number, w: number) => {
    W[((i * N + j) * K + k) * L + l] = w;
  };
  for (let k = 0; k < K; k++) {
    for (let l = 0; l < L; l++) {
      const fails = k === 1 && l === 2;
      // Unit 0: all is well so far; unit 1: it is not.
      set(0, 0, k, l, fails ? -big : big);
      set(1, 0, k, l, fails ? big : -big);
      set(0, 1, k, l, -big);
      set(1, 1, k, l, big);
      set(2, 0, k, l, k === 0 ? big : fails ? 0 : -big);
    }
  }
  assign(cell.weight, W);
  return cell;
}

/** Whether brackets are balanced, 0 opening and 1 closing. */
export function balanced(word: readonly number[]): boolean {
  let depth = 0;
  for (const symbol of word) {
    depth += symbol === 0 ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth === 0;
}
