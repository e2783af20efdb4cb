import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { type Line, lineChart } from "../../src/plot/svg.ts";

/** Checks that every tag is closed in order and returns the elements with their attributes. */
function elements(svg: string): { tag: string; attributes: Record<string, string>; content: string }[] {
  const open: string[] = [];
  const found = [];
  const tags = [...svg.matchAll(/<(\/?)([a-z]+)((?:\s[a-zA-Z-]+="[^"<]*")*)\s*(\/?)>([^<]*)/g)];
  expect(tags.map((t) => t[0]).join("")).toBe(svg);
  for (const [, closing, tag, list = "", empty, content = ""] of tags) {
    if (closing) expect(open.pop()).toBe(tag);
    else if (!empty) open.push(tag as string);
    const attributes = Object.fromEntries([...list.matchAll(/([a-zA-Z-]+)="([^"]*)"/g)].map(([, k, v]) => [k, v]));
    if (!closing) found.push({ tag: tag as string, attributes, content: content.trim() });
  }
  expect(open).toEqual([]);
  return found;
}

const texts = (svg: string) =>
  elements(svg)
    .filter((e) => e.tag === "text")
    .map((e) => e.content);
const curves = (svg: string) =>
  elements(svg).filter((e) => e.tag === "path" && /^M[\d. ]+L|^M[-\d.]+ [-\d.]+(M|$)/.test(e.attributes.d ?? ""));
const coordinates = (d: string) =>
  d
    .split(/[ML]/)
    .filter(Boolean)
    .map((p) => p.split(" ").map(Number));

describe("lineChart", () => {
  const line: Line = { name: "loss", x: [0, 50, 100], y: [4, 2.5, 2] };

  it("places points linearly inside the axes", () => {
    const svg = lineChart([line], { title: "Loss", xLabel: "step", yLabel: "bits", width: 400, height: 300 });
    const points = coordinates(curves(svg)[0]?.attributes.d as string);
    expect(points).toEqual([
      [64, 56],
      [(64 + 380) / 2, 252 - (252 - 56) / 4],
      [380, 252],
    ]);
    expect(texts(svg)).toEqual(expect.arrayContaining(["Loss", "step", "bits", "loss", "0", "100", "2.0", "4.0"]));
  });

  it.each([
    [
      [0, 1],
      ["0.0", "0.2", "1.0"],
    ],
    [
      [1.9, 4.4],
      ["1.5", "4.5"],
    ],
    [
      [-3e-4, 2e-4],
      ["-0.0003", "0.0002"],
    ],
    [[5, 5], ["5"]],
    [[0, 0], ["0.0"]],
    [
      [1e9, 3e9],
      ["1.0e+9", "3.0e+9"],
    ],
  ])("has ticks around %j", (y, expected) => {
    const shown = texts(lineChart([{ name: "a", x: [1, 2], y }]));
    expect(shown).toEqual(expect.arrayContaining(expected));
    expect(new Set(shown.filter((t) => t !== "a")).size).toBeGreaterThanOrEqual(4);
  });

  it("interrupts a line where a value is not finite", () => {
    const svg = lineChart([{ name: "a", x: [0, 1, 2, 3, 4], y: [1, 2, Number.NaN, 3, Number.POSITIVE_INFINITY] }]);
    expect(curves(svg)[0]?.attributes.d).toMatch(/^M[^ML]+L[^ML]+M[^ML]+$/);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it("tells lines apart and marks dashed ones", () => {
    const drawn = curves(lineChart([line, { ...line, name: "b", dashed: true }, { ...line, name: "c", color: "#123456" }]));
    expect(new Set(drawn.map((e) => e.attributes.stroke)).size).toBe(3);
    expect(drawn.map((e) => "stroke-dasharray" in e.attributes)).toEqual([false, true, false]);
    expect(drawn[2]?.attributes.stroke).toBe("#123456");
  });

  it("wraps a long legend", () => {
    const names = Array.from({ length: 9 }, (_, i) => `a line with a long name ${i}`);
    const svg = lineChart(names.map((name) => ({ ...line, name })));
    const entries = elements(svg).filter((e) => names.includes(e.content));
    expect(entries.length).toBe(9);
    for (const e of entries) expect(Number(e.attributes.x)).toBeLessThan(720);
    expect(new Set(entries.map((e) => e.attributes.y)).size).toBeGreaterThan(1);
  });

  it("keeps markup out", () => {
    const svg = lineChart([{ ...line, name: '<script>&"\u0001', color: '"/><b' }]);
    expect(texts(svg)).toContain("&lt;script&gt;&amp;&quot;");
  });

  it.each([
    ["huge", [-1e300, 1e300]],
    ["the largest", [-Number.MAX_VALUE, 0, Number.MAX_VALUE]],
    ["the smallest", [0, Number.MIN_VALUE]],
    ["one tiny point", [Number.MIN_VALUE]],
    ["all equal", [3, 3, 3]],
    ["minus zero", [-0, -0]],
    ["neighbours far from zero", [1e16, 1e16 + 2]],
    ["beside infinities", [1, Number.POSITIVE_INFINITY, 2, Number.NEGATIVE_INFINITY, 3]],
  ])("draws numbers of any size: %s", (_, values) => {
    for (const [x, y] of [
      [values.map((_v, i) => i), values],
      [values, values.map((_v, i) => i)],
    ] as const) {
      const svg = lineChart([{ name: "a", x, y }]);
      expect(svg).not.toMatch(/NaN|Infinity/);
      const places = curves(svg)
        .flatMap((e) => coordinates(e.attributes.d as string))
        .flat();
      expect(places.length).toBeGreaterThan(0);
      for (const place of places) expect(place >= 0 && place <= 720).toBe(true);
    }
  });

  it("rejects what cannot be drawn", () => {
    expect(() => lineChart([{ name: "a", x: [1, 2], y: [1] }])).toThrow('as many x as y in "a", got 2 and 1');
    expect(() => lineChart([])).toThrow(ArgumentError);
    expect(() => lineChart([{ name: "a", x: [1], y: [Number.NaN] }])).toThrow(ArgumentError);
  });
});
