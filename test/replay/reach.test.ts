/** What an eager sweep leaves without a gradient has none after a replay or under a gradient algorithm either. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { type GradientAlgorithm, hybrid, rtrl } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { tanh } from "../../src/ops/math.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Cell, type Recurrence, scanSteps } from "../../src/recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { full, onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { every, families } from "../recurrence/every.ts";

type Scan = (cell: Recurrence, xs: Tensor, state: State) => [Tensor, State];

const replayed: Scan = (cell, xs, state) => cell.scan(xs, state);
const eager: Scan = (cell, xs, state) => scanSteps(cell, xs, state);
const by =
  (algorithm: GradientAlgorithm): Scan =>
  (cell, xs, state) =>
    algorithm.scan(cell, xs, state);

/** What a loss of the outputs, or of one tensor of the last state, gives no gradient: names of parameters, and places in the state. */
function without(cell: Recurrence, scan: Scan, T: number, of: "outputs" | number): string[] {
  return scope(() => {
    const xs = new Generator(4).uniform([T, 2, cell.inputSize], -1, 1, "float64");
    const start = mapState((s) => (isFloat(s.dtype) ? track(s.detach()) : s), cell.initialState(2));
    const carried = stateTensors(start);
    const [ys, last] = scan(cell, xs, restoreState(start, carried) as State);
    const root = of === "outputs" ? ys : (stateTensors(last)[of] as Tensor);
    if (root.node === null && !root.requiresGrad) return ["all"];
    const loss = sum(mul(root, root));
    const named = [...cell.namedParameters(), ...carried.flatMap((s, i) => (isFloat(s.dtype) ? [[`state ${i}`, s] as const] : []))];
    const found = gradients(
      [loss],
      named.map(([, t]) => t),
      [onesLike(loss)],
    );
    return named.flatMap(([name], i) => (found[i] === null ? [name] : []));
  });
}

const make = (name: string): Recurrence => every[name]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;

/** No steps in time: the definition of their scan is another. */
const OTHER_SCANS = /^(LSTM|GRU|Bidirectional|Reversed|DetachEvery)$/;

/** Whole sequences at once: where a sequence is one step long, what a step leaves out is a part of no rows there. */
const AT_ONCE = new Set([...Object.keys(families.diagonal), "MealyMachine"]);

describe("no gradient, not a gradient of 0", () => {
  it.each(Object.keys(every).filter((name) => !OTHER_SCANS.test(name)))("where the definition has none: %s", (name) => {
    const atOnce = AT_ONCE.has(name);
    for (const T of atOnce ? [3, 5] : [1, 3, 5]) {
      const states = atOnce ? [] : stateTensors(make(name).initialState(2));
      const roots = ["outputs" as const, ...states.flatMap((s, i) => (isFloat(s.dtype) ? [i] : []))];
      for (const of of roots) {
        expect(without(make(name), replayed, T, of), `${T} steps, loss of ${of}`).toEqual(without(make(name), eager, T, of));
      }
    }
  });
});

/** h' = tanh(x·w + s·h), y = h·readout; a delay line beside it, an option that is off, a state that nobody reads. */
class Partly extends Cell<{ h: Tensor; late: Tensor; idle: Tensor }> {
  readonly inputSize = 2;
  readonly outputSize = 2;
  readonly w: Parameter = new Parameter(full([2], 0.5, "float64"));
  readonly s: Parameter = new Parameter(full([2], 0.25, "float64"));
  readonly readout: Parameter = new Parameter(full([2], 2, "float64"));
  readonly spare: Parameter = new Parameter(full([2], 3, "float64"));
  readonly intoIdle: Parameter = new Parameter(full([2], 3, "float64"));
  readonly unused: Linear = new Linear(2, 2, { dtype: "float64" });
  on = false;

  initialState(batch: number) {
    const zero = () => zeros([batch, 2], "float64");
    return { h: zero(), late: zero(), idle: zero() };
  }

  step(x: Tensor, { h, late, idle }: { h: Tensor; late: Tensor; idle: Tensor }): [Tensor, { h: Tensor; late: Tensor; idle: Tensor }] {
    const next = tanh(add(mul(x, this.w), mul(this.s, h)));
    const y = mul(next, this.readout);
    return [this.on ? mul(y, this.spare) : y, { h: next, late: h, idle: add(mul(idle, this.intoIdle), late) }];
  }
}

const xs = (T: number): Tensor => new Generator(4).uniform([T, 2, 2], -1, 1, "float64");

describe.each([
  ["a replay", replayed],
  ["rtrl", by(rtrl())],
  ["hybrid(2)", by(hybrid(2))],
])("%s", (_, scan) => {
  it("gives parameters that no step reads no gradient", () => {
    const cell = new Partly();
    for (const T of [1, 3, 4]) {
      const idle = without(cell as never, scan, T, "outputs");
      expect(idle).toEqual(expect.arrayContaining(["spare", "unused.weight", "unused.bias"]));
      expect(idle).not.toContain("w");
      expect(idle).not.toContain("state 0");
    }
  });

  it("gives one whose option was switched on its gradient", () => {
    const cell = new Partly();
    without(cell as never, scan, 4, "outputs");
    cell.on = true;
    expect(without(cell as never, scan, 4, "outputs")).not.toContain("spare");
  });

  it("lets weight decay leave alone what has no part in the loss", () => {
    const cell = new Partly();
    const optimizer = new SGD(cell.parameters(), { lr: 0.1, weightDecay: 0.5 });
    backward(sum(scan(cell as never, xs(4), cell.initialState(2) as never)[0]));
    optimizer.step();
    expect(Array.from(cell.spare.data())).toEqual([3, 3]);
    expect(cell.w.data()[0]).not.toBe(0.5);
  });
});

it("a delay that no output has seen yet has no gradient in a replay", () => {
  const cell = new Partly();
  expect(without(cell as never, replayed, 4, "outputs")).toEqual(without(cell as never, eager, 4, "outputs"));
  expect(without(cell as never, replayed, 4, "outputs")).toContain("into_idle");
  expect(without(cell as never, replayed, 4, 2)).toEqual(without(cell as never, eager, 4, 2));
  expect(without(cell as never, replayed, 3, 1)).toEqual(without(cell as never, eager, 3, 1));
});

/** Puts out and carries what depends on its parameters, or not. */
class Cut extends Cell<{ h: Tensor; late: Tensor }> {
  readonly inputSize = 2;
  readonly outputSize = 2;
  readonly w: Parameter = new Parameter(full([2], 0.5, "float64"));
  output = false;
  carried = false;

  initialState(batch: number) {
    return { h: zeros([batch, 2], "float64"), late: zeros([batch, 2], "float64") };
  }

  step(x: Tensor, { h }: { h: Tensor; late: Tensor }): [Tensor, { h: Tensor; late: Tensor }] {
    const next = tanh(add(mul(x, this.w), h));
    const kept = this.carried ? next : next.detach();
    return [this.output ? next : mul(h, 2), { h: kept, late: h }];
  }
}

describe("what depends on nothing that needs a gradient is on no tape", () => {
  const flags = [false, true];
  const cases = flags.flatMap((output) => flags.flatMap((carried) => flags.map((start) => ({ output, carried, start }))));
  it.each(cases)("as in the definition: %o", ({ output, carried, start }) => {
    const cell = Object.assign(new Cut(), { output, carried });
    for (const T of [1, 2, 3, 5]) {
      const [replayedTape, eagerTape] = [replayed, eager].map((scan) => {
        const h = zeros([2, 2], "float64");
        const [ys, last] = scan(cell as never, xs(T), { h: start ? track(h) : h, late: zeros([2, 2], "float64") });
        return [ys, ...stateTensors(last)].map((t) => t.node !== null);
      });
      expect(replayedTape, `${T} steps`).toEqual(eagerTape);
    }
  });

  it("so its gradient is refused", () => {
    const cell = new Cut();
    expect(() => backward(sum(cell.scan(xs(4))[0]))).toThrow(/expected an output that depends on a tensor with requiresGrad/);
  });
});
