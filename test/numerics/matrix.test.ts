import { describe, expect, it } from "vitest";
import { type ComplexNumber, eigenvalues, symmetricEigen } from "../../src/numerics/eigenvalues.ts";
import { type Matrix, orthonormalRows, solve } from "../../src/numerics/matrix.ts";
import { Generator } from "../../src/tensor/random.ts";

function random(n: number, seed: number): number[][] {
  const flat = Array.from(new Generator(seed).uniform([n, n], -1, 1, "float64").data());
  return Array.from({ length: n }, (_, i) => flat.slice(i * n, (i + 1) * n));
}

const product = (a: Matrix, b: Matrix) =>
  a.map((row) => (b[0] as number[]).map((_, j) => row.reduce((s, v, k) => s + v * (b[k]?.[j] as number), 0)));
const transposed = (a: Matrix) => (a[0] ?? []).map((_, j) => a.map((row) => row[j] as number));
const identity = (n: number) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => Number(i === j)));

/** |det(A − λ I)|, by elimination in complex numbers with row exchanges. */
function characteristic(matrix: Matrix, lambda: ComplexNumber): number {
  const n = matrix.length;
  const re = matrix.map((row, i) => row.map((v, j) => v - (i === j ? lambda.re : 0)));
  const im = matrix.map((row, i) => row.map((_, j) => (i === j ? -lambda.im : 0)));
  let det = 1;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k; i < n; i++) {
      if (Math.hypot(re[i]?.[k] as number, im[i]?.[k] as number) > Math.hypot(re[pivot]?.[k] as number, im[pivot]?.[k] as number))
        pivot = i;
    }
    [re[k], re[pivot]] = [re[pivot] as number[], re[k] as number[]];
    [im[k], im[pivot]] = [im[pivot] as number[], im[k] as number[]];
    const [a, b] = [re[k]?.[k] as number, im[k]?.[k] as number];
    const size = Math.hypot(a, b);
    det *= size;
    if (size === 0) return 0;
    for (let i = k + 1; i < n; i++) {
      const [c, d] = [re[i]?.[k] as number, im[i]?.[k] as number];
      const [fr, fi] = [(c * a + d * b) / size ** 2, (d * a - c * b) / size ** 2];
      for (let j = k; j < n; j++) {
        const [x, y] = [re[k]?.[j] as number, im[k]?.[j] as number];
        (re[i] as number[])[j] = (re[i]?.[j] as number) - fr * x + fi * y;
        (im[i] as number[])[j] = (im[i]?.[j] as number) - fr * y - fi * x;
      }
    }
  }
  return det;
}

describe("eigenvalues", () => {
  it("of small matrices by hand", () => {
    expect(eigenvalues([])).toEqual([]);
    expect(eigenvalues([[3]])).toEqual([{ re: 3, im: 0 }]);
    expect(
      eigenvalues([
        [0, -1],
        [1, 0],
      ]),
    ).toEqual([
      { re: 0, im: 1 },
      { re: 0, im: -1 },
    ]);
    expect(
      eigenvalues([
        [2, 1],
        [1, 2],
      ]),
    ).toEqual([
      { re: 3, im: 0 },
      { re: 1, im: 0 },
    ]);
    expect(
      eigenvalues([
        [0, 0],
        [0, 0],
      ]).every(({ re, im }) => re === 0 && im === 0),
    ).toBe(true);
  });

  it.each([1, 2, 3, 4, 5, 8, 13, 30])(
    "of random matrices of size %i: roots of the characteristic polynomial, with the trace as their sum",
    (n) => {
      for (let seed = 1; seed <= 5; seed++) {
        const a = random(n, 100 * n + seed);
        const found = eigenvalues(a);
        expect(found.length).toBe(n);
        const trace = a.reduce((s, row, i) => s + (row[i] as number), 0);
        expect(Math.abs(found.reduce((s, { re }) => s + re, 0) - trace)).toBeLessThan(1e-12 * n);
        expect(Math.abs(found.reduce((s, { im }) => s + im, 0))).toBeLessThan(1e-12);
        // The polynomial at a root, against its size a little away from it.
        for (const root of found) {
          const near = characteristic(a, root);
          expect(near).toBeLessThan(1e-7 * characteristic(a, { re: root.re + 1e-3, im: root.im + 1e-3 }));
        }
      }
    },
  );

  it("of symmetric and orthogonal matrices: real, and on the unit circle", () => {
    const a = random(9, 4);
    const symmetric = product(a, transposed(a));
    for (const { re, im } of eigenvalues(symmetric)) {
      expect(im).toBe(0);
      expect(re).toBeGreaterThan(-1e-12);
    }
    for (const { re, im } of eigenvalues(orthonormalRows(a).rows)) expect(Math.hypot(re, im)).toBeCloseTo(1, 12);
  });

  it("of matrices that defeat the plain iteration: permutations, companions, multiple roots", () => {
    const cycle = identity(6).map((_, i, rows) => rows[(i + 1) % 6] as number[]);
    for (const { re, im } of eigenvalues(cycle)) expect(Math.hypot(re, im)).toBeCloseTo(1, 12);
    // (x − 1)(x − 2)(x − 3)(x − 4)
    const companion = [
      [10, -35, 50, -24],
      [1, 0, 0, 0],
      [0, 1, 0, 0],
      [0, 0, 1, 0],
    ];
    for (const [i, { re, im }] of eigenvalues(companion).entries()) {
      expect(im).toBe(0);
      expect(re).toBeCloseTo(4 - i, 10);
    }
    const jordanBlock = [
      [2, 1, 0],
      [0, 2, 1],
      [0, 0, 2],
    ];
    for (const { re, im } of eigenvalues(jordanBlock)) expect(Math.hypot(re - 2, im)).toBeLessThan(1e-4);
  });

  it("refuses what is not square or not finite", () => {
    expect(() => eigenvalues([[1, 2]])).toThrow("eigenvalues: expected a square matrix, got rows of 2");
    expect(() => eigenvalues([[Number.NaN]])).toThrow("eigenvalues: expected finite numbers");
  });
});

describe("solve", () => {
  it.each([1, 2, 5, 20])("finds x with A x = b for n = %i", (n) => {
    const a = random(n, n);
    const x = Array.from({ length: n }, (_, i) => Math.sin(i + 1));
    const b = a.map((row) => row.reduce((s, v, j) => s + v * (x[j] as number), 0));
    for (const [i, v] of (solve(a, b) as number[]).entries()) expect(v).toBeCloseTo(x[i] as number, 8);
  });

  it("needs row exchanges here, and has no answer there", () => {
    expect(
      solve(
        [
          [0, 1],
          [1, 0],
        ],
        [2, 3],
      ),
    ).toEqual([3, 2]);
    expect(
      solve(
        [
          [1, 2],
          [2, 4],
        ],
        [1, 1],
      ),
    ).toBeNull();
    expect(() => solve([[1]], [1, 2])).toThrow("solve: expected b of length 1, got 2");
  });
});

describe("orthonormalRows", () => {
  it("spans the same rows: A = L Q with the lengths on the diagonal of L", () => {
    const a = random(6, 7).slice(0, 4);
    const { rows, lengths } = orthonormalRows(a);
    for (const [i, row] of product(rows, transposed(rows)).entries()) row.forEach((v, j) => expect(v).toBeCloseTo(Number(i === j), 12));
    const l = product(a, transposed(rows));
    for (const [i, length] of lengths.entries()) expect(l[i]?.[i]).toBeCloseTo(length, 12);
    for (let i = 0; i < 4; i++) for (let j = i + 1; j < 4; j++) expect(l[i]?.[j]).toBeCloseTo(0, 12);
  });
});

describe("symmetricEigen", () => {
  const symmetric = (n: number, seed: number) => {
    const a = random(n, seed);
    return a.map((row, i) => row.map((v, j) => v + (a[j] as number[])[i]!));
  };

  it.each([1, 2, 3, 7, 40])("A v = λ v with orthonormal v, by falling λ, n = %i", (n) => {
    const a = symmetric(n, n);
    const { values, vectors } = symmetricEigen(a);
    for (const [i, row] of product(vectors, transposed(vectors)).entries())
      row.forEach((v, j) => expect(v).toBeCloseTo(Number(i === j), 12));
    const images = product(vectors, a);
    for (const [i, row] of images.entries()) row.forEach((v, j) => expect(v).toBeCloseTo(values[i]! * vectors[i]![j]!, 11));
    for (let i = 1; i < n; i++) expect(values[i]! <= values[i - 1]!).toBe(true);
    eigenvalues(a).forEach(({ re, im }, i) => {
      expect(re).toBeCloseTo(values[i]!, 10);
      expect(im).toBeCloseTo(0, 10);
    });
  });

  it("gives the frequencies of a chain of springs, 2 − 2 cos(kπ/(n + 1))", () => {
    const n = 9;
    const chain = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0)));
    const known = Array.from({ length: n }, (_, k) => 2 - 2 * Math.cos(((n - k) * Math.PI) / (n + 1)));
    symmetricEigen(chain).values.forEach((v, k) => expect(Math.abs(v - known[k]!)).toBeLessThan(1e-14));
  });

  it("takes equal eigenvalues, zeros, blocks and sizes that are far apart", () => {
    expect(symmetricEigen([])).toEqual({ values: [], vectors: [] });
    expect(symmetricEigen([[0, 0], [0, 0]]).values).toEqual([0, 0]); // biome-ignore format: one line
    const blocks = [[1, 2, 0, 0], [2, 1, 0, 0], [0, 0, 1, 2], [0, 0, 2, 1]]; // biome-ignore format: one line
    [3, 3, -1, -1].forEach((v, i) => expect(symmetricEigen(blocks).values[i]).toBeCloseTo(v, 14));
    const far = symmetricEigen([[1e200, 1], [1, 1e-200]]).values; // biome-ignore format: one line
    expect(far[0]).toBe(1e200);
    expect(Math.abs(far[1]!)).toBeLessThan(1e-100);
  });

  it("refuses what is not symmetric, square or finite", () => {
    expect(() => symmetricEigen([[1, 2], [2.5, 1]])).toThrow("symmetricEigen: expected a symmetric matrix"); // biome-ignore format: one line
    expect(() => symmetricEigen([[1, 2]])).toThrow("expected a square matrix");
    expect(() => symmetricEigen([[Number.NaN]])).toThrow("expected finite numbers");
  });
});
