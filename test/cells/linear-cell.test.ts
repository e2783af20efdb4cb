import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/tape.ts";
import { LRU, Mamba, MinGRU, MinLSTM, QRNN, SelectiveScan } from "../../src/cells/index.ts";
import { type Cell, type ScanOptions, type State, scanSteps, stateTensors } from "../../src/nn/recurrence.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { linearScan, sum } from "../../src/ops/reduce.ts";
import { slice } from "../../src/ops/shape.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { expectClose, leaf } from "./acceptance.ts";

const options = { inputSize: 3, hiddenSize: 4, dtype: "float64", generator: new Generator(2) } as const;
const cells: readonly Cell<State>[] = [
  new MinGRU(options),
  new MinLSTM({ ...options, logSpace: true }),
  new QRNN({ ...options, width: 4 }),
  new LRU(options),
  new SelectiveScan(options),
  new Mamba(options),
] as unknown as readonly Cell<State>[];

/** Outputs, last state and all gradients of a scan, in one list. */
function everything(cell: Cell<State>, xs: Tensor, [ys, last]: [Tensor, State]): number[] {
  const outputs = [ys, ...stateTensors(last)];
  const g = new Generator(5);
  const loss = outputs.map((y) => sum(mul(y, g.uniform(y.shape, -1, 1, "float64")))).reduce((a, b) => add(a, b));
  const found = gradients([loss], [xs, ...cell.parameters()], [ones([], "float64")]);
  return [...outputs, ...found].flatMap((t) => Array.from((t as Tensor).data()));
}

describe.each(cells.map((cell) => [cell.constructor.name, cell] as const))("%s", (_, cell) => {
  it.each<[string, number, ScanOptions]>([
    ["whole batches", 6, {}],
    ["reversed", 6, { reverse: true }],
    ["full lengths", 6, { lengths: [6, 6] }],
    ["ragged batches", 6, { lengths: [2, 6] }],
    ["ragged batches, reversed", 6, { lengths: [2, 6], reverse: true }],
    ["a single step", 1, {}],
    ["fewer steps than the convolution sees", 2, {}],
  ])("gives the outputs, states and gradients of its steps: %s", (_name, n, how) => {
    const xs = leaf(new Generator(3), n, 2, 3);
    const expected = everything(cell, xs, scanSteps(cell, xs, undefined, how));
    expectClose(everything(cell, xs, cell.scan(xs, undefined, how)), expected, 1e-12);
    expect(expected.some((v) => v !== 0)).toBe(true);
  });

  it("refuses sequences it cannot take", () => {
    expect(() => cell.scan(slice(leaf(new Generator(3), 4, 2, 3), 2, 0, 2))).toThrow("scan: expected xs [T,B,3], got [4,2,2]");
  });
});

it.each([32, 64, 100])("a linear scan of 1000 steps is its chunked, associative form, float32, chunks of %i", (size) => {
  const g = new Generator(7);
  const [n, width] = [1000, 8];
  const [a, b] = [g.uniform([n, width], 0, 1), g.uniform([n, width], -1, 1)];
  const [av, bv] = [a.data(), b.data()];
  // (a₂,b₂)∘(a₁,b₁) = (a₂a₁, a₂b₁ + b₂), within chunks from rest, then over the chunks' ends.
  const expected = new Float64Array(n * width);
  for (let j = 0; j < width; j++) {
    let carried = 0;
    for (let from = 0; from < n; from += size) {
      let [product, state] = [1, 0];
      for (let t = from; t < Math.min(n, from + size); t++) {
        const k = t * width + j;
        product *= av[k] as number;
        state = (av[k] as number) * state + (bv[k] as number);
        expected[k] = product * carried + state;
      }
      carried = product * carried + state;
    }
  }
  expectClose(linearScan(a, b, { axis: 0 }), Array.from(expected), 1e-5);
});
