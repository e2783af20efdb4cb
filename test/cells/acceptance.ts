/** What every cell of the literature has to pass, and plain numbers for oracles that are written from its paper. */

import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { type FloatDType, isFloat } from "../../src/base/dtype.ts";
import type { Module, Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { type Cell, type Recurrence, scanSteps } from "../../src/recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

export const SIZES = { inputSize: 3, hiddenSize: 4 } as const;
export const [T, B] = [6, 2];

export interface AcceptanceOptions<S extends State> {
  /** The state to start from; random values in place of the zeros of `initialState` unless given. */
  readonly state?: S;
  /** Whether `scan` has to run by replay (default true). */
  readonly captured?: boolean;
  /** Seed of inputs, states and directions: for cells with kinks. */
  readonly seed?: number;
}

/** Runs the gradient checks and the comparison of steps with sequences. The cell is one of float64. */
export function accept<S extends State>(cell: Cell<S>, options: AcceptanceOptions<S> = {}): void {
  checkGradients(cell, options);
  checkStepsEqualScan(cell, options);
}

/** Random inputs xs [T,B,I] and a state for a cell of float64. */
function start<S extends State>(cell: Recurrence<S>, { state, seed = 1 }: AcceptanceOptions<S>): [xs: Tensor, state: S] {
  const g = new Generator(seed);
  const xs = g.uniform([T, B, cell.inputSize], -1, 1, "float64");
  const random = (s: Tensor) => (isFloat(s.dtype) ? g.uniform(s.shape, -0.5, 0.5, "float64") : s);
  return [xs, state ?? mapState(random, cell.initialState(B))];
}

/** Every output and every float of the last state, under fixed random weights. */
function weighed<S extends State>([ys, last]: [Tensor, S]): Tensor {
  const g = new Generator(5);
  const outputs = [ys, ...stateTensors(last)].filter((y) => isFloat(y.dtype));
  return outputs.map((y) => sum(mul(y, g.uniform(y.shape, -1, 1, "float64")))).reduce((a, b) => add(a, b));
}

/** Derivatives of a scan: of inputs and state in both modes, of every element of every parameter in reverse. */
export function checkGradients<S extends State>(cell: Recurrence<S>, options: AcceptanceOptions<S> = {}): void {
  const [xs, state] = start(cell, options);
  const parts = stateTensors(state);
  const floats = parts.filter((s) => isFloat(s.dtype));
  const loss = (x: Tensor, ...given: Tensor[]) => {
    let i = 0;
    const full = parts.map((s) => (isFloat(s.dtype) ? (given[i++] as Tensor) : s));
    return weighed(cell.scan(x, restoreState(state, full)));
  };
  checkGrads(loss, [xs, ...floats], options.seed === undefined ? {} : { seed: options.seed });
  for (const [name, p] of cell.namedParameters()) checkParameter(name, p, () => loss(xs, ...floats));
}

/** d loss / d p against central differences, each element within 1e-6 of max(1, |expected|). */
export function checkParameter(name: string, p: Parameter, loss: () => Tensor, epsilon = 1e-5): void {
  const [found] = scope(() =>
    gradients([loss()], [p], [ones([], "float64")]).map((d) => Array.from(d?.data() ?? new Float64Array(p.size))),
  );
  const values = Array.from(p.data());
  const at = (i: number, value: number) => {
    assign(p, values.with(i, value));
    return scope(() => noGrad(() => loss().item()));
  };
  for (const [i, value] of values.entries()) {
    const expected = (at(i, value + epsilon) - at(i, value - epsilon)) / (2 * epsilon);
    const error = Math.abs((found?.[i] as number) - expected) / Math.max(1, Math.abs(expected));
    if (!(error <= 1e-6)) throw new Error(`${name}[${i}]: expected gradient ${expected}, got ${found?.[i]}`);
  }
  assign(p, values);
}

/** `scan` against `step` by hand: whole batches, each sequence alone for its length, reversed, and operation by operation. */
export function checkStepsEqualScan<S extends State>(cell: Cell<S>, options: AcceptanceOptions<S> = {}): void {
  const [xs, state] = start(cell, options);
  const reason = cell.whyEager(xs, state);
  if ((options.captured ?? true) && reason !== null) throw new Error(`expected scan to be captured, got "${reason}"`);
  expectSame(cell.scan(xs, state), byHand(cell, xs, state));
  expectSame(cell.scan(xs, state), scanSteps(cell, xs, state));
  const lengths = [T, 3];
  const ragged = cell.scan(xs, state, { lengths });
  const reversed = cell.scan(xs, state, { lengths, reverse: true });
  for (const [b, length] of lengths.entries()) {
    const row = <R extends State>(s: R) => mapState((t) => slice(t, 0, b, b + 1), s);
    const order = Array.from({ length }, (_, t) => t);
    const x = slice(xs, 1, b, b + 1);
    const ofRow = ([ys, last]: [Tensor, S]): [Tensor, S] => [slice(ys, 1, b, b + 1), row(last)];
    expectSame(ofRow(ragged), byHand(cell, x, row(state), order));
    expectSame(ofRow(reversed), byHand(cell, x, row(state), order.reverse()));
  }
}

/** Steps in the given order; outputs of the steps left out are zero. */
function byHand<S extends State>(cell: Cell<S>, xs: Tensor, start: S, order: number[] = [...Array(xs.dim(0)).keys()]): [number[][], S] {
  let state = start;
  const ys: number[][] = Array.from({ length: xs.dim(0) }, () => []);
  for (const t of order) {
    const [y, next] = cell.step(select(xs, 0, t), state);
    ys[t] = Array.from(y.data());
    state = next;
  }
  const width = Math.max(...ys.map((y) => y.length));
  return [ys.map((y) => (y.length === 0 ? new Array<number>(width).fill(0) : y)), state];
}

function expectSame<S extends State>([ys, last]: [Tensor, S], [expectedYs, expectedLast]: [Tensor | number[][], S]): void {
  expectClose(ys, Array.isArray(expectedYs) ? expectedYs.flat() : Array.from(expectedYs.data()), 1e-6, "ys");
  const expected = stateTensors(expectedLast);
  for (const [i, s] of stateTensors(last).entries()) expectClose(s, Array.from((expected[i] as Tensor).data()), 1e-6, `state ${i}`);
}

/** Every element within an absolute tolerance, or the first that is not. */
export function expectClose(actual: Tensor | readonly number[], expected: readonly number[], tolerance: number, name = "values"): void {
  const got = Array.isArray(actual) ? (actual as number[]) : Array.from((actual as Tensor).data());
  if (got.length !== expected.length) throw new Error(`${name}: expected ${expected.length} elements, got ${got.length}`);
  for (const [i, e] of expected.entries()) {
    if (!(Math.abs((got[i] as number) - e) <= tolerance)) throw new Error(`${name}[${i}]: expected ${e}, got ${got[i]}`);
  }
}

// ---- Golden vectors: computed in float64 by programs of plain numbers; golden.test.ts has that of the LSTMs, and PyTorch's lines for it ----

/** Sizes of the golden vectors. */
export const GOLDEN = { inputSize: 3, hiddenSize: 2 } as const;

/** x[t,0,i] = cos(0.3·(3t + i))/2, as [4,1,3]. */
export function goldenInputs(dtype: FloatDType): Tensor {
  const values = Float64Array.from({ length: 12 }, (_, k) => 0.5 * Math.cos(0.3 * k));
  return tensor(values, { shape: [4, 1, 3], dtype });
}

/** Parameter number s (from `first`) gets p_k = sin(1 + 0.7k + 1.3s)/2, row by row; in state-dict order unless listed. */
export function fillGolden(target: Module | readonly Parameter[], first = 0): void {
  const list = Array.isArray(target) ? (target as readonly Parameter[]) : (target as Module).parameters();
  for (const [s, p] of list.entries()) {
    assign(
      p,
      Float64Array.from({ length: p.size }, (_, k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * (first + s))),
    );
  }
}

/** How close a golden vector has to be reached. */
export const GOLDEN_TOLERANCE: Readonly<Record<FloatDType, number>> = { float32: 1e-5, float64: 1e-6 };

/** The values after the golden sequence: outputs of the last step, and the state's tensors. */
export function runGolden<S extends State>(cell: Cell<S>, dtype: FloatDType): { y: Tensor; state: Tensor[] } {
  const [ys, last] = noGrad(() => cell.scan(goldenInputs(dtype)));
  return { y: select(ys, 0, 3), state: stateTensors(last) };
}

// ---- Learning ----

/** Calls `update` (which returns the loss) in a scope each time; gives the mean loss of the last tenth. */
export function learn(updates: number, update: () => Tensor): number {
  const losses = Array.from({ length: updates }, () => scope(() => update().item()));
  const tail = losses.slice(-Math.ceil(updates / 10));
  return tail.reduce((a, b) => a + b) / tail.length;
}

/** A leaf that wants its gradient, with random values in (−1, 1). */
export function leaf(g: Generator, ...shape: number[]): Tensor {
  return requireGrad(g.uniform(shape, -1, 1, "float64"));
}
