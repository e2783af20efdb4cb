import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import {
  automatonDiagram,
  barChart,
  heatMap,
  histogram,
  imageGrid,
  lineChart,
  networkDiagram,
  scatterChart,
} from "../../src/plot/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

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

const LARGEST = Number.MAX_VALUE;
/** Values, and how many of two bins hold some. */
const EXTREMES: readonly (readonly [values: readonly number[], filled: number])[] = [
  [[1e308, -1e308], 2],
  [[-LARGEST, 0, LARGEST], 2],
  [[LARGEST], 1],
  [[-LARGEST], 1],
  [[LARGEST, LARGEST * (1 - 2 ** -53)], 1],
  [[0, 1e308], 2],
  [[5e-324, 0], 1],
  [[5e-324], 1],
  [[1e-310, 2e-310], 1],
  [[1, 1 + 2 ** -52], 1],
  [[1e20, 1e20 + 20_000], 1],
  [[0], 1],
];

describe.each(EXTREMES)("the values %j", (values, filled) => {
  it.each([
    ["barChart", () => barChart(Object.fromEntries(values.map((v, i) => [`bar ${i}`, v])))],
    ["lineChart", () => lineChart([{ name: "a", x: values, y: values }])],
    ["scatterChart", () => scatterChart([{ name: "a", x: values, y: values }])],
    ["histogram", () => histogram(values)],
    ["histogram of 40 bins", () => histogram(values, { bins: 40 })],
    ["heatMap", () => heatMap([values])],
  ])("are within the picture of %s", (_, draw) => {
    const svg = draw();
    expect(svg).not.toMatch(/NaN|Infinity/);
    const numbers = Array.from(svg.matchAll(/ (?:x|y|cx|cy|width|height)="([^"]+)"/g), ([, n]) => Number(n));
    expect(numbers.filter((n) => !(n >= 0 && n <= 720))).toEqual([]);
  });

  it("are counted in bins that show", () => {
    const shown = bars(histogram(values, { bins: 2 })).filter(({ height }) => height > 0);
    expect(shown.map(({ width }) => width > 0)).toEqual(new Array(filled).fill(true));
  });
});

it("charts refuse sides without room, and captions that are no texts", () => {
  const draw = (options: object) => [
    () => barChart({ a: 1 }, options),
    () => scatterChart([{ name: "a", x: [1], y: [1] }], options),
    () => histogram([1], options),
    () => lineChart([{ name: "a", x: [1], y: [1] }], options),
  ];
  for (const options of [{ width: 84 }, { height: Number.NaN }, { height: -1 }, { width: 1e9 }])
    for (const call of draw(options)) expect(call).toThrow(ArgumentError);
  for (const options of [{ title: 3 }, { xLabel: null }, { yLabel: {} }])
    for (const call of draw(options)) expect(call).toThrow(DTypeError);
  expect(() => histogram([1], { bins: 2 ** 32 })).toThrow("bins to be a whole number in [1, 10000]");
});

it.each([
  ["a line of no x", () => lineChart([{ name: "a", y: [1] } as never]), DTypeError, 'x of "a" to be an array of numbers, got undefined'],
  ["a line of no name", () => lineChart([{ x: [1], y: [1] } as never]), DTypeError, "the name of a line as text"],
  ["a group of no colour", () => scatterChart([{ name: "a", x: [1], y: [1], color: 3 as never }]), DTypeError, "the color of a line"],
  ["a range of one", () => heatMap([[1]], { range: [1] as never }), ArgumentError, "a range low < high, got [1]"],
  ["a range of all", () => heatMap([[1]], { range: [0, Number.POSITIVE_INFINITY] }), ArgumentError, "a range low < high"],
  ["a range of none", () => heatMap([[1]], { range: 1 as never }), DTypeError, "range to be an array"],
  ["no cell", () => heatMap([[1]], { cell: Number.NaN }), ArgumentError, "cell above 0"],
  ["columns of numbers", () => heatMap([[1]], { columns: [1] as never }), DTypeError, "columns as texts, got 1 at position 0"],
  ["no rows", () => heatMap([null as never]), DTypeError, "a row to be an array of numbers, got null"],
  ["no transitions", () => automatonDiagram({ transitions: [0] as never, accepting: [] }), DTypeError, "the transitions of a state"],
  ["no accepting", () => automatonDiagram({ transitions: [[0]] } as never), DTypeError, "accepting to be an array"],
  ["symbols of numbers", () => automatonDiagram({ transitions: [[0]], accepting: [] }, { symbols: [1] as never }), DTypeError, "symbols as texts"],
  ["no image", () => imageGrid([null as never], { width: 1 }), DTypeError, "an image to be an array of numbers"],
  ["no node", () => networkDiagram({ nodes: [null as never], edges: [] }), DTypeError, "a node as an object"],
  ["no weight", () => networkDiagram({ nodes: [{ label: "a", layer: 0 }], edges: [{ from: 0, to: 0, weight: Number.NaN }] }), ArgumentError, "the weight of an edge that is finite"],
])("%s is refused", (_, draw, kind, message) => {
  const error = thrown(draw) as Error;
  expect(error).toBeInstanceOf(kind);
  expect(error.message).toContain(message);
}); // biome-ignore format: a table

it("edges of the largest weights are drawn", () => {
  const nodes = ["a", "b"].map((label, layer) => ({ label, layer }));
  const svg = networkDiagram({ nodes, edges: [{ from: 0, to: 1, weight: 1e308 }] });
  expect(svg).toContain('stroke-width="3.2"');
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
