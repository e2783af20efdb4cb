import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { FormatError } from "../../src/base/errors.ts";
import type { Parameter } from "../../src/nn/module.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { cellFault, evaluationOrder } from "../../src/search/cell-graph.ts";
import { CellEvolution, type CellGraph, elmanGraph, flatten, GraphCell, lstmGraph, mutateCell, unflatten } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { damage, feed } from "../fuzz/fuzz.ts";
import { thrown } from "../thrown.ts";
import { unsealed } from "../unsealed.ts";

const [I, H, B, T] = [3, 4, 2, 6];
const options = { inputSize: I, hiddenSize: H, dtype: "float64" as const };
const xs = () => new Generator(9).normal([T, B, I], 0, 1, "float64");

/** Rows k·H … (k + 1)·H of a parameter of all gates. */
const rows = (p: Tensor, k: number): Float64Array => {
  const width = p.rank === 1 ? 1 : p.dim(1);
  return (p.data() as Float64Array).slice(k * H * width, (k + 1) * H * width);
};

function expectClose(a: ArrayLike<number>, b: ArrayLike<number>, tolerance = 1e-9): void {
  expect(a.length).toBe(b.length);
  const error = Math.max(...Array.from(a, (v, i) => Math.abs(v - b[i]!)));
  expect(error).toBeLessThanOrEqual(tolerance);
}

/** The gradient of Σ w∘ys for a fixed w. */
function sweep(cell: { scan(x: Tensor): [Tensor, unknown] }, x: Tensor): Tensor {
  const [ys] = cell.scan(x);
  backward(sum(mul(ys, new Generator(4).normal([T, B, H], 0, 1, "float64"))));
  return ys;
}

describe("GraphCell", () => {
  it.each([false, true])("of the graph of LSTM is the library's LSTM, values and gradients, peepholes: %s", (peepholes) => {
    const library = new LSTMCell({ ...options, peepholes, generator: new Generator(1) });
    // Peepholes go from the memory to i and f, and from the new c to o.
    const seen = [[9, 4], [9, 5], [11, 7]].map(([from, to]) => ({ from: from!, to: to!, weighted: true })); // biome-ignore format: one line
    const graph: CellGraph = peepholes ? { nodes: lstmGraph.nodes, edges: [...lstmGraph.edges, ...seen] } : lstmGraph;
    const cell = new GraphCell({ ...options, graph });
    for (let k = 0; k < 4; k++) {
      assign(cell.weightIh[k]!, rows(library.weightIh, k));
      assign(cell.weightHh[k]!, rows(library.weightHh, k));
      const biases = [rows(library.biasIh as Tensor, k), rows(library.biasHh as Tensor, k)] as const;
      assign(
        cell.bias[k]!,
        biases[0].map((v, i) => v + biases[1][i]!),
      );
    }
    const own = library.weightPeephole as Parameter | null;
    const part = (p: Tensor, k: number) => (p.data() as Float64Array).slice(k * H, (k + 1) * H);
    if (own !== null) cell.peephole.forEach((p, k) => assign(p, part(own, k)));
    const [x1, x2] = [xs(), xs()];
    for (const x of [x1, x2]) x.requiresGrad = true;
    expectClose(sweep(cell, x2).data() as Float64Array, sweep(library, x1).data() as Float64Array);
    expectClose(x2.grad?.data() as Float64Array, x1.grad?.data() as Float64Array);
    for (let k = 0; k < 4; k++) {
      expectClose(cell.weightIh[k]!.grad?.data() as Float64Array, rows(library.weightIh.grad as Tensor, k));
      expectClose(cell.weightHh[k]!.grad?.data() as Float64Array, rows(library.weightHh.grad as Tensor, k));
      expectClose(cell.bias[k]!.grad?.data() as Float64Array, rows(library.biasIh?.grad as Tensor, k));
      if (own !== null && k < 3) expectClose(cell.peephole[k]!.grad?.data() as Float64Array, part(own.grad as Tensor, k));
    }
  });

  it("of the simplest graph is the library's RNN, and its scan is captured", () => {
    const library = new RNNCell({ ...options, generator: new Generator(1) });
    const cell = new GraphCell({ ...options, graph: elmanGraph });
    assign(cell.weightIh[0]!, library.weightIh);
    assign(cell.weightHh[0]!, library.weightHh);
    assign(
      cell.bias[0]!,
      rows(library.biasIh as Tensor, 0).map((v, i) => v + rows(library.biasHh as Tensor, 0)[i]!),
    );
    expectClose(cell.scan(xs())[0].data() as Float64Array, library.scan(xs())[0].data() as Float64Array);
    expect(cell.whyEager(xs())).toBeNull();
    expect(cell.scan(xs())[0].data()).toEqual(scanSteps(cell, xs())[0].data());
  });

  it("has the gradients that finite differences have, of graphs as evolution makes them", () => {
    const random = new Generator(3);
    const below = (n: number) => Math.floor(n * random.uniform([1], 0, 1, "float64").item());
    let graph = lstmGraph;
    for (let k = 0; k < 4; k++) {
      for (let m = 0; m < 5; m++) graph = mutateCell(graph, below);
      const cell = new GraphCell({ ...options, graph, generator: random });
      checkGrads((x) => sum(cell.scan(x)[0]), [new Generator(k).normal([3, 1, I], 0, 1, "float64")]);
    }
  });

  it("refuses what is no graph of a cell", () => {
    const fault = (graph: unknown) => thrown(() => new GraphCell({ ...options, graph: graph as CellGraph })) as Error;
    const e = (from: number, to: number) => ({ from, to, weighted: false });
    expect(fault({ nodes: ["input", "sum", "sum", "output"], edges: [e(0, 1), e(1, 2), e(2, 1), e(2, 3)] }).message).toMatch(
      "a cycle without memory",
    );
    expect(fault({ nodes: ["input", "sum", "memory", "output"], edges: [e(0, 1), e(1, 2), e(2, 1), e(1, 3)] })).toBeNull();
    expect(fault({ nodes: ["input", "output"], edges: [] }).message).toMatch("on no way from an input to the output");
    expect(fault({ nodes: ["input", "output"], edges: [e(0, 1), e(0, 1)] }).message).toMatch("an edge twice");
    expect(fault({ nodes: ["input", "output"], edges: [e(0, 1), e(1, 0)] }).message).toMatch("an edge into an input");
    expect(fault({ nodes: ["input", "output", "output"], edges: [e(0, 1)] }).message).toMatch("2 outputs");
    expect(fault({ nodes: ["input", "ouput"], edges: [e(0, 1)] }).message).toMatch("no known kind");
    expect(fault({ nodes: ["input", "output"], edges: [e(0, 2)] }).message).toMatch("an edge of no node");
    expect(fault(undefined).message).toMatch("expected a graph of a cell, got no lists of nodes and edges");
  });
});

describe("mutations", () => {
  it("leave a sound graph, whatever comes, and reach every kind of node", () => {
    const random = new Generator(1).uniform([40_000], 0, 1, "float64").data();
    let next = 0;
    const below = (n: number) => Math.floor(n * Number(random[next++ % random.length]));
    const kinds = new Set<string>();
    let peepholes = 0;
    for (let walk = 0; walk < 10; walk++) {
      let graph = walk % 2 === 0 ? elmanGraph : lstmGraph;
      for (let k = 0; k < 60; k++) {
        const before = JSON.stringify(graph);
        const child = mutateCell(graph, below, 20);
        expect(JSON.stringify(graph)).toBe(before);
        expect(cellFault(child)).toBeNull();
        expect(evaluationOrder(child)?.length).toBe(child.nodes.length);
        expect(child.nodes.length).toBeLessThanOrEqual(20);
        for (const kind of child.nodes) kinds.add(kind);
        peepholes += child.edges.filter((e) => e.weighted).length;
        graph = child;
      }
    }
    expect([...kinds].sort()).toEqual(["input", "memory", "output", "product", "sigmoid", "sum", "tanh"]);
    expect(peepholes).toBeGreaterThan(0);
  });
});

describe("CellEvolution", () => {
  const make = (seed: number) => new CellEvolution({ population: 6, elite: 2, generator: new Generator(seed) });
  /** Far from a graph with three memories. */
  const cost = (graph: CellGraph) => Math.abs(graph.nodes.filter((k) => k === "memory").length - 3);

  it("finds graphs that cost less, prefers the smaller of equal ones, and goes on from bytes to the bit", () => {
    const [whole, again] = [make(1), make(2)];
    let saved = new Uint8Array();
    for (let g = 0; g < 20; g++) {
      if (g === 7) saved = whole.toBytes();
      const asked = whole.ask();
      if (g === 0) expect(asked[0]).toEqual(elmanGraph);
      expect(asked.length).toBe(g === 0 ? 6 : 4);
      whole.tell(asked, asked.map(cost));
    }
    expect(whole.result.bestCost).toBe(0);
    again.restore(saved);
    for (let g = 7; g < 20; g++) {
      const asked = again.ask();
      again.tell(asked, asked.map(cost));
    }
    expect(again.toBytes()).toEqual(whole.toBytes());
    expect(
      unflatten(
        new GraphCell({ ...options, graph: whole.result.best as CellGraph }),
        flatten(new GraphCell({ ...options, graph: whole.result.best as CellGraph })),
      ),
    ).toBeDefined();
    expect(thrown(() => new CellEvolution({ population: 7 }).restore(saved))).toBeInstanceOf(FormatError);
    const victim = make(3);
    const old = unsealed(saved);
    feed<Uint8Array>(
      (bytes) => victim.restore(bytes),
      old,
      8,
      (random) => damage(random, old, [old]),
      true,
    );
    expect(() => new CellEvolution({ start: { nodes: [], edges: [] } })).toThrow(
      "CellEvolution: expected a graph of a cell as start, got 0 outputs",
    );
  });

  it("has something to do with tensors: a mutated cell runs", () => {
    const cell = new GraphCell({ ...options, graph: make(5).ask()[3] as CellGraph });
    expect(cell.scan(tensor(new Float64Array(T * B * I), { shape: [T, B, I] }))[0].shape).toEqual([T, B, H]);
  });
});
