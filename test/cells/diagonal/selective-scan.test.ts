import { describe, expect, it } from "vitest";
import { Mamba, type MambaOptions, SelectiveScan, type SelectiveScanOptions } from "../../../src/cells/diagonal/selective-scan.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { softplus } from "../../../src/ops/math.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose } from "../acceptance.ts";
import { echoError } from "../memory-tasks.ts";

const small = { inputSize: 3, stateSize: 2, dtype: "float64" } as const;
const core = (options: Partial<SelectiveScanOptions> = {}) =>
  new SelectiveScan({ ...small, rank: 2, generator: new Generator(2), ...options });
const block = (options: Partial<MambaOptions> = {}) => new Mamba({ ...small, generator: new Generator(2), ...options });
const numbers = (t: Tensor) => Array.from(t.data());
const sequence = (n: number) => new Generator(3).uniform([n, 1, 3], -1, 1, "float64");

/** The recurrence of the paper on plain numbers: one output row a step. */
function oracle(cell: SelectiveScan, xs: readonly (readonly number[])[]): number[][] {
  const { stateSize: N, rank: R } = cell;
  const [a, skip, bias] = [rows(cell.aLog), numbers(cell.skip), numbers(cell.biasDt)];
  const h = a.map((row) => row.map(() => 0));
  return xs.map((x) => {
    const s = times(rows(cell.weightX), x);
    const delta = plus(times(rows(cell.weightDt), s.slice(0, R)), bias).map((v) => Math.log(1 + Math.exp(v)));
    return x.map((xd, d) => {
      const dt = delta[d] as number;
      const state = h[d] as number[];
      for (let n = 0; n < N; n++) {
        const decay = Math.exp(-dt * Math.exp(a[d]?.[n] as number));
        state[n] = decay * (state[n] as number) + dt * (s[R + n] as number) * xd;
      }
      return state.reduce((total, value, n) => total + value * (s[R + N + n] as number), (skip[d] as number) * xd);
    });
  });
}

describe("SelectiveScan", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(core()));

  it("is the paper's recurrence", () => {
    const cell = core();
    expectClose(cell.scan(sequence(6))[0], oracle(cell, rows(reshape(sequence(6), [6, 3]))).flat(), 1e-12);
  });

  it("starts with the decays and step sizes of the paper", () => {
    const cell = core({ inputSize: 64, stateSize: 4 });
    expect(rows(cell.aLog)[63]?.map(Math.exp).map(Math.round)).toEqual([1, 2, 3, 4]);
    const steps = numbers(softplus(cell.biasDt));
    expect(Math.min(...steps)).toBeGreaterThan(0.999e-3);
    expect(Math.max(...steps)).toBeLessThan(0.1001);
    expect(Math.max(...steps) / Math.min(...steps)).toBeGreaterThan(20);
  });

  it("as one scan is what it is step by step over a long sequence, float32", () => {
    const cell = core({ dtype: "float32" });
    const xs = new Generator(4).uniform([1000, 2, 3], -1, 1);
    expectClose(cell.scan(xs)[0], numbers(scanSteps(cell, xs)[0]), 1e-5);
  });
});

describe("Mamba", () => {
  it("takes undefined for a rank that is not given", () => {
    // ⌈40/16⌉, not that of the 80 features inside.
    const undefinedly = new Mamba({ inputSize: 40, rank: undefined } as unknown as MambaOptions);
    expect([undefinedly.ssm.rank, new Mamba({ inputSize: 40 }).ssm.rank]).toEqual([3, 3]);
  });

  it.each([1, 4, 8])("has the gradients of its equations, and steps that equal its scan; width %i", (width) => accept(block({ width })));

  it("is the paper's block", () => {
    const cell = block({ width: 3 });
    const inner = rows(reshape(sequence(6), [6, 3])).map((x) => times(rows(cell.weightIn), x));
    const [w, bias] = [rows(cell.weightConv), numbers(cell.biasConv)];
    const silu = (v: number) => v * logistic(v);
    const convolved = inner.map((_, t) =>
      bias.map((b, e) => silu([0, 1, 2].reduce((total, j) => total + (w[e]?.[j] as number) * (inner[t - 2 + j]?.[e] ?? 0), b))),
    );
    const gated = oracle(cell.ssm, convolved).map((row, t) => row.map((v, e) => v * silu(inner[t]?.[6 + e] as number)));
    expectClose(
      cell.scan(sequence(6))[0],
      gated.flatMap((row) => times(rows(cell.weightOut), row)),
      1e-12,
    );
  });

  it("learns to echo what is out of the convolution's sight", () => {
    const cell = block({ inputSize: 2, expand: 8, stateSize: 8, width: 2, dtype: "float32" });
    expect(echoError(cell, 700)).toBeLessThan(0.02);
  });
});
