/** What lies beyond the end of a sequence is never read: whatever stands there, results and gradients are the same to the bit. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { type FloatDType, isFloat } from "../../src/base/dtype.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/reduce.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { type Recurrence, type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "./every.ts";

const T = 4;
const lengths = [4, 0, 2, 3];
const B = lengths.length;

type Run = (recurrence: Recurrence, xs: Tensor, options: ScanOptions) => readonly [ys: Tensor, last: unknown];

const runs: Readonly<Record<string, Run>> = {
  captured: (recurrence, xs, options) => recurrence.scan(xs, undefined, options),
  eager: (recurrence, xs, options) => scanSteps(recurrence, xs, undefined, options),
};

const fillings = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30, -1e30];

/** Random sequences [T,B,I] whose padding is `filling`. */
function padded(I: number, dtype: FloatDType, filling: number): Tensor {
  const values = new Generator(8).uniform([T, B, I], -1, 1, dtype).data();
  for (let i = 0; i < values.length; i++) {
    const [t, b] = [Math.floor(i / (B * I)), Math.floor(i / I) % B];
    if (t >= (lengths[b] as number)) values[i] = filling;
  }
  return requireGrad(tensor(values, { shape: [T, B, I] }));
}

/** A number that each of the tensors' elements has a part in. */
function weighed(tensors: readonly Tensor[]): Tensor {
  const g = new Generator(9);
  return tensors
    .filter((t) => isFloat(t.dtype))
    .map((t) => sum(mul(t, g.uniform(t.shape, 0.5, 1.5, t.dtype as FloatDType))))
    .reduce(add);
}

interface Outcome {
  readonly ys: ArrayLike<number>;
  readonly last: readonly ArrayLike<number>[];
  readonly dxs: ArrayLike<number>;
  readonly dParameters: readonly (ArrayLike<number> | null)[];
}

function outcome(make: Make, run: Run, dtype: FloatDType, filling: number, reverse: boolean): Outcome {
  return scope(() => {
    manualSeed(1);
    const recurrence = make({ dtype, generator: new Generator(3) });
    const xs = padded(recurrence.inputSize, dtype, filling);
    const [ys, last] = run(recurrence, xs, { lengths, reverse });
    const states = stateTensors(last as never);
    const wanted = [xs, ...recurrence.parameters()];
    const [dxs, ...dParameters] = gradients([weighed([ys, ...states])], wanted, [ones([], dtype)]);
    return {
      ys: ys.data(),
      last: states.map((s) => s.data()),
      dxs: (dxs as Tensor).data(),
      dParameters: dParameters.map((d) => d?.data() ?? null),
    };
  });
}

const numbersOf = ({ ys, last, dxs, dParameters }: Outcome) => [ys, dxs, ...last, ...dParameters].flatMap((part) => Array.from(part ?? []));

/** Rows of [T,B,…] beyond the ends. */
function beyond(values: ArrayLike<number>): number[] {
  const width = values.length / (T * B);
  return Array.from(values).filter((_, i) => Math.floor(i / width / B) >= (lengths[Math.floor(i / width) % B] as number));
}

const oneWay = (make: Make) =>
  scope(() => {
    const recurrence = make({}) as Recurrence & { readonly bidirectional?: boolean };
    // What reads a whole sequence in an order of its own is not defined by its step.
    return recurrence.bidirectional !== true && !["Bidirectional", "Reversed", "DetachEvery"].includes(recurrence.constructor.name);
  });

describe.each(Object.entries(every))("%s", (name, make) => {
  const modes = Object.entries(runs).filter(([mode]) => mode === "captured" || oneWay(make));
  const cases = modes.flatMap(([mode]) =>
    (["float32", "float64"] as const).flatMap((dtype) => [false, true].map((reverse) => ({ mode, dtype, reverse }))),
  );

  it.each(cases)("$mode, $dtype, reverse $reverse: padding is not read", ({ mode, dtype, reverse }) => {
    const run = runs[mode] as Run;
    const expected = outcome(make, run, dtype, 0, reverse);
    expect(numbersOf(expected).every(Number.isFinite)).toBe(true);
    expect(beyond(expected.ys).every((y) => y === 0)).toBe(true);
    expect(beyond(expected.dxs).every((d) => d === 0)).toBe(true);
    expect(expected.dParameters.flatMap((d) => Array.from(d ?? [])).some((d) => d !== 0) || expected.dParameters.length === 0).toBe(true);
    for (const filling of fillings) expect(outcome(make, run, dtype, filling, reverse)).toEqual(expected);
  });

  it.each([false, true])("reverse %s: sequences of a batch are as each by itself", (reverse) => {
    scope(() =>
      noGrad(() => {
        const recurrence = make({ dtype: "float64", generator: new Generator(3) }).eval() as Recurrence;
        const xs = padded(recurrence.inputSize, "float64", Number.NaN);
        const [ys, last] = recurrence.scan(xs, undefined, { lengths, reverse });
        // A solver that chooses its steps for all sequences at once, to 1e-6, chooses others for one.
        const tolerance = name === 'CTRNN, "bogacki-shampine"' ? 1e-5 : 1e-12;
        for (const [b, n] of lengths.entries()) {
          if (n === 0) continue;
          const [alone, end] = recurrence.scan(slice(slice(xs, 0, 0, n), 1, b, b + 1), undefined, { reverse });
          const pairs = [[slice(select(ys, 1, b), 0, 0, n), alone] as const, ...lastPairs(last, end, b)];
          for (const [got, expected] of pairs) {
            const wanted = expected.data();
            got.data().forEach((v, i) => expect(Math.abs(Number(v) - Number(wanted[i]))).toBeLessThanOrEqual(tolerance));
          }
        }
      }),
    );
  });
});

/** Of sequence b in a batch, and of a batch of one: layers' states have the batch as their second axis. */
function lastPairs(last: unknown, alone: unknown, b: number): (readonly [Tensor, Tensor])[] {
  const single = stateTensors(alone as never);
  return stateTensors(last as never).map((s, i) => {
    const axis = s.shape.findIndex((n, a) => n !== (single[i] as Tensor).shape[a]);
    return [select(s, axis, b), single[i] as Tensor] as const;
  });
}
