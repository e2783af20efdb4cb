/** Independent units: what a cell promises about them, what real-time recurrent learning makes of it, and what a rule depends on. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { StateError } from "../../src/base/errors.ts";
import { rtrl } from "../../src/learning/index.ts";
import { Stretch } from "../../src/learning/stretch.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { mapState, stateTensors } from "../../src/recurrence/state.ts";
import { onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every } from "../recurrence/every.ts";
import { expectEqual, largest } from "./recurrences.ts";

const dtype = "float64";
const [T, B] = [6, 2];
const make = (name: string): Recurrence => every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
const independent = Object.keys(every).filter((name) => scope(() => make(name).independentUnits !== undefined));

describe("independent units", () => {
  it("are promised by the diagonal cells", () => {
    const kinds = new Set(independent.map((name) => make(name).constructor.name));
    expect([...kinds].sort()).toEqual(["IndRNN", "LRU", "MinGRU", "MinLSTM", "QRNN", "SRU"]);
  });

  it.each(independent)("do not see each other, and each parameter acts on its own: %s", (name) => {
    const cell = make(name);
    const units = cell.independentUnits as number;
    const generator = new Generator(7);
    scope(() => {
      const state = mapState((s) => generator.uniform([...s.shape], 0.1, 1, dtype), cell.initialState(1));
      const block = new Stretch(cell, cell.parameters(), generator.uniform([1, 1, cell.inputSize], -1, 1, dtype), state);
      const { state: J, parameters: I } = block.jacobians();
      // The unit of each element of the state, and of each of the parameters; −1 for none.
      const unitsOfState = stateTensors(state).flatMap((s) => Array.from({ length: s.size }, (_, k) => (s.size === units ? k : -1)));
      const unitsOfParameters = cell.parameters().flatMap((p) => {
        const rows = p.dim(0);
        return Array.from({ length: p.size }, (_, k) => (rows % units === 0 ? Math.floor(k / (p.size / rows)) % units : -1));
      });
      const check = (matrix: Tensor, columns: readonly number[], what: string): number => {
        const values = matrix.data();
        let seen = 0;
        unitsOfState.forEach((u, i) => {
          columns.forEach((v, j) => {
            const value = values[i * columns.length + j] as number;
            const allowed = what === "state" ? u === v || v === -1 : u === v && u !== -1;
            if (!allowed) expect(value + 0, `${what} ${i}, ${j}`).toBe(0);
            else if (value !== 0) seen++;
          });
        });
        return seen;
      };
      expect(check(J, unitsOfState, "state")).toBeGreaterThan(0);
      expect(check(I, unitsOfParameters, "parameters")).toBeGreaterThan(0);
    });
  });

  it.each(independent)("give traces the gradients of dense influences: %s", (name) => {
    const run = (dense: boolean): (Tensor | null)[] => {
      const cell = make(name);
      if (dense) Object.defineProperty(cell, "independentUnits", { value: undefined });
      const xs = new Generator(4).uniform([T, B, cell.inputSize], -1, 1, dtype);
      const [ys, last] = rtrl().scan(cell, xs, undefined, { lengths: [T, 4], reverse: true });
      const weights = new Generator(5).uniform([...ys.shape], -1, 1, dtype);
      const loss = stateTensors(last).reduce((total, s) => total.constructor && sum(mul(s, s)), sum(mul(ys, weights)));
      const all = [sum(mul(ys, weights)), loss];
      return gradients(all, cell.parameters(), all.map(onesLike));
    };
    const [fast, dense] = [run(false), run(true)];
    expect(Math.max(...dense.map(largest))).toBeGreaterThan(0);
    expectEqual(fast, dense, 1e-12);
  });
});

describe("what a rule reads", () => {
  const xs = new Generator(4).uniform([T, 1, 3], -1, 1, dtype);

  it("is the recurrence as it was at the scan: modes and options changed since do not count", () => {
    const cell = make("StackedRNN, residual") as Recurrence & { residual: boolean };
    const found = (between: () => void): (Tensor | null)[] => {
      cell.eval();
      cell.residual = true;
      const [ys] = rtrl().scan(cell, xs);
      between();
      cell.zeroGrad();
      backward(sum(mul(ys, ys)));
      return cell.parameters().map((p) => p.grad);
    };
    const expected = found(() => undefined);
    const copies = expected.map((g) => g && tensor(g.data(), { shape: g.shape, dtype }));
    const got = found(() => {
      cell.train();
      cell.residual = false;
    });
    expectEqual(got, copies, 1e-14);
    expect([cell.training, cell.residual]).toEqual([true, false]);
  });

  it("is refused where weights were written to since, frozen ones among them", () => {
    for (const freeze of [false, true]) {
      const cell = make("GRUCell, true");
      const [first, second] = cell.parameters() as [Tensor, Tensor];
      if (freeze) second.requiresGrad = false;
      const [ys] = rtrl().scan(cell, xs);
      assign(
        second,
        second.data().map((w) => w + 1e-6),
      );
      expect(() => backward(sum(ys))).toThrow(StateError);
      expect(first.grad).toBeNull();
    }
  });
});
