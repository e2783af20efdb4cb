import { describe, expect, it } from "vitest";
import { LRU, type LRUOptions } from "../../../src/cells/diagonal/lru.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { echoError } from "../memory-tasks.ts";

const build = (options: Partial<LRUOptions> = {}) => new LRU({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

describe("LRU", () => {
  it.each([3, 2])("has the gradients of its equations, and steps that equal its scan; outputSize = %i", (outputSize) =>
    accept(build({ outputSize })),
  );

  it.each([3, 2])("is the paper's recurrence from any state, in complex numbers, values and derivatives; outputSize = %i", (outputSize) =>
    holdAgainst(build({ outputSize }), (p, x, [re, im]) => {
      const [nu, theta, gamma] = ["nu", "theta", "gamma"].map((name): Vector => p.vector(name).map(Math.exp)) as [Vector, Vector, Vector];
      const size = nu.map((v) => Math.exp(-v));
      const [lRe, lIm] = [each((r, t) => r * Math.cos(t), size, theta), each((r, t) => r * Math.sin(t), size, theta)];
      const [bRe, bIm] = [times(p.matrix("b_re", 3), x), times(p.matrix("b_im", 3), x)];
      const [hRe, hIm] = [re as Vector, im as Vector];
      const nextRe = each((a, b, c, d, g, u) => a * c - b * d + g * u, lRe, lIm, hRe, hIm, gamma, bRe);
      const nextIm = each((a, b, c, d, g, u) => a * d + b * c + g * u, lRe, lIm, hRe, hIm, gamma, bIm);
      const y = each((a, b) => a - b, times(p.matrix("c_re", 4), nextRe), times(p.matrix("c_im", 4), nextIm));
      return [outputSize === 3 ? each((v, d, xi) => v + d * xi, y, p.vector("d"), x) : y, [nextRe, nextIm]];
    }),
  );

  it("starts with eigenvalues in the ring, and inputs scaled to it", () => {
    const cell = build({ hiddenSize: 200, rMin: 0.9, rMax: 0.99, maxPhase: 0.5 });
    const { re, im } = cell.eigenvalues();
    const [a, b, gamma] = [re.data(), im.data(), cell.gamma.data()];
    for (let j = 0; j < 200; j++) {
      const radius = Math.hypot(a[j] as number, b[j] as number);
      expect(radius).toBeGreaterThan(0.9);
      expect(radius).toBeLessThan(0.99);
      expect(Math.atan2(b[j] as number, a[j] as number)).toBeGreaterThan(0);
      expect(Math.atan2(b[j] as number, a[j] as number)).toBeLessThan(0.5);
      expect(Math.exp(gamma[j] as number)).toBeCloseTo(Math.sqrt(1 - radius ** 2), 12);
    }
  });

  it.each([1, 2, 63, 64, 65, 1000])("in parallel is what it is step by step, float32, %i steps", (n) => {
    const cell = build({ dtype: "float32", hiddenSize: 16, rMin: 0.9, rMax: 0.999 });
    const xs = new Generator(4).uniform([n, 2, 3], -1, 1);
    const [[ys], [steps]] = [cell.scan(xs), scanSteps(cell, xs)];
    const scale = Math.max(1, ...Array.from(steps.data(), Math.abs));
    expectClose(ys, Array.from(steps.data()), 1e-5 * scale);
  });

  it("learns to echo", () => expect(echoError(build({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.02));

  it.each([
    [0.9, 0.9, "rMin in [0, 0.9), got 0.9"],
    [-0.1, 0.9, "rMin in [0, 0.9), got -0.1"],
    [0.5, 1.1, "rMax in (0, 1], got 1.1"],
    [0.9, 0.5, "rMin in [0, 0.5), got 0.9"],
  ])("refuses a ring from %d to %d", (rMin, rMax, said) => expect(() => build({ rMin, rMax })).toThrow(`LRU: expected ${said}`));
});
