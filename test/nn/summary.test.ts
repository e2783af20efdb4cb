import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { LayerNorm, Linear, Sequential } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { count, freeze, groupsOf, unfreeze } from "../../src/nn/selection.ts";
import { summary } from "../../src/nn/summary.ts";
import { AdamW, SGD } from "../../src/optim/index.ts";
import { GRU } from "../../src/recurrence/rnn.ts";

class Tagger extends Module {
  readonly encoder = new GRU({ inputSize: 2, hiddenSize: 3 });
  readonly head = new Sequential(new LayerNorm(3), new Linear(3, 4));
  /** The same weights once more. */
  readonly tied = this.head;
}

describe("summary", () => {
  it("lists modules with tensors of their own, each tensor once", () => {
    const { rows, parameters, trainable, buffers, bytes } = summary(new Tagger());
    expect(rows.map(({ name, module, parameters: n }) => [name, module, n])).toEqual([
      ["encoder", "GRU", 9 * 2 + 9 * 3 + 9 + 9],
      ["head.0", "LayerNorm", 6],
      ["head.1", "Linear", 16],
    ]);
    expect(rows[2]?.shapes).toEqual({ weight: [4, 3], bias: [4] });
    expect([parameters, trainable, buffers, bytes]).toEqual([85, 85, 0, 340]);
  });

  it("is a table as text", () => {
    const model = new Tagger();
    freeze(model, "encoder");
    expect(String(summary(model)).split("\n")).toEqual([
      "module   class      tensors                                                                 parameters",
      "encoder  GRU        weight_ih_l0 [9,2], weight_hh_l0 [9,3], bias_ih_l0 [9], bias_hh_l0 [9]          63",
      "head.0   LayerNorm  weight [3], bias [3]                                                             6",
      "head.1   Linear     weight [4,3], bias [4]                                                          16",
      "85 parameters, 63 of them frozen; 340 B",
    ]);
    expect(String(summary(new Linear(1000, 1000)))).toContain("1,001,000 parameters; 3.8 MiB");
  });

  it("tells buffers from parameters", () => {
    const { parameters, buffers } = summary(new SequenceBatchNorm(4));
    expect([parameters, buffers > 0]).toEqual([8, true]);
  });

  it("refuses what is no module", () => {
    expect(() => summary({} as never)).toThrow(DTypeError);
  });
});

describe("parameters by name", () => {
  it("are counted", () => {
    const model = new Tagger();
    expect(count(model)).toBe(85);
    freeze(model, /bias/);
    expect(count(model, { trainable: true })).toBe(85 - 9 - 9 - 3 - 4);
  });

  it("are frozen and trained again", () => {
    const model = new Tagger();
    expect(freeze(model, "head.1").length).toBe(2);
    expect(model.head.stateDict().get("1.weight")?.requiresGrad).toBe(false);
    expect(model.encoder.parameters().every((p) => p.requiresGrad)).toBe(true);
    unfreeze(model);
    expect(model.parameters().every((p) => p.requiresGrad)).toBe(true);
    expect(freeze(model).length).toBe(8);
    // A name is matched up to a dot.
    expect(() => freeze(model, "hea")).toThrow(ArgumentError);
    expect(freeze(model, /bias/g).length).toBe(freeze(model, /bias/g).length);
  });

  it("are put into groups, the rest into one of its own", () => {
    const model = new Tagger();
    const groups = groupsOf(model, [
      { match: /bias|head\.0/, weightDecay: 0 },
      { match: "head", lr: 1e-2 },
    ]);
    expect(groups.map(({ params }) => params.length)).toEqual([5, 1, 2]);
    const optimizer = new AdamW(groups, { lr: 1e-3, weightDecay: 0.1 });
    expect(optimizer.groups.map(({ lr, weightDecay }) => [lr, weightDecay])).toEqual([
      [1e-3, 0],
      [1e-2, 0.1],
      [1e-3, 0.1],
    ]);
    expect(new SGD(groupsOf(model, [{ match: /./ }]), { lr: 1 }).groups.length).toBe(1);
    expect(() => groupsOf(model, [{ match: "head" }, { match: "head.1" }])).toThrow("no pattern before it");
    expect(() => groupsOf(model, [{ match: "body" }])).toThrow("such as encoder.weight_ih_l0");
    expect(() => groupsOf(model, [{} as never])).toThrow(DTypeError);
    expect(() => groupsOf(model, "head" as never)).toThrow(DTypeError);
  });
});
