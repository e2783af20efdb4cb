import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { barChart, heatMap, histogram, lineChart, scatterChart } from "../../src/plot/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";

interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The bars of a chart. */
function bars(svg: string): Rect[] {
  const found = [...svg.matchAll(/<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.]+)" height="([\d.]+)" fill="#0072b2"/g)];
  return found.map(([, x, y, width, height]) => ({ x: Number(x), y: Number(y), width: Number(width), height: Number(height) }));
}

describe("barChart", () => {
  it("draws bars from 0, up and down, as long as their values", () => {
    const [a, b, c] = bars(barChart({ a: 2, b: 1, c: -1 })) as [Rect, Rect, Rect];
    expect(a.height).toBeCloseTo(2 * b.height, 1);
    expect(c.height).toBeCloseTo(b.height, 1);
    expect(a.y + a.height).toBeCloseTo(c.y, 1);
    expect(b.x - a.x).toBeCloseTo(c.x - b.x, 1);
  });

  it("has names below, aslant where there is no room beside each other", () => {
    expect(barChart({ one: 1, two: 2 })).not.toContain("rotate(-45");
    const long = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`a long name ${i}`, i]));
    const svg = barChart(long);
    expect(svg.match(/rotate\(-45/g)?.length).toBe(20);
    expect(svg).toContain(">a long name 7</text>");
  });

  it("refuses what is no bar", () => {
    expect(() => barChart({})).toThrow(ArgumentError);
    expect(() => barChart({ a: Number.NaN })).toThrow('got NaN for "a"');
    expect(() => barChart([1] as never)).toThrow(DTypeError);
    expect(() => barChart({ a: 1 }, { color: "red" } as never)).toThrow(ArgumentError);
  });
});

describe("scatterChart", () => {
  it("draws a point for each finite pair, a colour for each group", () => {
    const svg = scatterChart([
      { name: "one", x: [0, 1, 2], y: [0, Number.NaN, 4] },
      { name: "two", x: Float32Array.of(1), y: Float32Array.of(2), color: "#123456" },
    ]);
    const points = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]) as [
      number,
      number,
    ][];
    expect(points.length).toBe(3);
    // The middle of the two ends.
    expect(points[2]?.[0]).toBeCloseTo(((points[0]?.[0] as number) + (points[1]?.[0] as number)) / 2, 1);
    expect(points[2]?.[1]).toBeCloseTo(((points[0]?.[1] as number) + (points[1]?.[1] as number)) / 2, 1);
    expect(svg).toContain('fill="#123456"');
    expect(svg).toContain(">two</text>");
  });

  it("refuses groups of unequal x and y, and no points", () => {
    expect(() => scatterChart([{ name: "a", x: [1], y: [] }])).toThrow('as many x as y in "a"');
    expect(() => scatterChart([])).toThrow(ArgumentError);
    expect(() => scatterChart({} as never)).toThrow(DTypeError);
  });
});

describe("histogram", () => {
  it("counts values in bins of equal width, the last with its end", () => {
    const heights = bars(histogram([0, 0.5, 1, 1.5, 1.6, 2, Number.NaN], { bins: 2 })).map(({ height }) => height);
    expect((heights[1] as number) / (heights[0] as number)).toBeCloseTo(2, 2);
    expect(
      bars(
        histogram(
          tensor([
            [1, 2],
            [3, 4],
          ]),
          { bins: 4 },
        ),
      ).length,
    ).toBe(4);
    // Sturges: ⌈log₂ 8⌉ + 1.
    expect(bars(histogram([1, 2, 3, 4, 5, 6, 7, 8])).length).toBe(4);
    expect(bars(histogram([3, 3, 3])).filter(({ height }) => height > 0).length).toBe(1);
  });

  it("refuses no values and what is no number", () => {
    expect(() => histogram([])).toThrow(ArgumentError);
    expect(() => histogram([Number.NaN])).toThrow(ArgumentError);
    expect(() => histogram(null as never)).toThrow(DTypeError);
    expect(() => histogram([1], { bins: 0 })).toThrow(ArgumentError);
  });
});

describe("heatMap", () => {
  it("takes tensors, and gives labels the room that they need", () => {
    const matrix = tensor([
      [1, 2],
      [3, 4],
    ]);
    expect(heatMap(matrix)).toBe(
      heatMap([
        [1, 2],
        [3, 4],
      ]),
    );
    const size = (svg: string) => /width="(\d+)" height="(\d+)"/.exec(svg)?.slice(1).map(Number) as [number, number];
    const [plain, labelled] = [
      heatMap(matrix, { columns: ["a", "b"], rows: ["c", "d"] }),
      heatMap(matrix, { columns: ["a long one", "b"], rows: ["a very long name", "d"] }),
    ];
    expect(labelled).toContain("rotate(-45");
    expect(plain).not.toContain("rotate(-45");
    expect(size(labelled)[0]).toBeGreaterThan(size(plain)[0]);
    expect(size(labelled)[1]).toBeGreaterThan(size(plain)[1]);
    expect(() => heatMap(tensor([1, 2]))).toThrow("a tensor of 1 axes");
    expect(() => heatMap(null as never)).toThrow(DTypeError);
  });
});

it("charts are as high and wide as they are told", () => {
  for (const svg of [
    barChart({ a: 1 }, { width: 300, height: 200 }),
    histogram([1, 2], { width: 300, height: 200 }),
    lineChart([{ name: "a", x: [1], y: [1] }], { width: 300, height: 200 }),
  ]) {
    expect(svg).toContain('width="300" height="200" viewBox="0 0 300 200"');
  }
});
