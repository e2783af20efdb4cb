/** Muon: orthogonal directions, worked by hand and by singular values. */

import { describe, expect, it } from "vitest";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { symmetricEigen } from "../../src/numerics/eigenvalues.ts";
import { Muon } from "../../src/optim/muon.ts";
import { Generator } from "../../src/tensor/random.ts";
import { keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const dtype = "float64";
const leaf = (rows: number[][]): Tensor => keep(tensor(rows, { dtype, requiresGrad: true }));
const rowsOf = (t: Tensor): number[][] => t.toArray() as number[][];

/** Five sweeps of a·x + b·x³ + c·x⁵: what the iteration does to a singular value. */
function swept(x: number): number {
  let y = x;
  for (let i = 0; i < 5; i++) y = 3.4445 * y - 4.775 * y ** 3 + 2.0315 * y ** 5;
  return y;
}

describe("Muon", () => {
  it("descends Rosenbrock's valley, whose two coordinates are a row, at a falling rate", () => {
    const p = leaf([[-1.2, 1]]);
    const optimizer = new Muon([p], { lr: 0.02 });
    const valley = (): [x: number, y: number] => [p.data()[0] as number, p.data()[1] as number];
    for (let t = 0; t < 4000; t++) {
      optimizer.lr = 0.02 / (1 + t / 200);
      const [x, y] = valley();
      optimizer.step([tensor([[-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]], { dtype })]);
    }
    const [x, y] = valley();
    expect(!((1 - x) ** 2 + 100 * (y - x * x) ** 2 <= 1e-3)).toBe(false);
  });

  it("takes steps worked by hand: diagonal gradients, momentum with and without looking ahead", () => {
    for (const nesterov of [true, false]) {
      const p = leaf([
        [1, 0],
        [0, 2],
      ]);
      const optimizer = new Muon([p], { lr: 0.1, momentum: 0.5, weightDecay: 0.2, nesterov });
      let [v, w] = [
        [0, 0],
        [1, 2],
      ] as [number[], number[]];
      for (const g of [
        [3, 4],
        [-6, 1],
      ]) {
        optimizer.step([
          tensor(
            [
              [g[0] as number, 0],
              [0, g[1] as number],
            ],
            { dtype },
          ),
        ]);
        v = v.map((m, i) => 0.5 * m + (g[i] as number));
        const u = nesterov ? v.map((m, i) => (g[i] as number) + 0.5 * m) : v;
        const size = Math.sqrt(u.reduce((a, x) => a + x * x, 0));
        w = w.map((x, i) => 0.98 * x - 0.1 * swept((u[i] as number) / size));
        const [[a, b], [c, d]] = rowsOf(p) as [[number, number], [number, number]];
        expect([b, c]).toEqual([0, 0]);
        expect(Math.abs(a - (w[0] as number)) < 1e-12 && Math.abs(d - (w[1] as number)) < 1e-12).toBe(true);
      }
    }
  });

  it.each([
    [4, 4],
    [6, 3],
    [3, 6],
  ])("moves by singular values about 1, in the directions of the gradient's: [%i,%i]", (M, N) => {
    const p = leaf(Array.from({ length: M }, () => new Array<number>(N).fill(0)));
    const g = new Generator(1).normal([M, N], 0, 1, dtype);
    new Muon([p], { lr: 1, momentum: 0 }).step([g]);
    const scale = Math.sqrt(Math.max(1, M / N));
    const moved = rowsOf(p).map((row) => row.map((x) => -x / scale));
    const gram = (rows: number[][]): number[][] =>
      Array.from({ length: N }, (_, i) =>
        Array.from({ length: N }, (_, j) => rows.reduce((a, row) => a + (row[i] as number) * (row[j] as number), 0)),
      );
    const symmetric = (m: number[][]): number[][] => m.map((row, i) => row.map((v, j) => (v + (m[j]?.[i] as number)) / 2));
    const found = symmetricEigen(symmetric(gram(moved)))
      .values.slice(0, Math.min(M, N))
      .map(Math.sqrt);
    const before = symmetricEigen(symmetric(gram(rowsOf(g))))
      .values.slice(0, Math.min(M, N))
      .map(Math.sqrt);
    const norm = Math.sqrt(before.reduce((a, s) => a + s * s, 0));
    const expected = before.map((s) => swept(s / norm)).sort((a, b) => b - a);
    found
      .sort((a, b) => b - a)
      .forEach((s, i) => {
        expect(Math.abs(s - (expected[i] as number))).toBeLessThan(1e-9);
      });
    expect(found.every((s) => s > 0.6 && s < 1.25)).toBe(true);
    // Σ of the products with the gradient is the sum of the products of singular values: the same directions.
    const inner = moved.flat().reduce((a, x, i) => a + x * (g.data()[i] as number), 0);
    expect(Math.abs(inner - before.reduce((a, s) => a + s * swept(s / norm), 0))).toBeLessThan(1e-9);
  });

  it("leaves zeros alone, keeps its state, and refuses what is no matrix", () => {
    const p = leaf([[1, 2]]);
    const optimizer = new Muon([p]);
    optimizer.step([tensor([[0, 0]], { dtype })]);
    expect(rowsOf(p)).toEqual([[1, 2]]);
    optimizer.step([tensor([[1, -1]], { dtype })]);
    const other = leaf(rowsOf(p));
    const again = new Muon([other]);
    again.loadStateDict(optimizer.stateDict());
    for (const o of [optimizer, again]) o.step([tensor([[2, 1]], { dtype })]);
    expect(rowsOf(other)).toEqual(rowsOf(p));
    expect(() => new Muon([keep(tensor([1], { dtype, requiresGrad: true }))])).toThrow(ShapeError);
    expect(() => new Muon([p], { momentum: 1 })).toThrow(ArgumentError);
  });
});
