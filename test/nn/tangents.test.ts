/** Forward mode in parameters, over every recurrence: against finite differences and against reverse mode. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { withTangents } from "../../src/nn/tangents.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { tanh } from "../../src/ops/math.ts";
import { stack } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { defaultGenerator, Generator, manualSeed } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { jvp } from "../../src/transforms/transforms.ts";
import { every } from "../recurrence/every.ts";

const [T, B] = [4, 2];
const dtype = "float64";

type Tangents = Record<string, Tensor>;

/** A random direction in all parameters. */
function direction(cell: Recurrence, seed: number): Tangents {
  const generator = new Generator(seed);
  return Object.fromEntries(Array.from(cell.namedParameters(), ([name, p]) => [name, generator.uniform([...p.shape], -1, 1, dtype)]));
}

/** A loss of a whole sequence, with the same random numbers at each call. */
function lossOf(cell: Recurrence): () => Tensor {
  const xs = new Generator(4).uniform([T, B, cell.inputSize], 0.1, 1, dtype);
  const places = [defaultGenerator(), ...Array.from(cell.modules(), (m) => Object.values(m)).flat()].filter((v) => v instanceof Generator);
  const states = places.map((g) => g.state);
  return () => {
    places.forEach((g, i) => {
      g.state = states[i] as never;
    });
    const [ys] = cell.scan(xs);
    return sum(mul(ys, new Generator(5).uniform([...ys.shape], -1, 1, dtype)));
  };
}

/** Losses of which the library's derivative leaves a part out, as the papers do: finite differences see all of it. */
const CUT_OFF: Readonly<Record<string, string>> = {
  DetachEvery: "cuts the state off between steps",
  'SimpleRecurrentNetwork, "elman1"': "cuts the state off between steps",
  'LSTM1997, "1997"': "cuts the gates' inputs off from the past",
  'CTRNN, "bogacki-shampine"': "chooses step sizes by values",
};

const inner = (a: readonly (Tensor | null)[], b: readonly Tensor[]): number =>
  a.reduce((total, g, i) => total + (g === null ? 0 : sum(mul(g, b[i] as Tensor)).item()), 0);

function close(got: number, expected: number, tolerance: number): void {
  expect(!(Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected))), `${got} and ${expected}`).toBe(false);
}

const trained = Object.keys(every).filter((name) => name !== "IdentityStore");

describe("withTangents", () => {
  it.each(trained)("is the slope of a loss along directions: %s", (name) => {
    manualSeed(7);
    const cell = every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
    const loss = lossOf(cell);
    scope(() => {
      const directions = [direction(cell, 8), direction(cell, 9)] as [Tangents, Tangents];
      const names = Object.keys(directions[0]);
      const stacked = Object.fromEntries(names.map((n) => [n, stack(directions.map((d) => d[n] as Tensor))]));
      const [y, slopes] = withTangents(cell, stacked, loss);
      const value = loss();
      close(y.item(), value.item(), 1e-12);
      expect(slopes.shape).toEqual([2]);
      // Reverse mode: the inner product with the gradient.
      const found = gradients([value], cell.parameters(), [onesLike(value)]);
      directions.forEach((d, k) => {
        close(slopes.data()[k] as number, inner(found, Object.values(d)), 1e-9);
      });
      // One direction without an axis for it.
      const [, slope] = withTangents(cell, directions[0], loss);
      expect(slope.shape).toEqual([]);
      close(slope.item(), slopes.data()[0] as number, 1e-12);
      // Finite differences.
      const before = cell.parameters().map((p) => p.data());
      const moved = (h: number): number => {
        cell.parameters().forEach((p, i) => {
          const v = Object.values(directions[0])[i] as Tensor;
          assign(
            p,
            Array.from(before[i] as Float64Array, (w, k) => w + h * (v.data()[k] as number)),
          );
        });
        return loss().item();
      };
      const h = 1e-6;
      const difference = (moved(h) - moved(-h)) / (2 * h);
      cell.parameters().forEach((p, i) => {
        assign(p, before[i] as Float64Array);
      });
      if (name in CUT_OFF) return;
      close(slope.item(), difference, 1e-6);
    });
  });

  it("nests with itself, with jvp and with reverse mode", () => {
    const layer = new Linear(1, 1, { dtype, bias: false });
    assign(layer.weight, [0.7]);
    const one = tensor([[1]], { dtype });
    const x = tensor([[1.3]], { dtype });
    const f = () => sum(tanh(layer.forward(x)));
    const along = (fn: () => Tensor) => () => withTangents(layer, { weight: one }, fn)[1];
    const [t, c] = [Math.tanh(0.7 * 1.3), 1.3];
    const first = c * (1 - t * t);
    const second = -2 * t * c * first;
    close(along(f)().item(), first, 1e-14);
    close(along(along(f))().item(), second, 1e-14);
    const third = -2 * c * (first * first + t * second);
    close(along(along(along(f)))().item(), third, 1e-13);
    // ∂²/∂w∂x along 1 each: ∂/∂x of x(1 − tanh²(wx)).
    const mixed = jvp((z) => withTangents(layer, { weight: one }, () => sum(tanh(layer.forward(z as Tensor))))[1], [x], [one])[1].item();
    close(mixed, 1 - t * t - 1.3 * 2 * t * 0.7 * (1 - t * t), 1e-13);
    const slope = along(f)();
    close((gradients([slope], [layer.weight], [onesLike(slope)])[0] as Tensor).item(), second, 1e-13);
    layer.weight.requiresGrad = false;
    close(along(along(f))().item(), second, 1e-14);
    expect(layer.weight.dual).toBeNull();
  });

  it("gives 0 where the loss does not depend on what moves", () => {
    const layer = new Linear(2, 1, { dtype });
    const stacked = { bias: zeros([3, 1], dtype) };
    const [y, slope] = withTangents(layer, stacked, () => sum(layer.weight));
    expect([y.shape, slope.shape, Array.from(slope.data())]).toEqual([[], [3], [0, 0, 0]]);
  });

  it("leaves the module as it was, whatever happens, and refuses what is no direction", () => {
    const layer = new Linear(2, 1, { dtype });
    const weight = zeros([1, 2], dtype);
    const f = () => mseLoss(layer.forward(weight), zeros([1, 1], dtype));
    const refused: [Tangents, new (...args: never[]) => Error][] = [
      [{}, ArgumentError],
      [{ wieght: weight }, ArgumentError],
      [{ weight: zeros([2, 1], dtype) }, ShapeError],
      [{ weight: zeros([1, 1, 1, 2], dtype) }, ShapeError],
      [{ weight, bias: zeros([4, 1], dtype) }, ShapeError],
      [{ weight: zeros([1, 2]) }, DTypeError],
      [{ weight: [1, 2] as never }, DTypeError],
    ];
    for (const [tangents, kind] of refused) expect(() => withTangents(layer, tangents, f)).toThrow(kind);
    const fail = (): never => {
      throw new RangeError("stop");
    };
    expect(() => withTangents(layer, { weight }, fail)).toThrow("stop");
    expect(() => withTangents(layer, { weight }, (async () => f()) as never)).toThrow(StateError);
    expect(() => withTangents(layer, { weight }, () => 3 as never)).toThrow(ArgumentError);
    expect([layer.weight.dual, layer.bias?.dual]).toEqual([null, null]);
    expect(add(layer.weight, 1).dual).toBeNull();
  });
});
