import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { MDLSTM, MDRNN, MultiDirectional, StableMDLSTM } from "../../src/grids/multi-dimensional.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { permute } from "../../src/ops/shape.ts";
import type { Cell } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { accept, checkParameter, expectClose, goldenInputs } from "../cells/acceptance.ts";
import { logistic, plus, rows, times } from "../oracle/numbers.ts";

const [I, H] = [2, 3];
const kinds = { MDRNN, MDLSTM, StableMDLSTM } as const;
type Kind = keyof typeof kinds;
type Grid = MDRNN | MDLSTM | StableMDLSTM;

function build(kind: Kind, axes: number, seed = 1, more: { peepholes?: boolean; activation?: "logistic" } = {}): Grid {
  const generator = new Generator(seed);
  const grid = new kinds[kind]({ axes, inputSize: I, hiddenSize: H, dtype: "float64", generator, ...more });
  assign(grid.bias, generator.uniform(grid.bias.shape, -0.5, 0.5, "float64"));
  return grid;
}

/** Σ over axes of the vectors that `of` gives. */
const sumOf = (n: number, of: (d: number) => readonly number[]) =>
  plus(new Array<number>(H).fill(0), ...Array.from({ length: n }, (_, d) => of(d)));
const by = (a: readonly number[], b: readonly number[]) => a.map((v, k) => v * (b[k] as number));

/** One place by the papers' equations, from the input and the states of its predecessors. */
type Place = { h: number[]; c: number[] };
function place(kind: Kind, grid: Grid, x: readonly number[], before: readonly Place[], phi = Math.tanh): Place {
  const n = grid.axes;
  const [wx, u] = [rows(grid.weightIh), rows(grid.weightHh)];
  const stacked = before.flatMap(({ h }) => h);
  const a = plus(times(wx, x), times(u, stacked), Array.from(grid.bias.data()));
  const block = (k: number) => a.slice(k * H, (k + 1) * H);
  if (kind === "MDRNN") return { h: block(0).map(phi), c: [] };
  const { weightPeephole } = grid as MDLSTM;
  const row = (k: number) => (weightPeephole === null ? new Array<number>(H).fill(0) : (rows(weightPeephole)[k] as number[]));
  const cell = (d: number) => (before[d] as Place).c;
  if (kind === "MDLSTM") {
    const i = plus(
      block(0),
      sumOf(n, (d) => by(row(d), cell(d))),
    ).map(logistic);
    const f = Array.from({ length: n }, (_, d) => plus(block(1 + d), by(row(n + d), cell(d))).map(logistic));
    const c = plus(
      by(i, block(n + 1).map(Math.tanh)),
      sumOf(n, (d) => by(f[d] as number[], cell(d))),
    );
    const o = plus(block(n + 2), by(row(2 * n), c)).map(logistic);
    return { h: by(o, c.map(Math.tanh)), c };
  }
  const lambda = Array.from({ length: n }, (_, d) => block(2 + d).map(logistic));
  const mixed = by(
    sumOf(n, (d) => by(lambda[d] as number[], cell(d))),
    sumOf(n, (d) => lambda[d] as number[]).map((s) => 1 / s),
  );
  const i = plus(block(0), by(row(0), mixed)).map(logistic);
  const f = plus(block(1), by(row(1), mixed)).map(logistic);
  const c = plus(by(i, block(n + 2).map(Math.tanh)), by(f, mixed));
  const o = plus(block(n + 3), by(row(2), c)).map(logistic);
  return { h: by(o, c.map(Math.tanh)), c };
}

/** The whole grid, place by place in raster order. */
function oracle(kind: Kind, grid: Grid, x: Tensor, phi = Math.tanh): number[] {
  const shape = x.shape.slice(1, -1);
  const count = shape.reduce((a, b) => a * b);
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((a, b) => a * b, 1));
  const values = Array.from(x.data());
  const nothing: Place = { h: new Array<number>(H).fill(0), c: new Array<number>(H).fill(0) };
  const out: number[] = [];
  for (let b = 0; b < x.dim(0); b++) {
    const done: Place[] = [];
    for (let k = 0; k < count; k++) {
      const before = strides.map((s, d) => (Math.floor(k / s) % (shape[d] as number) === 0 ? nothing : (done[k - s] as Place)));
      const from = (b * count + k) * I;
      const now = place(kind, grid, values.slice(from, from + I), before, phi);
      done.push(now);
      out.push(...now.h);
    }
  }
  return out;
}

describe.each(Object.keys(kinds) as Kind[])("%s", (kind) => {
  it.each([
    [1, [2, 5, I]],
    [2, [2, 3, 4, I]],
    [2, [1, 1, 6, I]],
    [2, [1, 6, 1, I]],
    [3, [2, 3, 2, 4, I]],
    [4, [1, 2, 3, 2, 2, I]],
  ])("over %i axes is its equation at each place of %j", (axes, shape) => {
    const grid = build(kind, axes);
    const x = new Generator(2).uniform(shape, -1, 1, "float64");
    const y = grid.forward(x);
    expect(y.shape).toEqual([...shape.slice(0, -1), H]);
    expectClose(y, oracle(kind, grid, x), 1e-12);
  });

  it("has recurrences over lines that are captured, with right gradients", () => {
    accept(build(kind, 2).over([3]) as Cell);
    accept(build(kind, 1).over([]) as Cell);
    accept(build(kind, 3).over([2, 2]) as Cell);
  });

  it("has the gradients of its equations", () => {
    const grid = build(kind, 2);
    const g = new Generator(3);
    const x = g.uniform([2, 3, 2, I], -1, 1, "float64");
    const weights = g.uniform([2, 3, 2, H], -1, 1, "float64");
    const loss = (input: Tensor) => sum(mul(grid.forward(input), weights));
    checkGrads(loss, [x]);
    for (const [name, p] of grid.namedParameters()) checkParameter(name, p, () => loss(x));
  });

  it("lets a place see what precedes it along every axis, and nothing else", () => {
    const grid = build(kind, 2);
    const [rowsOf, columns] = [4, 5];
    const x = new Generator(4).uniform([1, rowsOf, columns, I], -1, 1, "float64");
    const before = noGrad(() => grid.forward(x)).data();
    for (let k = 0; k < rowsOf * columns; k++) {
      const changed = x.data();
      changed[k * I] = (changed[k * I] as number) + 1;
      const after = noGrad(() => grid.forward(tensor(changed, { shape: x.shape, dtype: "float64" }))).data();
      for (let m = 0; m < rowsOf * columns; m++) {
        const reached = Math.floor(m / columns) >= Math.floor(k / columns) && m % columns >= k % columns;
        const moved = Array.from({ length: H }, (_, j) => after[m * H + j] !== before[m * H + j]).some(Boolean);
        expect(moved, `from ${k} to ${m}`).toBe(reached);
      }
    }
  });

  it("refuses what does not fit", () => {
    expect(() => build(kind, 0)).toThrow(/expected axes to be a whole number of at least 1, got 0/);
    const grid = build(kind, 2);
    expect(() => grid.forward(new Generator(1).uniform([2, 3, I], 0, 1, "float64"))).toThrow(/expected x \[B, 2 axes, 2\]/);
    expect(() => grid.forward(new Generator(1).uniform([2, 0, 3, I], 0, 1, "float64"))).toThrow(/not empty/);
    expect(() => grid.forward(new Generator(1).uniform([2, 2, 3, I + 1], 0, 1, "float64"))).toThrow(/expected x \[B, 2 axes, 2\]/);
  });
});

describe("options", () => {
  const x = new Generator(2).uniform([2, 3, 2, I], -1, 1, "float64");

  it("MDRNN has the activation that it is given, and zeros outside the grid though φ(0) = ½", () => {
    const grid = build("MDRNN", 2, 1, { activation: "logistic" });
    expectClose(grid.forward(x), oracle("MDRNN", grid, x, logistic), 1e-12);
    const cube = build("MDRNN", 3, 1, { activation: "logistic" });
    const y = new Generator(2).uniform([1, 2, 3, 2, I], -1, 1, "float64");
    expectClose(cube.forward(y), oracle("MDRNN", cube, y, logistic), 1e-12);
    checkGrads((input) => sum(mul(grid.forward(input), grid.forward(input))), [x]);
    for (const [name, p] of grid.namedParameters()) checkParameter(name, p, () => sum(mul(grid.forward(x), grid.forward(x))));
  });

  it.each(["MDLSTM", "StableMDLSTM"] as const)("%s does without peepholes", (kind) => {
    const grid = build(kind, 2, 1, { peepholes: false });
    expect((grid as MDLSTM).weightPeephole).toBeNull();
    expectClose(grid.forward(x), oracle(kind, grid, x), 1e-12);
    for (const [name, p] of grid.namedParameters()) checkParameter(name, p, () => sum(mul(grid.forward(x), grid.forward(x))));
  });

  it("forget gates start from the bias that is given, no other block does", () => {
    const sizes = { axes: 2, inputSize: 1, hiddenSize: 1 };
    expect(Array.from(new MDLSTM({ ...sizes, forgetBias: 3 }).bias.data())).toEqual([0, 3, 3, 0, 0]);
    expect(Array.from(new StableMDLSTM({ ...sizes, forgetBias: 3 }).bias.data())).toEqual([0, 3, 0, 0, 0, 0]);
    expect(Array.from(new MDLSTM(sizes).bias.data())).toEqual([0, 0, 0, 0, 0]);
  });
});

describe("one axis", () => {
  it("is the ordinary recurrent network", () => {
    const grid = build("MDRNN", 1) as MDRNN;
    const cell = new RNNCell({ inputSize: I, hiddenSize: H, dtype: "float64" });
    assign(cell.weightIh, grid.weightIh);
    assign(cell.weightHh, grid.weightHh);
    if (cell.biasIh) assign(cell.biasIh, grid.bias);
    if (cell.biasHh) assign(cell.biasHh, new Float64Array(H));
    const x = new Generator(5).uniform([2, 6, I], -1, 1, "float64");
    const [ys] = cell.scan(permute(x, [1, 0, 2]));
    expectClose(grid.forward(x), Array.from(permute(ys, [1, 0, 2]).data()), 1e-12);
  });
});

/** Parameter number s of the golden vectors: n values. */
const golden = (s: number, n: number) => Array.from({ length: n }, (_, k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s));

describe("golden vector", () => {
  it("of the LSTM with peepholes, along one axis", () => {
    const grid = new MDLSTM({ axes: 1, inputSize: 3, hiddenSize: 2, dtype: "float64" });
    assign(grid.weightIh, golden(0, 24));
    assign(grid.weightHh, golden(1, 16));
    assign(grid.bias, plus(golden(2, 8), golden(3, 8)));
    if (grid.weightPeephole) assign(grid.weightPeephole, [...golden(4, 2), ...golden(5, 2), ...golden(6, 2)]);
    const ys = grid.forward(permute(goldenInputs("float64"), [1, 0, 2])).data();
    expectClose(Array.from(ys.slice(-2), Number), [0.146996, 0.269063], 1e-6);
  });
});

describe("gates that are closed", () => {
  it("share what is before a place by how far they are closed, however far that is", () => {
    const grid = new StableMDLSTM({ axes: 2, inputSize: 1, hiddenSize: 1, dtype: "float64", peepholes: false });
    // Nothing is written, all is kept and put out: sums i f λ₁ λ₂ g o.
    const share = (first: number, second: number) => {
      assign(grid.weightHh, new Float64Array(grid.weightHh.size));
      const sums = tensor([-800, 800, first, second, 0, 800, -800, 800, first, second, 0, 800], { shape: [1, 12], dtype: "float64" });
      const before = { h: zeros([1, 2, 1], "float64"), c: tensor([3, 5], { shape: [1, 2, 1], dtype: "float64" }) };
      return Array.from(noGrad(() => grid.over([2]).step(sums, before)[1].c).data());
    };
    // Along the first axis the place before the second one is the first, with 3; along the last it is itself, with 5.
    for (const far of [-2000, 0, 2000]) expectClose(share(far, far), [1.5, 4], 1e-12);
    expectClose(share(-2000, 0), [3, 5], 1e-12);
    expectClose(share(0, -2000), [0, 3], 1e-12);
    expectClose(share(-2000, -2000 + Math.log(3)), [0.75 * 3, 0.25 * 3 + 0.75 * 5], 1e-9);
  });
});

describe("stability", () => {
  it("the stable cell stays bounded where open forget gates make the other grow with the number of paths", () => {
    const largest = (kind: "MDLSTM" | "StableMDLSTM"): number => {
      const grid = new kinds[kind]({ axes: 2, inputSize: 1, hiddenSize: 1, dtype: "float64", peepholes: false, forgetBias: 20 });
      const [cell, n] = [grid.over([12]), 12];
      assign(grid.weightHh, new Float64Array(grid.weightHh.size));
      const gates = grid.bias.size;
      // Input gate half open, candidate tanh(1); forget gates open.
      const one = Array.from({ length: gates }, (_, k) => (grid.bias.data()[k] as number) || (k === gates - 2 ? 1 : 0));
      const xs = tensor(Array.from({ length: 12 * n }, () => one).flat(), { shape: [12, 1, n * gates], dtype: "float64" });
      return Math.max(...noGrad(() => cell.scan(xs)[1].c as Tensor).data());
    };
    expect(largest("StableMDLSTM")).toBeLessThan(12);
    expect(largest("MDLSTM")).toBeGreaterThan(400);
  });
});

describe("MultiDirectional", () => {
  const make = () => new MultiDirectional({ axes: 2, create: (k) => build("MDRNN", 2, 10 + k) });

  it("puts the outputs of all scan orders side by side", () => {
    const all = make();
    const [h, w] = [3, 4];
    const x = new Generator(6).uniform([1, h, w, I], -1, 1, "float64");
    const values = x.data();
    const y = all.forward(x).data();
    for (const [k, grid] of all.directions.entries()) {
      const at = (r: number, c: number) => [k >= 2 ? h - 1 - r : r, k % 2 === 1 ? w - 1 - c : c] as const;
      const turned = Array.from({ length: h * w }, (_, m) => {
        const [r, c] = at(Math.floor(m / w), m % w);
        return Array.from(values.slice((r * w + c) * I, (r * w + c + 1) * I));
      });
      const expected = oracle("MDRNN", grid as Grid, tensor(turned.flat(), { shape: x.shape, dtype: "float64" }));
      for (let m = 0; m < h * w; m++) {
        const [r, c] = at(Math.floor(m / w), m % w);
        for (let j = 0; j < H; j++) {
          const error = Math.abs((y[(r * w + c) * 4 * H + k * H + j] as number) - (expected[m * H + j] as number));
          expect(error).toBeLessThanOrEqual(1e-12);
        }
      }
      const corner = Array.from(all.corners(x).data()).slice(k * H, (k + 1) * H);
      expectClose(corner, expected.slice(-H), 1e-12);
    }
  });

  it("lets every place see the whole grid", () => {
    const all = make();
    const x = new Generator(7).uniform([1, 3, 3, I], -1, 1, "float64");
    const before = noGrad(() => all.forward(x)).data();
    for (let k = 0; k < 9; k++) {
      const changed = x.data();
      changed[k * I] = (changed[k * I] as number) + 1;
      const after = noGrad(() => all.forward(tensor(changed, { shape: x.shape, dtype: "float64" }))).data();
      const width = 4 * H;
      for (let m = 0; m < 9; m++) expect(after.slice(m * width, (m + 1) * width)).not.toEqual(before.slice(m * width, (m + 1) * width));
    }
  });

  it("has networks of its own in 2ⁿ directions, which must fit", () => {
    expect(new MultiDirectional({ axes: 3, create: () => build("MDLSTM", 3) }).parameters()).toHaveLength(8 * 4);
    expect(make().outputSize).toBe(4 * H);
    const mixed = (k: number) => (k === 1 ? build("MDRNN", 3) : build("MDRNN", 2));
    expect(() => new MultiDirectional({ axes: 2, create: mixed })).toThrow(/expected networks of 2 axes/);
    for (const other of [{ inputSize: 3 }, { hiddenSize: 2 }]) {
      const create = (k: number) => new MDRNN({ axes: 2, inputSize: I, hiddenSize: H, ...(k === 3 && other) });
      const { inputSize = I, hiddenSize = H } = other as { inputSize?: number; hiddenSize?: number };
      expect(() => new MultiDirectional({ axes: 2, create })).toThrow(
        `input size 2 and hidden size 3, got 2, ${inputSize} and ${hiddenSize}`,
      );
    }
  });
});
