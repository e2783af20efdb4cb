import { describe, expect, test } from "vitest";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { Adadelta } from "../../src/optim/adadelta.ts";
import { Adagrad } from "../../src/optim/adagrad.ts";
import { Adam, AdamW } from "../../src/optim/adam.ts";
import { Adamax } from "../../src/optim/adamax.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { Lion } from "../../src/optim/lion.ts";
import { NAdam } from "../../src/optim/nadam.ts";
import type { OptimizerState } from "../../src/optim/optimizer.ts";
import { RAdam } from "../../src/optim/radam.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { IRprop, Rprop } from "../../src/optim/rprop.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { assign, empty, keep, scope, Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

/** An optimiser, whatever its step needs. */
interface Stepper {
  readonly params: readonly Tensor[];
  advance(closure: () => number): void;
  stateDict(): OptimizerState;
  loadStateDict(state: OptimizerState): void;
  zeroGrad(): void;
}

type FirstOrder = { new (params: Tensor[], options: object): SGD | Adam | Rprop };

interface Row {
  readonly name: string;
  make(params: Tensor[], options?: object): Stepper;
  /** Options and steps with which Rosenbrock's function falls below the bound. */
  readonly rosenbrock: { readonly options: object; readonly steps: number; readonly below: number };
  readonly quadratic: { readonly options: object; readonly steps: number };
  /** One step from p = 1 with gradient 0.5 under `handOptions`, worked by hand; then one with gradient −0.25. */
  readonly hand?: { readonly options: object; readonly values: readonly [number, number] };
}

function firstOrder(Class: FirstOrder): (params: Tensor[], options?: object) => Stepper {
  return (params, options = {}) => {
    const optimizer = new Class(params, options);
    return Object.assign(optimizer, {
      advance(closure: () => number) {
        optimizer.step(undefined, closure());
      },
    });
  };
}

function secondOrder(params: Tensor[], options: object = {}): Stepper {
  const optimizer = new LBFGS(params, options);
  return Object.assign(optimizer, {
    advance(closure: () => number) {
      optimizer.step(closure);
    },
  });
}

const rows: Row[] = [
  {
    name: "SGD",
    make: firstOrder(SGD as unknown as FirstOrder),
    quadratic: { options: { lr: 0.1 }, steps: 400 },
    rosenbrock: { options: { lr: 1e-3 }, steps: 8000, below: 1e-2 },
    hand: { options: { lr: 0.1 }, values: [0.95, 0.975] },
  },
  {
    name: "SGD with momentum and dampening",
    make: firstOrder(SGD as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05, momentum: 0.9, dampening: 0.5 }, steps: 500 },
    rosenbrock: { options: { lr: 1e-3, momentum: 0.9, dampening: 0.1 }, steps: 3000, below: 1e-3 },
    // m = 0.5, then 0.9·0.5 + 0.5·(−0.25) = 0.325.
    hand: { options: { lr: 0.1, momentum: 0.9, dampening: 0.5 }, values: [0.95, 0.9175] },
  },
  {
    name: "SGD with Nesterov's momentum",
    make: firstOrder(SGD as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05, momentum: 0.9, nesterov: true }, steps: 400 },
    rosenbrock: { options: { lr: 1e-3, momentum: 0.9, nesterov: true }, steps: 3000, below: 1e-3 },
    // m = 0.5, p −= 0.1·0.95; m = 0.2, p −= 0.1·(−0.25 + 0.18).
    hand: { options: { lr: 0.1, momentum: 0.9, nesterov: true }, values: [0.905, 0.912] },
  },
  {
    name: "RMSprop",
    make: firstOrder(RMSprop as unknown as FirstOrder),
    quadratic: { options: { lr: 2e-3, alpha: 0.9 }, steps: 5000 },
    rosenbrock: { options: { lr: 1e-3 }, steps: 6000, below: 1e-2 },
    // v = 0.025, then 0.0225 + 0.00625 = 0.02875.
    hand: {
      options: { lr: 0.1, alpha: 0.9, eps: 0 },
      values: [1 - 0.05 / Math.sqrt(0.025), 1 - 0.05 / Math.sqrt(0.025) + 0.025 / Math.sqrt(0.02875)],
    },
  },
  {
    name: "RMSprop centred with momentum",
    make: firstOrder(RMSprop as unknown as FirstOrder),
    quadratic: { options: { lr: 1e-3, alpha: 0.9, centered: true, momentum: 0.5, eps: 1e-2 }, steps: 8000 },
    rosenbrock: { options: { lr: 5e-4, centered: true, momentum: 0.5, eps: 1e-4 }, steps: 8000, below: 1e-2 },
  },
  {
    name: "Adagrad",
    make: firstOrder(Adagrad as unknown as FirstOrder),
    quadratic: { options: { lr: 1 }, steps: 500 },
    rosenbrock: { options: { lr: 0.5 }, steps: 8000, below: 1e-2 },
    // s = 0.25, then 0.3125 with the rate 0.1/1.5.
    hand: { options: { lr: 0.1, lrDecay: 0.5, eps: 0 }, values: [0.9, 0.9 + (0.1 / 1.5) * (0.25 / Math.sqrt(0.3125))] },
  },
  {
    name: "Adadelta",
    make: firstOrder(Adadelta as unknown as FirstOrder),
    quadratic: { options: { lr: 0.3, eps: 1e-4 }, steps: 3000 },
    rosenbrock: { options: { lr: 0.1, eps: 1e-8 }, steps: 20_000, below: 1e-2 },
    // v = 0.025; u = 0.5·√0.01/√0.035.
    hand: {
      options: { eps: 0.01, rho: 0.9 },
      values: [1 - (0.5 * 0.1) / Math.sqrt(0.035), handAdadelta()],
    },
  },
  {
    name: "Adam",
    make: firstOrder(Adam as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 2000 },
    rosenbrock: { options: { lr: 0.02 }, steps: 4000, below: 1e-3 },
    // m̂ = 0.5, v̂ = 0.25; then m = 0.9·0.05 − 0.025 = 0.02, v = 0.9·0.025 + 0.00625.
    hand: { options: { lr: 0.1, betas: [0.9, 0.9], eps: 0 }, values: [0.9, 0.9 - (0.1 * (0.02 / 0.19)) / Math.sqrt(0.02875 / 0.19)] },
  },
  {
    name: "Adam with AMSGrad",
    make: firstOrder(Adam as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05, amsgrad: true }, steps: 2000 },
    rosenbrock: { options: { lr: 0.05, amsgrad: true }, steps: 8000, below: 1e-2 },
    // v falls from 0.125 to 0.09375, the largest stays.
    hand: {
      options: { lr: 0.1, betas: [0.9, 0.5], eps: 0, amsgrad: true },
      values: [0.9, 0.9 - (0.1 * (0.02 / 0.19)) / Math.sqrt(0.125 / 0.75)],
    },
  },
  {
    name: "AdamW",
    make: firstOrder(AdamW as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05, weightDecay: 0 }, steps: 2000 },
    rosenbrock: { options: { lr: 0.02, weightDecay: 0 }, steps: 4000, below: 1e-3 },
    // Shrinks by 1 − 0.1·0.5 first.
    hand: {
      options: { lr: 0.1, betas: [0.9, 0.9], eps: 0, weightDecay: 0.5 },
      values: [0.85, 0.85 * 0.95 - (0.1 * (0.02 / 0.19)) / Math.sqrt(0.02875 / 0.19)],
    },
  },
  {
    name: "Adamax",
    make: firstOrder(Adamax as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 3000 },
    rosenbrock: { options: { lr: 0.02 }, steps: 8000, below: 1e-2 },
    // u = 0.5, then max(0.45, 0.25).
    hand: { options: { lr: 0.1, betas: [0.9, 0.9], eps: 0 }, values: [0.9, 0.9 - (0.1 * (0.02 / 0.19)) / 0.45] },
  },
  {
    name: "NAdam",
    make: firstOrder(NAdam as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 2000 },
    rosenbrock: { options: { lr: 0.02 }, steps: 6000, below: 1e-2 },
    hand: { options: { lr: 0.1, betas: [0.9, 0.9], eps: 0, momentumDecay: 0 }, values: handNAdam() },
  },
  {
    name: "RAdam",
    make: firstOrder(RAdam as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 2000 },
    rosenbrock: { options: { lr: 2e-3 }, steps: 20_000, below: 1e-2 },
    // ρ is below 5 in both steps: plain m̂.
    hand: { options: { lr: 0.1, betas: [0.9, 0.9], eps: 0 }, values: [0.95, 0.95 - 0.1 * (0.02 / 0.19)] },
  },
  {
    name: "Rprop",
    make: firstOrder(Rprop as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 300 },
    rosenbrock: { options: { lr: 1e-3 }, steps: 4000, below: 1e-2 },
    // The sign turns: the step halves and is not taken.
    hand: { options: { lr: 0.1 }, values: [0.9, 0.9] },
  },
  {
    name: "IRprop",
    make: firstOrder(IRprop as unknown as FirstOrder),
    quadratic: { options: { lr: 0.05 }, steps: 300 },
    rosenbrock: { options: { lr: 1e-3 }, steps: 4000, below: 1e-2 },
    // The sign turns and the loss has not risen: no step.
    hand: { options: { lr: 0.1 }, values: [0.9, 0.9] },
  },
  {
    name: "Lion",
    make: firstOrder(Lion as unknown as FirstOrder),
    quadratic: { options: { lr: 2e-3, weightDecay: 0 }, steps: 6000 },
    rosenbrock: { options: { lr: 5e-4 }, steps: 8000, below: 1e-2 },
    // u = sign 0.05, m = 0.005; then u = sign(0.0045 − 0.025).
    hand: { options: { lr: 0.1 }, values: [0.9, 1] },
  },
  {
    name: "Lion with weight decay",
    make: firstOrder(Lion as unknown as FirstOrder),
    quadratic: { options: { lr: 2e-3, betas: [0.5, 0.5] }, steps: 6000 },
    rosenbrock: { options: { lr: 5e-4, betas: [0.5, 0.9] }, steps: 8000, below: 1e-2 },
    // p ← 0.95·1 − 0.1; m = 0.05, u = sign(0.025 − 0.125): p ← 0.95·0.85 + 0.1.
    hand: { options: { lr: 0.1, weightDecay: 0.5, betas: [0.5, 0.9] }, values: [0.85, 0.9075] },
  },
  {
    name: "LBFGS",
    make: secondOrder,
    quadratic: { options: { lr: 0.5 }, steps: 20 },
    rosenbrock: { options: { lr: 0.3 }, steps: 30, below: 1e-6 },
  },
  {
    name: "LBFGS with a line search",
    make: secondOrder,
    quadratic: { options: { lineSearchFn: "strongWolfe" }, steps: 5 },
    rosenbrock: { options: { lineSearchFn: "strongWolfe", historySize: 5, toleranceChange: 1e-14 }, steps: 5, below: 1e-12 },
  },
];

function handAdadelta(): number {
  const u1 = (0.5 * 0.1) / Math.sqrt(0.035);
  const x = 0.1 * u1 * u1;
  const v = 0.9 * 0.025 + 0.1 * 0.0625;
  return 1 - u1 + (0.25 * Math.sqrt(x + 0.01)) / Math.sqrt(v + 0.01);
}

/** PyTorch 2: 1 − Π·μₜ₊₁ under the mean. With momentumDecay 0 every μ is 0.45; the product's rounding to single precision is within the tolerance. */
function handNAdam(): [number, number] {
  const mu = 0.45;
  const first = 1 - (0.1 * ((0.55 / (1 - mu)) * 0.5 + (mu / (1 - mu ** 2)) * 0.05)) / 0.5;
  const second = ((0.55 / (1 - mu ** 2)) * -0.25 + (mu / (1 - mu ** 3)) * 0.02) / Math.sqrt(0.02875 / 0.19);
  return [first, first - 0.1 * second];
}

function leaf(values: number[], dtype: FloatDType): Tensor {
  return keep(tensor(values, { dtype, requiresGrad: true }));
}

function setGradient(p: Tensor, values: number[]): void {
  p.grad ??= keep(empty(p.shape, p.dtype));
  assign(p.grad, values);
}

/** Σ cᵢ(pᵢ − i)² with curvatures from 1 to 5: over two parameters of 5 and 3 elements. */
function quadraticProblem(dtype: FloatDType): { params: Tensor[]; closure: () => number } {
  const params = [leaf([4, -3, 2, -1, 0.5], dtype), leaf([1, 2, -3], dtype)];
  const closure = () => {
    let loss = 0;
    let k = 0;
    for (const p of params) {
      const gradient = Array.from(p.data(), (v) => {
        const [c, target] = [1 + (k % 5), 0.3 * k];
        k++;
        loss += 0.5 * c * (v - target) ** 2;
        return c * (v - target);
      });
      setGradient(p, gradient);
    }
    return loss;
  };
  return { params, closure };
}

/** (1 − x)² + 100(y − x²)², from (−1.2, 1). */
function rosenbrockProblem(dtype: FloatDType): { params: Tensor[]; closure: () => number } {
  const p = leaf([-1.2, 1], dtype);
  const closure = () => {
    const [x = 0, y = 0] = p.data();
    setGradient(p, [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]);
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2;
  };
  return { params: [p], closure };
}

const valuesOf = (params: readonly Tensor[]) => params.map((p) => Array.from(p.data()));

describe.each(rows)("$name", ({ make, quadratic, rosenbrock, hand }) => {
  test.each(["float32", "float64"] as const)("minimises a quadratic in %s", (dtype) => {
    const { params, closure } = quadraticProblem(dtype);
    const optimizer = make(params, quadratic.options);
    const first = closure();
    for (let i = 0; i < quadratic.steps; i++) optimizer.advance(closure);
    expect(closure()).toBeLessThan(1e-5 * first);
  });

  test("descends Rosenbrock's valley", () => {
    const { params, closure } = rosenbrockProblem("float64");
    const optimizer = make(params, rosenbrock.options);
    for (let i = 0; i < rosenbrock.steps; i++) optimizer.advance(closure);
    expect(closure()).toBeLessThan(rosenbrock.below);
  });

  test.skipIf(hand === undefined)("takes two steps worked by hand", () => {
    if (hand === undefined) return;
    const p = leaf([1], "float64");
    const optimizer = make([p], hand.options);
    [0.5, -0.25].forEach((g, i) => {
      optimizer.advance(() => {
        setGradient(p, [g]);
        return 0;
      });
      expect(p.item()).toBeCloseTo(hand.values[i] as number, hand.values.length === 2 ? 7 : 12);
    });
  });

  test.each(["float32", "float64"] as const)("goes on from a saved state to the bit in %s", (dtype) => {
    const whole = quadraticProblem(dtype);
    const uninterrupted = make(whole.params, quadratic.options);
    for (let i = 0; i < 7; i++) uninterrupted.advance(whole.closure);

    const begun = quadraticProblem(dtype);
    const before = make(begun.params, quadratic.options);
    for (let i = 0; i < 3; i++) before.advance(begun.closure);
    const saved = before.stateDict();
    const resumed = quadraticProblem(dtype);
    resumed.params.forEach((p, i) => {
      assign(p, begun.params[i] as Tensor);
    });
    const after = make(resumed.params, { ...quadratic.options, lr: 123 });
    after.loadStateDict(saved);
    for (let i = 0; i < 2; i++) before.advance(begun.closure); // must not disturb what was loaded
    for (let i = 0; i < 4; i++) after.advance(resumed.closure);
    expect(valuesOf(resumed.params)).toEqual(valuesOf(whole.params));
  });

  test("holds no more memory after 1000 steps than after 20", () => {
    const { params, closure } = quadraticProblem("float32");
    const optimizer = make(params, { ...quadratic.options, lr: 1e-6, ...(make === secondOrder && { historySize: 3, maxIter: 2 }) });
    for (let i = 0; i < 20; i++) optimizer.advance(closure);
    const before = memory();
    for (let i = 0; i < 1000; i++) optimizer.advance(closure);
    expect(memory().liveBytes).toBe(before.liveBytes);
    expect(memory().blocks).toBe(before.blocks);
  });

  test("rejects another's state and changes nothing", () => {
    const { params, closure } = quadraticProblem("float64");
    const optimizer = make(params, quadratic.options);
    optimizer.advance(closure);
    const saved = optimizer.stateDict();
    const short = make([leaf([1], "float64")], quadratic.options);
    expect(() => short.loadStateDict(saved)).toThrow(/loadStateDict: expected/);
    expect(() => optimizer.loadStateDict({ ...saved, kind: "other" })).toThrow(/expected the state of \w+, got that of other/);
    expect(() => optimizer.loadStateDict({ ...saved, groups: [] })).toThrow(/expected 1 groups, got 0/);
    expect(() => optimizer.loadStateDict({ ...saved, numbers: { "7.step": 1 } })).toThrow(/got "7.step"/);
    const again = optimizer.stateDict();
    expect(again.numbers).toEqual(saved.numbers);
    for (const [name, t] of Object.entries(again.tensors)) expect(t.data()).toEqual(saved.tensors[name]?.data());
  });
});

describe("IRprop", () => {
  /** p after steps with gradients and losses. */
  const walk = (steps: readonly (readonly [g: number, loss: number])[], options: object = {}): number[] => {
    const p = leaf([1], "float64");
    const optimizer = new IRprop([p], { lr: 0.1, ...options });
    return steps.map(([g, loss]) => {
      setGradient(p, [g]);
      optimizer.step(undefined, loss);
      return p.item();
    });
  };
  const expectWalk = (got: number[], expected: number[]) => {
    expected.forEach((value, i) => {
      expect(got[i]).toBeCloseTo(value, 12);
    });
  };

  test("takes back a step over the minimum where the loss has risen, and then goes on with half of it", () => {
    // 0.1; 0.12 more; back by 0.12 with s = 0.06, which no remembered sign changes in the next step; then 0.072.
    expectWalk(
      walk([
        [1, 5],
        [1, 4],
        [-1, 6],
        [1, 4],
        [1, 3],
      ]),
      [0.9, 0.78, 0.9, 0.84, 0.768],
    );
  });

  test("keeps it where the loss has fallen or stayed, and where it climbs, where it has risen", () => {
    expectWalk(
      walk([
        [1, 5],
        [-1, 4],
        [-1, 4],
        [2, 4],
      ]),
      [0.9, 0.9, 0.95, 0.95],
    );
    expectWalk(
      walk(
        [
          [1, 5],
          [-1, 6],
          [-1, 6],
          [1, 5],
        ],
        { maximize: true },
      ),
      [1.1, 1.1, 1.05, 1.1],
    );
  });

  test("stays within its sizes, does nothing at a gradient of 0, and needs the loss", () => {
    expectWalk(
      walk(
        [
          [1, 1],
          [1, 1],
          [0, 1],
          [-1, 1],
          [1, 1],
          [1, 1],
        ],
        { stepSizes: [0.09, 0.11] },
      ),
      [0.9, 0.79, 0.79, 0.9, 0.9, 0.81],
    );
    const p = leaf([1], "float64");
    const optimizer = new IRprop([p]);
    setGradient(p, [1]);
    expect(() => optimizer.step()).toThrow(/IRprop.step: expected the loss as a second argument, got undefined/);
    expect(() => optimizer.step(undefined, Number.NaN)).toThrow(ArgumentError);
    expect(p.item()).toBe(1);
  });
});

describe("Optimizer", () => {
  test("groups have their own options, and lr sets all", () => {
    const [a, b] = [leaf([1], "float64"), leaf([1], "float64")];
    const optimizer = new SGD([{ params: [a], lr: 0.5 }, { params: [b] }], { lr: 0.1 });
    setGradient(a, [1]);
    setGradient(b, [1]);
    optimizer.step();
    expect([a.item(), b.item()]).toEqual([0.5, 0.9]);
    expect(optimizer.lr).toBe(0.5);
    optimizer.lr = 0.25;
    expect(optimizer.groups.map((g) => g.lr)).toEqual([0.25, 0.25]);
    expect(() => {
      optimizer.lr = -1;
    }).toThrow(/expected lr of at least 0, got -1/);
  });

  test("takes given gradients, also strided ones, and skips parameters without", () => {
    const w = keep(tensor([1, 2, 3, 4, 5, 6], { shape: [2, 3], dtype: "float64", requiresGrad: true }));
    const b = leaf([1], "float64");
    const source = tensor([1, 2, 3, 4, 5, 6], { dtype: "float64" });
    const transposed = new Tensor(source.storage, "float64", [2, 3], [1, 2]);
    const optimizer = new SGD([w, b], { lr: 1 });
    optimizer.step([transposed, null]);
    expect(Array.from(w.data())).toEqual([0, -1, -2, 2, 1, 0]);
    expect(b.item()).toBe(1);
    optimizer.step();
    expect(Array.from(w.data())).toEqual([0, -1, -2, 2, 1, 0]);
  });

  test("climbs with maximize, decays with weightDecay", () => {
    const p = leaf([2], "float64");
    const optimizer = new SGD([p], { lr: 0.5, maximize: true, weightDecay: 0.1 });
    setGradient(p, [1]);
    optimizer.step();
    expect(p.item()).toBeCloseTo(2 + 0.5 * (1 - 0.2), 14);
  });

  test("works inside scopes: state outlives them, gradients are forgotten", () => {
    const p = leaf([1, 2, 3], "float32");
    const optimizer = new Adam([p]);
    scope(() => {
      setGradient(p, [1, 1, 1]);
      optimizer.step();
    });
    expect(optimizer.stateDict().tensors["0.expAvg"]?.data()).toEqual(new Float32Array(3).fill(Math.fround(Math.fround(1 - 0.9))));
    optimizer.zeroGrad();
    expect(p.grad).toBe(null);
  });

  test("accepts parameters of no elements", () => {
    const p = leaf([], "float32");
    const optimizer = new Adam([p]);
    setGradient(p, []);
    optimizer.step();
    expect(p.size).toBe(0);
  });

  test("says what is wrong", () => {
    const p = leaf([1, 2], "float64");
    const optimizer = new Adam([p]);
    expect(() => new Adam([])).toThrow(/Adam: expected at least one parameter, got none/);
    expect(() => new Adam([p, p])).toThrow(/expected every parameter once/);
    expect(() => new Adam([tensor([1])])).toThrow(/expected leaves with requiresGrad/);
    expect(() => new Adam([tensor(new Int32Array(2))])).toThrow(/expected float parameters, got int32/);
    expect(() => new Adam([p], { lr: -1 })).toThrow(/Adam: expected lr of at least 0, got -1/);
    expect(() => new Adam([p], { betas: [0.9, 1] })).toThrow(/expected betas\[1\] in \[0, 1\), got 1/);
    expect(() => new SGD([p], { nesterov: true })).toThrow(/expected momentum above 0/);
    expect(() => new Rprop([p], { etas: [1.5, 2] })).toThrow(/expected etas/);
    expect(() => optimizer.step([])).toThrow(/expected 1 gradients, got 0/);
    expect(() => optimizer.step([tensor([1], { dtype: "float64" })])).toThrow(/expected a gradient of shape \[2\], got \[1\]/);
    expect(() => optimizer.step([tensor([1, 2])])).toThrow(/expected a float64 gradient, got float32/);
    expect(Array.from(p.data())).toEqual([1, 2]);
    expect(() => new LBFGS([p, leaf([1], "float32")])).toThrow(/expected parameters of one dtype/);
  });
});

describe("LBFGS", () => {
  test("returns the loss before the step and stops at the minimum", () => {
    const { params, closure } = quadraticProblem("float64");
    const optimizer = new LBFGS(params, { lineSearchFn: "strongWolfe", maxIter: 50 });
    const first = closure();
    expect(optimizer.step(closure)).toBe(first);
    let calls = 0;
    optimizer.step(() => {
      calls++;
      return closure();
    });
    expect(calls).toBeLessThan(10);
  });

  test("survives losses that are not numbers", () => {
    const p = leaf([3], "float64");
    const optimizer = new LBFGS([p], { lr: 100, lineSearchFn: "strongWolfe" });
    // −log-like wall: not a number beyond 3.5.
    const closure = () => {
      const x = p.item();
      setGradient(p, [x > 3.5 ? Number.NaN : 2 * x - 6.5]);
      return x > 3.5 ? Number.NaN : x * x - 6.5 * x;
    };
    optimizer.step(closure);
    expect(p.item()).toBeCloseTo(3.25, 6);
  });
});

describe.each([
  ["Adam", Adam],
  ["AdamW", AdamW],
  ["NAdam", NAdam],
  ["RAdam", RAdam],
] as const)("%s of many parameters", (_name, Class) => {
  // One call of the kernel takes nine parameters: these go into three, and two dtypes and two groups besides.
  const sizes = Array.from({ length: 23 }, (_, i) => 1 + ((5 * i) % 9));
  const values = (seed: number) => sizes.map((n, i) => Array.from({ length: n }, (_, k) => Math.sin(seed + 7 * i + k)));
  const made = () => values(1).map((v, i) => tensor(v, { dtype: i % 11 === 10 ? "float64" : "float32", requiresGrad: true }));
  const gradientsOf = (params: Tensor[], seed: number) => values(seed).map((v, i) => tensor(v, { dtype: (params[i] as Tensor).dtype }));

  test("steps as each of them would alone", () => {
    const together = made();
    const alone = made();
    const lr = (i: number) => (i < 15 ? 0.1 : 0.02);
    const groups = [
      { params: together.slice(0, 15), lr: lr(0) },
      { params: together.slice(15), lr: lr(15) },
    ];
    const one = new Class(groups, { weightDecay: 0.05 });
    const each = alone.map((p, i) => new Class([p], { weightDecay: 0.05, lr: lr(i) }));
    for (const seed of [2, 3, 4]) {
      // Parameter 4 misses the second step, so that it is at another step than its neighbours from then on.
      const gradients = gradientsOf(together, seed).map((g, i) => (i === 4 && seed === 3 ? null : g));
      one.step(gradients);
      each.forEach((optimizer, i) => {
        optimizer.step([gradients[i] ?? null]);
      });
    }
    expect(together.map((p) => p.toArray())).toEqual(alone.map((p) => p.toArray()));
    expect(together[0]?.toArray()).not.toEqual(values(1)[0]);
  });
});

test("NAdam takes the steps of PyTorch 2, in plain numbers", () => {
  const [lr, beta1, beta2, eps, decay] = [0.1, 0.8, 0.9, 1e-8, 0.5];
  const p = leaf([1], "float64");
  const optimizer = new NAdam([p], { lr, betas: [beta1, beta2], eps, momentumDecay: decay });
  const mu = (t: number) => beta1 * (1 - 0.5 * 0.96 ** (t * decay));
  let [x, m, v, product] = [1, 0, 0, 1];
  for (const [i, d] of [0.5, -0.25, 0.125, 1, 0.75].entries()) {
    const t = i + 1;
    product *= mu(t);
    m = beta1 * m + (1 - beta1) * d;
    v = beta2 * v + (1 - beta2) * d * d;
    const direction = ((1 - mu(t)) / (1 - product)) * d + (mu(t + 1) / (1 - product * mu(t + 1))) * m;
    x -= (lr * direction) / (Math.sqrt(v / (1 - beta2 ** t)) + eps);
    setGradient(p, [d]);
    optimizer.step();
    // The product is kept in single precision, as PyTorch keeps it.
    expect(!(Math.abs((p.data()[0] as number) - x) <= 1e-7)).toBe(false);
  }
});
