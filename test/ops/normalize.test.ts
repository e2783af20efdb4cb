import { describe, expect, test } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { layerNorm } from "../../src/ops/normalize.ts";
import { zeros } from "../../src/tensor/create.ts";
import { requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { expectClose, FLOATS } from "../kernels/memory.ts";
import { elements, type Grid, tensorOf } from "./grid.ts";
import { describeRows, gridOf, type Row, waves } from "./rows.ts";

/** The equation, in plain loops over the trailing `n` elements. */
function normalized(x: Grid, n: number, eps: number, weight?: Grid, bias?: Grid): Grid {
  const values = elements(x);
  const w = weight && elements(weight);
  const b = bias && elements(bias);
  const out = values.map((v, i) => {
    const row = values.slice(i - (i % n), i - (i % n) + n);
    const mean = row.reduce((a, c) => a + c, 0) / n;
    const variance = row.reduce((a, c) => a + (c - mean) ** 2, 0) / n;
    return ((v - mean) / Math.sqrt(variance + eps)) * (w?.[i % n] ?? 1) + (b?.[i % n] ?? 0);
  });
  return gridOf(x.shape, out);
}

const rows: Row[] = [[7], [3, 5], [33], [1]].flatMap((shape): Row[] => {
  const full = [4, ...shape];
  const n = shape.reduce((a, b) => a * b, 1);
  return [
    {
      name: `layerNorm over [${shape}], affine`,
      shapes: [full, shape, shape],
      fn: (x, weight, bias) => layerNorm(x as Tensor, shape, { weight, bias }),
      expected: (x, w, b) => normalized(x as Grid, n, 1e-5, w, b),
    },
    {
      name: `layerNorm over [${shape}]`,
      shapes: [full],
      fn: (x) => layerNorm(x as Tensor, shape, { eps: 1e-3 }),
      expected: (x) => normalized(x as Grid, n, 1e-3),
    },
    {
      name: `layerNorm over [${shape}] with a weight alone`,
      shapes: [full, shape],
      fn: (x, weight) => layerNorm(x as Tensor, shape, { weight }),
      expected: (x, w) => normalized(x as Grid, n, 1e-5, w),
    },
    {
      name: `layerNorm over [${shape}] with a bias alone`,
      shapes: [full, shape],
      fn: (x, bias) => layerNorm(x as Tensor, shape, { bias }),
      expected: (x, b) => normalized(x as Grid, n, 1e-5, undefined, b),
    },
  ];
});

describeRows([...rows, { ...(rows[0] as Row), name: "layerNorm of one row", shapes: [[7], [7], [7]] }]);

describe("layerNorm", () => {
  test.each(FLOATS)("rows far from 0 keep their digits, %s", (dtype) => {
    const x = tensor([4096, 4097, 4098, 4099], { dtype });
    const want = [-1.5, -0.5, 0.5, 1.5].map((v) => v / Math.sqrt(1.25 + 1e-5));
    expectClose(layerNorm(x, [4]).data(), want, dtype === "float32" ? 2e-7 : 1e-15);
  });

  test("the fused gradients are the composed ones", () => {
    const [x, weight, bias] = [[6, 9], [9], [9]].map((shape, i) => requireGrad(tensorOf(waves(shape, i)))) as [Tensor, Tensor, Tensor];
    const y = layerNorm(x, [9], { weight, bias });
    const g = tensorOf(waves([6, 9], 9));
    const composed = (() => {
      const n = 9;
      const [xs, ws, gs] = [x.data(), weight.data(), g.data()];
      const dx = new Float64Array(54);
      const [dw, db] = [new Float64Array(n), new Float64Array(n)];
      for (let r = 0; r < 6; r++) {
        const at = (c: number) => r * n + c;
        const cells = Array.from({ length: n }, (_, c) => c);
        const mean = cells.reduce((a, c) => a + (xs[at(c)] as number), 0) / n;
        const rstd = 1 / Math.sqrt(cells.reduce((a, c) => a + ((xs[at(c)] as number) - mean) ** 2, 0) / n + 1e-5);
        const xh = cells.map((c) => ((xs[at(c)] as number) - mean) * rstd);
        const h = cells.map((c) => (gs[at(c)] as number) * (ws[c] as number));
        for (const c of cells) {
          // The Jacobian of x̂, row by row: dx̂_k/dx_c = rstd·([k = c] - 1/n - x̂_k·x̂_c/n).
          dx[at(c)] = cells.reduce(
            (a, k) => a + (h[k] as number) * rstd * ((k === c ? 1 : 0) - 1 / n - ((xh[k] as number) * (xh[c] as number)) / n),
            0,
          );
          dw[c] = (dw[c] as number) + (gs[at(c)] as number) * (xh[c] as number);
          db[c] = (db[c] as number) + (gs[at(c)] as number);
        }
      }
      return [dx, dw, db] as const;
    })();
    gradients([y], [x, weight, bias], [g]).forEach((d, i) => {
      expectClose((d as Tensor).data(), composed[i] as Float64Array, 1e-13);
    });
  });

  test("no rows, and rows of nothing", () => {
    expect(layerNorm(zeros([0, 3]), [3]).shape).toEqual([0, 3]);
    expect(layerNorm(zeros([3, 0]), [0]).shape).toEqual([3, 0]);
  });

  test("errors", () => {
    const x = tensorOf(waves([2, 3]));
    expect(() => layerNorm(x, [2])).toThrow(new ShapeError("layerNorm: expected x [...,2], got [2,3]"));
    expect(() => layerNorm(x, [])).toThrow(ShapeError);
    expect(() => layerNorm(x, [3], { weight: x })).toThrow(new ShapeError("layerNorm: expected weight of shape [3], got [2,3]"));
    expect(() => layerNorm(x, [3], { bias: zeros([3]) })).toThrow(
      new DTypeError("layerNorm: expected bias of x's dtype float64, got float32"),
    );
    expect(() => layerNorm(tensor(Int32Array.of(1)), [1])).toThrow(DTypeError);
  });
});
