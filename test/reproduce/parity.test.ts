import { expect, it } from "vitest";
import { parity } from "../../reproduce/experiments/parity.ts";
import { parityBatch } from "../../reproduce/tasks/parity.ts";
import { Generator } from "../../src/tensor/random.ts";
import { shortForms } from "./short-forms.ts";

shortForms(parity);

it("tells after each step whether the ones so far are odd", () => {
  const [T, B] = [30, 20];
  const { xs, targets } = parityBatch(new Generator(1), { steps: T, batch: B });
  const values = Array.from(xs.data(), Number);
  expect([...new Set(values)].sort()).toEqual([-1, 1]);
  for (let b = 0; b < B; b++) {
    let ones = 0;
    for (let t = 0; t < T; t++) {
      ones += values[t * B + b] === 1 ? 1 : 0;
      expect(targets.data()[t * B + b]).toBe(ones % 2);
    }
  }
  const share = Array.from(targets.data(), Number).reduce((a, p) => a + p, 0) / (T * B);
  expect(Math.abs(share - 0.5)).toBeLessThan(0.1);
});
