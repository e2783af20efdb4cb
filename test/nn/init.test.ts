import { describe, expect, test } from "vitest";
import * as init from "../../src/nn/init.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Shape } from "../../src/tensor/shape.ts";
import { empty, Tensor, tensor } from "../../src/tensor/tensor.ts";

const generator = () => new Generator(17);

/** Root mean square: the deviation from the mean 0 every rule here has. */
function rms(t: Tensor): number {
  return Math.sqrt(Array.from(t.data()).reduce((s, v) => s + v * v, 0) / t.size);
}

function largest(t: Tensor): number {
  return Array.from(t.data()).reduce((m, v) => Math.max(m, Math.abs(v)), 0);
}

describe.each(["float32", "float64"] as const)("%s", (dtype) => {
  const make = (shape: Shape) => empty(shape, dtype);
  // fanIn 50·4 = 200, fanOut 30·4 = 120.
  const shape = [30, 50, 4];

  test("uniform, normal, constant", () => {
    const u = init.uniform(make([1000]), { low: 2, high: 3, generator: generator() });
    expect(u.data().every((v) => v >= 2 && v < 3)).toBe(true);
    expect(u.data()).toEqual(generator().uniform([1000], 2, 3, dtype).data());
    const z = init.normal(make([1000]), { mean: 1, std: 2, generator: generator() });
    expect(z.data()).toEqual(generator().normal([1000], 1, 2, dtype).data());
    expect(Array.from(init.constant(make([3]), 0.5).data())).toEqual([0.5, 0.5, 0.5]);
  });

  const { glorotUniform, glorotNormal, heUniform, heNormal } = init;
  const spreads = { glorotUniform, glorotNormal, heUniform, heNormal };

  test.each([
    ["glorotUniform", {}, Math.sqrt(2 / 320)],
    ["glorotUniform", { gain: 3 }, 3 * Math.sqrt(2 / 320)],
    ["glorotNormal", {}, Math.sqrt(2 / 320)],
    ["heUniform", {}, Math.sqrt(2 / 200)],
    ["heUniform", { mode: "fanOut", gain: 1 }, Math.sqrt(1 / 120)],
    ["heNormal", { mode: "fanOut" }, Math.sqrt(2 / 120)],
    ["heNormal", { gain: 5 / 3 }, 5 / 3 / Math.sqrt(200)],
  ] as const)("%s(%o) has the deviation %f", (name, options, deviation) => {
    const t = spreads[name](make(shape), { ...options, generator: generator() });
    expect(Math.abs(rms(t) / deviation - 1)).toBeLessThan(0.03);
    if (name.endsWith("Uniform")) {
      expect(largest(t)).toBeLessThanOrEqual(Math.sqrt(3) * deviation * (1 + 1e-7));
      expect(largest(t)).toBeGreaterThan(0.99 * Math.sqrt(3) * deviation);
    } else {
      expect(largest(t)).toBeGreaterThan(3 * deviation);
    }
  });

  test("no gain is zeros, no elements are nothing", () => {
    expect(rms(init.glorotUniform(make([3, 4]), { gain: 0 }))).toBe(0);
    expect(rms(init.heNormal(make([3, 4]), { gain: 0 }))).toBe(0);
    for (const fill of [init.glorotUniform, init.heNormal, init.orthogonal]) expect(fill(make([0, 4])).shape).toEqual([0, 4]);
  });

  test.each([
    [1, 1],
    [5, 5],
    [3, 7],
    [7, 3],
    [64, 64],
  ])("orthogonal [%i,%i] has orthonormal rows or columns", (rows, columns) => {
    const t = init.orthogonal(make([rows, columns]), { gain: 2, generator: generator() });
    const x = t.data();
    const at = (i: number, j: number) => (rows <= columns ? (x[i * columns + j] as number) : (x[j * columns + i] as number));
    const [short, long] = [Math.min(rows, columns), Math.max(rows, columns)];
    for (let a = 0; a < short; a++) {
      for (let b = 0; b <= a; b++) {
        let product = 0;
        for (let j = 0; j < long; j++) product += at(a, j) * at(b, j);
        expect(!(Math.abs(product - (a === b ? 4 : 0)) <= (dtype === "float32" ? 2e-6 : 1e-13))).toBe(false);
      }
    }
  });
});

test("orthogonal is Gram and Schmidt's basis of the same random vectors", () => {
  const [rows, columns] = [3, 5];
  const random = generator().normal([rows, columns], 0, 1, "float64").data();
  const basis: number[][] = [];
  for (let i = 0; i < rows; i++) {
    let v = Array.from(random.subarray(i * columns, (i + 1) * columns));
    for (const b of basis) {
      const along = b.reduce((s, x, j) => s + x * (v[j] as number), 0);
      v = v.map((x, j) => x - along * (b[j] as number));
    }
    const norm = Math.hypot(...v);
    basis.push(v.map((x) => x / norm));
  }
  const t = init.orthogonal(empty([rows, columns], "float64"), { generator: generator() });
  t.data().forEach((x, i) => {
    expect(x).toBeCloseTo(basis.flat()[i] as number, 12);
  });
});

test("orthogonal matrices are rotations and reflections equally often, and reach every direction", () => {
  const g = generator();
  let rotations = 0;
  let positive = 0;
  for (let i = 0; i < 400; i++) {
    const [a = 0, b = 0, c = 0, d = 0] = init.orthogonal(empty([2, 2], "float64"), { generator: g }).data();
    if (a * d - b * c > 0) rotations++;
    if (a > 0) positive++;
  }
  expect(Math.abs(rotations - 200)).toBeLessThan(34);
  expect(Math.abs(positive - 200)).toBeLessThan(34);
});

test("identity", () => {
  expect(init.identity(empty([2, 3]), { gain: 0.5 }).toArray()).toEqual([
    [0.5, 0, 0],
    [0, 0.5, 0],
  ]);
  expect(() => init.identity(empty([2]))).toThrow(/identity: expected a matrix, got \[2\]/);
});

describe("chrono", () => {
  test("sets the gates of an LSTM's bias and leaves the rest", () => {
    const bias = init.chrono(tensor(new Float64Array(4000).fill(9)), { tMax: 100, generator: generator() });
    const x = bias.data();
    const [input, forget, rest] = [x.subarray(0, 1000), x.subarray(1000, 2000), x.subarray(2000)];
    expect(forget.every((v, i) => (input[i] as number) === -v)).toBe(true);
    expect(rest.every((v) => v === 9)).toBe(true);
    const spans = Array.from(forget, Math.exp);
    expect(Math.min(...spans)).toBeGreaterThanOrEqual(1 - 1e-12);
    expect(Math.max(...spans)).toBeLessThan(99);
    const mean = spans.reduce((a, b) => a + b) / 1000;
    expect(Math.abs(mean - 50) / (98 / Math.sqrt(12 * 1000))).toBeLessThan(3.3);
  });

  test("knows other layouts", () => {
    const x = init.chrono(tensor([1, 2, 3, 4]), { tMax: 10, gates: 2, forgetGate: 0, inputGate: null, generator: generator() }).data();
    expect(Array.from(x.subarray(2))).toEqual([3, 4]);
    expect(x[0]).toBeGreaterThan(0);
    expect(x[0]).not.toBe(x[1]);
    expect(() => init.chrono(tensor([1, 2, 3]), { tMax: 10 })).toThrow(/expected a bias of 4 equal blocks, got \[3\]/);
    expect(() => init.chrono(tensor([1, 2, 3, 4]), { tMax: 2 })).toThrow(/expected tMax above 2, got 2/);
    expect(() => init.chrono(tensor([1, 2, 3, 4]), { tMax: 9, forgetGate: 4 })).toThrow(/expected gates below 4, got 4/);
  });
});

test("gains", () => {
  expect(init.calculateGain("tanh")).toBe(5 / 3);
  expect(init.calculateGain("relu")).toBe(Math.SQRT2);
  expect(init.calculateGain("leakyRelu", 0)).toBe(Math.SQRT2);
  expect(init.calculateGain("leakyRelu", 1)).toBe(1);
  expect(init.calculateGain("linear")).toBe(1);
  expect(() => init.calculateGain("cubic" as "linear")).toThrow(/calculateGain: expected .* got cubic/);
});

test("errors name the function and the shape", () => {
  expect(() => init.glorotUniform(empty([3]))).toThrow(/glorotUniform: expected at least two axes, got \[3\]/);
  expect(() => init.orthogonal(empty([3]))).toThrow(/orthogonal: expected at least two axes, got \[3\]/);
  expect(() => init.normal(empty([3], "int32"))).toThrow(/normal: expected a float tensor, got int32/);
  const strided = new Tensor(empty([4]).storage, "float32", [2], [2]);
  expect(() => init.uniform(strided)).toThrow(/uniform: expected a contiguous tensor/);
});
