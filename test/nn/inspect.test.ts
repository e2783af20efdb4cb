import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { showInConsole } from "../../src/web.ts";

class Regressor extends Module {
  readonly lstm = new LSTM({ inputSize: 2, hiddenSize: 3, bias: false });
  readonly heads = [new Linear(3, 1)];
  readonly scale = tensor([1, 2]);
}

const TREE = `Regressor
  lstm: LSTM
    weight_ih_l0: float32[12,2]
    weight_hh_l0: float32[12,3]
  heads.0: Linear
    weight: float32[1,3]
    bias: float32[1]
  scale: float32[2]`;

describe("a module in the console", () => {
  it("is a tree of its parts", () => {
    const model = new Regressor();
    expect(inspect(model)).toBe(TREE);
    expect(String(model)).toBe(TREE);
    expect(inspect({ model })).toContain("heads.0: Linear");
  });

  it("ends where it contains itself", () => {
    class Ring extends Module {
      next: Module | null = null;
    }
    const ring = new Ring();
    ring.next = ring;
    expect(inspect(ring)).toBe("Ring\n  next: Ring, which is above");
  });

  it("shows a text of its own where a class has one", () => {
    class Named extends Module {
      override toString(): string {
        return "mine";
      }
    }
    expect(inspect(new Named())).toBe("mine");
  });
});

describe("showInConsole", () => {
  const page = globalThis as { devtoolsFormatters?: { header(value: unknown): unknown; hasBody(): boolean }[] };

  it("adds one formatter, for tensors and modules, beside those of others", () => {
    const other = { header: () => null, hasBody: () => false };
    page.devtoolsFormatters = [other];
    showInConsole();
    showInConsole();
    const [first, own, ...more] = page.devtoolsFormatters;
    expect([first, more]).toEqual([other, []]);
    expect(own?.header(tensor([1, 2]))).toEqual(["span", { style: "white-space: pre" }, "float32[2] [1, 2]"]);
    expect(own?.header(new Regressor())).toEqual(["span", { style: "white-space: pre" }, TREE]);
    expect([null, undefined, 1, {}, [1]].map((value) => own?.header(value))).toEqual([null, null, null, null, null]);
    expect(own?.hasBody()).toBe(false);
    delete page.devtoolsFormatters;
    showInConsole();
    expect(page.devtoolsFormatters).toHaveLength(1);
    delete page.devtoolsFormatters;
  });
});
