/** Fused recurrences: equal to the composed form in value and gradient, differentiable twice, and the same to the bit in pieces. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import {
  elmanComposed,
  elmanSequence,
  gruComposed,
  gruSequence,
  lstmComposed,
  lstmSequence,
  type PackedRows,
} from "../../src/ops/recurrent.ts";
import { slice, transpose } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

interface Sizes {
  readonly H: number;
  readonly P: number;
  readonly B: number;
  readonly N: number;
}

/** A recurrence in both forms as functions from a list of tensors to a list of tensors. */
interface Form {
  readonly name: string;
  readonly shapes: (s: Sizes) => number[][];
  readonly fused: (x: Tensor[], rows: PackedRows) => Tensor[];
  readonly composed: (x: Tensor[], rows: PackedRows) => Tensor[];
}

/** What the operations read of a batch. */
function only({ batchSizes, reverse }: PackedRows): PackedRows {
  return { batchSizes, ...(reverse !== undefined && { reverse }) };
}

type Four = [Tensor, Tensor, Tensor, Tensor];

function elmanForm(nonlinearity: "tanh" | "relu"): Form {
  const run =
    (f: typeof elmanSequence): Form["fused"] =>
    (x, rows) => {
      const [gx, w, h0] = x as Four;
      return Object.values(f(gx, w, h0, { ...only(rows), nonlinearity }));
    };
  return {
    name: `elman ${nonlinearity}`,
    shapes: ({ H, B, N }) => [
      [N, H],
      [H, H],
      [B, H],
    ],
    fused: run(elmanSequence),
    composed: run(elmanComposed),
  };
}

function lstmForm(peepholes: boolean, projected: boolean): Form {
  const run =
    (f: typeof lstmSequence): Form["fused"] =>
    (x, rows) => {
      const [gx, w, h0, c0] = x as Four;
      const extras = x.slice(4);
      const p = peepholes ? { peepholes: extras.shift() as Tensor } : {};
      const r = projected ? { weightHr: extras.shift() as Tensor } : {};
      return Object.values(f(gx, w, h0, c0, { ...only(rows), ...p, ...r }));
    };
  return {
    name: `lstm${peepholes ? " peepholes" : ""}${projected ? " projected" : ""}`,
    shapes({ H, P, B, N }) {
      const out = projected ? P : H;
      return [[N, 4 * H], [4 * H, out], [B, out], [B, H], ...(peepholes ? [[3, H]] : []), ...(projected ? [[P, H]] : [])];
    },
    fused: run(lstmSequence),
    composed: run(lstmComposed),
  };
}

function gruForm(resetAfter: boolean, withBias: boolean): Form {
  const run =
    (f: typeof gruSequence): Form["fused"] =>
    (x, rows) => {
      const [gx, w, h0, bias] = x as Four;
      return Object.values(f(gx, w, h0, { ...only(rows), resetAfter, ...(withBias ? { bias } : {}) }));
    };
  return {
    name: `gru reset ${resetAfter ? "after" : "before"}${withBias ? " bias" : ""}`,
    shapes: ({ H, B, N }) => [[N, 3 * H], [3 * H, H], [B, H], ...(withBias ? [[H]] : [])],
    fused: run(gruSequence),
    composed: run(gruComposed),
  };
}

const FORMS: readonly Form[] = [
  elmanForm("tanh"),
  elmanForm("relu"),
  lstmForm(false, false),
  lstmForm(true, false),
  lstmForm(false, true),
  lstmForm(true, true),
  gruForm(true, true),
  gruForm(true, false),
  gruForm(false, false),
];

interface Batch {
  readonly B: number;
  readonly batchSizes: readonly number[];
}

const BATCHES: readonly Batch[] = [
  { B: 1, batchSizes: [1] },
  { B: 3, batchSizes: [3] },
  { B: 1, batchSizes: [1, 1] },
  { B: 3, batchSizes: new Array(7).fill(3) },
  { B: 3, batchSizes: [3, 3, 2, 2, 2, 1, 1] },
  { B: 5, batchSizes: [4, 2, 0] },
];

const rowsOf = ({ batchSizes }: Batch): number => batchSizes.reduce((a, b) => a + b, 0);

function inputs(form: Form, { H, P = (H + 1) >> 1 }: { H: number; P?: number }, batch: Batch, dtype: FloatDType): Tensor[] {
  const generator = new Generator(H);
  // Weights of trained size: larger ones would multiply rounding errors from step to step.
  const std = (i: number): number => (i === 0 ? 1 : 1 / Math.sqrt(H));
  return form.shapes({ H, P, B: batch.B, N: rowsOf(batch) }).map((shape, i) => generator.normal(shape, 0, std(i), dtype));
}

function expectClose(got: Tensor, expected: Tensor, tolerance: number): void {
  expect(got.shape).toEqual(expected.shape);
  const e = [...expected.data()];
  const scale = Math.max(1, ...e.map(Math.abs));
  got.data().forEach((g, i) => {
    const error = Math.abs(g - (e[i] as number)) / scale;
    if (!(error <= tolerance)) throw new Error(`element ${i}: expected ${e[i]}, got ${g} (error ${error})`);
  });
}

describe.each(FORMS)("$name", (form) => {
  describe.each(BATCHES)("$batchSizes of $B", (batch) => {
    const cases = [1, 3, 5, 17].flatMap((H) => [false, true].map((reverse) => ({ H, reverse })));
    it.each(cases)("fused = composed, H=$H reverse=$reverse", ({ H, reverse }) => {
      const rows = { batchSizes: batch.batchSizes, reverse };
      const tolerances = { float32: 1e-5, float64: 1e-12 };
      for (const dtype of ["float32", "float64"] as const) {
        scope(() => {
          const xs = inputs(form, { H }, batch, dtype).map(requireGrad);
          const generator = new Generator(99);
          const [fused, composed] = [form.fused, form.composed].map((run) => run(xs, rows)) as [Tensor[], Tensor[]];
          const cotangents = composed.map((y) => generator.normal(y.shape, 0, 1, dtype));
          const [df, dc] = [fused, composed].map((ys) => gradients(ys, xs, cotangents)) as [Tensor[], Tensor[]];
          composed.forEach((y, i) => {
            expectClose(fused[i] as Tensor, y, tolerances[dtype]);
          });
          dc.forEach((g, i) => {
            expectClose(df[i] as Tensor, g, tolerances[dtype]);
          });
        });
      }
    });
  });

  it("gives each output alone its gradient", () => {
    scope(() => {
      const batch = BATCHES[4] as Batch;
      const xs = inputs(form, { H: 3 }, batch, "float64").map(requireGrad);
      const fused = form.fused(xs, batch);
      const composed = form.composed(xs, batch);
      fused.forEach((y, i) => {
        const g = new Generator(i).normal(y.shape, 0, 1, "float64");
        const expected = gradients([composed[i] as Tensor], xs, [g]);
        gradients([y], xs, [g]).forEach((d, k) => {
          // The composed form finds no path where the fused one finds zeros.
          const e = expected[k];
          if (e) expectClose(d as Tensor, e, 1e-12);
          else expect((d as Tensor).data().every((v) => v === 0)).toBe(true);
        });
      });
    });
  });

  // Rectified sums are kept away from the kink by the seed; everything else is smooth.
  it.each([false, true])("derivatives of first and second order, reverse=%s", (reverse) => {
    const batch = { B: 3, batchSizes: [3, 2, 1] };
    const xs = inputs(form, { H: 2, P: 1 }, batch, "float64");
    const outputs = form.fused(xs, batch).length;
    for (let i = 0; i < outputs; i++) checkGrads((...x) => form.fused(x, { ...batch, reverse })[i] as Tensor, xs, { order: 2 });
  });

  it.each([false, true])("one step at a time, and a row alone, give the same bits as the whole (gradients kept: %s)", (training) => {
    scope(() => {
      for (const dtype of ["float32", "float64"] as const) {
        const [T, B] = [6, 5];
        const batch = { B, batchSizes: new Array<number>(T).fill(B) };
        const xs = inputs(form, { H: 17 }, batch, dtype);
        if (training) xs.forEach(requireGrad);
        const [gx, w, ...rest] = xs as [Tensor, Tensor, ...Tensor[]];
        const states = form.name.startsWith("lstm") ? 2 : 1;
        const whole = form.fused(xs, batch);

        let state = rest.slice(0, states);
        for (let t = 0; t < T; t++) {
          const step = [slice(gx, 0, t * B, (t + 1) * B), w, ...state, ...rest.slice(states)];
          const [y, ...next] = form.fused(step, { batchSizes: [B] });
          expect((y as Tensor).data()).toEqual(slice(whole[0] as Tensor, 0, t * B, (t + 1) * B).data());
          state = next;
        }
        state.forEach((s, i) => {
          expect(s.data()).toEqual((whole[i + 1] as Tensor).data());
        });

        const row = 3;
        const alone = [slice(gx, 0, row, undefined, B), w, ...rest.slice(0, states).map((s) => slice(s, 0, row, row + 1))];
        const [y] = form.fused([...alone, ...rest.slice(states)], { batchSizes: new Array<number>(T).fill(1) });
        expect((y as Tensor).data()).toEqual(slice(whole[0] as Tensor, 0, row, undefined, B).data());
      }
    });
  });

  it("takes views", () => {
    scope(() => {
      const batch = { B: 3, batchSizes: [3, 2] };
      const xs = inputs(form, { H: 5 }, batch, "float64");
      const turned = xs.map((x) => (x.rank === 2 ? transpose(tensor(transpose(x).data(), { shape: [x.dim(1), x.dim(0)] })) : x));
      const expected = form.fused(xs, batch);
      form.fused(turned, batch).forEach((y, i) => {
        expect(y.data()).toEqual((expected[i] as Tensor).data());
      });
    });
  });

  it("of no sequences is empty", () => {
    scope(() => {
      const batch = { B: 0, batchSizes: [0, 0] };
      const xs = inputs(form, { H: 3 }, batch, "float32").map(requireGrad);
      const ys = form.fused(xs, batch);
      expect(ys.every((y) => y.size === 0)).toBe(true);
      const found = gradients(
        ys,
        xs,
        ys.map((y) => tensor([], { shape: y.shape })),
      );
      found.forEach((g, i) => {
        expect(g?.shape).toEqual((xs[i] as Tensor).shape);
        expect([...(g as Tensor).data()].every((v) => v === 0)).toBe(true);
      });
    });
  });
});

describe("errors name the argument", () => {
  const lstm = form("lstm");
  function form(name: string): Form {
    return FORMS.find((f) => f.name === name) as Form;
  }
  const batch = { B: 2, batchSizes: [2, 1] };

  it("for rows that do not fit", () => {
    const xs = inputs(lstm, { H: 3 }, batch, "float32");
    expect(() => lstm.fused(xs, { batchSizes: [] })).toThrow(
      new ArgumentError("lstmSequence: expected batchSizes with at least one step, got none"),
    );
    expect(() => lstm.fused(xs, { batchSizes: [1, 2] })).toThrow(ArgumentError);
    expect(() => lstm.fused(xs, { batchSizes: [3] })).toThrow(ArgumentError);
    expect(() => lstm.fused(xs, { batchSizes: [1.5] })).toThrow(ArgumentError);
    expect(() => lstm.fused(xs, { batchSizes: [2, 2] })).toThrow(new ShapeError("lstmSequence: expected gx [4,12], got [3,12]"));
  });

  it("for shapes and types that do not fit", () => {
    const [gx, w, h0, c0] = inputs(lstm, { H: 3 }, batch, "float32") as Four;
    const rows = only(batch);
    expect(() => lstmSequence(gx, transpose(w), h0, c0, rows)).toThrow(
      new ShapeError("lstmSequence: expected weightHh [12,3], got [3,12]"),
    );
    expect(() => lstmSequence(gx, w, h0, slice(c0, 1, 1), rows)).toThrow(ShapeError);
    expect(() => lstmSequence(gx, w, slice(h0, 1, 1), c0, rows)).toThrow(ShapeError);
    expect(() => lstmSequence(gx, w, h0, c0, { ...rows, peepholes: c0 })).toThrow(
      new ShapeError("lstmSequence: expected peepholes [3,3], got [2,3]"),
    );
    const wide = inputs(lstm, { H: 3 }, batch, "float64");
    expect(() => lstmSequence(gx, wide[1] as Tensor, h0, c0, rows)).toThrow(DTypeError);
    const ints = inputs(form("elman tanh"), { H: 3 }, batch, "float32").map((x) =>
      tensor(new Int32Array(x.size), { shape: x.shape }),
    ) as Four;
    expect(() => elmanSequence(ints[0], ints[1], ints[2], rows)).toThrow(DTypeError);
    const [gg, gw, gh] = inputs(form("gru reset before"), { H: 3 }, batch, "float32") as Four;
    expect(() => gruSequence(gg, gw, gh, { ...rows, resetAfter: false, bias: slice(gh, 0, 0, 1) })).toThrow(ArgumentError);
  });
});
