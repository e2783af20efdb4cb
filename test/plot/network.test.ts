import { describe, expect, it } from "vitest";
import { networkDiagram } from "../../src/plot/network.ts";

const count = (svg: string, what: RegExp) => (svg.match(what) ?? []).length;
const node = (label: string, layer: number) => ({ label, layer });

describe("networkDiagram", () => {
  const nodes = [node("a", 0), node("b<", 0), node("h", 3), node("y", 7)];
  const edges = [
    { from: 0, to: 2, weight: 1 },
    { from: 1, to: 2, weight: -2 },
    { from: 2, to: 3, weight: 0.5 },
    { from: 3, to: 2, weight: 1 },
    { from: 2, to: 2, weight: 1 },
    { from: 0, to: 1, weight: 1 },
  ];
  const svg = networkDiagram({ nodes, edges }, { title: "evolved" });

  it("has a ring for each node and an arrow for each edge; back, beside and to itself are dashed", () => {
    expect(count(svg, /<circle/g)).toBe(4);
    expect(count(svg, /marker-end/g)).toBe(6);
    expect(count(svg, /stroke-dasharray/g)).toBe(3);
    expect(count(svg, /#d55e00/g)).toBe(1);
    expect(svg).toContain("b&lt;");
    expect(svg).not.toContain("NaN");
  });

  it("puts columns where the layers are in order, whatever their numbers", () => {
    const xs = [...svg.matchAll(/<circle cx="([\d.]+)"/g)].map((m) => Number(m[1]));
    expect(xs[0]).toBe(xs[1]);
    expect(xs[2]! - xs[0]!).toBe(xs[3]! - xs[2]!);
    // The largest weight is the thickest.
    expect(svg).toContain('stroke="#d55e00" stroke-width="3.2"');
  });

  it("draws one node alone, and says what it cannot draw", () => {
    expect(count(networkDiagram({ nodes: [node("x", 0)], edges: [] }), /<circle/g)).toBe(1);
    expect(() => networkDiagram({ nodes: [], edges: [] })).toThrow("networkDiagram: expected at least one node, got none");
    expect(() => networkDiagram({ nodes: [node("x", 0)], edges: [{ from: 0, to: 1, weight: 1 }] })).toThrow("got one of 1 of 1");
  });
});
