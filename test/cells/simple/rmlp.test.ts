import { describe, expect, it } from "vitest";
import { RMLP } from "../../../src/cells/simple/rmlp.ts";
import { select } from "../../../src/ops/shape.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose } from "../acceptance.ts";
import { recall } from "../recall.ts";

describe("RMLP", () => {
  it.each(["3-4R-2", "3-4R-3R-2", "3-4-3R", "3-4R-5-2R"])(
    "has the gradients of its equations, and steps that equal its scan, %s",
    (layout) => accept(new RMLP({ layout, dtype: "float64", generator: new Generator(2) })),
  );

  it("is the paper's layers, of which two see their own past", () => {
    const net = new RMLP({ layout: "2-8R-5-6R-1", dtype: "float64", generator: new Generator(2) });
    const xs = new Generator(3).uniform([6, 1, 2], -1, 1, "float64");
    const before = [8, 5, 6, 1].map((n) => new Array<number>(n).fill(0));
    let y: number[] = [];
    for (let t = 0; t < 6; t++) {
      y = Array.from(xs.data()).slice(2 * t, 2 * t + 2);
      for (const [l, { weightIh, weightHh, bias }] of net.layers.entries()) {
        const own = before[l] as number[];
        const sums = plus(times(rows(weightIh), y), Array.from(bias.data()), weightHh ? times(rows(weightHh), own) : own.map(() => 0));
        y = l === 3 ? sums : sums.map(Math.tanh);
        before[l] = y;
      }
    }
    const [ys, last] = net.scan(xs);
    expectClose(select(ys, 0, 5), y, 1e-12);
    expect(last.map((s) => s.shape)).toEqual([
      [1, 8],
      [1, 6],
    ]);
    expectClose(last[1] as (typeof last)[number], before[2] as number[], 1e-12);
  });

  it("draws initial values within the given bound", () => {
    const net = new RMLP({ layout: "2-30R-1", initialBound: 0.1, generator: new Generator(2) });
    const values = net.parameters().flatMap((p) => Array.from(p.data(), Math.abs));
    expect(Math.max(...values)).toBeLessThanOrEqual(0.1);
    expect(Math.max(...values)).toBeGreaterThan(0.09);
  });

  it.each(["2", "2-3", "2R-3R-1", "2-0R-1", "2-8r-1", ""])('refuses the layout "%s"', (layout) => {
    expect(() => new RMLP({ layout })).toThrow('RMLP: expected a layout like "2-8R-6R-1"');
  });

  it("learns to remember, which its initial weights do not", () => {
    const net = () => new RMLP({ layout: "1-10R-8R-4", generator: new Generator(1) });
    expect(recall(net(), { frozen: true })).toBeGreaterThan(0.5);
    expect(recall(net())).toBeLessThan(0.1);
  });
});
