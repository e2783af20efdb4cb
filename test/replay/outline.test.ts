/** A step whose outline is known runs without its sweep being traced again; any other's is traced at every scan. */

import { expect, it, vi } from "vitest";
import { defineOp } from "../../src/autodiff/define-op.ts";
import { apply } from "../../src/autodiff/primitive.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { linear } from "../../src/ops/linear.ts";
import { tanh } from "../../src/ops/math.ts";
import { CaptureCache } from "../../src/replay/capture.ts";
import { type Scan, scanCaptured } from "../../src/replay/captured-scan.ts";
import { derivative } from "../../src/replay/sweep.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, type Tensor } from "../../src/tensor/tensor.ts";

const [T, B, H] = [4, 2, 3];
const leaf = (...shape: number[]) => requireGrad(new Generator(1).uniform(shape, -1, 1));
const w = leaf(H, H);

/** How many sweeps each of three scans traces. */
function sweepsTraced(next: (sum: Tensor) => Tensor, xs = leaf(T, B, H)): number[] {
  const step: Scan["step"] = ([x], [h]) => {
    const y = next(add(x as Tensor, linear(h as Tensor, w)));
    return { y, carry: [y] };
  };
  const cache = new CaptureCache();
  const trace = vi.spyOn(derivative, "trace");
  const counts = [1, 2, 3].map(() => {
    trace.mockClear();
    scanCaptured({ step, sequences: [xs], carry: [leaf(B, H)], fixed: [w], reverse: false, owner: {} }, cache);
    return trace.mock.calls.length;
  });
  trace.mockRestore();
  expect(cache.steps.length).toBe(1);
  return counts;
}

it("the library's operations", () => {
  expect(sweepsTraced(tanh)).toEqual([2, 0, 0]);
});

it("an operation of one's own, whose rule may depend on anything", () => {
  const doubled = defineOp({
    name: "doubled",
    forward: ([x]) => mul(x as Tensor, 2),
    vjp: (g) => mul(g, 2),
    jvp: (t) => mul(t, 2),
  });
  expect(sweepsTraced((sum) => apply(doubled, [sum], undefined))).toEqual([2, 2, 2]);
});
