import { describe, expect, it } from "vitest";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { noGrad } from "../../../src/autodiff/tape.ts";
import { IndRNN, LRU, Mamba, MinGRU, MinLSTM, QRNN, RWKVChannelMix, RWKVTimeMix, SelectiveScan, SRU } from "../../../src/cells/index.ts";
import { add, mul } from "../../../src/ops/arithmetic.ts";
import { sum } from "../../../src/ops/broadcast.ts";
import { slice } from "../../../src/ops/shape.ts";
import { type Cell, type ScanOptions, scanSteps } from "../../../src/recurrence/recurrence.ts";
import { type State, stateTensors } from "../../../src/recurrence/state.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { expectClose, leaf } from "../acceptance.ts";

const plain = { inputSize: 3, dtype: "float64", generator: new Generator(2) } as const;
const options = { ...plain, hiddenSize: 4 } as const;
const cells: readonly Cell<State>[] = [
  new MinGRU(options),
  new MinGRU({ ...options, chunk: 4 }),
  new MinLSTM({ ...options, logSpace: true }),
  new QRNN({ ...options, width: 4 }),
  new QRNN({ ...options, width: 3, pooling: "ifo", chunk: 2 }),
  new SRU(options),
  new IndRNN({ ...options, activation: "tanh" }),
  new RWKVTimeMix(options),
  new RWKVChannelMix(options),
  new LRU(options),
  new SelectiveScan(plain),
  new SelectiveScan({ ...plain, chunk: 4 }),
  new Mamba(plain),
] as unknown as readonly Cell<State>[];

/** Outputs, last state and all gradients of a scan, in one list. */
function everything(cell: Cell<State>, xs: Tensor, [ys, last]: [Tensor, State]): number[] {
  const outputs = [ys, ...stateTensors(last)];
  const g = new Generator(5);
  const loss = outputs.map((y) => sum(mul(y, g.uniform(y.shape, -1, 1, "float64")))).reduce((a, b) => add(a, b));
  const found = gradients([loss], [xs, ...cell.parameters()], [ones([], "float64")]);
  return [...outputs, ...found].flatMap((t) => Array.from((t as Tensor).data()));
}

describe.each(cells.map((cell, i) => [`${i}: ${cell.constructor.name}`, cell] as const))("%s", (_, cell) => {
  it.each<[string, number, ScanOptions]>([
    ["whole batches", 6, {}],
    ["reversed", 6, { reverse: true }],
    ["full lengths", 6, { lengths: [6, 6] }],
    ["ragged batches", 6, { lengths: [2, 6] }],
    ["a batch that lacks one step, which is more than there are inputs", 6, { lengths: [5, 6] }],
    ["a sequence without steps", 6, { lengths: [5, 0] }],
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

it.each([
  ["MinGRU", new MinGRU({ inputSize: 3, hiddenSize: 4, generator: new Generator(2) })],
  ["MinGRU in chunks", new MinGRU({ inputSize: 3, hiddenSize: 4, chunk: 64, generator: new Generator(2) })],
  ["MinLSTM in log space", new MinLSTM({ inputSize: 3, hiddenSize: 4, logSpace: true, generator: new Generator(2) })],
  ["RWKVTimeMix", new RWKVTimeMix({ inputSize: 3, hiddenSize: 4, generator: new Generator(2) })],
  ["LRU", new LRU({ inputSize: 3, hiddenSize: 4, generator: new Generator(2) })],
] as const)("%s is its steps over 10,000 of them, float32", (_, cell) => {
  const any = cell as unknown as Cell<State>;
  const xs = new Generator(3).uniform([10_000, 1, 3], -2, 2);
  const [ys, last] = noGrad(() => any.scan(xs));
  const [expected, expectedLast] = noGrad(() => scanSteps(any, xs));
  expectClose(ys, Array.from(expected.data()), 1e-5);
  for (const [i, s] of stateTensors(last).entries()) expectClose(s, Array.from((stateTensors(expectedLast)[i] as Tensor).data()), 1e-5);
});
