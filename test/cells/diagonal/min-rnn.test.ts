import { describe, expect, it } from "vitest";
import { MinGRU, MinLSTM, type MinRNNOptions } from "../../../src/cells/diagonal/min-rnn.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { linear } from "../../../src/ops/linear.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { logistic, plus, times as product, rows, plus as sumOf, times } from "../../oracle/numbers.ts";
import { accept, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const kinds = { MinGRU, MinLSTM };
const build = (kind: keyof typeof kinds, options: Partial<MinRNNOptions> = {}) =>
  new kinds[kind]({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

/** What is kept, what is taken and what is offered at one step, by the paper. */
function gates(kind: string, s: number[], H: number, logSpace: boolean): [keep: number, take: number, candidate: number][] {
  return Array.from({ length: H }, (_, j) => {
    const candidate = s[s.length - H + j] as number;
    const offered = logSpace ? (candidate >= 0 ? candidate + 0.5 : logistic(candidate)) : candidate;
    const first = logistic(s[j] as number);
    if (kind === "MinGRU") return [1 - first, first, offered];
    const second = logistic(s[H + j] as number);
    return [first / (first + second), second / (first + second), offered];
  });
}

describe.each(["MinGRU", "MinLSTM"] as const)("%s", (kind) => {
  it.each([false, true])("has the gradients of its equations, and steps that equal its scan; logSpace = %s", (logSpace) =>
    accept(build(kind, { logSpace })),
  );

  it.each([
    [false, true],
    [false, false],
    [true, true],
    [true, false],
  ])("is the paper's equations from any state, values and derivatives; logSpace = %s, bias = %s", (logSpace, bias) =>
    holdAgainst(build(kind, { logSpace, bias, ...(bias && { chunk: 2 }) }), (p, x, [h]) => {
      const products = product(p.matrix("weight_ih", SIZES.inputSize), x);
      const sums = bias ? sumOf(products, p.vector("bias")) : products;
      const next = gates(kind, sums, SIZES.hiddenSize, logSpace).map(
        ([keep, take, offered], j) => keep * (h?.[j] as number) + take * offered,
      );
      return [next, [next]];
    }),
  );

  it.each([false, true])("is the paper's recurrence, logSpace = %s", (logSpace) => {
    const cell = build(kind, { logSpace });
    const xs = new Generator(3).uniform([5, 1, 3], -1, 1, "float64");
    let h = [0, 0, 0, 0];
    for (const x of rows(reshape(xs, [5, 3]))) {
      const sums = plus(times(rows(cell.weightIh), x), Array.from(cell.bias?.data() ?? []));
      h = gates(kind, sums, 4, logSpace).map(([keep, take, offered], j) => keep * (h[j] as number) + take * offered);
    }
    expectClose(cell.scan(xs)[1], h, 1e-12);
  });

  it("agrees with the parallel form in log space over a long sequence, float32", () => {
    const cell = build(kind, { logSpace: true, dtype: "float32" });
    const n = 1000;
    const xs = new Generator(4).uniform([n, 1, 3], -2, 2);
    const sums = linear(xs, cell.weightIh, cell.bias ?? undefined);
    const steps = rows(reshape(sums, [n, sums.dim(2)])).map((s) => gates(kind, s, 4, true));
    const expected = [0, 1, 2, 3].map((j) => {
      // log h_t = A_t + log Σ_s≤t exp(log b_s − A_s), A the running sum of log a
      let [sumOfLogs, total] = [0, Number.NEGATIVE_INFINITY];
      return steps.map((step) => {
        const [keep, take, offered] = step[j] as [number, number, number];
        sumOfLogs += Math.log(keep);
        const term = Math.log(take * offered) - sumOfLogs;
        const top = Math.max(total, term);
        total = top + Math.log(Math.exp(total - top) + Math.exp(term - top));
        return Math.exp(sumOfLogs + total);
      });
    });
    const all = Array.from({ length: n }, (_, t) => expected.map((row) => row[t] as number)).flat();
    expectClose(cell.scan(xs)[0], all, 1e-5);
  });

  it("learns to latch", () => expect(latchError(build(kind, { inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});

it.each(["float32", "float64"] as const)("MinGRU reaches its golden vector, %s", (dtype) => {
  const cell = build("MinGRU", { ...GOLDEN, dtype, bias: false });
  fillGolden(cell);
  expectClose(runGolden(cell, dtype).y, [0.027002, -0.38244], GOLDEN_TOLERANCE[dtype]);
});
