/** The same bits with any number of threads: every kernel that is shared, at sizes with edges, and whole training runs. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { matmul } from "../../src/ops/linear.ts";
import { transpose } from "../../src/ops/shape.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { poolInUse, useThreads } from "../../src/threads/index.ts";
import { call, view } from "../../src/wasm/host.ts";
import { gemmPanels, packWeights, sumProducts } from "../../src/wasm/kernels.gen.ts";
import { shortRuns } from "../hosts/program.js";
import { noise, place, room } from "../kernels/memory.ts";
import { RELAXED, withWorkers } from "./worker.ts";

withWorkers();

const COUNTS = [2, 3, 4, 7];
const expected = JSON.parse(readFileSync(new URL("../hosts/expected.json", import.meta.url), "utf8"));

/** The bytes of what a case computes, and how many calls it shared. */
async function bitsWith(threads: number, compute: () => Tensor[]): Promise<{ bits: string[]; shared: number }> {
  await useThreads(threads);
  const before = poolInUse()?.calls ?? 0;
  const bits = scope(() => compute().map((t) => Buffer.from(t.data().buffer).toString("base64")));
  return { bits, shared: (poolInUse()?.calls ?? 0) - before };
}

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
const CASES: Record<string, () => Tensor[]> = {
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

describe.skipIf(RELAXED)("the same bits", () => {
  it.each(Object.keys(CASES))("of %s", async (name) => {
    const compute = CASES[name] as () => Tensor[];
    const one = await bitsWith(1, compute);
    for (const threads of COUNTS) {
      const { bits, shared } = await bitsWith(threads, compute);
      expect(shared, `${threads} threads`).toBeGreaterThan(0);
      expect(bits, `${threads} threads`).toEqual(one.bits);
    }
  });

  it.each(["float32", "float64"] as const)("of kernels on packed operands, %s, within their ranges", async (dtype) => {
    const compute = () => {
      const bits: string[] = [];
      for (const [m, n, k] of [
        [3, 203, 101],
        [205, 19, 67],
        [1, 530, 131],
      ] as const) {
        const a = place(dtype, noise(dtype, m * k, 1));
        const b = place(dtype, noise(dtype, n * k, 2));
        const bias = place(dtype, noise(dtype, n, 3));
        const slopes = place(dtype, noise(dtype, m * n, 4));
        const packed = room(dtype, Math.ceil(n / 8) * 8 * k);
        const c = room(dtype, m * n);
        const d = room(dtype, n * k);
        call(packWeights, dtype, n, k, b, 1, k, packed.ptr);
        call(gemmPanels, dtype, m, n, k, a, k, packed.ptr, c.ptr, n, bias, 0);
        view(dtype, d.ptr, n * k).fill(0.5);
        call(sumProducts, dtype, m, n, k, 1, slopes, 1, 1, n, a, k, 1, k, d.ptr, k);
        bits.push([...c.read(), ...d.read()].join());
      }
      return bits;
    };
    const one = compute();
    for (const threads of COUNTS) {
      await useThreads(threads);
      expect(scope(() => compute())).toEqual(one);
      expect(poolInUse()?.calls).toBeGreaterThan(0);
    }
  });

  it("of the training runs whose bits every host has", async () => {
    for (const threads of [2, 3]) {
      await useThreads(threads);
      expect(await shortRuns()).toEqual(expected.short);
    }
  });
});
