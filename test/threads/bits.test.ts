/** The same bits with any number of threads: every kernel that is shared, at sizes with edges, and whole training runs. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { IndRNN } from "../../src/cells/diagonal/ind-rnn.ts";
import { SRU } from "../../src/cells/diagonal/sru.ts";
import { MGU } from "../../src/cells/gated/mgu.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Parameter } from "../../src/nn/module.ts";
import {
  add,
  cast,
  contiguous,
  conv1d,
  conv2d,
  exp,
  greater,
  layerNorm,
  less,
  logSoftmax,
  logSumExp,
  matmul,
  max,
  mul,
  sigmoid,
  sin,
  softmax,
  sum,
  tanh,
  transpose,
  where,
} from "../../src/ops/index.ts";
import { Adadelta, Adam, Adamax, AdamW, clipGradValue, RMSprop, Rprop, SGD } from "../../src/optim/index.ts";
import type { Cell } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { poolInUse, useThreads } from "../../src/threads/index.ts";
import { call, view } from "../../src/wasm/host.ts";
import { gemmPanels, packWeights, sumProducts } from "../../src/wasm/kernels.gen.ts";
import { shortRuns } from "../hosts/program.js";
import { noise, place, room } from "../kernels/memory.ts";
import { RELAXED, withWorkers } from "./worker.ts";

withWorkers(afterAll);

const expected = JSON.parse(readFileSync(new URL("../hosts/expected.json", import.meta.url), "utf8"));

/** The bytes of what a case computes. */
const bitsOf = (compute: () => Tensor[]): string[] => scope(() => compute().map((t) => Buffer.from(t.data().buffer).toString("base64")));

/** Values and gradients of a network under weights that differ from output to output. */
function trained(net: RNN | LSTM | GRU, shape: readonly number[], dtype: FloatDType, lengths?: readonly number[]): Tensor[] {
  const g = new Generator(5);
  const xs = g.uniform([...shape], -1, 1, dtype);
  const { output: ys } = net.forward(xs, lengths === undefined ? {} : { lengths });
  backward(sum(mul(ys, g.uniform(ys.shape, -1, 1, dtype))));
  const grads = [...net.parameters()].map((p) => p.grad as Tensor);
  for (const p of net.parameters()) p.grad = null;
  return [ys, ...grads];
}

const product =
  (m: number, k: number, n: number, dtype: FloatDType, turned = false) =>
  () => {
    const g = new Generator(3);
    const a = g.uniform([m, k], -1, 1, dtype);
    return [matmul(a, turned ? transpose(g.uniform([n, k], -1, 1, dtype), 0, 1) : g.uniform([k, n], -1, 1, dtype))];
  };

const of = (kind: "RNN" | "LSTM" | "GRU", options: object, shape: readonly number[], lengths?: readonly number[]) => {
  const dtype: FloatDType = (options as { dtype?: FloatDType }).dtype ?? "float32";
  return () => {
    const all = { inputSize: shape[2] as number, generator: new Generator(1), ...options };
    const net = kind === "RNN" ? new RNN(all as never) : kind === "LSTM" ? new LSTM(all as never) : new GRU(all as never);
    return trained(net, shape, dtype, lengths);
  };
};

const RAGGED = [9, 7, 7, 2, 1];
const NETWORKS: Record<string, () => Tensor[]> = {
  "a product with more rows": product(301, 33, 61, "float32"),
  "a product with more columns": product(13, 67, 203, "float32"),
  "a row": product(1, 130, 515, "float32"),
  "a row by a turned matrix": product(1, 131, 517, "float32", true),
  "a column": product(515, 130, 1, "float32"),
  "a turned matrix": product(50, 60, 70, "float32", true),
  "a product in float64": product(37, 301, 41, "float64"),
  "many products": () => {
    const g = new Generator(4);
    return [matmul(g.uniform([11, 20, 30], -1, 1), g.uniform([11, 30, 25], -1, 1))];
  },
  "an LSTM at batch 1": of("LSTM", { hiddenSize: 64 }, [9, 1, 8]),
  "an LSTM of odd size": of("LSTM", { hiddenSize: 61 }, [9, 5, 7]),
  "an LSTM in float64": of("LSTM", { hiddenSize: 50, dtype: "float64" }, [6, 3, 8]),
  "an LSTM over lengths, both ways": of("LSTM", { hiddenSize: 45, bidirectional: true }, [9, 5, 7], RAGGED),
  "an LSTM with projection and peepholes": of("LSTM", { hiddenSize: 83, projSize: 45, peepholes: true }, [9, 5, 7], RAGGED),
  "one step of an LSTM": of("LSTM", { hiddenSize: 75 }, [1, 3, 7]),
  "two layers of an LSTM": of("LSTM", { hiddenSize: 48, numLayers: 2 }, [9, 16, 7]),
  "a GRU": of("GRU", { hiddenSize: 61 }, [9, 5, 7]),
  "a GRU at batch 1": of("GRU", { hiddenSize: 72 }, [9, 1, 7]),
  "a GRU with the reset before, over lengths": of("GRU", { hiddenSize: 61, resetAfter: false, bidirectional: true }, [9, 5, 7], RAGGED),
  "an Elman network": of("RNN", { hiddenSize: 99 }, [9, 5, 7]),
  "an Elman network with relu in float64": of("RNN", { hiddenSize: 101, nonlinearity: "relu", dtype: "float64" }, [9, 5, 7], RAGGED),
};

const drawn = (...shape: number[]) => new Generator(shape.length).uniform(shape, -1, 1);

/** A value and the gradients of its inputs, under weights that differ from output to output. */
function derived(value: (...xs: Tensor[]) => Tensor, ...xs: Tensor[]): Tensor[] {
  const leaves = xs.map((x) => requireGrad(x));
  const y = value(...leaves);
  backward(sum(mul(y, new Generator(9).uniform(y.shape, -1, 1, y.dtype as FloatDType))));
  return [y, ...leaves.map((x) => x.grad as Tensor)];
}

/** Steps of an optimiser: parameters afterwards. */
const steps = (make: (parameters: Parameter[]) => { step(): void }) => () => {
  const parameters = [[37, 61], [1003], [5]].map((shape) => new Parameter(drawn(...shape)));
  const optimizer = make(parameters);
  for (let i = 0; i < 3; i++) {
    for (const [k, p] of parameters.entries()) p.grad = mul(drawn(...p.shape), k + i - 2.5);
    optimizer.step();
  }
  return parameters;
};

/** Custom and other cells. */
const scanned = (cell: Cell<never>, T: number, B: number) => () => {
  const [ys] = cell.scan(drawn(T, B, cell.inputSize));
  backward(sum(mul(ys, drawn(...ys.shape))));
  const grads = [...cell.parameters()].flatMap((p) => p.grad ?? []);
  for (const p of cell.parameters()) p.grad = null;
  return [ys, ...grads];
};

const OPERATIONS: Record<string, () => Tensor[]> = {
  elements: () => [tanh(drawn(5003)), mul(drawn(71, 83), 3), add(drawn(71, 83), drawn(71, 83))],
  "elements side by side and broadcast": () => derived((a, b, c) => mul(add(a, b), sigmoid(c)), drawn(71, 83), drawn(83), drawn(71, 1)),
  "three axes and strides": () => [mul(transpose(drawn(9, 31, 33), 0, 2), drawn(33, 1, 9)), sin(drawn(5001))],
  "elements in float64": () => [exp(new Generator(1).uniform([5005], -1, 1, "float64"))],
  "masks and choices": () => [
    cast(greater(drawn(71, 83), 0), "int32"),
    where(less(drawn(5001), 0.3), drawn(5001), 2),
    where(greater(drawn(71, 1), 0), drawn(71, 83), drawn(83)),
  ],
  "whole numbers": () => [mul(cast(mul(drawn(5009), 100), "int32"), cast(mul(drawn(5009), 9), "int32"))],
  copies: () => [
    contiguous(transpose(drawn(131, 77), 0, 1)),
    contiguous(transpose(drawn(5, 50, 41), 0, 1)),
    contiguous(transpose(cast(greater(drawn(131, 77), 0), "bool"), 0, 1)),
    zeros([20_001]),
  ],
  "softmax and its like": () => [
    ...derived((x) => softmax(x), drawn(53, 41)),
    ...derived((x) => logSoftmax(x), drawn(53, 41)),
    ...derived((x) => logSumExp(x, { axis: -1 }), drawn(53, 41)),
  ],
  "cross-entropy": () =>
    derived(
      (x) => crossEntropy(x, cast(mul(add(drawn(203), 1), 15), "int32"), { labelSmoothing: 0.1, ignoreIndex: 3, reduction: "none" }),
      drawn(203, 31),
    ),
  "layer normalisation": () => derived((x, w, b) => layerNorm(x, [61], { weight: w, bias: b }), drawn(103, 61), drawn(61), drawn(61)),
  "sums and extremes": () => [
    sum(drawn(103, 211), { axis: 0 }),
    sum(drawn(103, 211), { axis: 1 }),
    sum(drawn(13, 40, 37), { axis: 1 }),
    max(drawn(103, 211), { axis: 0 }),
    max(drawn(103, 211), { axis: 1 }),
  ],
  convolutions: () => [
    ...derived((x, w) => conv1d(x, w, undefined, { padding: 2, stride: 2 }), drawn(3, 11, 75), drawn(9, 11, 5)),
    ...derived((x, w) => conv2d(x, w, undefined, { padding: 1 }), drawn(2, 7, 19, 17), drawn(5, 7, 3, 3)),
  ],
  Adam: steps((p) => new Adam(p, { weightDecay: 0.1 })),
  "AdamW with the largest of the past": steps((p) => new AdamW(p, { amsgrad: true })),
  SGD: steps((p) => new SGD(p, { lr: 0.1, momentum: 0.9, nesterov: true })),
  "SGD without momentum": steps((p) => new SGD(p, { lr: 0.1 })),
  RMSprop: steps((p) => new RMSprop(p, { centered: true, momentum: 0.5 })),
  Adadelta: steps((p) => new Adadelta(p)),
  Adamax: steps((p) => new Adamax(p)),
  Rprop: steps((p) => new Rprop(p)),
  "clipped gradients": () => {
    const p = new Parameter(drawn(5003));
    p.grad = mul(drawn(5003), 3);
    clipGradValue([p], 1);
    return [p.grad];
  },
  "a captured cell": scanned(new MGU({ inputSize: 19, hiddenSize: 67, generator: new Generator(1) }) as never, 7, 5),
  "independent units": scanned(new IndRNN({ inputSize: 19, hiddenSize: 101, generator: new Generator(1) }) as never, 21, 5),
  "simple recurrent units": scanned(new SRU({ inputSize: 70, hiddenSize: 70, generator: new Generator(1) }) as never, 21, 5),
};

/** Kernels on packed operands, which write within their ranges. */
const packed = (dtype: FloatDType) => () => {
  const values: number[] = [];
  for (const [m, n, k] of [
    [3, 203, 101],
    [205, 19, 67],
    [1, 530, 131],
  ] as const) {
    const a = place(dtype, noise(dtype, m * k, 1));
    const b = place(dtype, noise(dtype, n * k, 2));
    const bias = place(dtype, noise(dtype, n, 3));
    const slopes = place(dtype, noise(dtype, m * n, 4));
    const panels = room(dtype, Math.ceil(n / 8) * 8 * k);
    const [c, d] = [room(dtype, m * n), room(dtype, n * k)];
    call(packWeights, dtype, n, k, b, 1, k, panels.ptr);
    call(gemmPanels, dtype, m, n, k, a, k, panels.ptr, c.ptr, n, bias, 0);
    view(dtype, d.ptr, n * k).fill(0.5);
    call(sumProducts, dtype, m, n, k, 1, slopes, 1, 1, n, a, k, 1, k, d.ptr, k);
    values.push(...c.read(), ...d.read());
  }
  return [tensor(values, { dtype })];
};

const ALL = { ...OPERATIONS, ...NETWORKS, "packed operands": packed("float32"), "packed operands in float64": packed("float64") };

describe.skipIf(RELAXED)("the bits of one thread", () => {
  const one = new Map<string, string[]>();
  beforeAll(async () => {
    await useThreads(1);
    for (const [name, compute] of Object.entries(ALL)) one.set(name, bitsOf(compute));
  });

  describe.each([2, 3, 4, 7])("with %i", (threads) => {
    beforeAll(async () => {
      expect(await useThreads(threads)).toEqual({ threads, reason: null });
    });

    it.each(Object.keys(ALL))("in %s", (name) => {
      const before = poolInUse()?.calls ?? 0;
      const bits = bitsOf(ALL[name as keyof typeof ALL]);
      expect(poolInUse()?.calls).toBeGreaterThan(before);
      expect(bits).toEqual(one.get(name));
    });

    it.runIf(threads < 4)("in the training runs whose bits every host has", async () => {
      expect(await shortRuns()).toEqual(expected.short);
    });
  });
});
