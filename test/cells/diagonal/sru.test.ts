import { describe, expect, it } from "vitest";
import { SRU, type SRUOptions } from "../../../src/cells/diagonal/sru.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, part, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const build = (options: Partial<SRUOptions> = {}) => new SRU({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

describe("SRU", () => {
  it.each([3, 4])("has the gradients of its equations, and steps that equal its scan; hiddenSize = %i", (hiddenSize) =>
    accept(build({ hiddenSize })),
  );

  it.each(["float32", "float64"] as const)("reaches its golden vector, %s", (dtype) => {
    const cell = build({ ...GOLDEN, dtype });
    const [w, v, b] = [cell.weightIh, cell.weightHh, cell.bias];
    fillGolden([w, v, b]);
    // The published matrix has no rows for the highway, which do not reach c.
    const { state } = runGolden(cell, dtype);
    expectClose(state[0] as Tensor, [-0.310536, 0.320189], GOLDEN_TOLERANCE[dtype]);
  });

  it.each([3, 4])("is equations 1 to 4 from any state, values and derivatives; hiddenSize = %i", (H) =>
    holdAgainst(build({ hiddenSize: H, highwayBias: -1 }), (p, x, [c]) => {
      const [candidate, f, r, projected] = [0, 1, 2, 3].map(
        (k): Vector => times(p.matrix("weight_ih", 3).slice(k * H, (k + 1) * H), x),
      ) as [Vector, Vector, Vector, Vector];
      const [v, b, old] = [p.vector("weight_hh"), p.vector("bias"), c as Vector];
      const gate = (sum: Vector, k: number) => each((s, vi, bi, ci) => logistic(s + vi * ci + bi), sum, part(v, k, 2), part(b, k, 2), old);
      const next = each((k, ci, fresh) => k * ci + (1 - k) * fresh, gate(f, 0), old, candidate);
      const alpha = Math.sqrt(1 + 2 * Math.exp(-1));
      const highway = H === 3 ? x : projected;
      return [each((k, n, w) => k * n + (1 - k) * alpha * w, gate(r, 1), next, highway), [next]];
    }),
  );

  it("starts with the highway's bias, in no other gate", () =>
    expect(Array.from(build({ highwayBias: -1 }).bias.data())).toEqual([0, 0, 0, 0, -1, -1, -1, -1]));

  it("learns to latch", () => expect(latchError(build({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});
