import { describe, expect, test } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { dropout, dropoutMask, recurrentDropout, variationalDropout, zoneout } from "../../src/ops/dropout.ts";
import { full, ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const generator = () => new Generator(5);
const random = (shape: number[], seed = 1) => new Generator(seed).normal(shape, 0, 1, "float64");
const mean = (t: Tensor) => Array.from(t.data()).reduce((a, b) => a + b, 0) / t.size;

describe("dropout", () => {
  test("drops with its probability and keeps the expectation", () => {
    const y = dropout(ones([10_000]), 0.25, { generator: generator() });
    expect(new Set(y.data())).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    // Standard error of the mean: √(0.25/0.75/n).
    expect(Math.abs(mean(y) - 1) / Math.sqrt(1 / 3 / 10_000)).toBeLessThan(3.3);
  });

  test("does nothing in evaluation or with probability 0, everything with 1", () => {
    const x = tensor([1, -2, 3]);
    const g = generator();
    expect(dropout(x, 0.5, { training: false, generator: g })).toBe(x);
    expect(dropout(x, 0, { generator: g })).toBe(x);
    expect(g.state.counter).toBe(0);
    expect(Array.from(dropout(x, 1, { generator: g }).data(), Math.abs)).toEqual([0, 0, 0]);
  });

  test("drops gradient and value alike", () => {
    const x = keep(tensor(new Float64Array(100).fill(3), { requiresGrad: true }));
    const y = dropout(x, 0.4, { generator: generator() });
    backward(sum(y));
    expect(x.grad?.data()).toEqual(y.data().map((v) => v / 3));
  });

  test("gives another mask each time, the same from the same state", () => {
    const x = ones([64]);
    const g = generator();
    const first = dropout(x, 0.5, { generator: g }).data();
    expect(dropout(x, 0.5, { generator: g }).data()).not.toEqual(first);
    expect(dropout(x, 0.5, { generator: generator() }).data()).toEqual(first);
  });

  test("says what is wrong", () => {
    expect(() => dropout(ones([2]), 1.1)).toThrow(/dropout: expected a probability in \[0, 1\], got 1.1/);
    expect(() => dropout(ones([2]), Number.NaN)).toThrow(/got NaN/);
    expect(() => dropout(ones([2], "int32"), 0.1)).toThrow(/dropout: expected float tensors, got int32/);
    expect(() => zoneout(ones([2]), ones([3]), 0.1)).toThrow(/zoneout: expected states of one shape, got previous \[2\] and next \[3\]/);
  });
});

describe("variationalDropout", () => {
  test.each([0, 1])("has one mask along axis %i", (timeAxis) => {
    const y = variationalDropout(ones([6, 6, 40]), 0.5, { timeAxis, generator: generator() }).toArray() as number[][][];
    const at = (time: number, batch: number) => (timeAxis === 0 ? y[time]?.[batch] : y[batch]?.[time]);
    for (let t = 1; t < 6; t++) for (let b = 0; b < 6; b++) expect(at(t, b)).toEqual(at(0, b));
    expect(at(0, 0)).not.toEqual(at(0, 1));
    expect(new Set(y.flat(2))).toEqual(new Set([0, 2]));
  });

  test("is nothing in evaluation", () => {
    const x = ones([2, 3, 4]);
    expect(variationalDropout(x, 0.5, { training: false })).toBe(x);
    expect(variationalDropout(ones([0, 3, 4]), 0.5).shape).toEqual([0, 3, 4]);
  });
});

describe("recurrentDropout", () => {
  test("takes a mask for each step, or the one given", () => {
    const g = generator();
    const update = ones([4, 50]);
    const mask = dropoutMask(update, 0.3, { generator: g });
    const [a, b] = [0, 1].map(() => recurrentDropout(update, 0.3, { mask, generator: g }).data());
    expect(a).toEqual(b);
    expect(a).toEqual(mask.data());
    const [c, d] = [0, 1].map(() => recurrentDropout(update, 0.3, { generator: g }).data());
    expect(c).not.toEqual(d);
    expect(recurrentDropout(update, 0.3, { training: false, mask })).toBe(update);
  });
});

describe("zoneout", () => {
  test("keeps the previous state exactly, element by element", () => {
    const [previous, next] = [random([2000], 1), random([2000], 2)];
    const y = zoneout(previous, next, 0.15, { generator: generator() }).data();
    const [before, after] = [previous.data(), next.data()];
    let kept = 0;
    y.forEach((v, i) => {
      if (v === before[i]) kept++;
      else expect(v).toBe(after[i]);
    });
    expect(Math.abs(kept / 2000 - 0.15) / Math.sqrt((0.15 * 0.85) / 2000)).toBeLessThan(3.3);
  });

  test("is the expectation in evaluation", () => {
    const y = zoneout(full([1], 2, "float64"), full([1], 10, "float64"), 0.25, { training: false });
    expect(y.item()).toBe(8);
    const next = ones([3]);
    expect(zoneout(ones([3]), next, 0)).toBe(next);
  });
});

test("derivatives under a fixed mask", () => {
  checkGrads((x) => dropout(x as Tensor, 0.5, { generator: generator() }), [random([3, 4])], { order: 2 });
  checkGrads((x) => variationalDropout(x as Tensor, 0.5, { generator: generator() }), [random([3, 2, 4])], { order: 2 });
  checkGrads((a, b) => zoneout(a as Tensor, b as Tensor, 0.5, { generator: generator() }), [random([3, 4]), random([3, 4], 2)], {
    order: 2,
  });
  const evaluate = (a: Tensor, b: Tensor) => zoneout(a, b, 0.5, { training: false });
  checkGrads((a, b) => evaluate(a as Tensor, b as Tensor), [random([3, 4]), random([3, 4], 2)], { order: 2 });
});
