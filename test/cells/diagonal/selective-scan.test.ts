import { describe, expect, it } from "vitest";
import { Mamba, type MambaOptions, SelectiveScan, type SelectiveScanOptions } from "../../../src/cells/diagonal/selective-scan.ts";
import { softplus } from "../../../src/ops/math.ts";
import { scanSteps } from "../../../src/recurrence/recurrence.ts";
import { Generator } from "../../../src/tensor/random.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst, type Numbers } from "../../oracle/equations.ts";
import { each, logistic, part, plus, rows, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose } from "../acceptance.ts";
import { echoError } from "../memory-tasks.ts";

const small = { inputSize: 3, stateSize: 2, dtype: "float64" } as const;
const core = (options: Partial<SelectiveScanOptions> = {}) =>
  new SelectiveScan({ ...small, rank: 2, generator: new Generator(2), ...options });
const block = (options: Partial<MambaOptions> = {}) => new Mamba({ ...small, generator: new Generator(2), ...options });
const numbers = (t: Tensor) => Array.from(t.data());

/** Algorithm 2 of the paper: one step of a selective scan whose parameters begin with `at`. */
function selective(p: Numbers, at: string, [N, R]: [number, number], x: Vector, h: Vector): [y: Vector, next: Vector] {
  const s = times(p.matrix(`${at}weight_x`, x.length), x);
  const [low, b, c] = [s.slice(0, R), s.slice(R, R + N), s.slice(R + N)];
  const delta = plus(times(p.matrix(`${at}weight_dt`, R), low), p.vector(`${at}bias_dt`)).map((v) => Math.log(1 + Math.exp(v)));
  const A = p.vector(`${at}a_log`).map((v) => -Math.exp(v));
  const of = (list: Vector, k: number) => list[k] as number;
  const next = h.map((old, k) => {
    const [d, n] = [Math.floor(k / N), k % N];
    return Math.exp(of(delta, d) * of(A, k)) * old + of(delta, d) * of(b, n) * of(x, d);
  });
  const y = x.map((xd, d) => c.reduce((total, cn, n) => total + cn * of(next, d * N + n), of(p.vector(`${at}skip`), d) * xd));
  return [y, next];
}

describe("SelectiveScan", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(core()));

  it.each([undefined, 3])("is algorithm 2 from any state, values and derivatives; chunk %s", (chunk) =>
    holdAgainst(core(chunk ? { chunk } : {}), (p, x, [h]) => {
      const [y, next] = selective(p, "", [2, 2], x, h as Vector);
      return [y, [next]];
    }),
  );

  it("starts with the decays and step sizes of the paper", () => {
    const cell = core({ inputSize: 2000, stateSize: 4 });
    expect(rows(cell.aLog)[1999]?.map(Math.exp).map(Math.round)).toEqual([1, 2, 3, 4]);
    const steps = numbers(softplus(cell.biasDt));
    const [least, greatest] = [Math.min(...steps), Math.max(...steps)];
    // Of 2000 log-uniform steps about nine are in each of the outermost 2 %.
    expect([least >= 1e-3, least < 1.02e-3, greatest > 0.098, greatest < 0.1]).toEqual([true, true, true, true]);
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

  it.each([
    [1, 2, 1],
    [3, 2, 1],
    [2, 1, 2],
  ])("is section 3.4's block from any state, values and derivatives; width %i, expand %i, rank %i", (width, expand, rank) =>
    holdAgainst(block({ width, expand, rank }), (p, x, [h, ...past]) => {
      const silu = (v: number) => v * logistic(v);
      const [u, z] = [0, 1].map((k): Vector => times(part(p.matrix("weight_in", 3), k, 2), x)) as [Vector, Vector];
      const seen = [...past, u];
      const filters = p.matrix("weight_conv", width);
      const v = p
        .vector("bias_conv")
        .map((b, e) => silu(seen.reduce((sum, s, j) => sum + (filters[e]?.[j] as number) * (s[e] as number), b)));
      const [y, next] = selective(p, "ssm.", [2, rank], v, h as Vector);
      const gated = each((a, b) => a * silu(b), y, z);
      return [times(p.matrix("weight_out", gated.length), gated), [next, ...seen.slice(1)]];
    }),
  );

  it("learns to echo what is out of the convolution's sight", () => {
    const cell = block({ inputSize: 2, expand: 8, stateSize: 8, width: 2, dtype: "float32" });
    expect(echoError(cell, 700)).toBeLessThan(0.02);
  });
});
