import { describe, expect, it } from "vitest";
import { DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { flatten, unflatten } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

class Two extends Module {
  readonly zeta = new Parameter(tensor([[1, 2], [3, 4]], { dtype: "float64" })); // biome-ignore format: rows
  readonly alpha = new Parameter(tensor([5, 6]));
  readonly tied = this.zeta;
  readonly buffer = tensor([7]);
}

describe("flatten and unflatten", () => {
  it("go by name, in row-major order; a tied parameter once, a buffer never", () => {
    expect([...flatten(new Two())]).toEqual([5, 6, 1, 2, 3, 4]);
  });

  it("give back what was put in", () => {
    const model = new Two();
    const v = Float64Array.of(0.5, -2, 1 / 3, 4, -0, 6);
    expect(unflatten(model, v)).toBe(model);
    expect(flatten(model)).toEqual(v);
    expect(model.zeta.toArray()).toEqual([[1 / 3, 4], [-0, 6]]); // biome-ignore format: rows
    const layer = new LSTM({ inputSize: 3, hiddenSize: 4, numLayers: 2, dtype: "float64" });
    const w = Float64Array.from(new Generator(1).normal([flatten(layer).length], 0, 1, "float64").data());
    expect(flatten(unflatten(layer, w))).toEqual(w);
  });

  it("round to the parameters' own dtype", () => {
    const layer = new Linear(2, 1);
    expect([...flatten(unflatten(layer, [0.1, 0.2, 0.3]))]).toEqual([0.1, 0.2, 0.3].map(Math.fround));
  });

  it("leave frozen parameters out, and as they are", () => {
    const model = new Two();
    model.alpha.requiresGrad = false;
    unflatten(model, [9, 8, 7, 6]);
    expect(model.alpha.toArray()).toEqual([5, 6]);
    expect([...flatten(model)]).toEqual([9, 8, 7, 6]);
  });

  it("refuse vectors of another size before anything is written", () => {
    const model = new Two();
    expect(thrown(() => unflatten(model, [1, 2, 3]))).toBeInstanceOf(ShapeError);
    expect(thrown(() => unflatten(model, undefined as never))).toBeInstanceOf(DTypeError);
    expect([...flatten(model)]).toEqual([5, 6, 1, 2, 3, 4]);
  });
});
