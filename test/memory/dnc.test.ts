import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { DNC, type DNCOptions, type DNCState } from "../../src/memory/dnc.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { checkGradients, checkStepsEqualScan, expectClose } from "../cells/acceptance.ts";
import { type Equations, holdAgainst, numbersOf } from "../oracle/equations.ts";
import { each, logistic, part, plus, type Vector } from "../oracle/numbers.ts";
import { affine, controllerBy, cut, rowsOf, softmax, softplus } from "./machines.ts";

const sizes = { inputSize: 2, outputSize: 2, hiddenSize: 3, memorySize: 4, wordSize: 2, dtype: "float64" } as const;
const computer = (options: Partial<DNCOptions> = {}, seed = 1) => new DNC({ ...sizes, generator: new Generator(seed), ...options });

const FIXES = { maskedLookUp: true, clearFreed: true, sharpLinks: true } as const;
const dot = (a: Vector, b: Vector) => a.reduce((total, x, i) => total + x * (b[i] as number), 0);
const cosine = (u: Vector, v: Vector) => dot(u, v) / (Math.sqrt(dot(u, u) * dot(v, v)) + 1e-8);
const oneplus = (v: number) => 1 + softplus(v);
const transposed = (L: readonly Vector[]): number[][] => L.map((_, i) => L.map((row) => row[i] as number));

/** Methods of Graves, Wayne et al. (2016): what is free goes to the rows in the order of their usage. */
function allocate(usage: Vector): number[] {
  const kept = usage.map((u) => 1e-6 + (1 - 1e-6) * u);
  const order = kept.map((_, i) => i).sort((i, j) => (kept[i] as number) - (kept[j] as number) || i - j);
  const a = new Array<number>(usage.length).fill(0);
  let product = 1;
  for (const i of order) {
    a[i] = (1 - (kept[i] as number)) * product;
    product *= kept[i] as number;
  }
  return a;
}

/** The K largest numbers alone, of equal ones the first. */
function largest(values: Vector, K: number): number[] {
  const kept = values
    .map((_, i) => i)
    .sort((i, j) => (values[j] as number) - (values[i] as number) || i - j)
    .slice(0, K);
  return values.map((v, i) => (kept.includes(i) ? v : 0));
}

/** The Methods, and eq. 4, 7 and 10 of Csordás and Schmidhuber (2019) where their options are on. */
const equations = (cell: DNC): Equations => {
  const { memorySize: N, wordSize: W, readHeads: R } = cell;
  return (p, x, [memory, usage, precedence, links, writeWeighting, readWeightings, read, ...state]) => {
    const most = cell.clip ?? Infinity;
    const clip = (values: Vector) => values.map((v) => Math.max(-most, Math.min(most, v)));
    const [output, moved] = controllerBy(cell.controller, p, [...x, ...(read as Vector)], state);
    const [h, next] = [clip(output), moved.map(clip)];
    const fixes = [cell.maskedLookUp ? (R + 1) * W : 0, cell.sharpLinks ? 2 * R : 0];
    const [keys, strengths, key, strength, e, v, f, ga, gw, pi, masks, s] = cut(affine(p, "interface", h), [
      R * W, R, W, 1, W, W, R, 1, 1, 3 * R, ...fixes,
    ]) as [Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector, Vector]; // biome-ignore format: a list
    const M = rowsOf(memory as Vector, N);
    const L = rowsOf(links as Vector, N);
    const wr = rowsOf(readWeightings as Vector, R);
    const ww = writeWeighting as Vector;
    const lookUp = (rows: readonly Vector[], k: Vector, beta: number, head: number) => {
      const m = cell.maskedLookUp ? part(masks, head, R + 1).map(logistic) : k.map(() => 1);
      const hidden = (u: Vector) => each((a, b) => a * b, u, m);
      return softmax(rows.map((row) => oneplus(beta) * cosine(hidden(k), hidden(row))));
    };
    const psi = ww.map((_, i) => wr.reduce((product, w, r) => product * (1 - logistic(f[r] as number) * (w[i] as number)), 1));
    const u = each((u0, w0, kept) => (u0 + w0 - u0 * w0) * kept, usage as Vector, ww, psi);
    const [a, c] = [allocate(u), lookUp(M, key, strength[0] as number, R)];
    const [gateA, gateW] = [logistic(ga[0] as number), logistic(gw[0] as number)];
    const w = each((ai, ci) => gateW * (gateA * ai + (1 - gateA) * ci), a, c);
    const M1 = M.map((row, i) =>
      row.map((value, j) => {
        const before = cell.clearFreed ? value * (psi[i] as number) : value;
        return before * (1 - (w[i] as number) * logistic(e[j] as number)) + (w[i] as number) * (v[j] as number);
      }),
    );
    const p0 = precedence as Vector;
    const K = cell.sparseLinks ?? N;
    const [wK, pK] = [largest(w, K), largest(p0, K)];
    const L1 = L.map((row, i) =>
      largest(
        row.map((l, j) => (i === j ? 0 : (1 - (wK[i] as number) - (wK[j] as number)) * l + (wK[i] as number) * (pK[j] as number))),
        K,
      ),
    );
    const free = 1 - wK.reduce((total, wi) => total + wi, 0);
    const p1 = each((pi0, wi) => free * pi0 + wi, p0, wK);
    const sharp = (d: number[], at: number) => {
      if (!cell.sharpLinks) return d;
      const most = Math.max(...d) + 1e-6;
      const powers = d.map((di) => ((di + 1e-6) / most) ** oneplus(s[at] as number));
      const total = powers.reduce((sum, x1) => sum + x1, 0);
      return powers.map((x1) => x1 / total);
    };
    const wr1 = wr.map((last, r) => {
      const [back, content, ahead] = softmax(part(pi, r, R)) as [number, number, number];
      const b = sharp(
        transposed(L1).map((row) => dot(row, last)),
        r,
      );
      const forward = sharp(L1.map((row) => dot(row, last)), R + r); // biome-ignore format: beside the other
      const found = lookUp(M1, part(keys, r, R), strengths[r] as number, r);
      return each((bi, ci, fi) => back * bi + content * ci + ahead * fi, b, found, forward);
    });
    const r1 = wr1.flatMap((weights) => transposedRead(M1, weights));
    return [clip(affine(p, "output", [...h, ...r1])), [M1.flat(), u, p1, L1.flat(), w, wr1.flat(), r1, ...next]];
  };
};

function transposedRead(M: readonly Vector[], weights: Vector): number[] {
  return plus(...M.map((row, i) => row.map((value) => (weights[i] as number) * value)));
}

const kinds: [string, Partial<DNCOptions>][] = [
  ["an LSTM", {}],
  ["a feed-forward controller and two read heads", { controller: "feedforward", readHeads: 2 }],
  ["masks", { controller: "feedforward", readHeads: 2, maskedLookUp: true }],
  ["freed rows cleared", { controller: "feedforward", clearFreed: true }],
  ["sharp links", { controller: "feedforward", readHeads: 2, sharpLinks: true }],
  ["all fixes", FIXES],
  ["an LSTM, clipped", { clip: 0.3 }],
  ["one row of one number", { controller: "feedforward", memorySize: 1, wordSize: 1 }],
];

/** Links in lists as all of them, [B,N,N]. */
function allLinks({ links, linkedRows }: DNCState): number[] {
  const [B, N, K] = links.shape as [number, number, number];
  const all = new Array<number>(B * N * N).fill(0);
  const [values, rows] = [links.data(), (linkedRows as Tensor).data()];
  for (let at = 0; at < B * N * K; at++) {
    const place = Math.floor(at / K) * N + Number(rows[at]);
    all[place] = (all[place] as number) + Number(values[at]);
  }
  return all;
}

const bias = (cell: DNC) => cell.interface.bias as Tensor;

/** The interface's numbers fixed whatever the controller says: one list for each kind, in order. */
function say(cell: DNC, kinds: readonly (readonly number[])[]): void {
  assign(cell.interface.weight, new Float64Array(cell.interface.weight.size));
  assign(bias(cell), kinds.flat());
}

describe("DNC", () => {
  it.each(kinds)("is the paper's equations, values and derivatives, with %s", (_, options) => {
    const cell = computer(options);
    holdAgainst(cell, equations(cell), { low: 0, seed: 2 });
  });

  it.each([1, 2, 3])("keeps the %i strongest links of each row: the equations over plain numbers", (K) => {
    const cell = computer({ memorySize: 5, readHeads: 2, controller: "feedforward", sharpLinks: true, sparseLinks: K });
    const g = new Generator(4);
    for (const p of cell.parameters()) assign(p, g.uniform(p.shape, -2, 2, "float64"));
    const [p, step] = [
      numbersOf(new Map([...cell.namedParameters()].map(([name, t]) => [name, Array.from(t.data(), Number)]))),
      equations(cell),
    ];
    // Usages that differ, so that their order is no matter of rounding.
    const usage = [0.5, 0.1, 0.9, 0.3, 0.7];
    let state: DNCState = { ...cell.initialState(1), usage: tensor([usage], { dtype: "float64" }) };
    let byHand: readonly Vector[] = [10, 5, 5, 25, 5, 10, 4].map((n, i) => (i === 1 ? usage : new Array<number>(n).fill(0)));
    for (let t = 0; t < 8; t++) {
      const x = g.uniform([1, 2], -1, 1, "float64");
      const [y, next] = cell.step(x, state);
      const [expected, after] = step(p, Array.from(x.data(), Number), byHand);
      expectClose(y, expected, 1e-9);
      expectClose(allLinks(next), after[3] as Vector, 1e-9);
      [state, byHand] = [next, after];
    }
  });

  it("computes the same from lists that hold all links, values and derivatives", () => {
    const xs = new Generator(6).uniform([7, 2, 2], -2, 2, "float64");
    const [all, lists] = [computer(FIXES), computer({ ...FIXES, sparseLinks: 4 })].map((cell) => {
      for (const p of cell.parameters()) assign(p, new Generator(p.size).uniform(p.shape, -1, 1, "float64"));
      const [ys] = cell.scan(xs);
      const slopes = gradients([ys], cell.parameters(), [new Generator(7).uniform(ys.shape, -1, 1, "float64")]);
      return [ys, ...slopes].map((t) => Array.from((t as Tensor).data(), Number));
    }) as [number[][], number[][]];
    for (const [i, values] of lists.entries()) expectClose(values, all[i] as number[], 1e-10);
  });

  it("has derivatives of few links in both modes, and runs captured", () => {
    const cell = computer({ controller: "feedforward", hiddenSize: 2, sharpLinks: true, sparseLinks: 2 });
    for (const p of cell.parameters()) assign(p, new Generator(p.size).uniform(p.shape, -1, 1, "float64"));
    const usage = tensor([[0.9, 0.1, 0.5, 0.3], [0.2, 0.4, 0.6, 0.8]], { dtype: "float64" }); // biome-ignore format: rows
    const state = cell.scan(new Generator(8).uniform([6, 2, 2], -1, 1, "float64"), { ...cell.initialState(2), usage })[1];
    const varied = [state.links, state.precedence, state.readWeightings, state.memory, new Generator(9).uniform([2, 2], -1, 1, "float64")];
    expect(Array.from(state.links.data()).filter((l) => l > 0).length).toBeGreaterThan(3);
    const outputs = (links: Tensor, precedence: Tensor, readWeightings: Tensor, memory: Tensor, x: Tensor) => {
      const [y, next] = cell.step(x, { ...state, links, precedence, readWeightings, memory });
      return add(sum(mul(y, y)), sum(mul(next.links, add(next.linkedRows as Tensor, 1))));
    };
    checkGrads(outputs as (...inputs: Tensor[]) => Tensor, varied);
    checkStepsEqualScan(cell, { state: cell.initialState(2) });
  });

  it.each(kinds)("has steps that equal its scan, captured, with %s", (_, options) => {
    const cell = computer(options);
    checkStepsEqualScan(cell, { state: cell.initialState(2) });
  });

  it("has derivatives in both modes", () => {
    const cell = computer({ controller: "feedforward", memorySize: 3, hiddenSize: 2, ...FIXES });
    const [start, g] = [cell.initialState(2), new Generator(3)];
    const state = Object.fromEntries(
      Object.entries(start).map(([name, t]) => [name, name === "controller" ? t : g.uniform((t as Tensor).shape, 0.1, 0.4, "float64")]),
    );
    checkGradients(cell, { state: state as unknown as DNCState });
  });

  it("allocates as worked by hand: what is used least comes first", () => {
    const cell = computer({ memorySize: 3, controller: "feedforward" });
    // Writing where there is room, with all gates open; nothing is freed.
    const always = 50;
    say(cell, [[0, 0], [0], [0, 0], [0], [0, 0], [1, 1], [-always], [always], [always], [0, 0, 0]]); // biome-ignore format: kinds
    const state = { ...cell.initialState(1), usage: tensor([[0.9, 0.1, 0.5]], { dtype: "float64" }) };
    const [, next] = cell.step(tensor([[0, 0]], { dtype: "float64" }), state);
    expectClose(next.writeWeighting, [0.005, 0.9, 0.05], 1e-5);
  });

  it("takes free rows one after the other, and goes on in the order of writing", () => {
    const N = 4;
    const cell = computer({ memorySize: N, controller: "feedforward" });
    const always = 50;
    const kindsOf = (modes: number[], writing: number) =>
      [[0, 0], [0], [0, 0], [0], [always, always], [1, -1], [-always], [always], [writing], modes]; // biome-ignore format: kinds
    say(cell, kindsOf([0, 0, 0], always));
    let state = cell.initialState(1);
    const x = tensor([[0, 0]], { dtype: "float64" });
    const places = [0, 1, 2].map(() => {
      state = cell.step(x, state)[1];
      const w = Array.from(state.writeWeighting.data(), Number);
      // Rows used already count as full but for 10⁻⁶.
      expect(Math.max(...w)).toBeGreaterThan(1 - 1e-5);
      return w.indexOf(Math.max(...w));
    });
    expect(places).toEqual([0, 1, 2]);
    const row = (at: number) => Array.from({ length: N }, (_, i) => Number(i === at));
    const [first, second, third] = places as [number, number, number];
    // Row i is linked to the one that was written before it.
    const links = Array.from({ length: N }, (_, i) => (i === second ? row(first) : i === third ? row(second) : row(-1)));
    expectClose(state.links, links.flat(), 1e-4);
    const moves = [["forward", first, second], ["forward", second, third], ["backward", third, second]] as const; // biome-ignore format: rows
    for (const [way, from, to] of moves) {
      say(cell, kindsOf(way === "forward" ? [-always, -always, always] : [always, -always, -always], -always));
      const [, next] = cell.step(x, { ...state, readWeightings: tensor([[row(from)]], { dtype: "float64" }) });
      expectClose(next.readWeightings, row(to), 1e-4);
    }
  });

  it("writes to a row again that was read and freed, and to none while free gates are closed", () => {
    const always = 50;
    const x = tensor([[0, 0]], { dtype: "float64" });
    const full = { usage: tensor([[1, 1, 1]], { dtype: "float64" }), readWeightings: tensor([[[0, 1, 0]]], { dtype: "float64" }) };
    for (const free of [always, -always]) {
      const cell = computer({ memorySize: 3, controller: "feedforward" });
      // Writing where there is room, which the rows that were just read are if the free gate is open.
      say(cell, [[0, 0], [0], [0, 0], [0], [always, always], [7, 7], [free], [always], [always], [0, 0, 0]]); // biome-ignore format: kinds
      const [, next] = cell.step(x, { ...cell.initialState(1), ...full });
      expectClose(next.writeWeighting, [0, free > 0 ? 1 : 0, 0], 1e-5);
      expectClose(next.memory, free > 0 ? [0, 0, 7, 7, 0, 0] : [0, 0, 0, 0, 0, 0], 1e-4);
    }
  });

  it.each([undefined, 2])("keeps its numbers in range: weightings, usage, links, of which a row keeps %s", (sparseLinks) => {
    const cell = computer({ memorySize: 6, readHeads: 3, ...FIXES, ...(sparseLinks && { sparseLinks }) });
    const g = new Generator(5);
    for (const p of cell.parameters()) assign(p, g.uniform(p.shape, -3, 3, "float64"));
    const [, last] = cell.scan(g.uniform([50, 2, 2], -1, 1, "float64"));
    const links = sparseLinks ? allLinks(last) : Array.from(last.links.data());
    const within = (values: Vector) => values.every((v) => v >= 0 && v <= 1 + 1e-9);
    expect(within(Array.from(last.usage.data()))).toBe(true);
    for (const rows of [rowsOf(Array.from(last.readWeightings.data()), 6), rowsOf(Array.from(last.writeWeighting.data()), 2)]) {
      for (const w of rows) expect(within(w) && w.reduce((a, b) => a + b) <= 1 + 1e-9).toBe(true);
    }
    for (const L of rowsOf(links, 2).map((l) => rowsOf(l, 6))) {
      for (const row of [...L, ...transposed(L)]) expect(within(row) && row.reduce((a, b) => a + b) <= 1 + 1e-9).toBe(true);
    }
  });

  it.each(["float32", "float64"] as const)("gives numbers and slopes at the edges of %s", (dtype) => {
    const cell = computer({ dtype, controller: "feedforward", ...FIXES });
    for (const scale of [0, 1e-30, 1e4]) {
      assign(cell.interface.weight, mul(new Generator(1).uniform(cell.interface.weight.shape, -1, 1, dtype), scale).data());
      for (const held of [0, 1e-30, 1e18]) {
        const state = { ...cell.initialState(2), memory: tensor(new Float64Array(16).fill(held), { shape: [2, 4, 2], dtype }) };
        const [ys, last] = cell.scan(new Generator(2).uniform([4, 2, 2], -1, 1, dtype), state);
        for (const t of [ys, last.memory, last.usage, last.links, last.readWeightings]) {
          expect(Array.from(t.data()).every(Number.isFinite), `${scale} ${held}`).toBe(true);
        }
      }
    }
  });

  it("refuses options that are none", () => {
    expect(() => computer({ sharpLinks: 1 as never })).toThrow("DNC: expected sharpLinks to be true or false, got 1");
    expect(() => computer({ sparseLinks: 5 })).toThrow("DNC: expected sparseLinks to be a whole number in [1, 4], got 5");
    expect(() => computer({ clip: 0 })).toThrow("DNC: expected clip above 0, got 0");
    expect(() => computer({ memorySize: 0 })).toThrow("DNC: expected memorySize to be a whole number of at least 1, got 0");
  });
});
