/** Gates over time, against the layers' equations in plain loops. */

import { describe, expect, it } from "vitest";
import { gate } from "../../src/autodiff/index.ts";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { LSTM1997, MGU, MinGRU, SRU } from "../../src/cells/index.ts";
import { type GateTrace, gateChart, gateTrace } from "../../src/insight/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { add, mul, sub } from "../../src/ops/arithmetic.ts";
import { sigmoid, tanh } from "../../src/ops/math.ts";
import { cat } from "../../src/ops/shape.ts";
import { Cell } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/index.ts";
import { each, logistic, part, plus, times, type Vector } from "../oracle/numbers.ts";

const dtype = "float64";
const [T, B, I, H] = [5, 3, 2, 3];
const lengths = [5, 2, 4];
const xs = new Generator(1).normal([T, B, I], 0, 1, dtype);
const inputs = xs.toArray() as number[][][];
const sizes = (seed: number) => ({ inputSize: I, hiddenSize: H, dtype, generator: new Generator(seed) }) as const;

/** Named values of one step, the last of which is the output. */
type Named = Record<string, Vector>;
type Step = (x: Vector, before: Named) => Named;

const vector = (of: Module, name: string): number[] => Array.from((of.stateDict().get(name) as Tensor).data());
const matrix = (of: Module, name: string): number[][] => of.stateDict().get(name)?.toArray() as number[][];

function sums(of: Module, end: string, x: Vector, h: Vector): number[] {
  const fromInput = plus(times(matrix(of, `weight_ih${end}`), x), vector(of, `bias_ih${end}`));
  return plus(fromInput, times(matrix(of, `weight_hh${end}`), h), vector(of, `bias_hh${end}`));
}

function lstmStep(of: Module, end: string, hidden = H): Step {
  const peep = of.stateDict().has(`weight_peephole${end}`) ? matrix(of, `weight_peephole${end}`) : null;
  const zero = new Array<number>(hidden).fill(0);
  return (x, { h = new Array<number>(of.stateDict().get(`weight_hh${end}`)?.dim(1) as number).fill(0), c = zero }) => {
    const [si, sf, sg, so] = [0, 1, 2, 3].map((k): Vector => part(sums(of, end, x, h), k, 4)) as [Vector, Vector, Vector, Vector];
    const seen = (k: number, s: Vector, cell: Vector) => (peep ? each((a, p, v) => a + p * v, s, peep[k] as Vector, cell) : s);
    const i = each(logistic, seen(0, si, c));
    const f = each(logistic, seen(1, sf, c));
    const g = each(Math.tanh, sg);
    const c1 = each((fi, old, ii, gi) => fi * old + ii * gi, f, c, i, g);
    const o = each(logistic, seen(2, so, c1));
    const m = each((oi, ci) => oi * Math.tanh(ci), o, c1);
    const h1 = of.stateDict().has(`weight_hr${end}`) ? times(matrix(of, `weight_hr${end}`), m) : m;
    return { i, f, g, c: c1, o, h: h1 };
  };
}

function gruStep(of: Module, end: string): Step {
  return (x, { h = new Array<number>(H).fill(0) }) => {
    const fromInput = plus(times(matrix(of, `weight_ih${end}`), x), vector(of, `bias_ih${end}`));
    const fromState = plus(times(matrix(of, `weight_hh${end}`), h), vector(of, `bias_hh${end}`));
    const [xr, xz, xn] = [0, 1, 2].map((k): Vector => part(fromInput, k, 3)) as [Vector, Vector, Vector];
    const [hr, hz, hn] = [0, 1, 2].map((k): Vector => part(fromState, k, 3)) as [Vector, Vector, Vector];
    const r = each((a, b) => logistic(a + b), xr, hr);
    const z = each((a, b) => logistic(a + b), xz, hz);
    const n = each((a, ri, b) => Math.tanh(a + ri * b), xn, r, hn);
    return { r, z, n, h: each((ni, zi, old) => (1 - zi) * ni + zi * old, n, z, h) };
  };
}

function rnnStep(of: Module, end: string): Step {
  return (x, { h = new Array<number>(H).fill(0) }) => ({ h: each(Math.tanh, sums(of, end, x, h)) });
}

/** All steps of each sequence, [t][b], undefined after its end. */
function walk(step: Step, of: readonly (readonly Vector[])[], ends: readonly number[], reverse = false): (Named | undefined)[][] {
  const all: (Named | undefined)[][] = of.map(() => []);
  ends.forEach((end, b) => {
    let named: Named = {};
    for (let k = 0; k < end; k++) {
      const t = reverse ? end - 1 - k : k;
      named = step(of[t]?.[b] as Vector, named);
      (all[t] as (Named | undefined)[])[b] = named;
    }
  });
  return all;
}

const outputs = (...runs: (Named | undefined)[][][]): number[][][] =>
  inputs.map((batch, t) => batch.map((_, b) => runs.flatMap((run) => [...(run[t]?.[b]?.h ?? [0, 0, 0])])));

function expectTrace(trace: GateTrace | undefined, expected: (Named | undefined)[][], names: readonly string[]): void {
  expect(Object.keys(trace?.gates ?? {})).toEqual(names);
  for (const [name, values] of Object.entries(trace?.gates ?? {})) {
    const rows = values.toArray() as number[][][];
    expect(rows.length).toBe(expected.length);
    rows.forEach((batch, t) => {
      batch.forEach((row, b) => {
        const right = expected[t]?.[b]?.[name];
        row.forEach((v, unit) => {
          const fits = right === undefined ? Number.isNaN(v) : Math.abs(v - (right[unit] as number)) <= 1e-12;
          if (!fits) throw new Error(`${name} at step ${t}, sequence ${b}, unit ${unit}: expected ${right?.[unit]}, got ${v}`);
        });
      });
    });
  }
}

const LSTM_NAMES = ["i", "f", "g", "c", "o", "h"];
const full = [T, T, T];

describe("gateTrace", () => {
  it.each([
    ["all of one length", full],
    ["of different lengths", lengths],
  ])("is what the equations of two layers in two directions give: sequences %s", (_, ends) => {
    const lstm = new LSTM({ ...sizes(2), numLayers: 2, bidirectional: true });
    const traces = gateTrace(lstm, () => lstm.forward(xs, { lengths: ends }));
    expect(traces.map(({ module, layer }) => [module, layer])).toEqual(
      ["l0", "l0_reverse", "l1", "l1_reverse"].map((layer) => ["", layer]),
    );
    const first = walk(lstmStep(lstm, "_l0"), inputs, ends);
    const back = walk(lstmStep(lstm, "_l0_reverse"), inputs, ends, true);
    expectTrace(traces[0], first, LSTM_NAMES);
    expectTrace(traces[1], back, LSTM_NAMES);
    const between = outputs(first, back);
    expectTrace(traces[2], walk(lstmStep(lstm, "_l1"), between, ends), LSTM_NAMES);
    expectTrace(traces[3], walk(lstmStep(lstm, "_l1_reverse"), between, ends, true), LSTM_NAMES);
  });

  it("is so in one direction, in layers, with peepholes and a projection", () => {
    const lstm = new LSTM({ ...sizes(3), hiddenSize: 4, projSize: H, peepholes: true, numLayers: 2 });
    const traces = gateTrace(lstm, () => lstm.forward(xs, { lengths }));
    const first = walk(lstmStep(lstm, "_l0", 4), inputs, lengths);
    expectTrace(traces[0], first, LSTM_NAMES);
    expectTrace(traces[1], walk(lstmStep(lstm, "_l1", 4), outputs(first), lengths), LSTM_NAMES);
    expect(traces[0]?.gates.f?.shape).toEqual([T, B, 4]);
    expect(traces[0]?.gates.h?.shape).toEqual([T, B, H]);
    expect(traces.length).toBe(2);
  });

  it("is so of a GRU and an RNN, and of one read backwards", () => {
    const gru = new GRU(sizes(4));
    const rnn = new RNN(sizes(5));
    expectTrace(gateTrace(gru, () => gru.forward(xs, { lengths }))[0], walk(gruStep(gru, "_l0"), inputs, lengths), ["r", "z", "n", "h"]);
    expectTrace(
      gateTrace(rnn, () => rnn.scan(xs, undefined, { lengths, reverse: true }))[0],
      walk(rnnStep(rnn, "_l0"), inputs, lengths, true),
      ["h"],
    );
  });

  it("is so of cells, in a scan, backwards, and stepped by hand", () => {
    const [lstm, gru] = [new LSTMCell(sizes(6)), new GRUCell(sizes(7))];
    const expected = walk(lstmStep(lstm, ""), inputs, lengths);
    expectTrace(gateTrace(lstm, () => lstm.scan(xs, undefined, { lengths }))[0], expected, LSTM_NAMES);
    const back = gateTrace(gru, () => gru.scan(xs, undefined, { lengths, reverse: true }));
    expectTrace(back[0], walk(gruStep(gru, ""), inputs, lengths, true), ["r", "z", "n", "h"]);
    const byHand = gateTrace(lstm, () => {
      let state = lstm.initialState(B);
      for (let t = 0; t < T; t++) [, state] = lstm.step(new Generator(t).normal([B, I], 0, 1, dtype), state);
    });
    expect(byHand.length).toBe(1);
    expect(byHand[0]?.gates.f?.shape).toEqual([T, B, H]);
  });

  it("is of one step, too, and float32 where the model is", () => {
    const model = new LSTM({ inputSize: I, hiddenSize: H });
    const f = gateTrace(model, () => model.forward(new Generator(1).normal([1, B, I])))[0]?.gates.f;
    expect([f?.shape, f?.dtype]).toEqual([[1, B, H], "float32"]);
    const cell = new MinGRU(sizes(8));
    expect(gateTrace(cell, () => cell.scan(new Generator(1).normal([1, B, I], 0, 1, dtype)))[0]?.gates.f?.shape).toEqual([1, B, H]);
  });

  it("leaves the run's values and gradients as they are, and is off after it", () => {
    const lstm = new LSTM(sizes(9));
    const before = lstm.forward(xs).output.toArray();
    let during: unknown;
    gateTrace(lstm, () => {
      during = lstm.forward(xs).output.toArray();
    });
    (during as number[][][]).flat(2).forEach((v, i) => {
      expect(v).toBeCloseTo((before as number[][][]).flat(2)[i] as number, 12);
    });
    expect(lstm.forward(xs).output.toArray()).toEqual(before);
    const error = new Error("mine");
    const failing = () => {
      lstm.forward(xs);
      throw error;
    };
    expect(() => gateTrace(lstm, failing)).toThrow(error);
    expect(lstm.forward(xs).output.toArray()).toEqual(before);
  });
});

/** Zhou, Wu, Zhang and Zhou 2016, eq. 6, with names. */
class Minimal extends Cell<Tensor> {
  readonly inputSize = I;
  readonly outputSize = H;
  readonly f = new Linear(I + H, H, { dtype, generator: new Generator(10) });
  readonly n = new Linear(I + H, H, { dtype, generator: new Generator(11) });
  initialState(batch: number): Tensor {
    return zeros([batch, H], dtype);
  }
  step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const f = gate("forget", sigmoid(this.f.forward(cat([x, h], 1))));
    const n = tanh(this.n.forward(cat([x, mul(f, h)], 1)));
    const next = gate("state", add(mul(sub(1, f), h), mul(f, n)));
    return [next, next];
  }
}

function minimalStep(of: Module, at = ""): Step {
  const dense = (name: string, x: Vector) => plus(times(matrix(of, `${at}${name}.weight`), x), vector(of, `${at}${name}.bias`));
  return (x, { state = [0, 0, 0] }) => {
    const forget = each(logistic, dense("f", [...x, ...state]));
    const n = each(Math.tanh, dense("n", [...x, ...each((a, b) => a * b, forget, state)]));
    const next = each((a, h, b) => (1 - a) * h + a * b, forget, state, n);
    return { forget, state: next, h: next };
  };
}

describe("gateTrace of cells of one's own", () => {
  it("shows what they name, and a scan without it is captured as before", () => {
    const cell = new Minimal();
    const [trace] = gateTrace(cell, () => cell.scan(xs, undefined, { lengths }));
    expectTrace(trace, walk(minimalStep(cell), inputs, lengths), ["forget", "state"]);
    expect(cell.whyEager(xs)).toBeNull();
  });

  it("finds them in stacks, each under its module's name", () => {
    class Model extends Module {
      readonly stack = new StackedRNN([new Minimal(), new GRUCell({ ...sizes(12), inputSize: H })]);
    }
    const model = new Model();
    const traces = gateTrace(model, () => model.stack.scan(xs, undefined, { lengths }));
    expect(traces.map(({ module, layer }) => [module, layer])).toEqual([
      ["stack.layers.0", null],
      ["stack.layers.1", null],
    ]);
    const lower = walk(minimalStep(model, "stack.layers.0."), inputs, lengths);
    expectTrace(traces[0], lower, ["forget", "state"]);
    const upper = model.stack.layers[1] as unknown as GRUCell;
    expectTrace(traces[1], walk(gruStep(upper, ""), outputs(lower), lengths), ["r", "z", "n", "h"]);
  });

  it("keeps two runs apart", () => {
    const cell = new Minimal();
    const traces = gateTrace(cell, () => {
      cell.scan(xs);
      cell.scan(mul(xs, 2));
    });
    expect(traces.length).toBe(2);
    expectTrace(traces[0], walk(minimalStep(cell), inputs, full), ["forget", "state"]);
    const doubled = inputs.map((batch) => batch.map((x) => x.map((v) => 2 * v)));
    expectTrace(traces[1], walk(minimalStep(cell), doubled, full), ["forget", "state"]);
  });

  it("shows the gates of the library's cells", () => {
    const shown = (cell: Module & { scan(xs: Tensor): unknown }) => Object.keys(gateTrace(cell, () => cell.scan(xs))[0]?.gates ?? {});
    expect(shown(new MGU(sizes(13)))).toEqual(["f", "n"]);
    expect(shown(new SRU(sizes(14)))).toEqual(["f", "r"]);
    expect(shown(new LSTM1997({ inputSize: I, blocks: 2, dtype }))).toEqual(["i", "o", "g", "c"]);
  });

  it("refuses runs without gates, and arguments that do not fit", () => {
    const head = new Linear(I, 1, { dtype });
    expect(() => gateTrace(head, () => head.forward(xs))).toThrow(ArgumentError);
    const cell = new Minimal();
    expect(() => gateTrace(xs as never, () => {})).toThrow(DTypeError);
    expect(() => gateTrace(cell, cell.scan(xs) as never)).toThrow(DTypeError);
  });
});

describe("gateChart", () => {
  const lstm = new LSTM(sizes(15));
  const [trace] = gateTrace(lstm, () => lstm.forward(xs, { lengths })) as [GateTrace];
  const cellsOf = (svg: string) => [...svg.matchAll(/<rect [^>]*fill="rgb/g)].length;

  it("draws every gate, and leaves blank what comes after a sequence's end", () => {
    expect(cellsOf(gateChart(trace))).toBe(6 * H * T);
    expect(cellsOf(gateChart(trace, { sequence: 1 }))).toBe(6 * H * 2);
    expect(cellsOf(gateChart(trace, { sequence: 2, gates: ["f", "o"] }))).toBe(2 * H * 4);
    expect(gateChart(trace, { gates: ["f"] })).toContain(">f</text>");
    expect(gateChart(trace, { title: "reading a name" })).toContain("reading a name");
  });

  it("shows a gate's value by the scale from 0 to 1", () => {
    const svg = gateChart({ module: "", layer: null, gates: { f: trace.gates.f as Tensor } });
    const first = ((trace.gates.f as Tensor).toArray() as number[][][])[0]?.[0]?.[0] as number;
    const shade = [255, 255, 255].map((low, i) => Math.round(low + first * (([8, 48, 107][i] as number) - low)));
    expect(svg.match(/fill="(rgb\([^"]*)"/)?.[1]).toBe(`rgb(${shade.join(",")})`);
  });

  it("refuses what is not in the trace", () => {
    expect(() => gateChart(trace, { sequence: B })).toThrow(ArgumentError);
    expect(() => gateChart(trace, { gates: ["x"] })).toThrow(ArgumentError);
    expect(() => gateChart(undefined as never)).toThrow(DTypeError);
    expect(() => gateChart([trace] as never)).toThrow(DTypeError);
    expect(() => gateChart(trace, { sequense: 1 } as never)).toThrow(/did you mean sequence/);
  });
});
