import { describe, expect, it } from "vitest";
import { QRNN, type QRNNOptions, type QRNNPooling } from "../../../src/cells/diagonal/qrnn.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, plus, times, type Vector } from "../../oracle/numbers.ts";
import { accept, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const build = (options: Partial<QRNNOptions> = {}) => new QRNN({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });
const poolings: QRNNPooling[] = ["f", "fo", "ifo"];

describe.each(poolings)("QRNN, %s pooling", (pooling) => {
  it.each([1, 2, 8])("has the gradients of its equations, and steps that equal its scan; width %i", (width) =>
    accept(build({ pooling, width })),
  );

  it.each([
    [1, undefined],
    [3, undefined],
    [2, 3],
  ])("is equations 1 to 5 from any state, values and derivatives; width %i, chunk %s", (width, chunk) =>
    holdAgainst(build({ pooling, width, ...(chunk && { chunk }) }), (p, x, [c, ...past]) => {
      const seen = [...past, x];
      const sums = plus(times(p.matrix("weight_ih", 3 * width), seen.flat()), p.vector("bias"));
      const [z, f, o, i] = [0, 1, 2, 3].map((k): Vector => sums.slice(4 * k, 4 * k + 4)) as [Vector, Vector, Vector, Vector];
      const taken = pooling === "ifo" ? i.map(logistic) : f.map((v) => 1 - logistic(v));
      const next = each((v, old, t, zi) => logistic(v) * old + t * Math.tanh(zi), f, c as Vector, taken, z);
      return [pooling === "f" ? next : each((v, n) => logistic(v) * n, o, next), [next, ...seen.slice(1)]];
    }),
  );

  it("learns to latch", () => expect(latchError(build({ pooling, inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});
