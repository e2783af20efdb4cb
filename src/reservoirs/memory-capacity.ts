/** How much of its past input a reservoir can tell: the memory capacity. */

import { noGrad } from "../autodiff/tape.ts";
import { checkWhole, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { type Ridge, RidgeRegression } from "../numerics/ridge.ts";
import { cast } from "../ops/cast.ts";
import { linear } from "../ops/linear.ts";
import { cat, select, slice } from "../ops/shape.ts";
import { checkRecurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { ones } from "../tensor/create.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { AnyReservoir } from "./echo-state-network.ts";

export interface MemoryCapacityOptions {
  /** Steps after the washout: half to fit on, half to measure on (default 6000). */
  readonly steps?: number;
  /** Default 500. */
  readonly washout?: number;
  /** The longest lag (default twice the units). */
  readonly lags?: number;
  /** Default "gcv". */
  readonly ridge?: Ridge;
  /** Where inputs come from; the default generator unless given. */
  readonly generator?: Generator;
  /** Of the reservoir (default "float64"). */
  readonly dtype?: FloatDType;
}

/** How well a reservoir remembers its input. */
export interface MemoryCapacity {
  /** Σ of all lags: at most the number of units, but for chance, which adds about 2·lags/steps. */
  readonly total: number;
  /** r² for a lag of 1, 2, … steps. */
  readonly byLag: readonly number[];
}

/** The square of the correlation of two series, 0 where one does not vary. */
function squaredCorrelation(a: readonly number[], b: readonly number[]): number {
  const mean = (v: readonly number[]) => v.reduce((sum, e) => sum + e, 0) / v.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((e, i) => {
    const [da, db] = [e - ma, (b[i] as number) - mb];
    ab += da * db;
    aa += da * da;
    bb += db * db;
  });
  return aa === 0 || bb === 0 ? 0 : (ab * ab) / (aa * bb);
}

/**
 * The short-term memory capacity of a reservoir of one input,
 *
 *   MC = Σ_k r²(u(n − k), y_k(n))
 *
 * for independent inputs u from U(−1, 1) and for each lag k a readout y_k, fitted by ridge regression on one half of the steps and measured on the
 * other: measured where it was fitted it would come out too large by about lags·units/steps. In theory MC is at most the number of units.
 * @param reservoir x [B,1] to h [B,N]
 * @throws ArgumentError for a reservoir of more than one input, steps too few
 * @see Jaeger, "Short term memory in echo state networks", GMD report 152, 2002, definition 1 and proposition 2
 * @example memoryCapacity(new Reservoir({ inputSize: 1, hiddenSize: 50, dtype: "float64" })).total;
 */
export function memoryCapacity<S extends State>(reservoir: AnyReservoir<S>, options: MemoryCapacityOptions = {}): MemoryCapacity {
  checkRecurrence("memoryCapacity", reservoir);
  const N = reservoir.outputSize;
  const {
    steps = 6000,
    washout = 500,
    lags = 2 * N,
    ridge = "gcv",
    generator = defaultGenerator(),
  } = optionsOf("memoryCapacity", options, ["steps", "washout", "lags", "ridge", "generator", "dtype"]);
  checkWhole("memoryCapacity", "steps", steps, { least: 4 });
  checkWhole("memoryCapacity", "washout", washout);
  checkWhole("memoryCapacity", "lags", lags, { least: 1 });
  if (reservoir.inputSize !== 1) throw new ArgumentError(`memoryCapacity: expected a reservoir of one input, got ${reservoir.inputSize}`);
  const first = Math.max(washout, lags);
  return scope(() =>
    noGrad(() => {
      const us = generator.uniform([first + steps, 1, 1], -1, 1, options.dtype ?? "float64");
      const [hs] = reservoir.scan(us);
      const u = Array.from(us.data(), Number);
      const states = cast(select(slice(hs, 0, first, first + steps), 1, 0), "float64");
      const features = cat([ones([steps, 1], "float64"), states], 1);
      const past = Array.from({ length: steps }, (_, t) => Array.from({ length: lags }, (__, k) => u[first + t - k - 1] as number));
      const half = steps >> 1;
      const regression = new RidgeRegression(N + 1, lags);
      regression.add(slice(features, 0, 0, half), tensor(past.slice(0, half), { dtype: "float64" }));
      const weight = tensor(regression.solve(ridge).weight, { shape: [lags, N + 1] });
      const read = linear(slice(features, 0, half, steps), weight as Tensor).toArray() as number[][];
      const byLag = Array.from({ length: lags }, (_, k) =>
        squaredCorrelation(
          read.map((row) => row[k] as number),
          past.slice(half).map((row) => row[k] as number),
        ),
      );
      return { total: byLag.reduce((sum, r) => sum + r, 0), byLag };
    }),
  );
}
