/** Decoders of velocity without a network: population vector, Wiener filter, Kalman filter. */

import { type Tensor, tensor } from "tapeloop";
import { RidgeRegression, solve } from "tapeloop/numerics";
import { type Recording, UNITS } from "./recording.ts";

/** Velocities [T][2] for the bins from..to of a recording. */
export type Decoder = (recording: Recording, from: number, to: number) => number[][];

/** The rows' least-squares map to the targets, W [outputs][features]; the last feature is 1. */
function regression(rows: Tensor, targets: readonly (readonly number[])[], ridge: number | "gcv"): number[][] {
  const [F, O] = [rows.dim(1), (targets[0] as readonly number[]).length];
  const fit = new RidgeRegression(F, O);
  fit.add(rows, matrix(targets));
  const { weight } = fit.solve(ridge);
  return Array.from({ length: O }, (_, o) => Array.from(weight.subarray(o * F, (o + 1) * F)));
}

const matrix = (rows: readonly (readonly number[])[]): Tensor => tensor(rows as number[][], { dtype: "float64" });
const dot = (a: readonly number[], b: ArrayLike<number>): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const times = (matrix: readonly number[][], x: ArrayLike<number>): number[] => matrix.map((row) => dot(row, x));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** Bins that the Wiener filter sees, and its features: their counts, and 1. */
const LAGS = 10;
const FEATURES = LAGS * UNITS + 1;

/** For the bins from..to: their counts and those of the nine bins before each [T, FEATURES]. */
function histories({ counts }: Recording, from: number, to: number): Float64Array {
  const values = new Float64Array((to - from) * FEATURES);
  for (let t = from; t < to; t++) {
    const row = (t - from) * FEATURES;
    for (let lag = 0; lag < LAGS; lag++) values.set(counts[Math.max(0, t - lag)] as Float32Array, row + lag * UNITS);
    values[row + FEATURES - 1] = 1;
  }
  return values;
}

/** A linear map of ten bins, by ridge regression. */
export function wienerFilter(recording: Recording, end: number): Decoder {
  const rows = tensor(histories(recording, LAGS, end), { shape: [end - LAGS, FEATURES] });
  const w = regression(rows, recording.velocities.slice(LAGS, end), "gcv");
  return (r, from, to) => {
    const values = histories(r, from, to);
    return range(0, to - from).map((t) => times(w, values.subarray(t * FEATURES, (t + 1) * FEATURES)));
  };
}

/** Preferred directions, each weighed by how much more than usual its unit fires; two bins before, scaled to the velocity. */
export function populationVector(recording: Recording, end: number, lag: number): Decoder {
  const { counts, directions, velocities } = recording;
  const usual = range(0, UNITS).map((i) => counts.slice(0, end).reduce((sum, c) => sum + (c[i] as number), 0) / end);
  const raw = (r: Recording, t: number): number[] => {
    const more = range(0, UNITS).map((i) => ((r.counts[Math.max(0, t - lag)] as Float32Array)[i] as number) - (usual[i] as number));
    return [dot(more, directions.map(Math.cos)), dot(more, directions.map(Math.sin))];
  };
  const rows = range(lag, end).map((t) => raw(recording, t));
  const goals = velocities.slice(lag, end);
  const scale = rows.reduce((s, v, t) => s + dot(v, goals[t] as readonly number[]), 0) / rows.reduce((s, v) => s + dot(v, v), 0);
  return (r, from, to) => range(from, to).map((t) => raw(r, t).map((v) => scale * v));
}

/**
 * Position and velocity as a linear system that is seen through the counts of some bins before.
 * @see Wu, Gao, Bienenstock, Donoghue and Black, "Bayesian population decoding of motor cortical activity using a Kalman filter", 2006
 */
export function kalmanFilter(recording: Recording, end: number, lag: number): Decoder {
  const { positions, velocities } = recording;
  const state = (t: number): number[] => [...(positions[t] as readonly number[]), ...(velocities[t] as readonly number[]), 1];
  const seen = (r: Recording, t: number): number[] => Array.from(r.counts[Math.max(0, t - lag)] as Float32Array);
  const steps = range(lag + 1, end);
  const now = steps.map(state);
  const A = [
    ...regression(
      matrix(steps.map((t) => state(t - 1))),
      now.map((x) => x.slice(0, 4)),
      1e-6,
    ),
    [0, 0, 0, 0, 1],
  ];
  const C = regression(
    matrix(now),
    steps.map((t) => seen(recording, t)),
    1e-6,
  );
  const W = covariance(steps.map((t, i) => minus(now[i] as number[], times(A, state(t - 1)))));
  const Q = covariance(steps.map((t, i) => minus(seen(recording, t), times(C, now[i] as number[]))));
  // CᵀQ⁻¹ and CᵀQ⁻¹C: what a bin's counts say about the state, and how sure they are.
  const told = range(0, 5).map(
    (k) =>
      solve(
        Q,
        C.map((row) => row[k] as number),
      ) as number[],
  );
  const surety = told.map((row) =>
    range(0, 5).map((k) =>
      dot(
        row,
        C.map((c) => c[k] as number),
      ),
    ),
  );
  return (r, from, to) => {
    let x = [0, 0, 0, 0, 1];
    let P = range(0, 5).map(() => [0, 0, 0, 0, 0]);
    // It runs in from the bins before, as a decoder in use would.
    return range(Math.max(0, from - 100), to)
      .map((t) => {
        x = times(A, x);
        P = plus(product(product(A, P), transposed(A)), W);
        P = posterior(P, surety);
        x = x.map((xi, k) => xi + dot(P[k] as number[], minus(times(told, seen(r, t)), times(surety, x))));
        return x.slice(2, 4);
      })
      .slice(-(to - from));
  };
}

/** (I + P S)⁻¹ P, which is (P⁻¹ + S)⁻¹ also where P has no inverse. */
function posterior(P: readonly number[][], S: readonly number[][]): number[][] {
  const sum = product(P, S).map((row, i) => row.map((v, j) => v + (i === j ? 1 : 0)));
  return transposed(transposed(P).map((column) => solve(sum, column) as number[]));
}

const minus = (a: readonly number[], b: readonly number[]): number[] => a.map((x, i) => x - (b[i] as number));
const plus = (a: readonly number[][], b: readonly number[][]): number[][] =>
  a.map((row, i) => row.map((x, j) => x + (b[i]?.[j] as number)));
const transposed = (m: readonly number[][]): number[][] => (m[0] as number[]).map((_, j) => m.map((row) => row[j] as number));
const product = (a: readonly number[][], b: readonly number[][]): number[][] => {
  const columns = transposed(b);
  return a.map((row) => columns.map((column) => dot(row, column)));
};

function covariance(rows: readonly number[][]): number[][] {
  const columns = transposed(rows);
  return columns.map((a) => columns.map((b) => dot(a, b) / rows.length));
}
