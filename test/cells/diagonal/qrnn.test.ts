import { describe, expect, it } from "vitest";
import { QRNN, type QRNNOptions, type QRNNPooling } from "../../../src/cells/diagonal/qrnn.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const build = (options: Partial<QRNNOptions> = {}) => new QRNN({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });
const poolings: QRNNPooling[] = ["f", "fo", "ifo"];

describe.each(poolings)("QRNN, %s pooling", (pooling) => {
  it.each([1, 2, 8])("has the gradients of its equations, and steps that equal its scan; width %i", (width) =>
    accept(build({ pooling, width })),
  );

  it("is the paper's recurrence", () => {
    const cell = build({ pooling, width: 3 });
    const bias = Array.from(cell.bias.data());
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    const inputs = [[0, 0, 0], [0, 0, 0], ...rows(reshape(xs, [5, 3]))];
    let c = [0, 0, 0, 0];
    const expected = [0, 1, 2, 3, 4].flatMap((t) => {
      const s = plus(times(rows(cell.weightIh), inputs.slice(t, t + 3).flat()), bias);
      const gate = (block: number, j: number) => logistic(s[4 * block + j] as number);
      const taken = (j: number) => (pooling === "ifo" ? gate(3, j) : 1 - gate(1, j));
      c = c.map((old, j) => gate(1, j) * old + taken(j) * Math.tanh(s[j] as number));
      return c.map((now, j) => (pooling === "f" ? now : gate(2, j) * now));
    });
    expectClose(cell.scan(xs)[0], expected, 1e-12);
  });

  it("learns to latch", () => expect(latchError(build({ pooling, inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});
