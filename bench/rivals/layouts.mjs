// PyTorch's layouts turned into those of other libraries.

/** The transpose of a row-major rows × columns matrix. */
export function transposed(values, rows, columns) {
  const out = new values.constructor(values.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j];
  return out;
}

/** Blocks of equal length in another order: gates. */
export function reordered(values, order) {
  const size = values.length / order.length;
  const out = new values.constructor(values.length);
  order.forEach((from, to) => {
    out.set(values.subarray(from * size, (from + 1) * size), to * size);
  });
  return out;
}

/** The last B·H values of ys [T,B,H]. */
export const lastStep = (ys, B, H) => ys.slice(-B * H);
