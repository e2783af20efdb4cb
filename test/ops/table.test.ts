/** Every primitive in one list: each has its checks of both rules, once and twice, and none can be forgotten. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
// @ts-expect-error: a script has no declarations
import { operationLists } from "../../scripts/operations.mjs";
import { accumulate } from "../../src/autodiff/accumulate.ts";
import { track } from "../../src/autodiff/alias.ts";
import * as arithmetic from "../../src/ops/arithmetic.ts";
import { binaryCrossEntropy } from "../../src/ops/binary-cross-entropy.ts";
import { cast } from "../../src/ops/cast.ts";
import * as compare from "../../src/ops/compare.ts";
import { conv1d } from "../../src/ops/conv.ts";
import { ctc } from "../../src/ops/ctc.ts";
import * as rows from "../../src/ops/gather.ts";
import * as ops from "../../src/ops/index.ts";
import * as linear from "../../src/ops/linear.ts";
import { linkStep } from "../../src/ops/links.ts";
import * as math from "../../src/ops/math.ts";
import { layerNorm } from "../../src/ops/normalize.ts";
import { orderedSums } from "../../src/ops/ordered.ts";
import * as scan from "../../src/ops/prefix-scan.ts";
import { diagonalSequence, elmanSequence, gruSequence, lstmSequence } from "../../src/ops/recurrent.ts";
import { writeRows } from "../../src/ops/rows.ts";
import * as softmax from "../../src/ops/softmax.ts";
import * as sparse from "../../src/ops/sparse.ts";
import { meanSquaredError } from "../../src/ops/squared-error.ts";
import { primitives } from "../../src/ops/table.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { grad, jvp } from "../../src/transforms/transforms.ts";

import { expectUse } from "./rows.ts";

const random = new Generator(11);
/** Values away from kinks and poles: ±[0.3, 0.9], or [0.3, 0.9]. */
const some = (...dims: number[]) =>
  arithmetic.mul(random.uniform(dims, 0.3, 0.9, "float64"), arithmetic.sub(arithmetic.mul(random.bernoulli(dims, 0.5, "float64"), 2), 1));
const positive = (...dims: number[]) => random.uniform(dims, 0.3, 0.9, "float64");
const whole = (...values: number[]) => tensor(values, { dtype: "int32" });

type Case = [fn: (...x: Tensor[]) => Tensor, ...inputs: Tensor[]];
const on = (fn: (x: Tensor) => Tensor, x: Tensor = some(2, 3)): Case => [fn as Case[0], x];
const both = (fn: (a: Tensor, b: Tensor) => Tensor, a = some(2, 3), b = some(3)): Case => [fn as Case[0], a, b];
/** What only the derivative of another operation uses: checked through that derivative. */
const through = (fn: (x: Tensor) => Tensor, x: Tensor = some(2, 3)): Case =>
  on((z) => grad((w) => ops.sum(math.sin(fn(w as Tensor))))(z)[0] as Tensor, x);
const last = (r: { readonly ys: Tensor; readonly h: Tensor }) => arithmetic.add(ops.sum(r.ys, { axis: 0 }), ops.sum(r.h, { axis: 0 }));

const targets = whole(0, 2);
const filter = some(2, 2, 3);
const labels = { targets: tensor([[0, 1]], { dtype: "int32" }), inputLengths: whole(4), targetLengths: whole(2), blank: 2 };

const cases: Record<string, () => Case> = {
  accumulate: () => both(accumulate, some(3), some(3)),
  alias: () => on((x) => arithmetic.square(track(x))),
  share: () => through((x) => arithmetic.maximum(x, ops.flip(x, [1]))),
  tanhGrad: () => through(math.tanh),
  sigmoidGrad: () => through(math.sigmoid),
  gate: () => through(math.relu),
  where: () => both((a, b) => compare.where(compare.greater(a, 0), a, b)),
  contiguous: () => on((x) => ops.contiguous(ops.transpose(x, 0, 1))),
  reshape: () => on((x) => ops.reshape(x, [3, 2])),
  permute: () => on((x) => ops.permute(x, [1, 0])),
  broadcastTo: () => on((x) => ops.broadcastTo(x, [4, 2, 3])),
  slice: () => on((x) => ops.slice(x, 1, 0, 3, 2)),
  embed: () => through((x) => ops.slice(x, 1, 1, 3)),
  select: () => on((x) => ops.select(x, 1, 1)),
  unstack: () => on((x) => arithmetic.mul(...(ops.unstack(x, 0) as [Tensor, Tensor]))),
  stack: () => both((a, b) => ops.stack([a, b], 1), some(2, 3), some(2, 3)),
  split: () => on((x) => arithmetic.mul(...(ops.split(x, 2, 1) as [Tensor, Tensor])), some(2, 4)),
  cat: () => both((a, b) => ops.cat([a, b], 1), some(2, 3), some(2, 1)),
  flip: () => on((x) => ops.flip(x, [1])),
  roll: () => on((x) => ops.roll(x, 1, 1)),
  band: () => on((x) => ops.tril(x)),
  diagonal: () => on((x) => ops.diagonal(x)),
  embedDiagonal: () => through((x) => ops.diagonal(x)),
  gather: () =>
    on((x) =>
      rows.gather(
        x,
        1,
        tensor(
          [
            [0, 0],
            [2, 1],
          ],
          { dtype: "int32" },
        ),
      ),
    ),
  scatter: () => both((x, s) => rows.scatter(x, 1, tensor([[0], [2]], { dtype: "int32" }), s), some(2, 3), some(2, 1)),
  scatterAdd: () =>
    both(
      (x, s) =>
        rows.scatterAdd(
          x,
          1,
          tensor(
            [
              [0, 0],
              [2, 1],
            ],
            { dtype: "int32" },
          ),
          s,
        ),
      some(2, 3),
      some(2, 2),
    ),
  indexSelect: () => on((x) => rows.indexSelect(x, 1, whole(2, 0, 2))),
  addRows: () => both((x, s) => rows.indexAdd(x, 0, whole(1, 1), s), some(2, 3), some(2, 3)),
  matmul: () => both(linear.matmul, some(2, 3), some(3, 4)),
  addmm: () => [((c, a, b) => linear.addmm(c as Tensor, a as Tensor, b as Tensor)) as Case[0], some(2, 4), some(2, 3), some(3, 4)],
  linear: () => [((x, w, b) => linear.linear(x as Tensor, w as Tensor, b)) as Case[0], some(2, 3), some(4, 3), some(4)],
  sparseLinear: () => both((x, values) => sparse.sparseLinear(x, { ...threeElements, values }), some(3, 2), some(3)),
  sparseSamples: () => through((values) => sparse.sparseLinear(some0, { ...threeElements, values }), some(3)),
  sum: () => on((x) => ops.sum(x, { axis: 1 })),
  amax: () => on((x) => ops.amax(x, { axis: 1 })),
  amin: () => on((x) => ops.amin(x, { axis: 1 })),
  prod: () => on((x) => ops.prod(x, { axis: 1 })),
  logSumExp: () => on((x) => ops.logSumExp(x, { axis: 1 })),
  cumsum: () => on((x) => ops.cumsum(x, { axis: 1 })),
  linearScan: () => both((a, b) => ops.linearScan(a, b, { axis: 1 }), some(2, 3), some(2, 3)),
  complexScan: () => both(scan.complexScan, some(3, 2, 2), some(3, 2, 2)),
  maxScan: () => both((a, b) => scan.maxScan(a, b, { axis: 1 }), some(2, 4), some(2, 4)),
  orderedSums: () => on((x) => orderedSums(x, tensor([3, 1, 3, 2, 1], { dtype: "float64" })), some(5)),
  linkStep: () => [((l, w, p) => linkStep(l as Tensor, w as Tensor, p as Tensor)) as Case[0], some(2, 3, 3), some(2, 3), some(2, 3)],
  writeRows: () => [
    ((...x) => writeRows(...(x as Parameters<typeof writeRows>))) as Case[0],
    some(1, 3, 2),
    some(1, 2, 3),
    some(1, 2, 2),
    some(1, 2, 2),
  ],
  softmax: () => on((x) => softmax.softmax(x)),
  logSoftmax: () => on((x) => softmax.logSoftmax(x)),
  crossEntropyWithLogits: () => on((x) => softmax.crossEntropyWithLogits(x, targets)),
  crossEntropyGrad: () => through((x) => softmax.crossEntropyWithLogits(x, targets)),
  binaryCrossEntropy: () => both(binaryCrossEntropy, positive(2, 3), positive(2, 3)),
  meanSquaredError: () => both(meanSquaredError, some(2, 3), some(2, 3)),
  layerNorm: () => on((x) => layerNorm(x, [3])),
  layerNormGrad: () => through((x) => layerNorm(x, [3])),
  unfold: () => both((x, w) => conv1d(x, w), some(1, 2, 5), some(2, 2, 3)),
  fold: () => through((x) => conv1d(x, filter), some(1, 2, 5)),
  ctc: () => on((x) => ctc(softmax.logSoftmax(x), labels), some(4, 1, 3)),
  ctcOccupancy: () => through((x) => ctc(softmax.logSoftmax(x), labels), some(4, 1, 3)),
  elmanSequence: () =>
    both((gx, w) => last(elmanSequence(gx, w, some0, { batchSizes: [2, 1], nonlinearity: "tanh" })), some(3, 2), some(2, 2)),
  lstmSequence: () => both((gx, w) => last(lstmSequence(gx, w, some0, some0, { batchSizes: [2, 1] })), some(3, 8), some(8, 2)),
  diagonalSequence: () => both((g, u) => diagonalSequence(g, u, some0, { activation: "tanh" }), some(3, 2, 2), some(2)),
  gruSequence: () => both((gx, w) => last(gruSequence(gx, w, some0, { batchSizes: [2, 1], resetAfter: true })), some(3, 6), some(6, 2)),
};
/** Rounds, so no finite difference is smooth; and a gradient that is scaled on purpose. Both have tests of their own below. */
const elsewhere = ["cast", "scaleSlope"];
const some0 = some(2, 2);
/** Three elements of a matrix of two rows. */
const threeElements = { size: [2, 2] as const, crowIndices: whole(0, 1, 3), colIndices: whole(0, 0, 1) };

describe("every primitive", () => {
  it("has a row in its family's test or a case here, and every case a primitive", () => {
    const tests = readdirSync(new URL(".", import.meta.url)).filter((f) => f.endsWith(".test.ts"));
    const text = tests.map((f) => readFileSync(new URL(f, import.meta.url), "utf8")).join("\n");
    const rows = [...text.matchAll(/(?:unaryRow|binaryRows)\("(\w+)"/g)].map(([, name]) => name as string);
    const checked = new Set([...Object.keys(cases), ...elsewhere, ...rows.filter((name) => name in primitives)]);
    expect([...checked].sort()).toEqual(Object.keys(primitives).sort());
  });

  it("is in the index and the table that scripts/operations.mjs writes", async () => {
    const root = fileURLToPath(new URL("../..", import.meta.url));
    const lists = (await operationLists(root)) as Record<string, string>;
    for (const [file, text] of Object.entries(lists)) expect(readFileSync(join(root, file), "utf8"), file).toBe(text);
  });

  it("is listed in the table", () => {
    const folder = new URL("../../src/ops/", import.meta.url);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
    const text = files.map((f) => readFileSync(new URL(f, folder), "utf8")).join("\n");
    const made = [...text.matchAll(/const (\w+)Op\b[^=;]*= (?:closedOp|binaryOp|unaryOp|fused)/g)].map(([, name]) => name as string);
    expect(made.length).toBeGreaterThan(50);
    const listed = new Set<unknown>(Object.values(primitives));
    expect(listed.size).toBe(Object.keys(primitives).length);
    const lists = text.split("export const primitives").slice(1).join("\n");
    expect(made.filter((name) => !lists.includes(`${name}Op`))).toEqual([]);
  });

  it("has rules that depend on their arguments alone", () => {
    const open = Object.entries(primitives).filter(([, primitive]) => primitive.closed !== true);
    expect(open.map(([name]) => name)).toEqual([]);
  });

  it.each(Object.keys(cases))("%s: reverse, forward, and both of both", (name) => {
    const [fn, ...inputs] = (cases[name] as () => Case)();
    expectUse(name, () => checkGrads(fn, inputs, { order: 2, tolerance: 1e-6 }));
  });

  it("cast: its derivatives are casts", () => {
    const x = some(2, 3);
    const w = random.uniform([2, 3], -1, 1);
    const f = (z: Tensor) => ops.sum(arithmetic.mul(cast(z, "float32"), w));
    const [g] = grad((z) => f(z as Tensor))(x) as [Tensor];
    expect([g.dtype, g.toArray()]).toEqual(["float64", w.toArray()]);
    const [, t] = jvp((z) => cast(z as Tensor, "float32"), [x], [cast(w, "float64")]);
    expect([t.dtype, t.toArray()]).toEqual(["float32", w.toArray()]);
  });

  it("scaleSlope: divides each row's gradient by how often the row is read", () => {
    const f = (scaleGradByFreq: boolean) =>
      grad((x) => ops.sum(rows.embedding(whole(0, 1, 1), x as Tensor, { scaleGradByFreq })))(some(3, 1))[0]?.toArray();
    expect([f(false), f(true)]).toEqual([
      [[1], [2], [0]],
      [[1], [1], [0]],
    ]);
  });
});
