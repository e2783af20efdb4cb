/** What is no argument of the gradient algorithms and their companions: refused by name, before anything has moved. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import {
  BroadcastLinear,
  bptt,
  Curriculum,
  crbp,
  type Episodes,
  HebbianLayer,
  KalmanFilter,
  kfRtrl,
  reinforceLosses,
  returnsToGo,
  rollout,
  rtrl,
  SignalFlowGraph,
  truncated,
  uoro,
} from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { SGD } from "../../src/optim/index.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { fit, online } from "../../src/train/index.ts";

const none = null as never;
const dtype = "float64";

describe("options", () => {
  it("are objects", () => {
    const graph = () => new SignalFlowGraph().input("u", 1).node("s", 1);
    for (const make of [
      () => bptt(none),
      () => truncated(none),
      () => truncated(undefined as never),
      () => new BroadcastLinear(2, 1, none),
      () => graph().delay("u", "s", 3 as never),
      () => graph().delay("u", "s", none),
      () => graph().delay("u", "s", { initial: 3 as never }),
    ]) {
      expect(make).toThrow(DTypeError);
    }
    expect(() => graph().delay("u", "s", 3 as never)).toThrow("delay: expected options as an object, got 3");
    expect(() => crbp({} as never)).toThrow("crbp: expected Q to be a whole number or an array of them, got undefined");
  });

  it("have a generator that is one", () => {
    const policy = new RNNCell({ inputSize: 1, hiddenSize: 2 });
    const world = { reset: () => [0], step: () => ({ observation: [0], reward: 0, done: true }) };
    for (const wrong of [5, null, {}] as never[]) {
      for (const make of [
        () => uoro({ generator: wrong }),
        () => kfRtrl({ generator: wrong }),
        () => new Curriculum({ most: 3, threshold: 1, generator: wrong }),
        () => new HebbianLayer({ inputSize: 1, outputSize: 1, rule: "oja", generator: wrong }),
        () => new BroadcastLinear(2, 1, { generator: wrong }),
        () => rollout(policy, [world], { maxSteps: 1, generator: wrong }),
      ]) {
        expect(make).toThrow(DTypeError);
        expect(make).toThrow("expected generator to be a Generator, got");
      }
    }
    expect(() => rollout(policy, [none], { maxSteps: 1 })).toThrow(DTypeError);
  });

  it("have a clipNorm that is a number above 0", async () => {
    const model = new RNNCell({ inputSize: 1, hiddenSize: 1 });
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const loss = (): Tensor => mseLoss(zeros([1]), zeros([1]));
    const clipped = (clipNorm: unknown) => () => online(model, { optimizer, gradients: rtrl(), loss, clipNorm: clipNorm as number });
    expect(clipped("5")).toThrow(DTypeError);
    expect(clipped(Number.NaN)).toThrow(ArgumentError);
    expect(clipped(0)).toThrow(ArgumentError);
    expect(clipped(Number.POSITIVE_INFINITY)).not.toThrow();
    expect(() => fit(model, [{}], { optimizer, loss, maxSteps: 1, clipNorm: "5" as never })).toThrow(DTypeError);
    expect(() => online(model, none)).toThrow(DTypeError);
    expect(() => online(model, { gradients: rtrl(), loss } as never)).toThrow(DTypeError);
    expect(() => online(model, { gradients: rtrl(), optimizer } as never)).toThrow(DTypeError);
  });
});

it("a curriculum's state is one", () => {
  const lessons = new Curriculum({ most: 3, threshold: 1 });
  for (const wrong of [null, undefined, 3, "level", [], { level: 2 }, { level: {}, recent: [] }] as never[]) {
    expect(() => {
      lessons.state = wrong;
    }).toThrow(FormatError);
  }
  expect(lessons.state).toEqual({ level: 1, recent: [] });
});

describe("episodes", () => {
  it("have rewards of every episode at every step", () => {
    expect(() => returnsToGo([[1, 2], [3]])).toThrow(ShapeError);
    expect(() => returnsToGo([[1], [2, 3]])).toThrow("returnsToGo: expected 1 rewards at every step, got 2 at step 1");
    expect(() => returnsToGo([[1], [Number.NaN]])).toThrow(ArgumentError);
    expect(returnsToGo([])).toEqual([]);
    expect(returnsToGo([[0], [0], [4]], 0.5)).toEqual([[1], [2], [4]]);
  });

  it("and the rest of reinforceLosses is checked by name", () => {
    const policy = new RNNCell({ inputSize: 1, hiddenSize: 2 });
    const episodes: Episodes = {
      observations: zeros([2, 1, 1]),
      actions: tensor([[0], [1]], { dtype: "int32" }),
      rewards: [[1], [1]],
      lengths: [2],
    };
    expect(Number.isFinite(reinforceLosses(policy, episodes).policy.item())).toBe(true);
    const wrong: [Partial<Record<keyof Episodes, unknown>>, unknown, typeof DTypeError | typeof ShapeError][] = [
      [{}, null, DTypeError],
      [{ observations: null }, {}, DTypeError],
      [{ observations: zeros([2, 1]) }, {}, ShapeError],
      [{ actions: [[0], [1]] }, {}, DTypeError],
      [{ lengths: 2 }, {}, DTypeError],
      [{ lengths: [1, 1] }, {}, ShapeError],
      [{ rewards: "11" }, {}, DTypeError],
      [{ rewards: [[1], []] }, {}, ShapeError],
      [{}, { baseline: 3 }, DTypeError],
      [{}, { weights: 1 }, DTypeError],
    ];
    for (const [part, options, error] of wrong) {
      expect(() => reinforceLosses(policy, { ...episodes, ...(part as Partial<Episodes>) }, options as never)).toThrow(error);
    }
  });
});

describe("a Kalman filter", () => {
  const made = () => {
    const model = new Linear(2, 1, { dtype, generator: new Generator(1) });
    const filter = new KalmanFilter(model);
    const learn = (variances?: unknown): number =>
      filter.update(model.forward(tensor([[1, 2]], { dtype })), tensor([[3]], { dtype }), { variances } as never);
    const all = (): number[] => [...model.parameters(), ...filter.covariances].flatMap((t) => Array.from<number>(t.data()));
    return { model, filter, learn, all };
  };

  it("takes variances above 0 only", () => {
    const { model, filter, learn, all } = made();
    const before = all();
    for (const variance of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => learn(tensor([[variance]], { dtype }))).toThrow(ArgumentError);
      expect(() => learn(tensor([[variance]], { dtype }))).toThrow("KalmanFilter: expected variances above 0, got");
    }
    const y = model.forward(tensor([[1, 2]], { dtype }));
    for (const call of [
      () => learn(3),
      () => filter.update(y, y, none),
      () => filter.update(y, none),
      () => filter.update([[1]] as never, y),
    ]) {
      expect(call).toThrow(DTypeError);
    }
    expect(all()).toEqual(before);
    learn(tensor([[0.5]], { dtype }));
    expect(all()).not.toEqual(before);
  });

  it("goes back to what was stored before an update", () => {
    const { filter, learn } = made();
    learn();
    const stored = filter.stateDict();
    const values = Array.from(stored.get("covariance.0")?.data() ?? []);
    learn();
    expect(Array.from(filter.covariances[0]?.data() ?? [])).not.toEqual(values);
    filter.loadStateDict(stored);
    expect(Array.from(filter.covariances[0]?.data() ?? [])).toEqual(values);
    // Copies both ways.
    learn();
    expect(Array.from(stored.get("covariance.0")?.data() ?? [])).toEqual(values);
  });

  it("loads covariances only", () => {
    const { filter, all } = made();
    const before = all();
    const load = (rows: number[][]) => () => filter.loadStateDict(new Map([["covariance.0", tensor(rows, { dtype })]]));
    const eye = [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ];
    const withValue = (r: number, c: number, v: number): number[][] => eye.map((row, i) => row.map((x, k) => (i === r && k === c ? v : x)));
    expect(load(withValue(0, 2, 0.5))).toThrow("got 0.5 at [0,2] and 0 at [2,0]");
    for (const wrong of [withValue(0, 2, 0.5), withValue(1, 1, -1), withValue(2, 2, Number.NaN)]) expect(load(wrong)).toThrow(FormatError);
    for (const wrong of ["covariances", null, [1]] as never[]) expect(() => filter.loadStateDict(wrong)).toThrow(DTypeError);
    expect(() => filter.loadStateDict(new Map([["covariance.0", [[1]] as never]]))).toThrow(FormatError);
    expect(all()).toEqual(before);
    load(withValue(0, 0, 2))();
    expect(filter.covariances[0]?.toArray()).toEqual(withValue(0, 0, 2));
  });
});
