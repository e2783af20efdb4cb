import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { WindowBatches, type WindowOptions } from "../../src/data/windows.ts";

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
      const iterator = first[Symbol.iterator]();
      for (let i = 0; i < stop; i++) iterator.next();
      const second = new WindowBatches(range(21), options);
      second.cursor = JSON.parse(JSON.stringify(first.cursor));
      expect([...second].map((w) => [w.inputs.toArray(), w.fresh])).toEqual(all.slice(stop));
    }
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
    for (const cursor of [{ epoch: 0 }, { epoch: -1, position: 0 }, { epoch: 0, position: 10 }, { epoch: 0.5, position: 0 }]) {
      expect(() => {
        source.cursor = cursor as never;
      }).toThrow(FormatError);
    }
    expect(source.cursor).toEqual({ epoch: 0, position: 0 });
  });
});
