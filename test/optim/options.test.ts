/** Options and saved states: one check for both, and nothing half-changed. */

import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import { Adadelta } from "../../src/optim/adadelta.ts";
import { Adagrad } from "../../src/optim/adagrad.ts";
import { Adam, AdamW } from "../../src/optim/adam.ts";
import { Adamax } from "../../src/optim/adamax.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { NAdam } from "../../src/optim/nadam.ts";
import type { OptimizerState } from "../../src/optim/optimizer.ts";
import { RAdam } from "../../src/optim/radam.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { IRprop, Rprop } from "../../src/optim/rprop.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { assign, keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;

/** An optimiser with its options and values of them that make no sense. */
interface Row {
  readonly Class: new (params: Tensor[], options?: object) => SGD;
  readonly options: object;
  readonly wrong: Readonly<Record<string, readonly unknown[]>>;
  /** Values that no saved slot has, by name. */
  readonly slots: Readonly<Record<string, readonly number[]>>;
}

const rate = [-1, nan, inf, -inf, "0.1", null, [1], true];
const fraction = [-0.1, 1, 2, nan, "0.5", null];
const betas = [[0.9, 1], [2, 0.9], [-0.1, 0.9], [0.9], [0.9, 0.9, 0.9], [0.9, nan], ["0.9", 0.9], 0.9, null, {}];
const flag = [0, 1, "false", null];
const common = { lr: rate, weightDecay: rate, maximize: flag };
const square = [-1e-9, nan];
const mean = [nan, inf, -inf];

const rows: Record<string, Row> = {
  SGD: {
    Class: SGD,
    options: { momentum: 0.9 },
    wrong: { ...common, momentum: rate, dampening: [nan, inf, "0"], nesterov: flag },
    slots: { momentumBuffer: mean },
  },
  Adam: {
    Class: Adam as never,
    options: { amsgrad: true },
    wrong: { ...common, betas, eps: rate, amsgrad: flag },
    slots: { expAvg: mean, expAvgSq: square, maxExpAvgSq: square },
  },
  AdamW: { Class: AdamW as never, options: {}, wrong: { ...common, betas, eps: rate }, slots: { expAvg: mean, expAvgSq: square } },
  Adamax: { Class: Adamax as never, options: {}, wrong: { ...common, betas, eps: rate }, slots: { expAvg: mean, expInf: square } },
  NAdam: {
    Class: NAdam as never,
    options: {},
    wrong: { ...common, betas, eps: rate, momentumDecay: rate },
    slots: { expAvg: mean, expAvgSq: square },
  },
  RAdam: { Class: RAdam as never, options: {}, wrong: { ...common, betas, eps: rate }, slots: { expAvg: mean, expAvgSq: square } },
  RMSprop: {
    Class: RMSprop as never,
    options: { centered: true, momentum: 0.5 },
    wrong: { ...common, alpha: fraction, eps: rate, momentum: rate, centered: flag },
    slots: { squareAvg: [...square, inf], gradAvg: mean, momentumBuffer: mean },
  },
  Rprop: {
    Class: Rprop as never,
    options: {},
    wrong: { lr: rate, etas: [[1.5, 2], [0.5, 1], [0, 1.2], [0.5], null], stepSizes: [[0, 1], [2, 1], [nan, 1], [1e-6, inf], "ab"] },
    slots: { prev: mean, stepSize: mean },
  },
  IRprop: {
    Class: IRprop as never,
    options: {},
    wrong: { lr: rate, etas: [[1.5, 2], [0.5, 1], [0, 1.2], [0.5], null], stepSizes: [[0, 1], [2, 1], [nan, 1], [1e-6, inf], "ab"] },
    slots: { prev: mean, stepSize: mean, delta: mean },
  },
  Adagrad: {
    Class: Adagrad as never,
    options: {},
    wrong: { ...common, lrDecay: rate, initialAccumulatorValue: rate, eps: rate },
    slots: { sum: square },
  },
  Adadelta: {
    Class: Adadelta as never,
    options: {},
    wrong: { ...common, rho: fraction, eps: rate },
    slots: { squareAvg: square, accDelta: [...square, inf] },
  },
};

function leaf(): Tensor {
  return keep(tensor([1, -2, 3], { dtype: "float64", requiresGrad: true }));
}

/** After two steps with gradients (0.5, -1, 0.25). */
function stepped({ Class, options }: Row) {
  const p = leaf();
  const optimizer = new Class([p], options);
  const g = tensor([0.5, -1, 0.25], { dtype: "float64" });
  optimizer.step([g], 1);
  optimizer.step([g], 1);
  return { p, optimizer, g };
}

const plain = ({ kind, groups, numbers, tensors }: OptimizerState) =>
  JSON.stringify([kind, groups, numbers, Object.entries(tensors).map(([name, t]) => [name, [...t.data()]])]);

describe.each(Object.entries(rows))("%s", (name, row) => {
  it("takes undefined for an option that is not given, also of a group", () => {
    const { optimizer } = stepped(row);
    const names = Object.keys(optimizer.groups[0] as object).filter((key) => key !== "params");
    const nothing = Object.fromEntries(names.map((key) => [key, undefined]));
    const outcome = (optimizer: SGD) => {
      const first = plain(optimizer.stateDict());
      optimizer.step([tensor([0.5, -1, 0.25], { dtype: "float64" })], 1);
      return [first, plain(optimizer.stateDict()), optimizer.params[0]?.toArray()];
    };
    const expected = outcome(new row.Class([leaf()]));
    expect((expected[2] as number[]).every(Number.isFinite)).toBe(true);
    expect(outcome(new row.Class([leaf()], nothing))).toEqual(expected);
    expect(outcome(new row.Class([{ ...nothing, params: [leaf()] }] as never, nothing))).toEqual(expected);
    const given = new row.Class([{ ...nothing, params: [leaf()] }] as never, { lr: 0.123 });
    expect(given.lr).toBe(0.123);
  });

  it("refuses the same values from the constructor, a file, and a hand in its groups", () => {
    const { optimizer, p, g } = stepped(row);
    const before = plain(optimizer.stateDict());
    const at = p.toArray();
    for (const [option, values] of Object.entries(row.wrong)) {
      for (const value of [...values, undefined]) {
        const told = `${option}: ${JSON.stringify(value)}`;
        // To a constructor undefined means that an option is not given; there is no such thing in a file.
        if (value !== undefined) expect(() => new row.Class([leaf()], { ...row.options, [option]: value }), told).toThrow(ArgumentError);
        const state = optimizer.stateDict();
        const groups = [{ ...state.groups[0], [option]: value }];
        expect(() => optimizer.loadStateDict({ ...state, groups }), told).toThrow(FormatError);
        const group = optimizer.groups[0] as Record<string, unknown>;
        const right = group[option];
        group[option] = value;
        expect(() => optimizer.step([g], 1), told).toThrow(ArgumentError);
        group[option] = right;
      }
    }
    for (const lr of rate) expect(() => Object.assign(optimizer, { lr })).toThrow(ArgumentError);
    expect(plain(optimizer.stateDict())).toBe(before);
    expect(p.toArray()).toEqual(at);
  });

  it("refuses slots that no step of its own can have left, and changes nothing", () => {
    const { optimizer, p } = stepped(row);
    const before = plain(optimizer.stateDict());
    const state = optimizer.stateDict();
    const bad: OptimizerState[] = [0.5, 0, -1, 1e300, nan, inf, "2", null, undefined].map((step) => ({
      ...state,
      numbers: { ...state.numbers, "0.step": step as number },
    }));
    for (const [slot, values] of Object.entries(row.slots)) {
      const held = state.tensors[`0.${slot}`] as Tensor;
      for (const value of values) {
        const t = tensor([held.data()[0] as number, value, 1], { dtype: "float64" });
        bad.push({ ...state, tensors: { ...state.tensors, [`0.${slot}`]: t } });
      }
    }
    for (const b of bad) expect(() => optimizer.loadStateDict(b), plain(b)).toThrow(FormatError);
    expect(plain(optimizer.stateDict())).toBe(before);
    expect(p.toArray()).toEqual([...p.data()]);
  });

  it("takes its own state from JSON and files, whatever sizes its slots have come to", () => {
    const { optimizer } = stepped(row);
    const state = optimizer.stateDict();
    const other = new row.Class([leaf()], row.options);
    other.loadStateDict({ ...state, groups: JSON.parse(JSON.stringify(state.groups)), numbers: JSON.parse(JSON.stringify(state.numbers)) });
    expect(plain(other.stateDict())).toBe(plain(state));
    // Copies: what the saved lists say later is nothing to the optimiser.
    const betas = (state.groups[0] as { betas?: number[] }).betas;
    if (betas !== undefined) {
      const lists = { ...state, groups: [{ ...state.groups[0], betas: [...betas] }] };
      other.loadStateDict(lists);
      (lists.groups[0] as { betas: number[] }).betas[0] = 7;
      expect((other.groups[0] as unknown as { betas: number[] }).betas[0]).toBe(betas[0]);
    }
    // A square that is beyond the largest number stops a parameter; it is no reason to refuse.
    if (name === "Adam") {
      const single = keep(tensor([1], { requiresGrad: true }));
      const adam = new Adam([single]);
      adam.step([tensor([1e30])]);
      expect(adam.stateDict().tensors["0.expAvgSq"]?.item()).toBe(inf);
      adam.loadStateDict(adam.stateDict());
      adam.step([tensor([1])]);
      expect(single.item()).toBe(1);
    }
  });

  it("says in a few words what is wrong with a state, whatever it is", () => {
    const { optimizer } = stepped(row);
    const before = plain(optimizer.stateDict());
    const state = optimizer.stateDict();
    const long = "x".repeat(1e6);
    const first = Object.keys(state.tensors)[0] as string;
    const junk: unknown[] = [
      null,
      undefined,
      3,
      "state",
      [],
      {},
      { ...state, kind: undefined },
      { ...state, kind: long },
      { ...state, groups: null },
      { ...state, groups: long },
      { ...state, groups: [null] },
      { ...state, groups: [long] },
      { ...state, groups: [[]] },
      { ...state, groups: [{ ...state.groups[0], [long]: 1 }] },
      { ...state, groups: [{ ...state.groups[0], lr: long }] },
      { ...state, groups: [{ ...state.groups[0], params: [1] }] },
      { ...state, numbers: null },
      { ...state, numbers: { ...state.numbers, [`0.${long}`]: 1 } },
      { ...state, numbers: { ...state.numbers, [long]: 1 } },
      { ...state, numbers: { ...state.numbers, "0.step": long } },
      { ...state, numbers: { ...state.numbers, "00.step": 1 } },
      { ...state, numbers: { ...state.numbers, " 0.step": 1 } },
      { ...state, numbers: { ...state.numbers, "0.step.more": 1 } },
      { ...state, numbers: { ...state.numbers, "-1.step": 1 } },
      { ...state, numbers: { ...state.numbers, "1e0.step": 1 } },
      { ...state, numbers: { "0.__proto__": 3 } },
      { ...state, tensors: null },
      { ...state, tensors: { ...state.tensors, [first]: 3 } },
      { ...state, tensors: { ...state.tensors, [first]: { data: long } } },
      { ...state, tensors: { ...state.tensors, [first]: tensor(new Array(40).fill(0), { shape: new Array(12).fill(1).concat(40) }) } },
      { ...state, tensors: { ...state.tensors, [`0.${long}`]: tensor([1, 2, 3], { dtype: "float64" }) } },
      { ...state, tensors: {} },
    ];
    for (const [i, bad] of junk.entries()) {
      let error: unknown = null;
      try {
        optimizer.loadStateDict(bad as OptimizerState);
      } catch (e) {
        error = e;
      }
      expect(error, String(i)).toBeInstanceOf(FormatError);
      expect((error as Error).message.length, String(i)).toBeLessThan(500);
    }
    expect(plain(optimizer.stateDict())).toBe(before);
  });
});

describe("LBFGS", () => {
  const made = () => {
    const p = leaf();
    const optimizer = new LBFGS([p], { lr: 0.3, historySize: 4, maxIter: 6 });
    const closure = () => {
      const x = p.data();
      p.grad ??= keep(tensor([0, 0, 0], { dtype: "float64" }));
      assign(p.grad, [2 * (x[0] as number), 4 * (x[1] as number) ** 3, x[2] as number]);
      return (x[0] as number) ** 2 + (x[1] as number) ** 4 + (x[2] as number) ** 2 / 2;
    };
    return { p, optimizer, closure };
  };

  it("takes undefined for an option that is not given", () => {
    const names = ["lr", "maxIter", "maxEval", "toleranceGrad", "toleranceChange", "historySize", "lineSearchFn"];
    const undefinedly = new LBFGS([leaf()], Object.fromEntries(names.map((name) => [name, undefined])));
    expect(plain(undefinedly.stateDict())).toBe(plain(new LBFGS([leaf()]).stateDict()));
  });

  it("refuses a state and has changed nothing by then, its rate neither", () => {
    const { p, optimizer, closure } = made();
    optimizer.step(closure);
    const before = plain(optimizer.stateDict());
    const state = optimizer.stateDict();
    const groups = [{ ...state.groups[0], lr: 0.7 }];
    const without = (name: string) => Object.fromEntries(Object.entries(state.tensors).filter(([key]) => key !== name));
    const number = (name: string, value: unknown) => ({ ...state, groups, numbers: { ...state.numbers, [`0.${name}`]: value as number } });
    expect(Object.keys(state.tensors)).toContain("0.y0");
    const bad = [
      { ...state, groups, tensors: without("0.direction") },
      { ...state, groups, tensors: without("0.s0") },
      { ...state, groups, numbers: {} },
      { ...state, groups, tensors: { ...state.tensors, "0.s9": state.tensors["0.s0"] as Tensor } },
      { ...state, groups, tensors: { ...state.tensors, "0.direction": tensor([nan, 1, 1], { dtype: "float64" }) } },
      ...[0, -1, 0.5, 1e300, nan, "1"].map((value) => number("iterations", value)),
      ...[-1, nan, inf].map((value) => number("stepLength", value)),
      ...[0, -1, nan, inf].flatMap((value) => [number("diagonal", value), number("rho0", value)]),
      number("rho5", 1),
      { ...state, groups: [{ ...state.groups[0], historySize: 1 }] },
      ...Object.entries({
        lr: rate,
        maxIter: [0, 1.5, nan],
        maxEval: [0],
        toleranceGrad: [-1],
        historySize: [0],
        lineSearchFn: ["no", 1],
      }).flatMap(([name, values]) => values.map((value) => ({ ...state, groups: [{ ...state.groups[0], [name]: value }] }))),
    ];
    for (const b of bad) expect(() => optimizer.loadStateDict(b as OptimizerState), plain(b as OptimizerState)).toThrow(FormatError);
    expect(plain(optimizer.stateDict())).toBe(before);
    expect(optimizer.lr).toBe(0.3);
    const same = made();
    same.optimizer.step(same.closure);
    optimizer.step(closure);
    same.optimizer.step(same.closure);
    expect(p.toArray()).toEqual(same.p.toArray());
  });
});

describe("names of options", () => {
  const p = () => [keep(tensor([1], { requiresGrad: true }))];

  it.each([
    ["learningrate", /expected options among (params, )?lr, .*got "learningrate": did you mean lr\?$/],
    ["weight_decay", /did you mean weightDecay\?$/],
    ["momentun", /did you mean momentum\?$/],
    ["LR", /did you mean lr\?$/],
  ])("that do not exist are refused: %s", (name, said) => {
    expect(() => new SGD(p(), { [name]: 0.1 } as object)).toThrow(said);
    expect(() => new SGD([{ params: p(), [name]: 0.1 } as never])).toThrow(said);
  });

  it("are not looked at where no value is given", () => {
    expect(() => new SGD(p(), { weight_decay: undefined } as object)).not.toThrow();
  });

  it.each(Object.entries(rows))("of %s are its own", (_, { Class, options }) => {
    expect(() => new Class(p(), options)).not.toThrow();
    expect(() => new Class(p(), { ...options, nothing: 1 })).toThrow(ArgumentError);
  });
});
