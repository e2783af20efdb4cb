/** Random sparse matrices for reservoirs. */

import { checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import type { SparseMatrix } from "../ops/sparse.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { keep, type Tensor, tensor } from "../tensor/tensor.ts";

/** A matrix whose row i has the columns columnsOf[i] (in rising order) with those values. */
export function sparseRowsOf(columns: number, rows: readonly Int32Array[], values: Tensor): SparseMatrix {
  const starts = new Int32Array(rows.length + 1);
  rows.forEach((row, i) => {
    starts[i + 1] = (starts[i] as number) + row.length;
  });
  const all = new Int32Array(starts[rows.length] as number);
  rows.forEach((row, i) => {
    all.set(row, starts[i]);
  });
  return { size: [rows.length, columns], crowIndices: keep(tensor(starts)), colIndices: keep(tensor(all)), values };
}

/**
 * A sparse matrix with `perRow` elements in each row, in columns drawn at random, with values from U(−1, 1).
 * Every row has as many, as a unit has inputs: then the spectral radius of N × N is near √(perRow/3).
 * @throws ArgumentError for sizes below 1 and more elements than columns
 * @example randomSparse(1000, 1000, 10, { generator: new Generator(1) });
 */
export function randomSparse(rows: number, columns: number, perRow: number, options: LayerOptions = {}): SparseMatrix {
  checkSizes("randomSparse", { rows, columns, perRow });
  if (perRow > columns) throw new ArgumentError(`randomSparse: expected at most ${columns} elements a row, got ${perRow}`);
  const { generator = defaultGenerator(), dtype = "float32" } = optionsOf("randomSparse", options, LAYER);
  const drawn = generator.integers([rows, perRow], 0, columns).data();
  const taken = new Int32Array(columns).fill(-1);
  const places = Array.from({ length: rows }, (_, i) => {
    const row = Int32Array.from(drawn.subarray(i * perRow, (i + 1) * perRow), (draw) => {
      // A column that is taken already gives way to the next one that is free.
      let j = Number(draw);
      while (taken[j] === i) j = (j + 1) % columns;
      taken[j] = i;
      return j;
    });
    return row.sort();
  });
  return sparseRowsOf(columns, places, generator.uniform([rows * perRow], -1, 1, dtype));
}
