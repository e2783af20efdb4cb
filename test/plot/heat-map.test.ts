import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { heatMap } from "../../src/plot/heat-map.ts";

/** Position and colour of each cell. */
const cells = (svg: string) =>
  [...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="\3" fill="rgb\(([\d,]+)\)"\/>/g)].map((m) => ({
    at: [Number(m[1]), Number(m[2])],
    color: m[4],
  }));

describe("heatMap", () => {
  it("draws each value in its place, from white to blue", () => {
    const found = cells(heatMap([[0, 1, 2], new Float32Array([2, 1, 0])], { cell: 10 }));
    expect(found.map((c) => c.at)).toEqual([
      [56, 40],
      [66, 40],
      [76, 40],
      [56, 50],
      [66, 50],
      [76, 50],
    ]);
    expect(found.map((c) => c.color)).toEqual(["255,255,255", "132,152,181", "8,48,107", "8,48,107", "132,152,181", "255,255,255"]);
  });

  it("keeps to a given range, and leaves out what is not finite", () => {
    const found = cells(heatMap([[-1, 0.5, 3, Number.NaN]], { range: [0, 1] }));
    expect(found.map((c) => c.color)).toEqual(["255,255,255", "132,152,181", "8,48,107"]);
    expect(cells(heatMap([[2, 2]]))[0]?.color).toBe("255,255,255");
  });

  it("labels columns and rows, as text", () => {
    const svg = heatMap([[1, 0]], { title: "a < b", columns: ["x", "&"], rows: ["r"], xLabel: "source", yLabel: "target" });
    expect([...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((m) => m[1])).toEqual(["a &lt; b", "x", "&amp;", "r", "source", "target"]);
    expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  });

  it("is wide enough for its title", () => {
    const width = (title: string) => Number(/width="(\d+)"/.exec(heatMap([[1]], { title }))?.[1]);
    // Bold letters of 15 pixels are some 8 wide.
    expect(width("x".repeat(60))).toBeGreaterThan(60 * 8);
    expect(width("x")).toBe(width(""));
  });

  it("says what it cannot draw", () => {
    expect(() => heatMap([])).toThrow(ArgumentError);
    expect(() => heatMap([[1, 2], [1]])).toThrow("rows of 2 cells, got one of 1");
    expect(() => heatMap([[1, 2]], { columns: ["a"] })).toThrow("2 columns, got 1");
    expect(() => heatMap([[1, 2]], { rows: [] })).toThrow("1 rows, got 0");
    expect(() => heatMap([[1, 2]], { range: [1, 1] })).toThrow("low < high");
  });
});
