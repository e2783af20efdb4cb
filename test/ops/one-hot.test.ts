import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { oneHot } from "../../src/ops/one-hot.ts";
import { tensor } from "../../src/tensor/tensor.ts";

describe("oneHot", () => {
  it("has a one at the place of each index, along a new last axis", () => {
    const index = tensor(Int32Array.of(2, 0, 1, 1));
    expect(oneHot(index, 3).toArray()).toEqual([
      [0, 0, 1],
      [1, 0, 0],
      [0, 1, 0],
      [0, 1, 0],
    ]);
    const wide = oneHot(reshape(index, [2, 2]), 4, "int32");
    expect([wide.shape, wide.dtype]).toEqual([[2, 2, 4], "int32"]);
    expect(oneHot(tensor(1, { dtype: "int32" }), 2).toArray()).toEqual([0, 1]);
  });

  it("refuses indices out of range, and what is no index", () => {
    expect(() => oneHot(tensor(Int32Array.of(3)), 3)).toThrow(ArgumentError);
    expect(() => oneHot(tensor(Int32Array.of(-1)), 3)).toThrow(ArgumentError);
    expect(() => oneHot(tensor([1]), 3)).toThrow(DTypeError);
    expect(() => oneHot(tensor(Int32Array.of(0)), 0)).toThrow(ArgumentError);
    expect(() => oneHot([1] as never, 3)).toThrow(DTypeError);
  });
});
