import { describe, expect, it } from "vitest";
import { LRU, type LRUOptions } from "../../../src/cells/diagonal/lru.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { echoError } from "../memory-tasks.ts";

const build = (options: Partial<LRUOptions> = {}) => new LRU({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

describe("LRU", () => {
  it.each([3, 2])("has the gradients of its equations, and steps that equal its scan; outputSize = %i", (outputSize) =>
    accept(build({ outputSize })),
  );

  it("is the paper's recurrence, in complex numbers", () => {
    const cell = build();
    const numbers = (p: { data(): ArrayLike<number> }) => Array.from(p.data());
    const [nu, theta, gamma, d] = [cell.nu, cell.theta, cell.gamma, cell.d as typeof cell.nu].map(numbers) as [
      number[],
      number[],
      number[],
      number[],
    ];
    const xs = new Generator(3).uniform([7, 1, 3], -1, 1, "float64");
    let h = [0, 1, 2, 3].map(() => [0, 0] as [number, number]);
    const expected = rows(reshape(xs, [7, 3])).flatMap((x) => {
      const [bRe, bIm] = [times(rows(cell.bRe), x), times(rows(cell.bIm), x)];
      h = h.map(([re, im], j) => {
        const [size, phase] = [Math.exp(-Math.exp(nu[j] as number)), Math.exp(theta[j] as number)];
        const [lRe, lIm] = [size * Math.cos(phase), size * Math.sin(phase)];
        const scale = Math.exp(gamma[j] as number);
        return [lRe * re - lIm * im + scale * (bRe[j] as number), lRe * im + lIm * re + scale * (bIm[j] as number)];
      });
      const real = times(
        rows(cell.cRe),
        h.map(([re]) => re),
      );
      const imaginary = times(
        rows(cell.cIm),
        h.map(([, im]) => -im),
      );
      return plus(
        real,
        imaginary,
        x.map((value, i) => value * (d[i] as number)),
      );
    });
    expectClose(cell.scan(xs)[0], expected, 1e-12);
  });

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

  it("refuses an empty ring", () =>
    expect(() => build({ rMin: 0.9, rMax: 0.9 })).toThrow("LRU: expected 0 ≤ rMin < rMax ≤ 1, got 0.9 and 0.9"));
});
