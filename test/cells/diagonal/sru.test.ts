import { describe, expect, it } from "vitest";
import { SRU, type SRUOptions } from "../../../src/cells/diagonal/sru.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { logistic, rows, times } from "../../oracle/numbers.ts";
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

  it.each([3, 4])("is the paper's recurrence, hiddenSize = %i", (H) => {
    const cell = build({ hiddenSize: H, highwayBias: -1 });
    const [v, bias] = [Array.from(cell.weightHh.data()), Array.from(cell.bias.data())];
    expect(bias).toEqual([...new Array(H).fill(0), ...new Array(H).fill(-1)]);
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    let c = new Array<number>(H).fill(0);
    const alpha = Math.sqrt(1 + 2 * Math.exp(-1));
    const expected = rows(reshape(xs, [5, 3])).flatMap((x) => {
      const s = times(rows(cell.weightIh), x);
      const at = (list: readonly number[], k: number) => list[k] as number;
      const before = c;
      c = before.map((old, j) => {
        const f = logistic(at(s, H + j) + at(v, j) * old + at(bias, j));
        return f * old + (1 - f) * at(s, j);
      });
      return c.map((now, j) => {
        const r = logistic(at(s, 2 * H + j) + at(v, H + j) * at(before, j) + at(bias, H + j));
        return r * now + (1 - r) * alpha * (H === 3 ? at(x, j) : at(s, 3 * H + j));
      });
    });
    expectClose(cell.scan(xs)[0], expected, 1e-12);
  });

  it("learns to latch", () => expect(latchError(build({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});
