/** Backpropagation through time in a given memory: the same bits, within the budget, with as few repeated steps as can be. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { ArgumentError } from "../../src/base/errors.ts";
import { extraRuns, firstKept, firstPass, sweepUnits } from "../../src/learning/checkpointing.ts";
import { bptt, type GradientAlgorithm } from "../../src/learning/index.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { type Recurrence, type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, restoreState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { host, memory } from "../../src/wasm/host.ts";
import { every } from "../recurrence/every.ts";

const [T, B] = [7, 2];
const dtype = "float64";

type Scan = (cell: Recurrence, xs: Tensor, state: State, options: ScanOptions) => [ys: Tensor, last: State];

/** Gradients of a loss of all outputs and of the last state: by parameters, inputs and first state. */
function found(make: () => Recurrence, options: ScanOptions, scan: Scan): (number[] | null)[] {
  manualSeed(11);
  const cell = make();
  const xs = track(new Generator(4).uniform([T, B, cell.inputSize], 0.1, 1, dtype));
  const start = mapState((s) => (isFloat(s.dtype) ? track(s.detach()) : s), cell.initialState(B));
  const floats = stateTensors(start).filter((s) => isFloat(s.dtype));
  const [ys, last] = scan(cell, xs, restoreState(start, stateTensors(start)), options);
  const weights = new Generator(5).uniform([...ys.shape], -1, 1, dtype);
  const ends = stateTensors(last).filter((s) => isFloat(s.dtype));
  const loss = ends.reduce((total, s) => add(total, sum(mul(s, s))), sum(mul(ys, weights)));
  const all = gradients([loss], [...cell.parameters(), xs, ...floats], [onesLike(loss)]);
  return [Array.from(ys.data()), ...all.map((g) => g && Array.from(g.data()))];
}

const steps: Scan = (cell, xs, state, options) => scanSteps(cell, xs, state, options);
const by =
  (algorithm: GradientAlgorithm): Scan =>
  (cell, xs, state, options) =>
    algorithm.scan(cell, xs, state, options);

/** Zeros have signs that sums may lose where steps are masked; and a gradient of 0 is none. */
const plain = (values: (number[] | null)[]) => values.map((list) => (list?.some((v) => v !== 0) ? list.map((v) => v + 0) : null));

/** Steps that read a tensor of their state more than once: sums that meet at a border of units are added up in another order. */
const ROUNDED =
  /^(MGU|MUT\d|GRU\d|GatedFeedback.*|ClockworkRNN|CTRNN, "bogacki-shampine"|LiquidTimeConstant.*|Zoneout|LeakyRNN|PearlmutterNetwork.*)$/;

function expectSame(name: string, got: (number[] | null)[], expected: (number[] | null)[]): void {
  if (!ROUNDED.test(name)) {
    expect(plain(got)).toEqual(plain(expected));
    return;
  }
  // Step sizes are chosen by the error of the whole batch, what lies beyond a sequence's end among it.
  const tolerance = name.includes("bogacki") ? 1e-6 : 1e-13;
  const scale = Math.max(1, ...expected.flatMap((list) => list ?? []).map(Math.abs));
  expected.forEach((list, i) => {
    list?.forEach((v, k) => {
      expect(!(Math.abs(v - (got[i]?.[k] ?? 0)) <= tolerance * scale), `${i}, ${k}: ${got[i]?.[k]} and ${v}`).toBe(false);
    });
  });
}

const NO_STEPS = ["LSTM", "GRU", "Bidirectional", "Reversed", "DetachEvery", "StackedRNN, skip"];
const names = Object.keys(every).filter((name) => !NO_STEPS.includes(name));

/** The least budget, as the error names it. */
function leastOf(run: () => unknown): number {
  try {
    run();
  } catch (error) {
    return Number(/at least (\d+) bytes/.exec((error as Error).message)?.[1]);
  }
  throw new Error("no error");
}

describe("backpropagation through time in less memory", () => {
  it("stays within its budget, and runs no more steps than it has to", () => {
    const cell = new RNNCell({ inputSize: 3, hiddenSize: 16, dtype, generator: new Generator(1) }) as unknown as Recurrence;
    const [long, batch] = [100, 4];
    const xs = new Generator(2).uniform([long, batch, 3], -1, 1, dtype);
    const dys = new Generator(3).uniform([long, batch, 16], -1, 1, dtype);
    const run = (algorithm: GradientAlgorithm | null): { peak: number; grads: number[] } =>
      scope(() => {
        const { heap } = host();
        const before = heap.liveBytes;
        heap.peakBytes = before;
        const [ys] = algorithm === null ? scanSteps(cell, xs) : algorithm.scan(cell, xs);
        const grads = gradients([ys], cell.parameters(), [dys]);
        return { peak: memory().peakBytes - before, grads: grads.flatMap((g) => Array.from(g?.data() ?? [])) };
      });
    const expected = run(null);
    const least = leastOf(() => bptt({ memory: 1 }).scan(cell, xs));
    // Outputs, twice while their pieces are joined, and the gradients.
    const shown = 2 * (8 * long * batch * 16 + 64 * 100) + 2 * 8 * cell.parameters().reduce((n, p) => n + p.size + 8, 0);
    for (const budget of [least, 3 * least, 20 * least]) {
      const { peak, grads } = run(bptt({ memory: budget }));
      expect(grads).toEqual(expected.grads);
      expect(peak).toBeLessThanOrEqual(budget + shown);
    }
    const root = run(bptt({ memory: "sqrt" }));
    expect(root.grads).toEqual(expected.grads);
    expect(root.peak).toBeLessThan(expected.peak / 2);
  });

  it.each(names)("gives the gradients, to the bit, of steps one by one: %s", (name) => {
    const make = () => every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;
    const optionsOf: readonly ScanOptions[] = "encoder" in make() ? [{}] : [{}, { lengths: [T, 3], reverse: true }];
    for (const options of optionsOf) {
      scope(() => {
        const expected = found(make, options, steps);
        expectSame(name, found(make, options, by(bptt({ memory: "sqrt" }))), expected);
        const least = leastOf(() => found(make, options, by(bptt({ memory: 1 }))));
        expectSame(name, found(make, options, by(bptt({ memory: least }))), expected);
      });
    }
  });

  it("is the scan's own without a budget, and refuses what is no steps and no budget", () => {
    const cell = every["GRUCell, true"]?.({ dtype }) as Recurrence;
    const xs = zeros([3, 1, cell.inputSize], dtype);
    expect(bptt().scan(cell, xs)[0].data()).toEqual(cell.scan(xs)[0].data());
    for (const memory of [0, -1, Number.NaN, "cube" as never]) expect(() => bptt({ memory })).toThrow(ArgumentError);
    for (const name of NO_STEPS) {
      const other = every[name]?.({ dtype }) as Recurrence;
      expect(() => bptt({ memory: "sqrt" }).scan(other, zeros([3, 1, other.inputSize], dtype))).toThrow(ArgumentError);
    }
  });
});

/** The fewest extra forward runs, by trying every choice. */
function fewest(n: number, c: number, known = new Map<string, number>()): number {
  if (n <= 1) return 0;
  if (c === 0) return (n * (n - 1)) / 2;
  const key = `${n} ${c}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  let best = Number.POSITIVE_INFINITY;
  for (let m = 1; m < n; m++) best = Math.min(best, m + fewest(n - m, c - 1, known) + fewest(m, c, known));
  known.set(key, best);
  return best;
}

describe("schedules of kept states", () => {
  it("run as few units again as can be, and no more states than they may", () => {
    for (let n = 1; n <= 40; n++) {
      for (const c of [0, 1, 2, 3, 5, 39]) {
        const expected = fewest(n, c);
        expect(extraRuns(n, c), `${n} units, ${c} states`).toBe(expected);
        const swept: number[] = [];
        let [runs, live, most] = [0, 0, 0];
        const units = {
          advance: (state: number, from: number, to: number): number => {
            expect(state).toBe(from);
            runs += to - from;
            most = Math.max(most, ++live);
            return to;
          },
          sweep: (state: number, unit: number): void => {
            expect(state).toBe(unit);
            swept.push(unit);
          },
          drop: (): void => {
            live--;
          },
        };
        sweepUnits(units, 0, 0, n, c, new Map());
        expect(swept).toEqual(Array.from({ length: n }, (_, i) => n - 1 - i));
        expect(runs).toBe(expected);
        expect(most).toBeLessThanOrEqual(c + 1);
        expect(live).toBe(0);
        if (n > 1 && c > 0) expect(firstPass(n, c)[0]).toBe(firstKept(n, c));
      }
    }
  });
});
