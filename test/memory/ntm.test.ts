import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { NTM, type NTMOptions, type NTMState } from "../../src/memory/ntm.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGradients, checkStepsEqualScan, expectClose } from "../cells/acceptance.ts";
import { type Equations, holdAgainst, type Numbers } from "../oracle/equations.ts";
import { each, logistic, part, type Vector } from "../oracle/numbers.ts";
import { affine, controllerBy, cut, rowsOf, softmax, softplus } from "./machines.ts";

const sizes = { inputSize: 2, outputSize: 2, hiddenSize: 3, memorySize: 4, wordSize: 3, dtype: "float64" } as const;
const machine = (options: Partial<NTMOptions> = {}, seed = 1) => new NTM({ ...sizes, generator: new Generator(seed), ...options });

function cosine(u: Vector, v: Vector): number {
  const dot = (a: Vector, b: Vector) => a.reduce((total, x, i) => total + x * (b[i] as number), 0);
  return dot(u, v) / (Math.sqrt(dot(u, u) * dot(v, v)) + 1e-8);
}

/** Equations 2 to 9 of Graves, Wayne and Danihelka (2014), head by head and row by row. */
const equations = (cell: NTM): Equations => {
  const { memorySize: N, wordSize: W, readHeads: R, writeHeads: V, shiftRange: n, controller } = cell;
  const bounded = (isBounded: boolean, values: Vector) => (isBounded ? values.map(Math.tanh) : values);
  return (p: Numbers, x, [memory, weightings, read, ...state]) => {
    const [h, next] = controllerBy(controller, p, [...x, ...(read as Vector)], state);
    const heads = R + V;
    const numbers = affine(p, "heads", h);
    const [k, beta, g, s, gamma, e, a] = cut(numbers, [heads * W, heads, heads, heads * (2 * n + 1), heads, V * W, V * W]) as [
      Vector, Vector, Vector, Vector, Vector, Vector, Vector,
    ]; // biome-ignore format: a list
    const M = rowsOf(memory as Vector, N);
    const w = Array.from({ length: heads }, (_, head) => {
      const content = softmax(M.map((row) => softplus(beta[head] as number) * cosine(bounded(cell.tanhKeys, part(k, head, heads)), row)));
      const gate = logistic(g[head] as number);
      const gated = each((c, before) => gate * c + (1 - gate) * before, content, part(weightings as Vector, head, heads));
      const shift = softmax(part(s, head, heads));
      const moved = gated.map((_, i) =>
        gated.reduce((total, wj, j) => {
          // s is asked for at i − j, counted in a circle: every k with k ≡ i − j modulo N moves row j to row i.
          const ways = shift.filter((_, at) => (((i - j - (at - n)) % N) + N) % N === 0);
          return total + wj * ways.reduce((sum, v) => sum + v, 0);
        }, 0),
      );
      const powers = moved.map((v) => v ** (1 + softplus(gamma[head] as number)));
      const total = powers.reduce((sum, v) => sum + v, 0);
      return powers.map((v) => v / total);
    });
    const added = bounded(cell.tanhAdded, a);
    const written = M.map((row, i) =>
      row.map((value, j) => {
        let kept = value;
        for (let v = 0; v < V; v++) kept *= 1 - (w[R + v]?.[i] as number) * logistic(e[v * W + j] as number);
        for (let v = 0; v < V; v++) kept += (w[R + v]?.[i] as number) * (added[v * W + j] as number);
        return kept;
      }),
    );
    const r = w
      .slice(0, R)
      .flatMap((wr) => Array.from({ length: W }, (_, j) => written.reduce((t, row, i) => t + (wr[i] as number) * (row[j] as number), 0)));
    return [affine(p, "output", [...h, ...r]), [written.flat(), w.flat(), r, ...next]];
  };
};

const kinds: [string, Partial<NTMOptions>][] = [
  ["an LSTM", {}],
  ["a feed-forward controller", { controller: "feedforward" }],
  ["two heads that read and three that write", { controller: "feedforward", readHeads: 2, writeHeads: 3 }],
  ["long moves", { controller: "feedforward", shiftRange: 3 }],
  ["no moves", { controller: "feedforward", shiftRange: 0 }],
  ["keys and added vectors through tanh", { controller: "feedforward", tanhKeys: true, tanhAdded: true }],
  ["one row of one number", { controller: "feedforward", memorySize: 1, wordSize: 1 }],
];

describe("NTM", () => {
  it.each(kinds)("is the paper's equations, values and derivatives, with %s", (_, options) => {
    const cell = machine(options);
    holdAgainst(cell, equations(cell), { low: 0.05 });
  });

  it.each(kinds)("has steps that equal its scan, captured, with %s", (_, options) => {
    const cell = machine(options);
    checkStepsEqualScan(cell, { state: cell.initialState(2) });
  });

  it("has derivatives in both modes", () => {
    const cell = machine({ controller: "feedforward", memorySize: 3, wordSize: 2, hiddenSize: 2 });
    const [start, g] = [cell.initialState(2), new Generator(3)];
    const positive = (t: Tensor) => g.uniform(t.shape, 0.05, 0.5, "float64");
    checkGradients(cell, { state: { ...start, memory: positive(start.memory), weightings: positive(start.weightings) } });
  });

  it("is a tape where heads are sharp: it writes what comes while it moves on, and reads it again", () => {
    // An input of [1, 0, …] moves on and writes, one of [0, 1, …] moves on and reads; keys are never asked.
    const [N, W, T] = [8, 3, 5];
    const cell = new NTM({
      inputSize: 1 + W,
      outputSize: W,
      hiddenSize: 1 + W,
      memorySize: N,
      wordSize: W,
      dtype: "float64",
      controller: "feedforward",
    });
    const { map } = cell.controller as unknown as { map: { weight: Tensor; bias: Tensor } };
    // h = tanh(x) of the input alone, which is ±1 or 0.
    assign(
      map.weight,
      Array.from({ length: (1 + W) * (1 + 2 * W) }, (_, i) => (i % (1 + 2 * W) === Math.floor(i / (1 + 2 * W)) ? 1 : 0)),
    );
    assign(map.bias, new Float64Array(1 + W));
    // Heads: read, write. The write head moves on while h₀ > 0, the read head while h₀ < 0; what is written is ±1.
    const big = 200;
    const one = Math.tanh(1);
    const rows: { at: number; column?: number; weight?: number; bias?: number }[] = [
      { at: 2 * W + 2 + 0, bias: -big }, { at: 2 * W + 2 + 1, bias: -big },
      ...[-1, 1].flatMap((sign, head) => [
        { at: 2 * W + 4 + 3 * head + 1 },
        { at: 2 * W + 4 + 3 * head + 2, column: 0, weight: (sign * 2 * big) / one },
        { at: 2 * W + 4 + 3 * head + 0, bias: -big * 2 },
      ]),
      { at: 2 * W + 10, bias: big }, { at: 2 * W + 11, bias: big },
      ...Array.from({ length: W }, (_, j) => ({ at: 2 * W + 12 + j, column: 0, weight: (big * 2) / one, bias: -big })),
      ...Array.from({ length: W }, (_, j) => ({ at: 3 * W + 12 + j, column: 1 + j, weight: 1 / one })),
    ]; // biome-ignore format: a table
    const [weight, bias] = [new Float64Array(cell.heads.outFeatures * (1 + W)), new Float64Array(cell.heads.outFeatures)];
    for (const { at, column = 0, weight: w = 0, bias: b = 0 } of rows) {
      weight[at * (1 + W) + column] = w;
      bias[at] = b;
    }
    assign(cell.heads.weight, weight);
    assign(cell.heads.bias as Tensor, bias);
    // y = r
    assign(
      cell.output.weight,
      Array.from({ length: W * (1 + 2 * W) }, (_, i) => (i % (1 + 2 * W) === 1 + W + Math.floor(i / (1 + 2 * W)) ? 1 : 0)),
    );
    assign(cell.output.bias as Tensor, new Float64Array(W));
    const word = Array.from({ length: T }, (_, t) => Array.from({ length: W }, (_, j) => ((t * 5 + j * 3) % 4 < 2 ? 1 : -1)));
    const xs = [...word.map((v) => [1, ...v]), ...word.map(() => [-1, 0, 0, 0])];
    const [ys, last] = cell.scan(tensor(xs.flat(), { shape: [2 * T, 1, 1 + W], dtype: "float64" }));
    expectClose(Array.from(ys.data()).slice(T * W), word.flat(), 1e-9);
    // The write head stands where the last word was written, and so does the read head at last.
    const places = rowsOf(Array.from(last.weightings.data()), 2).map((w) => w.findIndex((v) => v > 0.999));
    expect(places).toEqual([T, T]);
  });

  it("moves a head on by a convolution, not a correlation: s₊₁ takes it to the next row, and in a circle", () => {
    const cell = machine({ controller: "feedforward", memorySize: 3 });
    assign(cell.heads.weight, new Float64Array(cell.heads.weight.size));
    const bias = new Float64Array(cell.heads.outFeatures);
    // k, β, g, then s of both heads: the last offset, +1, alone; γ large.
    bias.fill(-300, 2 * 3 + 2, 2 * 3 + 4);
    bias.set([0, 0, 400, 0, 0, 400, 400, 400], 2 * 3 + 4);
    assign(cell.heads.bias as Tensor, bias);
    let state: NTMState = cell.initialState(1);
    const seen = Array.from({ length: 4 }, () => {
      state = cell.step(tensor([[0, 0]], { dtype: "float64" }), state)[1];
      return Array.from(state.weightings.data())
        .slice(0, 3)
        .map((w) => Math.round(w));
    });
    expect(seen).toEqual([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]]); // biome-ignore format: rows
  });

  it.each(["float32", "float64"] as const)("gives numbers at the edges of %s: zero keys, zero rows, saturated heads", (dtype) => {
    const cell = machine({ dtype, controller: "feedforward" });
    for (const scale of [0, 1e-30, 1e4]) {
      assign(cell.heads.weight, mul(new Generator(1).uniform(cell.heads.weight.shape, -1, 1, dtype), scale).data());
      for (const held of [0, 1e-30, 1e18]) {
        const start = cell.initialState(2);
        const state = { ...start, memory: tensor(new Float64Array(24).fill(held), { shape: [2, 4, 3], dtype }) };
        const xs = new Generator(2).uniform([4, 2, 2], -1, 1, dtype);
        const [ys, last] = cell.scan(xs, state);
        for (const t of [ys, last.memory, last.weightings])
          expect(Array.from(t.data()).every(Number.isFinite), `${scale} ${held}`).toBe(true);
        const sums = rowsOf(Array.from(last.weightings.data()), 4).map((w) => w.reduce((a, b) => a + b));
        expectClose(sums, new Array(4).fill(1), 1e-5);
      }
    }
  });

  it("takes any controller, and refuses what is none", () => {
    const cell = machine({ controller: (sizes) => new GRUCell(sizes) });
    expect(cell.controller).toBeInstanceOf(GRUCell);
    expect(cell.whyEager(new Generator(1).uniform([4, 2, 2], -1, 1, "float64"))).toBeNull();
    expect(() => machine({ controller: "gru" as never })).toThrow(ArgumentError);
    expect(() => machine({ tanhKeys: "yes" as never })).toThrow('NTM: expected tanhKeys to be true or false, got "yes"');
    expect(() => machine({ controller: "gru" as never })).toThrow(/expected controller to be one of "lstm", "feedforward", got "gru"/);
    expect(() => machine({ controller: () => 3 as never })).toThrow(DTypeError);
    expect(() => machine({ controller: () => new GRUCell({ inputSize: 2, hiddenSize: 3 }) })).toThrow(
      /expected a controller with 5 inputs, got 2/,
    );
    expect(() => machine({ controller: (sizes) => new GRUCell({ ...sizes, dtype: "float32" }) })).toThrow(
      "NTM: expected a controller of float64, got a parameter of float32",
    );
    const strange = new Generator(1).uniform([1, machine({}).inputSize + 2], -1, 1, "float64");
    expect(() => machine({}).step(strange, machine({}).initialState(1))).toThrow(`step: expected x [B,${machine({}).inputSize}]`);
    expect(() => machine({ readHeads: 0 })).toThrow(/expected readHeads to be a whole number of at least 1, got 0/);
    expect(() => machine({ shiftRange: -1 })).toThrow(/expected shiftRange to be a whole number of at least 0, got -1/);
  });
});
