import { describe, expect, it } from "vitest";
import { StateError } from "../../src/base/errors.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { ones } from "../../src/tensor/create.ts";
import { Recording, recording } from "../../src/wasm/recorder.ts";

describe("a recording", () => {
  const none = () => new Recording(() => undefined);

  it("refuses to begin within another, whose calls would be made unnoted from there on", () => {
    const [outer, inner] = [none(), none()];
    const x = ones([2]);
    outer.during(() => {
      expect(() => inner.during(() => add(x, x))).toThrow(StateError);
      expect(recording).toBe(outer);
      add(x, x);
    });
    expect(recording).toBeNull();
    expect(outer.calls.length).toBe(1);
    expect(inner.calls.length).toBe(0);
  });

  it("is over after an error", () => {
    const failing = none();
    expect(() =>
      failing.during(() => {
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect(recording).toBeNull();
    expect(none().during(() => 3)).toBe(3);
  });
});
