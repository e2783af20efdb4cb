import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { BatchNorm1d } from "../../src/nn/batch-norm.ts";
import { Conv1d, Conv2d } from "../../src/nn/convolution.ts";
import { square } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { conv1d, conv2d } from "../../src/ops/conv.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const g = () => new Generator(1);

/** Σ over channels of the group and places of the kernel, by plain loops. */
function byLoops(x: number[][][], w: number[][][], b: number[], { stride = 1, padding = 0, dilation = 1, groups = 1 }): number[][][] {
  const [C, T, O, K] = [x[0]!.length, x[0]![0]!.length, w.length, w[0]![0]!.length];
  const length = Math.floor((T + 2 * padding - dilation * (K - 1) - 1) / stride) + 1;
  return x.map((image) =>
    Array.from({ length: O }, (_, o) =>
      Array.from({ length }, (_, t) => {
        let total = b[o]!;
        for (let c = 0; c < C / groups; c++) {
          const channel = image[Math.floor(o / (O / groups)) * (C / groups) + c]!;
          for (let k = 0; k < K; k++) total += w[o]![c]![k]! * (channel[t * stride + k * dilation - padding] ?? 0);
        }
        return total;
      }),
    ),
  );
}

describe("Conv1d", () => {
  it.each([{}, { stride: 2, padding: 1 }, { dilation: 2, padding: 2, groups: 2 }])("is what loops over its weights give, %j", (options) => {
    const layer = new Conv1d(4, 6, 3, { ...options, generator: g(), dtype: "float64" });
    const x = new Generator(2).normal([2, 4, 9], 0, 1, "float64");
    const wanted = byLoops(x.toArray() as number[][][], layer.weight.toArray() as number[][][], layer.bias!.toArray() as number[], options);
    const got = layer.forward(x);
    expect(got.shape).toEqual([2, 6, wanted[0]![0]!.length]);
    got.data().forEach((v, i) => expect(v).toBeCloseTo(wanted.flat(2)[i]!, 12));
    checkGrads((input) => layer.forward(input as Tensor), [x]);
  });

  it("draws as PyTorch does, within ±1/√(fan in)", () => {
    const { weight, bias } = new Conv1d(8, 400, 5, { groups: 2, generator: g() });
    const bound = 1 / Math.sqrt(4 * 5);
    for (const t of [weight, bias as Tensor]) {
      const most = Array.from(t.data()).reduce((a, b) => Math.max(a, Math.abs(b)), 0);
      expect(most).toBeLessThanOrEqual(bound);
      expect(most).toBeGreaterThan(0.95 * bound);
    }
  });

  it("loads PyTorch's tensors by name and saves them to the bit", () => {
    const layer = new Conv1d(4, 6, 3, { groups: 2, generator: g() });
    const bytes = serialize(new Map([...layer.stateDict()].map(([name, t]) => [`net.${name}`, t])));
    const again = Conv1d.fromStateDict(parse(bytes), { prefix: "net", groups: 2, padding: 1 });
    expect([again.inChannels, again.outChannels, again.kernelSize]).toEqual([4, 6, 3]);
    expect(serialize(again.stateDict())).toEqual(serialize(layer.stateDict()));
    const x = new Generator(2).normal([1, 4, 5]);
    expect(again.forward(x).data()).toEqual(conv1d(x, layer.weight, layer.bias, { groups: 2, padding: 1 }).data());
    expect(Conv1d.fromStateDict(new Map([["weight", tensor([[[1]]])]])).bias).toBeNull();
    expect(() => Conv1d.fromStateDict(new Map([["weight", tensor([[1]])]]))).toThrow(FormatError);
  });

  it("refuses sizes and options out of their range before it draws", () => {
    const generator = g();
    for (const [args, error] of [
      [[0, 1, 1], ArgumentError],
      [[1, 1, 0], ArgumentError],
      [[3, 4, 1, { groups: 2 }], ArgumentError],
      [[4, 3, 1, { groups: 2 }], ArgumentError],
      [[4, 4, 1, { pading: 2 }], ArgumentError],
      [[4, 4, 1, { bias: "no" }], ArgumentError],
    ] as const) {
      const [a, b, k, options = {}] = args as unknown as [number, number, number, object?];
      expect(() => new Conv1d(a, b, k, { ...options, generator })).toThrow(error);
    }
    expect(generator.state).toEqual(g().state);
  });
});

describe("Conv2d", () => {
  it("runs conv2d on its weights, of one size or two", () => {
    const layer = new Conv2d(2, 3, [3, 1], { stride: [2, 1], padding: [1, 0], bias: false, generator: g() });
    const x = new Generator(2).normal([2, 2, 5, 4]);
    expect(layer.weight.shape).toEqual([3, 2, 3, 1]);
    expect(layer.forward(x).data()).toEqual(conv2d(x, layer.weight, null, { stride: [2, 1], padding: [1, 0] }).data());
    expect(new Conv2d(1, 1, 3).kernelSize).toEqual([3, 3]);
    const again = Conv2d.fromStateDict(layer.stateDict(), { stride: [2, 1], padding: [1, 0] });
    expect(again.forward(x).data()).toEqual(layer.forward(x).data());
    expect(() => new Conv2d(1, 1, [1, 2, 3] as never)).toThrow(ArgumentError);
    expect(() => new Conv2d(1, 1, [1, 0])).toThrow(ArgumentError);
  });
});

describe("BatchNorm1d", () => {
  const close = (t: Tensor | null, wanted: readonly number[]) => t!.data().forEach((v, i) => expect(v).toBeCloseTo(wanted[i]!, 6));

  it("normalises by the batch in training and remembers, with the unbiased variance", () => {
    const norm = new BatchNorm1d(2);
    // Means 2 and 4, variances 1 and 4; unbiased 2 and 8.
    close(
      norm.forward(
        tensor([
          [1, 2],
          [3, 6],
        ]),
      ),
      [-1, -1, 1, 1].map((v, i) => v / Math.sqrt(1 + 1e-5 / [1, 4][i % 2]!)),
    );
    close(norm.runningMean, [0.2, 0.4]);
    close(norm.runningVar, [0.9 + 0.2, 0.9 + 0.8]);
    expect(norm.numBatchesTracked?.item()).toBe(1);
    norm.eval();
    close(norm.forward(tensor([[1, 2]])), [(1 - 0.2) / Math.sqrt(1.1 + 1e-5), (2 - 0.4) / Math.sqrt(1.7 + 1e-5)]);
    expect(norm.numBatchesTracked?.item()).toBe(1);
  });

  it("takes time as part of the batch", () => {
    const norm = new BatchNorm1d(1, { momentum: null });
    close(
      norm.forward(tensor([[[1, 3]], [[5, 7]]])),
      [-3, -1, 1, 3].map((v) => v / Math.sqrt(5 + 1e-5)),
    );
    close(norm.runningMean, [4]);
    norm.forward(tensor([[[0, 0]], [[0, 0]]]));
    // Without a momentum: the mean over batches.
    close(norm.runningMean, [2]);
    close(norm.runningVar, [20 / 3 / 2]);
  });

  it("has gradients through the batch's own statistics", () => {
    const norm = new BatchNorm1d(3, { dtype: "float64" });
    const x = new Generator(1).normal([4, 3, 2], 1, 2, "float64");
    checkGrads((input) => square(norm.forward(input as Tensor)), [x]);
    backward(sum(square(norm.forward(x))));
    expect(norm.weight!.grad?.shape).toEqual([3]);
  });

  it("loads PyTorch's tensors by name", () => {
    const held = new Map([
      ["weight", tensor([2, 3])],
      ["bias", tensor([0.5, 0])],
      ["running_mean", tensor([1, 1])],
      ["running_var", tensor([4, 9])],
      ["num_batches_tracked", tensor(7, { dtype: "int32" })],
    ]);
    const norm = BatchNorm1d.fromStateDict(held, { eps: 0 }).eval();
    close(norm.forward(tensor([[3, 4]])), [2 * 1 + 0.5, 3 * 1]);
    expect([...norm.stateDict().keys()].sort()).toEqual([...held.keys()].sort());
    const bare = BatchNorm1d.fromStateDict(
      new Map([
        ["weight", tensor([1])],
        ["bias", tensor([0])],
      ]),
    );
    expect(bare.runningMean).toBeNull();
    close(
      bare.eval().forward(tensor([[1], [3]])),
      [-1, 1].map((v) => v / Math.sqrt(1 + 1e-5)),
    );
  });

  it("refuses other shapes, a single value in training, and options out of their range", () => {
    expect(() => new BatchNorm1d(2).forward(tensor([[1, 2, 3]]))).toThrow(ShapeError);
    expect(() => new BatchNorm1d(2).forward(tensor([1, 2]))).toThrow(ShapeError);
    expect(() => new BatchNorm1d(2).forward(tensor([[1, 2]]))).toThrow("more than one value");
    expect(() => new BatchNorm1d(0)).toThrow(ArgumentError);
    expect(() => new BatchNorm1d(2, { momentum: 2 })).toThrow(ArgumentError);
    expect(() => new BatchNorm1d(2, { track: true } as never)).toThrow(ArgumentError);
  });
});
