/** Recurrences by their equations, over plain numbers: values, and derivatives by finite differences of those numbers. */

import { gradients } from "../../src/autodiff/sweep.ts";
import type { Module } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { restoreState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { expectClose } from "../cells/acceptance.ts";
import { each, logistic, part, plus, times, type Vector } from "./numbers.ts";

/** The parameters of a recurrence as numbers, by the names of its state dict. */
export interface Numbers {
  vector(name: string): number[];
  /** Of n columns; the same rows for all who ask. */
  matrix(name: string, n: number): number[][];
}

/** @param asked notes the names that are asked for */
export function numbersOf(values: ReadonlyMap<string, Vector>, asked = new Set<string>()): Numbers {
  const matrices = new Map<string, number[][]>();
  const vector = (name: string) => {
    asked.add(name);
    const found = values.get(name);
    if (found === undefined) throw new Error(`expected a parameter ${name}, got ${[...values.keys()].join(", ")}`);
    return [...found];
  };
  const matrix = (name: string, n: number) => {
    const known = matrices.get(name);
    if (known?.[0]?.length === n) return known;
    const flat = vector(name);
    const rows = Array.from({ length: flat.length / n }, (_, i) => flat.slice(i * n, (i + 1) * n));
    matrices.set(name, rows);
    return rows;
  };
  return { vector, matrix };
}

/** One step for one sequence: the tensors of a state are vectors, in the order in which the state has them. */
export type Equations = (p: Numbers, x: Vector, state: readonly Vector[]) => [y: Vector, next: readonly Vector[]];

/** A layer of tanh units, h' = tanh(W x + b + U h + b′), in PyTorch's names; those of its parameters begin with `at`. */
export function elman(p: Numbers, at: string, x: Vector, h: Vector): number[] {
  const ofInput = plus(times(p.matrix(`${at}weight_ih`, x.length), x), p.vector(`${at}bias_ih`));
  return plus(ofInput, times(p.matrix(`${at}weight_hh`, h.length), h), p.vector(`${at}bias_hh`)).map(Math.tanh);
}

/**
 * A layer of LSTM cells, i, f, o = σ(·), g = tanh(·), c' = f∘c + i∘g, h' = o∘tanh(c') of W x + b + U h + b′, in PyTorch's names and order i f g o;
 * those of its parameters begin with `at`.
 */
export function lstm(p: Numbers, at: string, x: Vector, h: Vector, c: Vector): { h: number[]; c: number[] } {
  const ofInput = plus(times(p.matrix(`${at}weight_ih`, x.length), x), p.vector(`${at}bias_ih`));
  const sums = plus(ofInput, times(p.matrix(`${at}weight_hh`, h.length), h), p.vector(`${at}bias_hh`));
  const [i, f, g, o] = [0, 1, 2, 3].map((k): Vector => part(sums, k, 4)) as [Vector, Vector, Vector, Vector];
  const stored = each((ii, fi, gi, old) => logistic(fi) * old + logistic(ii) * Math.tanh(gi), i, f, g, c);
  return { h: each((oi, ci) => logistic(oi) * Math.tanh(ci), o, stored), c: stored };
}

const [T, B] = [4, 2];

/**
 * Holds a recurrence of float64 against its equations from random inputs, weights and states: outputs and last states to 1e-9, derivatives of a
 * random sum of them, by every parameter, the inputs and the first state, to 1e-6 of max(1, |expected|). A parameter that the equations do
 * not ask for is one too many.
 * @param low the least value of the first state's elements, −1 unless the state has to be positive
 */
export function holdAgainst<S extends State>(cell: Recurrence<S>, equations: Equations, { low = -1, seed = 1 } = {}): void {
  const g = new Generator(seed);
  for (const p of cell.parameters()) assign(p, g.uniform(p.shape, -1, 1, "float64"));
  const xs = Array.from(g.uniform([T * B * cell.inputSize], -1, 1, "float64").data(), Number);
  const start = cell.initialState(B);
  const shapes = stateTensors(start).map((s) => s.shape);
  const states = stateTensors(start).map((s) => Array.from(g.uniform([s.size], low, 1, "float64").data(), Number));
  const names = [...cell.namedParameters()].map(([name]) => name);
  const parameters = cell.parameters().map((p) => Array.from(p.data(), Number));
  const weights = Array.from(g.uniform([4096], -1, 1, "float64").data(), Number);

  const asked = new Set<string>();
  /** Outputs, then the last states, by the equations. */
  const byEquations = (all: readonly Vector[]): number[] => {
    const p = numbersOf(new Map(names.map((name, i) => [name, all[i] as Vector])), asked);
    const [inputs, ...first] = all.slice(names.length) as [Vector, ...Vector[]];
    const ys: number[][][] = Array.from({ length: T }, () => []);
    const last: number[][][] = first.map(() => []);
    for (let b = 0; b < B; b++) {
      let state: readonly Vector[] = first.map((s) => part(s, b, B));
      for (let t = 0; t < T; t++) {
        const [y, next] = equations(p, part(inputs, t * B + b, T * B), state);
        (ys[t] as number[][]).push([...y]);
        state = next;
      }
      state.forEach((s, i) => {
        last[i]?.push([...s]);
      });
    }
    return [...ys.flat(2), ...last.flat(2)];
  };

  const at = [...parameters, xs, ...states];
  const expected = byEquations(at);
  expectAsked(names, asked);
  const loss = (values: readonly number[]) => values.reduce((total, v, k) => total + v * (weights[k] as number), 0);
  const { found, derivatives } = scope(() => {
    const x = requireGrad(tensor(xs, { shape: [T, B, cell.inputSize], dtype: "float64" }));
    const first = states.map((s, i) => requireGrad(tensor(s, { shape: shapes[i] as number[], dtype: "float64" })));
    const [ys, last] = cell.scan(x, restoreState(start, first));
    const outputs = [ys, ...stateTensors(last)];
    let from = 0;
    const terms = outputs.map((y) => {
      const w = tensor(weights.slice(from, from + y.size), { shape: y.shape, dtype: "float64" });
      from += y.size;
      return sum(mul(y, w));
    });
    const total = terms.reduce((a, b) => add(a, b));
    const leaves = [...cell.parameters(), x, ...first];
    return {
      found: outputs.flatMap((y) => Array.from(y.data(), Number)),
      derivatives: gradients([total], leaves, [ones([], "float64")]).map((d, i) => listed(d, (leaves[i] as Tensor).size)),
    };
  });
  expectClose(found, expected, 1e-9, "values");
  const nameOf = (i: number) => names[i] ?? (i === names.length ? "inputs" : `state ${i - names.length - 1}`);
  expectDerivatives(at, derivatives, (values) => loss(byEquations(values)), nameOf, g);
}

/**
 * Holds a loss of a module of float64 against an equation of its parameters, which get random values in (−1, 1): its value to 1e-9, its
 * derivatives by every parameter to 1e-6 of max(1, |expected|). A parameter that the equation does not ask for is one too many.
 */
export function holdLossAgainst(module: Module, loss: () => Tensor, equation: (p: Numbers) => number, { seed = 1 } = {}): void {
  const g = new Generator(seed);
  for (const p of module.parameters()) assign(p, g.uniform(p.shape, -1, 1, "float64"));
  const names = [...module.namedParameters()].map(([name]) => name);
  const at = module.parameters().map((p) => Array.from(p.data(), Number));
  const asked = new Set<string>();
  const byEquation = (values: readonly Vector[]) =>
    equation(numbersOf(new Map(names.map((name, i) => [name, values[i] as Vector])), asked));
  const expected = byEquation(at);
  expectAsked(names, asked);
  const { found, derivatives } = scope(() => {
    const total = loss();
    const slopes = gradients([total], module.parameters(), [ones([], "float64")]);
    return { found: total.item(), derivatives: slopes.map((d, i) => listed(d, (at[i] as Vector).length)) };
  });
  expectClose([found], [expected], 1e-9, "loss");
  expectDerivatives(at, derivatives, byEquation, (i) => names[i] as string, g);
}

function expectAsked(names: readonly string[], asked: ReadonlySet<string>): void {
  const spare = names.filter((name) => !asked.has(name));
  if (spare.length > 0) throw new Error(`expected no parameters but those of the equations, got ${spare.join(", ")}`);
}

/** A derivative's numbers; zeros where there is none. */
function listed(d: Tensor | null | undefined, size: number): number[] {
  return d == null ? new Array<number>(size).fill(0) : Array.from(d.data(), Number);
}

/** Derivatives of a function of several vectors against its central differences. */
function expectDerivatives(
  at: readonly Vector[],
  derivatives: readonly Vector[],
  f: (values: readonly Vector[]) => number,
  nameOf: (i: number) => string,
  g: Generator,
): void {
  for (const [i, values] of at.entries()) {
    for (const [way, direction] of directions(values.length, g)) {
      const moved = (by: number) =>
        f(
          at.with(
            i,
            each((v, d) => v + by * d, values, direction),
          ),
        );
      const slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
      const got = direction.reduce((total, d, k) => total + d * (derivatives[i]?.[k] as number), 0);
      const error = Math.abs(got - slope) / Math.max(1, Math.abs(slope));
      if (!(error <= 1e-6)) throw new Error(`${nameOf(i)}, ${way}: expected derivative ${slope}, got ${got}`);
    }
  }
}

/** Ways to move n numbers: one after the other; where there are many, a few of them and all at once in two random directions. */
function directions(n: number, g: Generator): [way: string, direction: Vector][] {
  const stride = n <= 12 ? 1 : Math.ceil(n / 6);
  const alone = Array.from({ length: Math.ceil(n / stride) }, (_, j): [string, Vector] => [
    `element ${j * stride}`,
    Array.from({ length: n }, (_, k) => Number(k === j * stride)),
  ]);
  const all = () => Array.from(g.uniform([n], -1, 1, "float64").data(), Number);
  return stride === 1 ? alone : [...alone, ["direction 0", all()], ["direction 1", all()]];
}
