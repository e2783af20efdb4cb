import { expect, test } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Parameter } from "../../src/nn/module.ts";
import { transpose } from "../../src/ops/shape.ts";
import { EMA } from "../../src/optim/ema.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { IRprop } from "../../src/optim/rprop.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { ones } from "../../src/tensor/create.ts";
import { assign, keep, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const leaf = (values: number[]) => keep(tensor(values, { dtype: "float64", requiresGrad: true }));

test("averages with the decay, from the first values on", () => {
  const p = leaf([1, -2]);
  const ema = new EMA([p], { decay: 0.75 });
  assign(p, [5, 2]);
  ema.update();
  assign(p, [9, 2]);
  ema.update();
  // 0.75·(0.75·1 + 0.25·5) + 0.25·9 and 0.75·(0.75·−2 + 0.25·2) + 0.25·2
  expect(ema.withAverages(() => Array.from(p.data()))).toEqual([3.75, -0.25]);
  expect(Array.from(p.data())).toEqual([9, 2]);
});

test("warms up: the first update keeps a tenth", () => {
  const p = leaf([0]);
  const ema = new EMA([p], { decay: 0.999, warmUp: true });
  assign(p, [1]);
  ema.update();
  expect(ema.withAverages(() => p.item())).toBeCloseTo(0.9, 14);
  ema.update();
  expect(ema.withAverages(() => p.item())).toBeCloseTo(0.9 * (2 / 11) + 9 / 11, 14);
});

test("puts the parameters back when the function throws", () => {
  const p = leaf([1]);
  const ema = new EMA([p]);
  assign(p, [2]);
  expect(() =>
    ema.withAverages(() => {
      throw new Error("evaluation");
    }),
  ).toThrow("evaluation");
  expect(p.item()).toBe(2);
});

test("goes on from a saved state, and holds no memory beyond its averages", () => {
  const p = leaf([1]);
  const ema = new EMA([p], { decay: 0.5, warmUp: true });
  assign(p, [2]);
  ema.update();
  const resumed = new EMA([p], { decay: 0.5, warmUp: true });
  resumed.loadStateDict(ema.stateDict());
  assign(p, [3]);
  const before = memory().liveBytes;
  for (const one of [ema, resumed]) for (let i = 0; i < 100; i++) one.update();
  expect(resumed.withAverages(() => p.item())).toBe(ema.withAverages(() => p.item()));
  expect(memory().liveBytes).toBe(before);
  expect(() => resumed.loadStateDict({ updates: 1, averages: [] })).toThrow(/expected 1 averages, got 0/);
  expect(() => resumed.loadStateDict({ updates: 1, averages: [leaf([1, 2])] })).toThrow(
    /expected average 0 to be float64 \[1\], got float64 \[2\]/,
  );
  expect(() => new EMA([p], { decay: 2 })).toThrow(/expected decay .*, got 2/);
});

test("averages within averages are the averages, and the parameters come back once", () => {
  const p = leaf([1, 2]);
  const ema = new EMA([p], { decay: 1 });
  assign(p, [5, 6]);
  expect(ema.withAverages(() => ema.withAverages(() => p.toArray()))).toEqual([1, 2]);
  expect(p.toArray()).toEqual([5, 6]);
});

test("while exchanged: the state is that of the averages, an update is refused", () => {
  const p = leaf([1, 2]);
  const ema = new EMA([p], { decay: 0.5 });
  assign(p, [5, 6]);
  ema.withAverages(() => {
    expect(ema.stateDict().averages.map((t) => t.toArray())).toEqual([[1, 2]]);
    expect(() => ema.update()).toThrow(/expected the parameters in their place/);
    ema.loadStateDict({ updates: 3, averages: [tensor([7, 8], { dtype: "float64" })] });
    expect(p.toArray()).toEqual([7, 8]);
  });
  expect(p.toArray()).toEqual([5, 6]);
  expect(ema.stateDict().averages.map((t) => t.toArray())).toEqual([[7, 8]]);
});

test("exchanges nothing when one of its tensors was released", () => {
  const [p, q] = [leaf([1]), leaf([2])];
  const ema = new EMA([p, q], { decay: 0.5 });
  assign(p, [5]);
  q.dispose();
  expect(() => ema.swap()).toThrow(/live tensor/);
  expect(p.item()).toBe(5);
});

test("refuses tensors that are not in order, options of another type, and parameters that were cast", () => {
  const turned = transpose(
    tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  );
  expect(() => new EMA([turned])).toThrow(ShapeError);
  for (const options of [{ warmUp: "false" }, { warmUp: 1 }, { decay: "0.9" }, { decay: [0.5] }, { decay: true }, { decay: null }]) {
    expect(() => new EMA([new Parameter(ones([2]))], options as never)).toThrow(ArgumentError);
  }
});

test("no optimiser moves the averages, no other average takes them in", () => {
  const p = leaf([1, 2]);
  const [ema, other] = [new EMA([p], { decay: 0.5 }), new EMA([p], { decay: 0.5 })];
  assign(p, [5, 6]);
  const gradient = [tensor([1, 1], { dtype: "float64" })];
  const attempts: Record<string, () => unknown> = {
    SGD: () => new SGD([p], { lr: 1 }).step(gradient),
    IRprop: () => new IRprop([p]).step(gradient, 1),
    LBFGS: () => new LBFGS([p]).step(() => 1),
    "EMA.update": () => other.update(),
    EMA: () => new EMA([p]),
  };
  ema.withAverages(() => {
    for (const attempt of Object.values(attempts)) expect(attempt).toThrow(/expected the parameters in their place, got their averages/);
    expect(p.toArray()).toEqual([1, 2]);
  });
  expect(p.toArray()).toEqual([5, 6]);
  // Within another's averages these come and go on their own.
  ema.withAverages(() => other.withAverages(() => undefined));
  new SGD([p], { lr: 1 }).step(gradient);
  expect(p.toArray()).toEqual([4, 5]);
});

test("runs a function on the parameters while averages are in their place", () => {
  const p = leaf([1]);
  const ema = new EMA([p]);
  assign(p, [5]);
  const seen = ema.withAverages(() => [p.item(), ema.withParameters(() => p.item()), p.item()]);
  expect([...seen, p.item()]).toEqual([1, 5, 1, 5]);
});

test("nothing to average and no state are refused", () => {
  expect(() => new EMA([])).toThrow(new ArgumentError("EMA: expected at least one parameter, got none"));
  const ema = new EMA([leaf([1])]);
  for (const state of [null, 3, { updates: 1 }, { updates: 1, averages: [3] }])
    expect(() => ema.loadStateDict(state as never)).toThrow(DTypeError);
});
