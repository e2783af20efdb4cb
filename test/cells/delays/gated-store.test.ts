import { describe, expect, it } from "vitest";
import { DelayGraph, FilterStore, GatedStore, IdentityStore } from "../../../src/cells/delays/gated-store.ts";
import { SimpleRecurrentNetwork } from "../../../src/cells/simple/elman.ts";
import type { Cell } from "../../../src/recurrence/recurrence.ts";
import { LSTMCell } from "../../../src/recurrence/rnn-cells.ts";
import type { State } from "../../../src/recurrence/state.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst, type Numbers } from "../../oracle/equations.ts";
import { each, logistic, type Matrix, part, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, goldenInputs, runGolden, SIZES } from "../acceptance.ts";
import { recall } from "../recall.ts";

const H = SIZES.hiddenSize;
const options = { dtype: "float64", generator: new Generator(2) } as const;

/** The parameters of a store, away from the values at which it starts. */
function shaken<S extends State>(store: Cell<S>): Cell<S> {
  const g = new Generator(7);
  for (const p of store.parameters()) assign(p, g.uniform(p.shape, -0.8, 0.8, "float64"));
  return store;
}

/** Σ_p d_p∘m(t−p) of taps side by side, newest first. */
const weighed = (d: Matrix, taps: Vector): number[] =>
  plus(...d.map((row, k) => each((w, v) => w * v, row, taps.slice(k * row.length, (k + 1) * row.length))));

/** Any store as one of them all. */
const anyOf = <S extends State>(store: Cell<S>) => store as unknown as Cell<State>;

const stores: Record<string, () => Cell<State>> = {
  identity: () => anyOf(new IdentityStore(H)),
  "FIR of one tap": () => anyOf(shaken(new FilterStore({ size: H, delays: 1, ...options }))),
  "FIR of three taps": () => anyOf(shaken(new FilterStore({ size: H, delays: 3, ...options }))),
  IIR: () => anyOf(shaken(new FilterStore({ size: H, delays: 2, feedbackDelays: 2, ...options }))),
  "delay graph": () => anyOf(shaken(new DelayGraph({ size: H, delays: [1, 3, 2], ...options }))),
  "a network": () => anyOf(new SimpleRecurrentNetwork({ inputSize: H, hiddenSize: H, activation: "tanh", ...options })),
};

describe("GatedStore", () => {
  it.each(Object.entries(stores))("has the gradients of its equations, and steps that equal its scan: %s", (_, store) => {
    accept(new GatedStore({ ...SIZES, ...options, store: store() }));
  });

  it.each(["float32", "float64"] as const)("over the identity is the LSTM, golden vector %s", (dtype) => {
    const cell = new GatedStore({ ...GOLDEN, dtype });
    fillGolden(cell);
    const { y, state } = runGolden(cell, dtype);
    expectClose(y, [0.136258, 0.249471], GOLDEN_TOLERANCE[dtype]);
    expectClose(state[1] as Tensor, [0.296283, 0.407056], GOLDEN_TOLERANCE[dtype]);
    const lstm = new LSTMCell({ ...GOLDEN, dtype });
    lstm.loadStateDict(cell.stateDict());
    expectClose(cell.scan(goldenInputs(dtype))[0], Array.from(lstm.scan(goldenInputs(dtype))[0].data()), 1e-6);
  });

  /** D(m₋₁) by each store's definition, from its state; the store's parameters begin with "store.". */
  const recalls: [string, Cell<State>, (p: Numbers, m: Vector, d: readonly Vector[]) => [y: Vector, next: readonly Vector[]]][] = [
    ["identity", anyOf(new IdentityStore(H)), (_, m) => [m, []]],
    [
      "FIR of three taps",
      anyOf(new FilterStore({ size: H, delays: 3, ...options })),
      (p, m, [stored]) => {
        const taps = [...m, ...(stored as Vector)];
        return [weighed(p.matrix("store.weight_ih", H), taps), [taps.slice(0, -H), []]];
      },
    ],
    [
      "IIR",
      anyOf(new FilterStore({ size: H, delays: 2, feedbackDelays: 2, ...options })),
      (p, m, [stored, given]) => {
        const taps = [...m, ...(stored as Vector)];
        const y = plus(weighed(p.matrix("store.weight_ih", H), taps), weighed(p.matrix("store.weight_fb", H), given as Vector));
        return [y, [taps.slice(0, -H), [...y, ...(given as Vector)].slice(0, -H)]];
      },
    ],
    [
      "delay graph",
      anyOf(new DelayGraph({ size: H, delays: [1, 3, 2], ...options })),
      (p, m, [line]) => {
        const taps = [...m, ...(line as Vector)];
        const gates = plus(times(p.matrix("store.weight_gh", H), m), p.vector("store.bias_g")).map(logistic);
        const edges = [1, 3, 2].map((delay, e) => {
          const A = part(p.matrix("store.weight_hh", H), e, 3);
          return times(A, part(taps, delay - 1, 3)).map((v) => (gates[e] as number) * v);
        });
        return [plus(...edges), [taps.slice(0, -H)]];
      },
    ],
  ];

  it.each(recalls)("writes, keeps and reads by its equations from any state, values and derivatives: %s", (_, store, recall) =>
    holdAgainst(new GatedStore({ ...SIZES, ...options, store }), (p, x, [r, m, ...d]) => {
      const sums = plus(
        times(p.matrix("weight_ih", SIZES.inputSize), x),
        times(p.matrix("weight_hh", H), r as Vector),
        p.vector("bias_ih"),
        p.vector("bias_hh"),
      );
      const [i, f, u, o] = [0, 1, 2, 3].map((k): Vector => part(sums, k, 4)) as [Vector, Vector, Vector, Vector];
      const [recalled, kept] = recall(p, m as Vector, d);
      const m1 = each((fi, D, ii, ui) => logistic(fi) * D + logistic(ii) * Math.tanh(ui), f, recalled, i, u);
      const r1 = each((oi, mi) => logistic(oi) * Math.tanh(mi), o, m1);
      return [r1, [r1, m1, ...kept]];
    }),
  );

  it("refuses sizes below 1 and stores that do not fit", () => {
    expect(() => new GatedStore({ inputSize: 0, hiddenSize: 2 })).toThrow("GatedStore: expected inputSize");
    expect(() => new GatedStore({ inputSize: 1, hiddenSize: 2, store: new IdentityStore(3) })).toThrow(
      "GatedStore: expected a store from 2 to 2, got 3 to 3",
    );
    for (const [from, to] of [
      [2, 3],
      [3, 2],
    ] as const) {
      const store = anyOf(new SimpleRecurrentNetwork({ inputSize: from, hiddenSize: to }));
      expect(() => new GatedStore({ inputSize: 1, hiddenSize: 2, store })).toThrow(`expected a store from 2 to 2, got ${from} to ${to}`);
    }
  });

  it.each([
    ["FIR", () => anyOf(new FilterStore({ size: 8, delays: 3 }))],
    ["leaky IIR", () => anyOf(new FilterStore({ size: 8, delays: 1, feedbackDelays: 1 }))],
    ["delay graph", () => anyOf(new DelayGraph({ size: 8, delays: [1, 3] }))],
  ])("learns to remember: %s", (_, store) => {
    const cell = new GatedStore({
      inputSize: 1,
      hiddenSize: 8,
      store: store(),
      generator: new Generator(1),
    });
    expect(recall(cell, { updates: 200 })).toBeLessThan(0.1);
  });
});

describe("stores", () => {
  it("pass constants unchanged at first", () => {
    const ones = tensor(new Float64Array(300 * 2).fill(1), { shape: [300, 1, 2] });
    for (const store of [
      new FilterStore({ size: 2, delays: 3, dtype: "float64" }),
      new FilterStore({ size: 2, delays: 2, feedbackDelays: 2, dtype: "float64" }),
      new DelayGraph({ size: 2, delays: [1, 4], dtype: "float64" }),
    ]) {
      expectClose(Array.from((store as Cell<State>).scan(ones)[0].data()).slice(-2), [1, 1], 1e-9);
    }
  });

  it("gather what lies the edges' delays back, each through its matrix and its gate", () => {
    const graph = shaken(new DelayGraph({ size: 2, delays: [3, 1], ...options })) as DelayGraph;
    const xs = new Generator(3).uniform([6, 1, 2], -1, 1, "float64");
    const x = (t: number) => (t < 0 ? [0, 0] : Array.from(xs.data()).slice(2 * t, 2 * t + 2));
    const flat = Array.from(graph.weightHh.data(), Number);
    const A = [0, 1].map((e) => [flat.slice(4 * e, 4 * e + 2), flat.slice(4 * e + 2, 4 * e + 4)]);
    const ys = Array.from({ length: 6 }, (_, t) => {
      const gates = plus(times(rows(graph.weightGh), x(t)), Array.from(graph.biasG.data(), Number)).map(logistic);
      // What comes in at t was stored one step before: a delay of δ is δ − 1 steps back from there.
      return plus(...[3, 1].map((delay, e) => times(A[e] as number[][], x(t - delay + 1)).map((v) => (gates[e] as number) * v)));
    });
    expectClose(graph.scan(xs)[0], ys.flat(), 1e-12);
  });

  it("refuse delays that are none", () => {
    expect(() => new DelayGraph({ size: 2, delays: [] })).toThrow("DelayGraph: expected edges");
    expect(() => new DelayGraph({ size: 2, delays: [1, 0] })).toThrow("DelayGraph: expected delays[1]");
    expect(() => new FilterStore({ size: 2, delays: 0 })).toThrow("FilterStore: expected delays");
    expect(() => new FilterStore({ size: 2, delays: 1, feedbackDelays: -1 })).toThrow("FilterStore: expected feedbackDelays");
  });
});
