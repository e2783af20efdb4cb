import { describe, expect, it } from "vitest";
import { antiDiagonals, fromAntiDiagonals, shifted, skew, unskew } from "../../src/grids/lines.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

describe("skewing", () => {
  it("pushes row r by r places and takes it back", () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(skew(x, 0, 1).toArray()).toEqual([
      [1, 2, 3, 0],
      [0, 4, 5, 6],
    ]);
    expect(unskew(skew(x, 0, 1), 0, 1).toArray()).toEqual(x.toArray());
    expect(skew(x, 1, 0).toArray()).toEqual([
      [1, 0, 0],
      [4, 2, 0],
      [0, 5, 3],
      [0, 0, 6],
    ]);
    expect(unskew(skew(x, 1, 0), 1, 0).toArray()).toEqual(x.toArray());
  });

  it("shifts within an axis, however far", () => {
    const x = tensor([1, 2, 3]);
    expect([-4, -1, 0, 1, 2, 5].map((by) => shifted(x, 0, by).toArray())).toEqual([
      [0, 0, 0],
      [2, 3, 0],
      [1, 2, 3],
      [0, 1, 2],
      [0, 0, 1],
      [0, 0, 0],
    ]);
  });

  it.each([[[2, 4, 3]], [[2, 1, 5, 3]], [[2, 3, 1, 3]], [[2, 3, 2, 4, 3]], [[1, 2, 3, 2, 3, 1]]])(
    "lays the anti-diagonals of %j out",
    (shape) => {
      const x = new Generator(1).uniform(shape, 1, 2, "float64");
      const lines = antiDiagonals(x);
      const grid = shape.slice(1, -1);
      expect(lines.shape).toEqual([grid.reduce((a, b) => a + b) - grid.length + 1, shape[0], ...grid.slice(0, -1), shape.at(-1)]);
      const [values, flat] = [lines.data(), x.data()];
      const seen = new Set<number>();
      for (let n = 0; n < x.size; n++) {
        const at = shape.map((_, axis) => Math.floor(n / shape.slice(axis + 1).reduce((a, b) => a * b, 1)) % (shape[axis] as number));
        const places = at.slice(1, -1);
        const position = [places.reduce((a, b) => a + b), at[0] as number, ...places.slice(0, -1), at.at(-1) as number];
        const m = position.reduce((total, p, axis) => total * (lines.shape[axis] as number) + p, 0);
        seen.add(m);
        expect(values[m]).toBe(flat[n]);
      }
      values.forEach((value, m) => {
        if (!seen.has(m)) expect(value).toBe(0);
      });
      expect(fromAntiDiagonals(lines).toArray()).toEqual(x.toArray());
    },
  );

  it("is differentiable", () => {
    const g = new Generator(2);
    checkGrads((x) => skew(x, 1, 2), [g.uniform([2, 3, 2, 2], -1, 1, "float64")]);
    checkGrads((x) => fromAntiDiagonals(x), [g.uniform([5, 2, 2, 3, 2], -1, 1, "float64")]);
  });
});
