import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { WindowBatches, type WindowOptions } from "../../src/data/windows.ts";
import { thrown } from "../thrown.ts";

const range = (n: number) => Int32Array.from({ length: n }, (_, i) => i);

/** Every pair (symbol, next) a source hands out, by stream, restarted where it says so. */
function read(source: WindowBatches): { streams: [number, number][][]; lengths: number[]; fresh: boolean[] } {
  const streams: [number, number][][] = Array.from({ length: source.batch }, () => []);
  const lengths: number[] = [];
  const fresh: boolean[] = [];
  for (const w of source) {
    const [T, B] = w.inputs.shape as [number, number];
    const x = w.inputs.data();
    const y = w.targets.data();
    for (let t = 0; t < T; t++) for (let b = 0; b < B; b++) streams[b]?.push([x[t * B + b] as number, y[t * B + b] as number]);
    lengths.push(T);
    fresh.push(w.fresh);
  }
  return { streams, lengths, fresh };
}

describe("WindowBatches", () => {
  it.each([
    [1, 1, 5],
    [2, 3, 13],
    [3, 4, 13],
    [3, 5, 100],
    [4, 7, 5],
  ])("streams are continuous and disjoint: batch %i, window %i, %i symbols", (batch, window, n) => {
    const source = new WindowBatches(range(n), { batch, window, epochs: 1 });
    const { streams, lengths, fresh } = read(source);
    const L = Math.floor((n - 1) / batch);
    streams.forEach((pairs, b) => {
      expect(pairs).toEqual(Array.from({ length: L }, (_, t) => [b * L + t, b * L + t + 1]));
    });
    expect(lengths.length).toBe(source.windowsPerEpoch);
    expect(lengths.slice(0, -1).every((T) => T === window)).toBe(true);
    expect(fresh).toEqual(lengths.map((_, i) => i === 0));
  });

  it("dropLast keeps whole windows only", () => {
    const { lengths, streams } = read(new WindowBatches(range(24), { batch: 2, window: 4, epochs: 2, dropLast: true }));
    expect(lengths).toEqual([4, 4, 4, 4]);
    expect(streams[1]?.slice(0, 9).map(([x]) => x)).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 11]);
  });

  it("starts afresh each epoch, without end unless told", () => {
    const fresh: boolean[] = [];
    for (const w of new WindowBatches(range(9), { batch: 2, window: 3 })) {
      fresh.push(w.fresh);
      if (fresh.length === 6) break;
    }
    expect(fresh).toEqual([true, false, true, false, true, false]);
  });

  it("continues from a stored cursor as if nothing had happened", () => {
    const options: WindowOptions = { batch: 2, window: 3, epochs: 3 };
    const whole = new WindowBatches(range(21), options);
    const all = [...whole].map((w) => [w.inputs.toArray(), w.fresh]);
    for (let stop = 0; stop <= all.length; stop++) {
      const first = new WindowBatches(range(21), options);
      const pass = first[Symbol.iterator]();
      for (let i = 0; i < stop; i++) pass.next();
      const second = new WindowBatches(range(21), options).from(JSON.parse(JSON.stringify(pass.cursor)));
      expect([...second].map((w) => [w.inputs.toArray(), w.fresh])).toEqual(all.slice(stop));
    }
  });

  it("gives every iteration a pass of its own", () => {
    const source = new WindowBatches(range(21), { batch: 2, window: 3, epochs: 2 });
    const all = [...source].map((w) => w.inputs.toArray());
    expect(all.length).toBe(8);
    expect([...source].map((w) => w.inputs.toArray())).toEqual(all);
    for (const _ of source) break;
    const [a, b] = [source[Symbol.iterator](), source[Symbol.iterator]()];
    a.next();
    a.next();
    expect([...b].map((w) => w.inputs.toArray())).toEqual(all);
    expect(a.cursor).toEqual({ epoch: 0, position: 6 });
    expect([...a].map((w) => w.inputs.toArray())).toEqual(all.slice(2));
  });

  it("rejects sizes, texts and cursors that do not fit", () => {
    expect(() => new WindowBatches(range(3), { batch: 3, window: 2 })).toThrow(ArgumentError);
    expect(() => new WindowBatches(range(3), { batch: 3, window: 2 })).toThrow("expected at least 4 symbols for 3 streams, got 3");
    expect(() => new WindowBatches(range(8), { batch: 2, window: 4, dropLast: true })).toThrow(ArgumentError);
    for (const size of [0, 1.5, Number.NaN]) {
      expect(() => new WindowBatches(range(9), { batch: size, window: 2 })).toThrow(ArgumentError);
      expect(() => new WindowBatches(range(9), { batch: 2, window: size })).toThrow(ArgumentError);
    }
    const source = new WindowBatches(range(21), { batch: 2, window: 3 });
    const cursors = [
      { epoch: 0 },
      { epoch: -1, position: 0 },
      { epoch: 0, position: 10 },
      { epoch: 0.5, position: 0 },
      { epoch: 0, position: 4 },
    ];
    for (const cursor of [...cursors, { epoch: "0", position: 0 }, null, 3, [0, 0], "x".repeat(1e6)]) {
      const error = thrown(() => source.from(cursor as never));
      expect(error).toBeInstanceOf(FormatError);
      expect((error as Error).message.length).toBeLessThan(200);
    }
    const once = new WindowBatches(range(21), { batch: 2, window: 3, epochs: 1 });
    expect([...once.from({ epoch: 1, position: 0 })]).toEqual([]);
    expect(() => once.from({ epoch: 1, position: 3 })).toThrow(FormatError);
    expect(() => once.from({ epoch: 2, position: 0 })).toThrow(FormatError);
    for (const epochs of [-1, 0.5, Number.NaN]) {
      expect(() => new WindowBatches(range(9), { batch: 2, window: 2, epochs })).toThrow(ArgumentError);
    }
  });
});
