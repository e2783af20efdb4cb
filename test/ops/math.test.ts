import { describe, expect, test } from "vitest";
import { DTypeError } from "../../src/base/errors.ts";
import { sum } from "../../src/ops/broadcast.ts";
import * as ops from "../../src/ops/math.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { grad } from "../../src/transforms/transforms.ts";
import { erf } from "../oracle/erf.ts";
import { unaryRow } from "./elementwise.ts";
import { describeRows } from "./rows.ts";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.log1p(Math.exp(x));
const elu = (x: number, alpha: number) => (x > 0 ? x : alpha * Math.expm1(x));
const limit = (x: number, low: number, high: number) => Math.max(low, Math.min(high, x));

describeRows([
  unaryRow("exp", ops.exp, Math.exp),
  unaryRow("expm1", ops.expm1, Math.expm1),
  unaryRow("log", ops.log, Math.log, 0.3, 4),
  unaryRow("log1p", ops.log1p, Math.log1p, -0.6, 4),
  unaryRow("sqrt", ops.sqrt, Math.sqrt, 0.3, 4),
  unaryRow("rsqrt", ops.rsqrt, (x) => 1 / Math.sqrt(x), 0.4, 4),
  unaryRow("reciprocal", ops.reciprocal, (x) => 1 / x, 0.5, 4),
  unaryRow("abs", ops.abs, Math.abs),
  unaryRow("sign", ops.sign, Math.sign),
  unaryRow("sin", ops.sin, Math.sin, -4, 4),
  unaryRow("cos", ops.cos, Math.cos, -4, 4),
  unaryRow("erf", ops.erf, erf),
  unaryRow("tanh", ops.tanh, Math.tanh, -3, 3),
  unaryRow("sigmoid", ops.sigmoid, sigmoid, -4, 4),
  unaryRow("relu", ops.relu, (x) => Math.max(x, 0)),
  unaryRow("leakyRelu", (x) => ops.leakyRelu(x, 0.2), (x) => (x > 0 ? x : 0.2 * x)),
  unaryRow("elu", (x) => ops.elu(x, 1.5), (x) => elu(x, 1.5)),
  unaryRow("selu", ops.selu, (x) => 1.0507009873554805 * elu(x, 1.6732632423543772)),
  unaryRow("softplus", (x) => ops.softplus(x), softplus, -4, 4),
  unaryRow("softplus of slope 3", (x) => ops.softplus(x, 3), (x) => softplus(3 * x) / 3),
  unaryRow("logSigmoid", ops.logSigmoid, (x) => Math.log(sigmoid(x)), -4, 4),
  unaryRow("softsign", ops.softsign, (x) => x / (1 + Math.abs(x))),
  unaryRow("silu", ops.silu, (x) => x * sigmoid(x), -4, 4),
  unaryRow("gelu", ops.gelu, (x) => (x / 2) * (1 + erf(x / Math.SQRT2)), -3, 3),
  unaryRow("geluTanh", ops.geluTanh, (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), -3, 3),
  unaryRow("mish", ops.mish, (x) => x * Math.tanh(softplus(x)), -3, 3),
  unaryRow("hardTanh", (x) => ops.hardTanh(x), (x) => limit(x, -1, 1)),
  unaryRow("hardTanh of other bounds", (x) => ops.hardTanh(x, -0.3, 1.2), (x) => limit(x, -0.3, 1.2)),
  unaryRow("relu6", ops.relu6, (x) => limit(x, 0, 6), -3, 9),
  unaryRow("hardSigmoid", ops.hardSigmoid, (x) => limit(x / 6 + 0.5, 0, 1), -5, 5),
]); // biome-ignore format: a table

function derivative(fn: (x: Tensor) => Tensor, at: number[]): number[] {
  return Array.from((grad((x) => sum(fn(x)))(tensor(Float64Array.from(at)))[0] as Tensor).data());
}

describe("derivatives at corners", () => {
  test.each([
    ["relu", ops.relu, [0, 0, 1]],
    ["abs", ops.abs, [-1, 0, 1]],
    ["sign", ops.sign, [0, 0, 0]],
    ["leakyRelu", (x: Tensor) => ops.leakyRelu(x), [0.01, 0.01, 1]],
    ["elu", (x: Tensor) => ops.elu(x), [Math.exp(-1), 1, 1]],
    ["softsign", ops.softsign, [0.25, 1, 0.25]],
    ["hardTanh", (x: Tensor) => ops.hardTanh(x), [0, 1, 0]],
  ] as const)("%s at -1, 0 and 1", (_, fn, want) => {
    const got = derivative(fn, [-1, 0, 1]);
    for (const [i, g] of got.entries()) expect(g).toBeCloseTo(want[i] as number, 14);
  });
});

describe("far out", () => {
  test("nothing overflows that has a value", () => {
    const x = tensor(Float64Array.of(-800, -40, 40, 800));
    const values = (fn: (x: Tensor) => Tensor) => Array.from(fn(x).data());
    expect(values((t) => ops.softplus(t))).toEqual([0, Math.exp(-40), 40, 800]);
    expect(values(ops.logSigmoid)).toEqual([-800, -40, -Math.exp(-40), -0]);
    expect(values(ops.tanh)).toEqual([-1, -1, 1, 1]);
    expect(derivative(ops.tanh, [-800, 800])).toEqual([0, 0]);
    expect(derivative((t) => ops.softplus(t), [-800, 800])).toEqual([0, 1]);
    expect(derivative(ops.sigmoid, [-800, 800])).toEqual([0, 0]);
  });

  test("functions are of float tensors", () => {
    expect(() => ops.exp(tensor(Int32Array.of(1)))).toThrow("exp: expected float32 or float64, got int32");
    expect(() => ops.gelu(tensor([1], { dtype: "bool" }))).toThrow(DTypeError);
  });
});
