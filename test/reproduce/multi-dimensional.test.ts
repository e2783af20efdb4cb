import { describe, expect, it } from "vitest";
import { multiDimensional } from "../../reproduce/experiments/multi-dimensional.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { evenDensity, gridOrBatch, majority, oneSided } from "../../reproduce/tasks/grid-or.ts";
import { shortForms } from "./short-forms.ts";

shortForms(multiDimensional);

describe("grids of ones", () => {
  it("are answered by looking at every place before", () => {
    const [batch, side] = [4, 5];
    const { xs, before, any } = gridOrBatch(new Dice(1), { batch, side, density: 0.1 });
    const [x, y] = [xs.data(), before.data()];
    for (let k = 0; k < x.length; k++) {
      const [b, r, c] = [Math.floor(k / 25), Math.floor(k / 5) % 5, k % 5];
      let seen = 0;
      for (let i = 0; i <= r; i++) for (let j = 0; j <= c; j++) seen += x[(b * 5 + i) * 5 + j] as number;
      expect(y[k]).toBe(Number(seen > 0));
    }
    expect(Array.from(any.data())).toEqual(Array.from({ length: batch }, (_, b) => Number(x.slice(25 * b, 25 * b + 25).includes(1))));
  });

  it("have the baselines that are claimed", () => {
    expect(majority(10, 0.02).toFixed(3)).toBe("0.720");
    const { any } = gridOrBatch(new Dice(2), { batch: 4000, side: 10, density: evenDensity(10) });
    expect(Math.abs(Array.from(any.data(), Number).reduce((a, b) => a + b) / 4000 - 0.5)).toBeLessThan(0.04);
    expect(oneSided(10)).toBeGreaterThan(0.5);
    expect(oneSided(1)).toBe(1);
  });
});
