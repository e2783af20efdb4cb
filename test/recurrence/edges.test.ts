/** Gates shut and open as far as can be: float32 is finite, and what float64 says, values and gradients. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { type FloatDType, isFloat } from "../../src/base/dtype.ts";
import { MinLSTM, MLSTM } from "../../src/cells/index.ts";
import { StableMDLSTM } from "../../src/grids/index.ts";
import type { LayerOptions } from "../../src/nn/layers.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { logLinearScan } from "../../src/ops/prefix-scan.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "./every.ts";

const [T, B] = [3, 2];

/** Which way the numbers of a vector go: all up, all down, or by turns. */
const ways: Readonly<Record<string, (i: number) => number>> = {
  up: () => 1,
  down: () => -1,
  "by turns": (i) => (i % 2 === 0 ? 1 : -1),
};

interface Extreme {
  readonly where: "inputs" | "biases";
  readonly size: number;
  readonly way: string;
}

const extremes: readonly Extreme[] = [100, 1e4].flatMap((size) => [
  { where: "inputs", size, way: "by turns" },
  ...Object.keys(ways).map((way) => ({ where: "biases", size, way }) as const),
]);

/** Gives a recurrence the parameters and buffers of the float32 one of the same seed, and biases as extreme as is asked for. */
function setParameters(make: Make, recurrence: Recurrence, { where, size, way }: Extreme): void {
  const direction = ways[way] as (i: number) => number;
  const single = make({ dtype: "float32", generator: new Generator(3) }).stateDict();
  for (const [name, p] of recurrence.stateDict()) {
    const isBias = where === "biases" && /(^|[._])bias/.test(name);
    assign(
      p,
      Float64Array.from(single.get(name)?.data() ?? [], (v, i) => (isBias ? size * direction(i) : Number(v))),
    );
  }
}

interface Outcome {
  /** What is right where float64 says the same. */
  readonly compared: Readonly<Record<string, readonly number[]>>;
  /** Gradients of outputs and states together: a memory's own may be rounding of much larger terms, and has to be finite. */
  readonly finite: readonly number[];
}

const numbers = (t: Tensor | null | undefined) => Array.from(t?.data() ?? [], Number);

/** A number that each element has a part in, of about the same weight. */
function weighed(tensors: readonly Tensor[]): Tensor {
  return tensors.map((t) => sum(mul(t, cast(new Generator(9).uniform(t.shape, 0.5, 1.5), t.dtype)))).reduce(add);
}

function inputs(shape: readonly number[], dtype: FloatDType, { where, size, way }: Extreme): Tensor {
  const direction = ways[way] as (i: number) => number;
  const values = new Generator(4).uniform(shape, 0.5, 1).data();
  return requireGrad(
    tensor(
      Float64Array.from(values, (v, i) => Math.fround((where === "inputs" ? size : 1) * v * direction(i))),
      { shape, dtype },
    ),
  );
}

function outcome(make: Make, dtype: FloatDType, extreme: Extreme): Outcome {
  return scope(() => {
    manualSeed(1);
    const recurrence = make({ dtype, generator: new Generator(3) }).eval() as Recurrence;
    setParameters(make, recurrence, extreme);
    const xs = inputs([T, B, recurrence.inputSize], dtype, extreme);
    const [ys, last] = recurrence.scan(xs);
    const states = stateTensors(last as State).filter((s) => isFloat(s.dtype));
    const named = [...recurrence.namedParameters()];
    const wanted = [xs, ...named.map(([, p]) => p)];
    const names = ["xs", ...named.map(([name]) => name)];
    const slopes = (tensors: readonly Tensor[]) => gradients([weighed(tensors)], wanted, [ones([], dtype)]).map(numbers);
    const compared = [
      ["ys", numbers(ys)] as const,
      ...states.map((s, i) => [`state ${i}`, numbers(s)] as const),
      ...slopes([ys]).map((d, i) => [`gradient of ${names[i]}`, d] as const),
    ];
    return { compared: Object.fromEntries(compared), finite: slopes([ys, ...states]).flat() };
  });
}

/** Numbers that float32 has to get right; larger ones it cannot hold. */
const WITHIN = 1e30;

/** float32 rounds a sum of that size by ε·size, the slope of a shut gate by ε; what is left of them are some of these and 1 %. */
const tolerance = (size: number, largest: number) => 16 * 6e-8 * size + 1e-2 * largest;

function differences(single: Outcome, precise: Outcome, size: number): string[] {
  const wrong = Object.entries(precise.compared).flatMap(([name, values]) => {
    const got = single.compared[name] as readonly number[];
    const largest = Math.max(0, ...values.filter((v) => Math.abs(v) < WITHIN).map(Math.abs));
    const isWrong = (v: number, i: number) => Math.abs(v) < WITHIN && !(Math.abs((got[i] as number) - v) <= tolerance(size, largest));
    return values.flatMap((v, i) => (isWrong(v, i) ? [`${name}[${i}]: ${got[i]} for ${v}`] : [])).slice(0, 2);
  });
  const lost = precise.finite.findIndex((v, i) => Math.abs(v) < WITHIN && !Number.isFinite(single.finite[i]));
  return lost < 0 ? wrong : [...wrong, `gradient through states [${lost}]: ${single.finite[lost]} for ${precise.finite[lost]}`];
}

describe.each(Object.entries(every))("%s", (_, make) => {
  it.each(extremes)("$where of $size, $way", (extreme) => {
    expect(differences(outcome(make, "float32", extreme), outcome(make, "float64", extreme), extreme.size)).toEqual([]);
  });
});

/** Rates and time constants are exponentials of parameters: one that is as good as infinite or zero. */
describe.each([
  ["LRU", "nu"],
  ["RWKVTimeMix", "decay"],
  ["SelectiveScan", "a_log"],
  ["Mamba", "ssm.a_log"],
  ['CTRNN, "rk4"', "log_tau"],
  ["LiquidTimeConstant, false", "log_tau"],
])("%s, %s", (name, parameter) => {
  const steep = parameter === "log_tau" && name.startsWith("CTRNN");
  // A time constant of e⁻¹⁰⁰ is beyond what a step of that solver can follow, in either precision.
  it.each(steep ? [90, 100] : [-100, -90, 90, 100])("of %i", (value) => {
    const make = (options: LayerOptions) => {
      const recurrence = (every[name] as Make)(options);
      const p = recurrence.stateDict().get(parameter) as Tensor;
      assign(p, new Float64Array(p.size).fill(value));
      return recurrence;
    };
    const mild: Extreme = { where: "inputs", size: 1, way: "by turns" };
    expect(differences(outcome(make, "float32", mild), outcome(make, "float64", mild), 1)).toEqual([]);
  });
});

describe("logarithms far apart", () => {
  const gaps = [-1e4, -200, -90, 90, 200, 1e4];

  it.each(gaps.flatMap((keep) => gaps.map((take) => [keep, take])))(
    "logLinearScan: keep %f, offered %f, and the other way round",
    (keep, take) => {
      const run = (dtype: FloatDType) =>
        scope(() => {
          const a = requireGrad(tensor([Math.min(keep, 0), 0, Math.min(take, 0), -1], { dtype }));
          const b = requireGrad(tensor([take, keep, 0, take], { dtype }));
          const y = logLinearScan(a, b, { axis: 0 });
          return [y, ...gradients([sum(mul(y, tensor([1, 0.5, 2, 0.25], { dtype })))], [a, b], [ones([], dtype)])].map(numbers);
        });
      const [y, da, db] = run("float64") as [number[], number[], number[]];
      const [y32, da32, db32] = run("float32") as [number[], number[], number[]];
      y.forEach((v, i) => expect(Math.abs((y32[i] as number) - v)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(v))));
      [...da, ...db].forEach((v, i) =>
        expect(Math.abs(([...da32, ...db32][i] as number) - v)).toBeLessThanOrEqual(1e-5 + 1e-3 * Math.abs(v)),
      );
      // The first factor is not used.
      expect(da[0]).toBe(0);
    },
  );

  it("MinLSTM with both gates shut divides what is as small as what it divides by", () => {
    const cell = new MinLSTM({ inputSize: 1, hiddenSize: 1 });
    assign(cell.weightIh, [0, 0, 1]);
    assign(cell.bias as Tensor, [-200, -200, 0]);
    // Shares of one half each: h' = h/2 + x/2.
    expect(numbers(cell.scan(tensor([1, 3], { shape: [2, 1, 1] }))[0])).toEqual([0.5, 1.75]);
  });

  it("StableMDLSTM with all of its gates shut mixes evenly", () => {
    const values = (["float32", "float64"] as const).map((dtype) =>
      scope(() => {
        const net = new StableMDLSTM({ axes: 2, inputSize: 1, hiddenSize: 2, dtype, generator: new Generator(1) });
        assign(net.weightHh, new Float64Array(net.weightHh.size).fill(0.25));
        assign(net.weightIh, new Float64Array(net.weightIh.size).fill(0.5));
        // Blocks i f λ₁ λ₂ g o of two units each.
        assign(net.bias, [0, 0, 0, 0, -1e4, -1e4, -1e4, -1e4, 0, 0, 0, 0]);
        if (net.weightPeephole) assign(net.weightPeephole, new Float64Array(net.weightPeephole.size).fill(0.5));
        const y = net.forward(
          tensor(
            Float64Array.from({ length: 9 }, (_, i) => i / 9),
            { shape: [1, 3, 3, 1], dtype },
          ),
        );
        return [y, ...gradients([sum(y)], net.parameters(), [ones([], dtype)])].flatMap(numbers);
      }),
    );
    const [single, precise] = values as [number[], number[]];
    precise.forEach((v, i) => expect(Math.abs((single[i] as number) - v)).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(v))));
  });
});

it("MLSTM with an input gate of e⁻¹⁰⁰: outputs and gradients are finite, and as in float64", () => {
  const make = (options: LayerOptions) => {
    const cell = new MLSTM({ inputSize: 3, hiddenSize: 4, chunk: 2, ...options });
    assign(cell.biasGates, [-100, -100]);
    return cell as unknown as Recurrence;
  };
  const mild: Extreme = { where: "inputs", size: 1, way: "by turns" };
  expect(differences(outcome(make, "float32", mild), outcome(make, "float64", mild), 1)).toEqual([]);
});
