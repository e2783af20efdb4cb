import { describe, expect, it } from "vitest";
import { tomita } from "../../src/automata/automaton.ts";
import { automatonDiagram } from "../../src/plot/automaton.ts";

const labels = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map((m) => m[1]);
const count = (svg: string, what: RegExp) => (svg.match(what) ?? []).length;

describe("automatonDiagram", () => {
  it("has a node for each state, a ring more for accepting ones, and an arrow for each way there is", () => {
    const svg = automatonDiagram(tomita(4), { title: "no 000" });
    expect(count(svg, /<circle/g)).toBe(4 + 3);
    // Three states with two ways each, and the last, whose two symbols share one; the start has an arrow of its own.
    expect(count(svg, /marker-end/g)).toBe(3 * 2 + 1 + 1);
    expect(labels(svg).toSorted()).toEqual(["no 000", "1", "0", "1", "0", "1", "0", "0, 1", "0", "1", "2", "3"].toSorted());
  });

  it("calls symbols by the names given", () => {
    const svg = automatonDiagram({ transitions: [[0, 0]], accepting: [true] }, { symbols: ["<", "b"] });
    expect(labels(svg)).toContain("&lt;, b");
    expect(svg).not.toContain("NaN");
  });

  it("leaves out states that cannot accept, and the arrows to them, and keeps the others' numbers", () => {
    // Only "ab" is accepted: state 1 is dead, and so is 4, which leads there.
    const automaton = {
      transitions: [
        [2, 1],
        [1, 1],
        [4, 3],
        [1, 1],
        [1, 4],
      ],
      accepting: [false, false, false, true, false],
    };
    const svg = automatonDiagram(automaton, { symbols: ["a", "b"], hideDead: true });
    expect(labels(svg).toSorted()).toEqual(["0", "2", "3", "a", "b"]);
    expect(count(svg, /marker-end/g)).toBe(2 + 1);
    expect(labels(automatonDiagram(automaton))).toContain("4");
    // A language without strings: the start alone.
    expect(labels(automatonDiagram({ transitions: [[0], [0]], accepting: [false, false] }, { hideDead: true }))).toEqual(["0", "0"]);
    expect(() => automatonDiagram(automaton, { hideDead: 1 as never })).toThrow("hideDead");
  });

  it("says what it cannot draw", () => {
    expect(() => automatonDiagram({ transitions: [], accepting: [] })).toThrow(
      "automatonDiagram: expected transitions between states, got no states",
    );
    expect(() => automatonDiagram({ transitions: [[1]], accepting: [true] })).toThrow("got one to 1 of 1");
  });
});
