import { describe, expect, it } from "vitest";
import { gradients } from "../../../src/autodiff/sweep.ts";
import { MLSTM, type MLSTMOptions, type MLSTMState, SLSTM, type SLSTMOptions } from "../../../src/cells/gated/xlstm.ts";
import { add, mul } from "../../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../../src/ops/broadcast.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { ones } from "../../../src/tensor/create.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, part, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, B, expectClose, fillGolden, GOLDEN, GOLDEN_TOLERANCE, runGolden, SIZES } from "../acceptance.ts";
import { latchError } from "../memory-tasks.ts";

const options = { ...SIZES, dtype: "float64" } as const;
const slstm = (more: Partial<SLSTMOptions> = {}) => new SLSTM({ ...options, generator: new Generator(2), ...more });
const mlstm = (more: Partial<MLSTMOptions> = {}) => new MLSTM({ ...options, generator: new Generator(2), ...more });
const numbers = (t: Tensor) => Array.from(t.data());
const sequence = (n: number) => new Generator(3).uniform([n, 1, 3], -1, 1, "float64");

describe("SLSTM", () => {
  it.each([
    [1, "sigmoid"],
    [2, "sigmoid"],
    [2, "exp"],
  ] as const)("has the gradients of its equations, and steps that equal its scan; %i heads, forget gate %s", (heads, forgetGate) => {
    const g = new Generator(6);
    const part = (low: number, high: number) => g.uniform([B, 4], low, high, "float64");
    accept(slstm({ heads, forgetGate }), { state: { h: part(-1, 1), c: part(-1, 1), n: part(0.5, 1), m: part(-0.5, 0.5) } });
  });

  it.each(["float32", "float64"] as const)("reaches its golden vector, %s", (dtype) => {
    const cell = slstm({ ...GOLDEN, dtype });
    fillGolden([cell.weightIh, cell.weightHh, cell.bias]);
    expectClose(runGolden(cell, dtype).y, [0.12099, 0.293978], GOLDEN_TOLERANCE[dtype]);
  });

  it.each(([1, 2] as const).flatMap((heads) => (["sigmoid", "exp"] as const).map((forgetGate) => [heads, forgetGate] as const)))(
    "is equations 8 to 17 from any state, values and derivatives; %i heads, forget gate %s",
    (heads, forgetGate) =>
      holdAgainst(
        slstm({ heads, forgetGate }),
        (p, x, state) => {
          const [h, c, n, m] = state as [Vector, Vector, Vector, Vector];
          const d = 4 / heads;
          const fromInput = plus(times(p.matrix("weight_ih", 3), x), p.vector("bias"));
          // R is head by head, and within a head gate by gate.
          const R = p.matrix("weight_hh", d);
          const fromState = [0, 1, 2, 3].flatMap((gate) =>
            Array.from({ length: heads }, (_, k) => times(part(part(R, k, heads), gate, 4), part(h, k, heads))).flat(),
          );
          const [i, f, z, o] = [0, 1, 2, 3].map((gate): Vector => part(plus(fromInput, fromState), gate, 4)) as [
            Vector,
            Vector,
            Vector,
            Vector,
          ];
          const logF = f.map((v) => (forgetGate === "exp" ? v : Math.log(logistic(v))));
          const m1 = each((l, old, ii) => Math.max(l + old, ii), logF, m, i);
          const kept = (list: Vector) => each((l, old, now, v) => Math.exp(l + old - now) * v, logF, m, m1, list);
          const c1 = plus(
            kept(c),
            each((ii, now, v) => Math.exp(ii - now) * Math.tanh(v), i, m1, z),
          );
          const n1 = plus(
            kept(n),
            each((ii, now) => Math.exp(ii - now), i, m1),
          );
          const h1 = each((oi, ci, ni) => (logistic(oi) * ci) / ni, o, c1, n1);
          return [h1, [h1, c1, n1, m1]];
        },
        { low: 0.3 },
      ),
  );

  it.each([-300, 300])("bears input gates of %i in float32", (bias) => {
    const cell = slstm({ dtype: "float32" });
    assign(cell.bias, [...new Array<number>(4).fill(bias), ...numbers(cell.bias).slice(4)]);
    const values = numbers(cell.scan(new Generator(3).uniform([50, 1, 3], -1, 1))[0]);
    expect(values.every((v) => Number.isFinite(v) && Math.abs(v) <= 1)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(slstm({ inputSize: 2, hiddenSize: 16, dtype: "float32" }))).toBeLessThan(0.05));
});

describe("MLSTM", () => {
  it.each([1, 2])("has the gradients of its equations, and steps that equal its scan; %i heads", (heads) => {
    const cell = mlstm({ heads });
    assign(cell.weightGates, numbers(new Generator(5).uniform([2 * heads, 3], -1, 1, "float64")));
    accept(cell);
  });

  it.each([
    [1, 1],
    [2, 1],
    [2, 2],
    [1, 3],
    [2, 64],
  ])("is equations 19 to 27 from any state, values and derivatives; %i heads, chunks of %i", (heads, chunk) =>
    holdAgainst(mlstm({ heads, chunk }), (p, x, [C, n, m]) => {
      const d = 4 / heads;
      const sums = plus(times(p.matrix("weight_ih", 3), x), p.vector("bias"));
      const gates = plus(times(p.matrix("weight_gates", 3), x), p.vector("bias_gates"));
      const ofHead = (k: number): Vector[] => {
        const [q, key, v, o] = [0, 1, 2, 3].map((block): Vector => part(part(sums, block, 4), k, heads)) as [
          Vector,
          Vector,
          Vector,
          Vector,
        ];
        const [i, logF, old] = [gates[k] as number, Math.log(logistic(gates[heads + k] as number)), (m as Vector)[k] as number];
        const m1 = Math.max(logF + old, i);
        const [f1, i1] = [Math.exp(logF + old - m1), Math.exp(i - m1)];
        const scaled = key.map((v) => v / Math.sqrt(d));
        const C1 = part(C as Vector, k, heads).map((c, at) => f1 * c + i1 * (v[Math.floor(at / d)] as number) * (scaled[at % d] as number));
        const n1 = each((ni, ki) => f1 * ni + i1 * ki, part(n as Vector, k, heads), scaled);
        const size = Math.max(Math.abs(n1.reduce((total, ni, j) => total + ni * (q[j] as number), 0)), Math.exp(-m1));
        const read = v.map((_, r) => q.reduce((total, qj, j) => total + (C1[r * d + j] as number) * qj, 0) / size);
        return [each((oi, r) => logistic(oi) * r, o, read), C1, n1, [m1]];
      };
      const [y, ...next] = [0, 1, 2, 3].map((at) => Array.from({ length: heads }, (_, k) => ofHead(k)[at] as Vector).flat());
      return [y as Vector, next];
    }),
  );

  it.each([0, 4])("is the paper's parallel form, with two heads; input gates raised by %i", (raised) => {
    const cell = mlstm({ heads: 2 });
    assign(cell.weightGates, numbers(new Generator(5).uniform([4, 3], -2, 2, "float64")));
    assign(
      cell.biasGates,
      numbers(cell.biasGates).map((b, k) => (k < 2 ? b + raised : b - 3)),
    );
    const [T, d] = [9, 2];
    const inputs = rows(reshape(sequence(T), [T, 3]));
    const sums = inputs.map((x) => plus(times(rows(cell.weightIh), x), numbers(cell.bias)));
    const gates = inputs.map((x) => plus(times(rows(cell.weightGates), x), numbers(cell.biasGates)));
    const part = (block: number, t: number, head: number) => (sums[t] as number[]).slice(4 * block + d * head, 4 * block + d * head + d);
    const dot = (a: readonly number[], b: readonly number[]) => a.reduce((total, v, j) => total + v * (b[j] as number), 0);
    const attend = (t: number, head: number): number[] => {
      const weights = Array.from({ length: t + 1 }, (_, s) => {
        const kept = gates.slice(s + 1, t + 1).reduce((product, g) => product * logistic(g[2 + head] as number), 1);
        const taken = Math.exp(gates[s]?.[head] as number);
        return (kept * taken * dot(part(0, t, head), part(1, s, head))) / Math.sqrt(d);
      });
      const size = Math.max(Math.abs(weights.reduce((a, b) => a + b)), 1);
      const read = weights.map((w, s) => part(2, s, head).map((v) => (w * v) / size)).reduce((a, b) => plus(a, b));
      return part(3, t, head).map((o, j) => logistic(o) * (read[j] as number));
    };
    const expected = Array.from({ length: T }, (_, t) => [...attend(t, 0), ...attend(t, 1)]).flat();
    expectClose(cell.scan(sequence(T))[0], expected, 1e-12);
  });

  it.each([1, 2, 4])("in chunks of %i it is its steps, gradients and all, over ragged batches too", (chunk) => {
    const cell = mlstm({ heads: 2, chunk });
    assign(cell.weightGates, numbers(new Generator(5).uniform([4, 3], -1, 1, "float64")));
    accept(cell, { captured: true });
    const xs = new Generator(3).uniform([7, 3, 3], -1, 1, "float64");
    const lengths = [7, 0, 3];
    const gradientsOf = ([ys, last]: [Tensor, MLSTMState]) => {
      const loss = [ys, last.c, last.n, last.m].map((y) => sum(mul(y, new Generator(6).uniform(y.shape, -1, 1, "float64"))));
      return gradients([loss.reduce((a, b) => add(a, b))], cell.parameters(), [ones([], "float64")]).flatMap((g) => numbers(g as Tensor));
    };
    const found = gradientsOf(cell.scan(xs, undefined, { lengths }));
    expectClose(found, gradientsOf(scanSteps(cell, xs, undefined, { lengths })), 1e-10);
  });

  it("is its steps over 2,000 steps whose forget gates' product is no float32", () => {
    const cell = mlstm({ heads: 2, dtype: "float32" });
    assign(cell.biasGates, [0, 0, 1, 3]);
    const xs = new Generator(3).uniform([2000, 1, 3], -2, 2);
    const [expected, last] = scanSteps(cell, xs);
    const [ys, state] = cell.scan(xs);
    expectClose(ys, numbers(expected), 1e-5);
    expectClose(state.c, numbers(last.c), 1e-5);
  });

  it("is finite before a value that is not, and not from it on, as its steps are", () => {
    const cell = mlstm({ chunk: 8 });
    // The first input goes to the values alone, where it overflows at step 3.
    assign(
      cell.weightIh,
      rows(cell.weightIh).flatMap(([first, ...rest], row) => [row >= 8 && row < 12 ? 1e308 * Math.sign(first as number) : 0, ...rest]),
    );
    const xs = tensor(
      Array.from(sequence(6).data(), (v, k) => (k % 3 > 0 ? v : k === 9 ? 1000 : 0)),
      { shape: [6, 1, 3], dtype: "float64" },
    );
    const [ys, expected] = [numbers(cell.scan(xs)[0]), numbers(scanSteps(cell, xs)[0])];
    expectClose(ys.slice(0, 12), expected.slice(0, 12), 1e-12);
    expect([...ys, ...expected].map(Number.isFinite)).toEqual(Array.from({ length: 48 }, (_, k) => k % 24 < 12));
  });

  it("bears large input gates in float32", () => {
    const cell = mlstm({ dtype: "float32" });
    assign(cell.biasGates, [300, 5]);
    const values = numbers(cell.scan(mul(new Generator(3).uniform([50, 1, 3], -1, 1), 3))[0]);
    expect(values.every(Number.isFinite)).toBe(true);
    expect(values.some((v) => v !== 0)).toBe(true);
  });

  it("learns to latch", () => expect(latchError(mlstm({ inputSize: 2, hiddenSize: 16, heads: 2, dtype: "float32" }))).toBeLessThan(0.05));
});
