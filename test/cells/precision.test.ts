/** Every cell in float32 stays within 1e-5 of itself in float64 over fifty steps. */

import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { cast } from "../../src/ops/cast.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign } from "../../src/tensor/tensor.ts";
import { every, type Make } from "../recurrence/every.ts";

const [T, B] = [50, 2];

/** Not held to it, each with the reason. */
const EXEMPT: Readonly<Record<string, string>> = {
  IdentityStore: "computes nothing",
  DelayGraph: "starts as halves of its inputs, which both dtypes have exactly",
  "LiquidTimeConstant, true": "reads elapsed times, which are not negative as these inputs are",
  GRU: "draws random numbers",
  RecurrentDropoutLSTM: "draws random numbers",
  Zoneout: "draws random numbers",
  "StackedRNN, skip": "draws random numbers",
  "StackedRNN, residual": "draws random numbers",
};

/** Largest difference between the outputs of a cell in float32 and of one with the same parameters in float64. */
function largestDifference(make: Make): number {
  const precise = make({ dtype: "float64", generator: new Generator(3) });
  const single = make({ dtype: "float32", generator: new Generator(3) });
  const from = single.stateDict();
  for (const [name, p] of precise.stateDict()) assign(p, Float64Array.from(from.get(name)?.data() as ArrayLike<number>));
  const xs = new Generator(4).uniform([T, B, single.inputSize], -1, 1);
  const [ys] = noGrad(() => single.scan(xs));
  const expected = noGrad(() => precise.scan(cast(xs, "float64")))[0].data();
  return Math.max(...Array.from(ys.data(), (y, i) => Math.abs(y - (expected[i] as number))));
}

describe("float32 against float64 over fifty steps", () => {
  it.each(Object.entries(every).filter(([name]) => !(name in EXEMPT)))("%s", (_, make) => {
    const difference = largestDifference(make);
    expect(difference).toBeLessThanOrEqual(1e-5);
    expect(difference).toBeGreaterThan(0);
  });
});
