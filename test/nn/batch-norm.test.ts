import { describe, expect, it } from "vitest";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const [T, B, F] = [5, 4, 3];
const lengths = [5, 1, 3, 5];
const numbers = (t: Tensor) => Array.from(t.data(), Number);
const input = () => new Generator(1).uniform([T, B, F], -1, 3, "float64");

function build(steps?: number): SequenceBatchNorm {
  const norm = new SequenceBatchNorm(F, { dtype: "float64", momentum: 0.25, ...(steps !== undefined && { steps }) });
  assign(norm.weight, [1.5, -0.5, 2]);
  assign(norm.bias, [0.1, 0.2, -0.3]);
  return norm;
}

/** Mean and biased variance of feature j over the real elements of some steps. */
function statistics(xs: readonly number[], steps: readonly number[], j: number): { n: number; mean: number; variance: number } {
  const values = steps.flatMap((t) => lengths.flatMap((n, b) => (t < n ? [xs[(t * B + b) * F + j] as number] : [])));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { n: values.length, mean, variance: values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length };
}

function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got.length).toBe(want.length);
  for (const [i, w] of want.entries())
    if (!(Math.abs((got[i] as number) - w) <= 1e-12)) throw new Error(`[${i}]: expected ${w}, got ${got[i]}`);
}

describe.each([
  ["all steps together", undefined],
  ["step by step", T],
])("SequenceBatchNorm, %s", (_, steps) => {
  const over = (t: number) => (steps === undefined ? [0, 1, 2, 3, 4] : [t]);

  it("normalises real elements by the batch in training, and remembers", () => {
    const norm = build(steps);
    const xs = input();
    const given = numbers(xs);
    const ys = numbers(norm.forward(xs, { lengths }));
    for (let t = 0; t < T; t++) {
      for (let b = 0; b < B; b++) {
        if (t >= (lengths[b] as number)) continue;
        for (let j = 0; j < F; j++) {
          const { mean, variance } = statistics(given, over(t), j);
          const at = (t * B + b) * F + j;
          const unit = ((given[at] as number) - mean) / Math.sqrt(variance + 1e-5);
          expectClose([ys[at] as number], [unit * Number(norm.weight.data()[j]) + Number(norm.bias.data()[j])]);
        }
      }
    }
    const rows = steps ?? 1;
    const all = Array.from({ length: rows * F }, (_, k) => statistics(given, over(Math.floor(k / F)), k % F));
    expectClose(
      numbers(norm.runningMean),
      all.map(({ mean }) => 0.25 * mean),
    );
    expectClose(
      numbers(norm.runningVar),
      all.map(({ n, variance }) => 0.75 + (0.25 * variance * n) / (n - 1)),
    );
  });

  it("goes by what it remembers in evaluation, in steps as in sequences", () => {
    const norm = build(steps).eval();
    const g = new Generator(2);
    assign(norm.runningMean, g.uniform(norm.runningMean.shape, -1, 1, "float64"));
    assign(norm.runningVar, g.uniform(norm.runningVar.shape, 0.5, 2, "float64"));
    const past = tensor([3, 0, 1, 9], { shape: [B, 1], dtype: "float64" });
    const ys = numbers(norm.forward(input(), { past }));
    const given = numbers(input());
    const expected = given.map((x, at) => {
      const [t, b, j] = [Math.floor(at / (B * F)), Math.floor(at / F) % B, at % F];
      const row = steps === undefined ? 0 : Math.min(steps - 1, t + Number(past.data()[b]));
      const k = row * F + j;
      const unit = (x - Number(norm.runningMean.data()[k])) / Math.sqrt(Number(norm.runningVar.data()[k]) + 1e-5);
      return unit * Number(norm.weight.data()[j]) + Number(norm.bias.data()[j]);
    });
    expectClose(ys, expected);
    const first = tensor(given.slice(0, B * F), { shape: [B, F], dtype: "float64" });
    expectClose(numbers(norm.step(first, past)), expected.slice(0, B * F));
  });

  it("has its gradients, through the statistics too", () => {
    for (const training of [true, false]) {
      const norm = build(steps).train(training);
      checkGrads((x) => norm.forward(x as Tensor, { lengths }), [input()], { order: 2 });
    }
  });
});

it("refuses sequences of other features", () => {
  expect(() => new SequenceBatchNorm(2).forward(input())).toThrow("SequenceBatchNorm: expected xs [T,B,2], got [5,4,3]");
});
