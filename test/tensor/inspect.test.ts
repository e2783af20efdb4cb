import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { tensor } from "../../src/tensor/tensor.ts";

describe("what console.log shows of a tensor", () => {
  it("is its dtype, shape and values, wherever it lies", () => {
    const t = tensor([[1, 2.5]]);
    expect(inspect(t)).toBe("float32[1,2] [[1, 2.5000]]");
    expect(inspect({ weights: [t] })).toContain("float32[1,2] [[1, 2.5000]]");
  });

  it("fails for no tensor", () => {
    const t = tensor([1]);
    t.dispose();
    expect(inspect(t)).toBe("float32[1] (released)");
  });
});
