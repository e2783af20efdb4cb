import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { Scaler, type ScalerState, SeriesWindows } from "../../src/data/series.ts";
import { tensor } from "../../src/tensor/tensor.ts";

const f64 = { dtype: "float64" } as const;
const x = tensor(
  [
    [1, 10, 5],
    [2, -10, 5],
    [6, 30, 5],
    [3, 2, 5],
  ],
  f64,
);

function column(values: ArrayLike<number>, f: number, F: number): number[] {
  return Array.from(values).filter((_, i) => i % F === f);
}

describe("Scaler", () => {
  it("standard: mean 0, deviation 1, constants to 0", () => {
    const y = Scaler.standard(x).transform(x).data();
    for (const f of [0, 1]) {
      const c = column(y, f, 3);
      expect(Math.abs(c.reduce((a, b) => a + b) / 4)).toBeLessThanOrEqual(1e-15);
      expect(Math.abs(c.reduce((a, b) => a + b * b, 0) / 4 - 1)).toBeLessThanOrEqual(1e-15);
    }
    expect(column(y, 2, 3)).toEqual([0, 0, 0, 0]);
  });

  it("minMax: exactly the bounds asked for", () => {
    const y = Scaler.minMax(x, -1, 3).transform(x).data();
    for (const f of [0, 1]) {
      expect(Math.min(...column(y, f, 3))).toBeCloseTo(-1, 14);
      expect(Math.max(...column(y, f, 3))).toBeCloseTo(3, 14);
    }
    expect(column(y, 2, 3).map((v) => Math.round(v * 1e12) / 1e12)).toEqual([-1, -1, -1, -1]);
  });

  it.each([Scaler.standard, (t: typeof x) => Scaler.minMax(t, -2, 5)])("inverse undoes transform, whole and by feature (%#)", (make) => {
    const scaler = new Scaler(JSON.parse(JSON.stringify(make(x))));
    const back = scaler.inverse(scaler.transform(x)).data();
    for (const [i, v] of back.entries()) expect(Math.abs(v - (x.data()[i] as number))).toBeLessThanOrEqual(1e-13);
    const two = scaler.transform(x).data();
    const picked = tensor(
      Float64Array.from({ length: 8 }, (_, i) => two[Math.floor(i / 2) * 3 + (i % 2 === 0 ? 1 : 0)] as number),
      { shape: [4, 1, 2] },
    );
    const values = scaler.inverse(picked, [1, 0]);
    expect(values.shape).toEqual([4, 1, 2]);
    for (const [i, v] of [10, 1, -10, 2, 30, 6, 2, 3].entries())
      expect(Math.abs((values.data()[i] as number) - v)).toBeLessThanOrEqual(1e-13);
  });

  it("keeps float32", () => {
    expect(Scaler.standard(tensor([[1], [3]])).transform(tensor([[1], [5]]))).toMatchObject({ dtype: "float32", shape: [2, 1] });
  });

  it("rejects what has no scale", () => {
    expect(() =>
      Scaler.standard(
        tensor([
          [1, 2],
          [3, Number.NaN],
        ]),
      ),
    ).toThrow("expected finite values, got NaN in row 1, feature 1");
    expect(() => Scaler.standard(tensor(new Float32Array(0), { shape: [0, 2] }))).toThrow(ShapeError);
    expect(() => Scaler.standard(tensor([1], { dtype: "int32" }))).toThrow(DTypeError);
    expect(() => Scaler.minMax(x, 1, 1)).toThrow(ArgumentError);
    expect(() => Scaler.standard(x).transform(tensor([[1, 2]]))).toThrow(ShapeError);
    expect(() => Scaler.standard(x).inverse(tensor([[1]]), [3])).toThrow(ArgumentError);
    for (const state of [
      { shift: [0], scale: [0] },
      { shift: [0, 1], scale: [1] },
      { shift: [Number.NaN], scale: [1] },
      { shift: [], scale: [] },
      { shift: ["0"], scale: [1] },
      { shift: "0", scale: "1" },
      { shift: { length: 1 }, scale: [1] },
      { shift: new Array(1e5).fill(0), scale: new Array(1e5).fill(0) },
      { scale: [1] },
      {},
      [],
      null,
      undefined,
      3,
    ]) {
      expect(() => new Scaler(state as ScalerState)).toThrow(FormatError);
      expect(() => new Scaler(state as ScalerState)).toThrow(/^Scaler: expected .{0,300}$/);
    }
  });
});

describe("SeriesWindows", () => {
  const N = 12;
  const series = tensor(
    Float64Array.from({ length: N * 2 }, (_, i) => Math.floor(i / 2) + (i % 2) * 100),
    { shape: [N, 2] },
  );

  it("gives each window with what follows it", () => {
    const source = new SeriesWindows(series, { window: 3, horizon: 2, stride: 2, batch: 3, targets: [1], epochs: 1 });
    expect(source.count).toBe(4);
    const batches = [...source];
    expect(batches.map((b) => [b.inputs.shape, b.targets.shape])).toEqual([
      [
        [3, 3, 2],
        [2, 3, 1],
      ],
      [
        [3, 1, 2],
        [2, 1, 1],
      ],
    ]);
    let k = 0;
    for (const { inputs, targets } of batches) {
      const B = inputs.shape[1] as number;
      const [xs, ys] = [inputs.data(), targets.data()];
      for (let b = 0; b < B; b++, k++) {
        for (let t = 0; t < 3; t++) expect([xs[(t * B + b) * 2], xs[(t * B + b) * 2 + 1]]).toEqual([2 * k + t, 2 * k + t + 100]);
        for (let t = 0; t < 2; t++) expect(ys[t * B + b]).toBe(2 * k + 3 + t + 100);
      }
    }
  });

  const starts = (b: { inputs: { data(): ArrayLike<number>; shape: readonly number[] } }) =>
    Array.from({ length: b.inputs.shape[1] as number }, (_, i) => b.inputs.data()[2 * i] as number);

  it("shuffles every epoch anew, each window once, the same for the same seed", () => {
    const options = { window: 2, batch: 4, epochs: 3, shuffle: 7 };
    const order = [...new SeriesWindows(series, options)].flatMap(starts);
    const epochs = [order.slice(0, 10), order.slice(10, 20), order.slice(20)];
    for (const e of epochs) expect([...e].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect([...new SeriesWindows(series, options)].flatMap(starts)).toEqual(order);
    expect([...new SeriesWindows(series, { ...options, shuffle: 8 })].flatMap(starts)).not.toEqual(order);
  });

  it("continues from a stored cursor, shuffled too", () => {
    const options = { window: 2, batch: 4, epochs: 2, shuffle: 7, dropLast: true };
    const all = [...new SeriesWindows(series, options)].map(starts);
    expect(all.length).toBe(4);
    for (let stop = 0; stop <= 4; stop++) {
      const first = new SeriesWindows(series, options);
      const pass = first[Symbol.iterator]();
      for (let i = 0; i < stop; i++) pass.next();
      const second = new SeriesWindows(series, options).from(JSON.parse(JSON.stringify(pass.cursor)));
      expect([...second].map(starts)).toEqual(all.slice(stop));
    }
  });

  it.each([undefined, 7])("gives every iteration a pass of its own (shuffle %s)", (shuffle) => {
    const source = new SeriesWindows(series, { window: 2, batch: 4, epochs: 2, ...(shuffle === undefined ? {} : { shuffle }) });
    const all = [...source].map(starts);
    expect(all.length).toBe(6);
    expect([...source].map(starts)).toEqual(all);
    // Two at once, an epoch apart, so that their orders differ.
    const [a, b] = [source[Symbol.iterator](), source[Symbol.iterator]()];
    const head = [1, 2, 3, 4].map(() => starts(a.next().value as never));
    expect(head).toEqual(all.slice(0, 4));
    expect(starts(b.next().value as never)).toEqual(all[0]);
    expect([...a].map(starts)).toEqual(all.slice(4));
    expect([...b].map(starts)).toEqual(all.slice(1));
  });

  it("uses every step of a series that just suffices, and rejects a shorter one", () => {
    expect(new SeriesWindows(series, { window: 8, horizon: 4, batch: 1 }).count).toBe(1);
    expect(() => new SeriesWindows(series, { window: 9, horizon: 4, batch: 1 })).toThrow("windows of 9 + 4 steps, got 0 in 12 steps");
    expect(() => new SeriesWindows(series, { window: 2, batch: 0 })).toThrow(ArgumentError);
    for (const [name, value] of Object.entries({ shuffle: 0.5, epochs: -1, stride: 0, horizon: Number.NaN })) {
      expect(() => new SeriesWindows(series, { window: 2, batch: 1, [name]: value })).toThrow(ArgumentError);
    }
    const nothing = { horizon: undefined, stride: undefined, targets: undefined, shuffle: undefined, dropLast: undefined } as object;
    expect([...new SeriesWindows(series, { window: 2, batch: 5, epochs: 1, ...nothing })].length).toBe(2);
    expect(() => new SeriesWindows(series, { window: 2, batch: 1, targets: [2] })).toThrow(ArgumentError);
    expect(() => new SeriesWindows(tensor([1, 2, 3]), { window: 2, batch: 1 })).toThrow(ShapeError);
  });
});
