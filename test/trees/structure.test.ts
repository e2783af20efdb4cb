import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { takeRows } from "../../src/ops/gather.ts";
import { Adam } from "../../src/optim/adam.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { ones, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { RecursiveNetwork } from "../../src/trees/recursive.ts";
import { RecursiveNeuralTensorNetwork } from "../../src/trees/rntn.ts";
import { Children, forestOf, Structure, type StructureNetwork, type Tree, visitNodes } from "../../src/trees/structure.ts";
import { ChildSumTreeLSTM, NaryTreeLSTM } from "../../src/trees/tree-lstm.ts";
import { checkParameter, expectClose, leaf, learn } from "../cells/acceptance.ts";
import { holdLossAgainst } from "../oracle/equations.ts";
import { logistic, plus, rows, times } from "../oracle/numbers.ts";

type Network = StructureNetwork<State>;
const D = 3;
const f64 = (seed: number) => ({ dtype: "float64", generator: new Generator(seed) }) as const;

/** Every kind; those with `any` take nodes of any number of children, the others up to two or three. */
const NETWORKS: Record<string, { make: (options: { dtype: FloatDType; generator: Generator }) => Network; arity: number }> = {
  "recursive network": { make: (o) => new RecursiveNetwork({ size: D, ...o }), arity: 2 },
  "recursive network of three": { make: (o) => new RecursiveNetwork({ size: D, arity: 3, ...o }), arity: 3 },
  "recursive network of sums": { make: (o) => new RecursiveNetwork({ size: D, arity: "sum", ...o }), arity: 5 },
  "tensor network": { make: (o) => new RecursiveNeuralTensorNetwork({ size: D, ...o }), arity: 2 },
  "child-sum Tree-LSTM": { make: (o) => new ChildSumTreeLSTM({ inputSize: D, hiddenSize: 4, ...o }), arity: 5 },
  "binary Tree-LSTM": { make: (o) => new NaryTreeLSTM({ inputSize: D, hiddenSize: 4, ...o }), arity: 2 },
  "ternary Tree-LSTM": { make: (o) => new NaryTreeLSTM({ inputSize: D, hiddenSize: 4, arity: 3, ...o }), arity: 3 },
};

/** A graph of several components in which nodes have 0 to `arity` children, some of them shared, one twice by the same parent. */
function randomGraph(seed: number, size: number, arity: number): Structure {
  const u = new Generator(seed).uniform([size, arity + 1], 0, 1, "float64").toArray() as number[][];
  const children = u.map(([first, ...rest], node) => {
    if (node < 2 || (first as number) < 0.3) return [];
    return rest.slice(0, 1 + Math.floor((((first as number) - 0.3) / 0.7001) * arity)).map((v) => Math.floor(v * node));
  });
  return new Structure([...children, [size - 1, size - 1].slice(0, arity)]);
}

/** Parameters far from their initial values, so that everything matters. */
function spread<N extends Network>(network: N, seed = 5): N {
  const g = new Generator(seed);
  for (const p of network.parameters()) g.fillUniform(p, -0.8, 0.8);
  return network;
}

const weighed = (state: State) => {
  const g = new Generator(3);
  return stateTensors(state)
    .map((t) => sum(mul(t, g.uniform(t.shape, -1, 1, "float64"))))
    .reduce((a, b) => add(a, b));
};

describe.each(Object.entries(NETWORKS))("%s", (_, { make, arity }) => {
  it.each(["float32", "float64"] as const)("runs by levels as it does node by node, and so do gradients, %s", (dtype) => {
    const network = spread(make({ dtype, generator: new Generator(1) }));
    const graph = randomGraph(7, 40, arity);
    expect(graph.levels.length).toBeGreaterThan(3);
    const xs = new Generator(2).uniform([graph.size, D], -1, 1, dtype);
    xs.requiresGrad = true;
    const run = (state: State) => {
      const total = stateTensors(state)
        .map((t) => sum(mul(t, t)))
        .reduce((a, b) => add(a, b));
      const wrt = [xs, ...network.parameters()];
      return [...stateTensors(state), ...gradients([total], wrt, [ones([], dtype)])].map((t) => Array.from((t as Tensor).data()));
    };
    const expected = run(visitNodes(network, graph, xs));
    for (const [i, values] of run(network.forward(graph, xs)).entries()) {
      const scale = Math.max(1, ...(expected[i] as number[]).map(Math.abs));
      expectClose(values, expected[i] as number[], (dtype === "float64" ? 1e-12 : 1e-6) * scale);
    }
  });

  it("has the gradients of its equations, with a loss at every node and at the root alone", () => {
    const network = spread(make(f64(1)));
    const graph = randomGraph(9, 12, arity);
    const xs = new Generator(2).uniform([graph.size, D], -1, 1, "float64");
    checkGrads((x: Tensor) => weighed(network.forward(graph, x)), [xs]);
    const root = tensor([graph.size - 1], { dtype: "int32" });
    const atRoot = () => weighed(takeRows(stateTensors(network.forward(graph, xs))[0] as Tensor, root));
    for (const [name, p] of network.namedParameters()) {
      checkParameter(name, p, () => weighed(network.forward(graph, xs)));
      checkParameter(name, p, atRoot);
    }
  });

  it("computes a shared part once, and gives it the gradients of all its parents", () => {
    const network = spread(make(f64(1)));
    const part: Tree = [1, 2];
    const tree: Tree = [
      [part, 3],
      [part, [part, 3]],
    ];
    const table = leaf(new Generator(4), 4, D);
    const results = [false, true].map((shared) => {
      const { structure, symbols, roots } = forestOf([tree], { shared });
      let computed = 0;
      const { leaf: leafOf, node } = network;
      network.leaf = (x) => {
        computed += x.dim(0);
        return leafOf.call(network, x);
      };
      network.node = (x, children) => {
        computed += x.dim(0);
        return node.call(network, x, children);
      };
      const inner = tensor(
        symbols.map((s) => (s === 0 ? 0 : 1)),
        { shape: [symbols.length, 1], dtype: "float64" },
      );
      const xs = mul(takeRows(table, tensor([...symbols], { dtype: "int32" })), inner);
      const h = takeRows(stateTensors(network.forward(structure, xs))[0] as Tensor, tensor([...roots], { dtype: "int32" }));
      Object.assign(network, { leaf: leafOf, node });
      expect(computed).toBe(structure.size);
      const grads = gradients([weighed(h)], [table, ...network.parameters()], [ones([], "float64")]);
      return { size: structure.size, values: [h, ...grads].map((t) => Array.from((t as Tensor).data())) };
    });
    const [whole, compact] = results as [(typeof results)[0], (typeof results)[0]];
    // Leaves 1, 2, 3, [1,2], [[1,2],3], [[1,2],[[1,2],3]] and the root, in the place of 8 leaves and 7 nodes.
    expect([whole.size, compact.size]).toEqual([15, 7]);
    for (const [i, values] of compact.values.entries()) expectClose(values, whole.values[i] as number[], 1e-12);
  });

  it("says which inputs do not fit", () => {
    const network = make(f64(1));
    const graph = new Structure([[], [], [0, 1]]);
    expect(() => network.forward(graph, zeros([2, D], "float64"))).toThrow(ShapeError);
    expect(() => network.forward(graph, zeros([3, D + 1], "float64"))).toThrow(`expected xs [3,${D}], got [3,${D + 1}]`);
    const wide = new Structure([[], new Array(arity + 1).fill(0)]);
    if (arity < 5)
      expect(() => network.forward(wide, zeros([2, D], "float64"))).toThrow(`at most ${arity} children, got one of ${arity + 1}`);
  });
});

// ---- Oracles: recursions in plain numbers, from the papers ----

type Vector = readonly number[];
const vector = (t: Tensor | null) => Array.from((t as Tensor).data());
const total = (list: readonly Vector[], width: number) => list.reduce<number[]>((a, b) => plus(a, b), new Array(width).fill(0));
const scaled = (a: Vector, b: Vector) => a.map((v, i) => v * (b[i] as number));

/** Values of all nodes of a graph from those of their children. */
function recursion<V>({ children }: Structure, value: (node: number, children: V[]) => V): V[] {
  const done: V[] = [];
  for (const [node, list] of children.entries())
    done.push(
      value(
        node,
        list.map((child) => done[child] as V),
      ),
    );
  return done;
}

/** Outputs and cells of all nodes against an oracle's. */
function expectStates({ h, c }: { readonly h: Tensor; readonly c: Tensor }, states: readonly { h: Vector; c: Vector }[]): void {
  for (const [found, key] of [
    [h, "h"],
    [c, "c"],
  ] as const)
    expectClose(
      found,
      states.flatMap((s) => [...s[key]]),
      1e-12,
    );
}

describe("the papers' equations", () => {
  const graph = randomGraph(11, 25, 2);
  const xs = new Generator(2).uniform([graph.size, D], -1, 1, "float64");
  const x = rows(xs);
  const blank = new Array<number>(D).fill(0);
  const padded = (list: readonly Vector[], K = 2) => Array.from({ length: K }, (_, k) => list[k] ?? blank).flat();

  it.each([1, 2, 3])("tanh of what stands in %i places, weighted (Goller and Küchler 1996)", (arity) => {
    const net = spread(new RecursiveNetwork({ size: D, arity, ...f64(1) }));
    const W = rows(net.weight);
    const wide = randomGraph(11, 25, arity);
    const p = recursion<Vector>(wide, (node, list) =>
      list.length === 0 ? (x[node] as number[]) : plus(times(W, padded(list, arity)), vector(net.bias)).map(Math.tanh),
    );
    expectClose(net.forward(wide, xs), p.flat(), 1e-12);
  });

  it("tanh of a weighted sum, without a bias", () => {
    const net = spread(new RecursiveNetwork({ size: D, arity: "sum", bias: false, ...f64(1) }));
    const W = rows(net.weight);
    const p = recursion<Vector>(graph, (node, list) =>
      list.length === 0 ? (x[node] as number[]) : times(W, total(list, D)).map(Math.tanh),
    );
    expectClose(net.forward(graph, xs), p.flat(), 1e-12);
  });

  it.each([true, false])("products through a tensor (Socher et al. 2013, section 4.3), values and derivatives; bias %s", (bias) => {
    const net = new RecursiveNeuralTensorNetwork({ size: D, bias, ...f64(1) });
    const share = new Generator(4).uniform([graph.size, D], -1, 1, "float64");
    holdLossAgainst(
      net,
      () => sum(mul(net.forward(graph, xs), share)),
      (p) => {
        const V = p.matrix("tensor", 2 * D);
        const nodes = recursion<Vector>(graph, (node, list) => {
          if (list.length === 0) return x[node] as number[];
          const q = padded(list);
          const products = Array.from({ length: D }, (_, i) =>
            times(V.slice(2 * D * i, 2 * D * (i + 1)), q).reduce((s, v, j) => s + v * (q[j] as number), 0),
          );
          return plus(products, times(p.matrix("weight", 2 * D), q), bias ? p.vector("bias") : [0, 0, 0]).map(Math.tanh);
        });
        return scaled(nodes.flat(), vector(share)).reduce((a, b) => a + b);
      },
    );
  });

  /** Rows k·H … of a matrix. */
  const block = (m: readonly Vector[], H: number, k: number) => m.slice(k * H, (k + 1) * H);

  it("children summed, a forget gate each (Tai et al. 2015, eq. 2-8)", () => {
    const H = 4;
    const net = spread(new ChildSumTreeLSTM({ inputSize: D, hiddenSize: H, ...f64(1) }));
    const [W, U, Uf, b] = [rows(net.weightIh), rows(net.weightHh), rows(net.weightFh), vector(net.bias)];
    const bigGraph = randomGraph(12, 25, 4);
    const inputs = new Generator(2).uniform([bigGraph.size, D], -1, 1, "float64");
    const states = recursion<{ h: Vector; c: Vector }>(bigGraph, (node, list) => {
      const xj = rows(inputs)[node] as number[];
      const hs = total(
        list.map(({ h }) => h),
        H,
      );
      const gate = (k: number) =>
        plus(times(block(W, H, k) as number[][], xj), times(block(U, H, k) as number[][], hs), b.slice(k * H, (k + 1) * H));
      const [i, o, u] = [gate(0).map(logistic), gate(1).map(logistic), gate(2).map(Math.tanh)];
      const kept = list.map(({ h, c }) => {
        const f = plus(times(block(W, H, 3) as number[][], xj), times(Uf, h), b.slice(3 * H)).map(logistic);
        return scaled(f, c);
      });
      const c = plus(scaled(i, u), total(kept, H));
      return { h: scaled(o, c.map(Math.tanh)), c };
    });
    expectStates(net.forward(bigGraph, inputs), states);
  });

  it.each([1, 2, 3])("children in %i places, forget gates that see them all (Tai et al. 2015, eq. 9-14)", (N) => {
    const H = 4;
    const wide = randomGraph(11, 25, N);
    const net = spread(new NaryTreeLSTM({ inputSize: D, hiddenSize: H, arity: N, ...f64(1) }));
    const [W, U, b] = [rows(net.weightIh), rows(net.weightHh), vector(net.bias)];
    const states = recursion<{ h: Vector; c: Vector }>(wide, (node, list) => {
      const xj = x[node] as number[];
      const hs = Array.from({ length: N }, (_, k) => list[k]?.h ?? new Array<number>(H).fill(0));
      // Rows k of U are those of one gate; its columns l·H … belong to child l.
      const fromChildren = (k: number) =>
        total(
          hs.map((h, l) =>
            times(
              block(U, H, k).map((row) => row.slice(l * H, (l + 1) * H)),
              h,
            ),
          ),
          H,
        );
      const gate = (k: number, w = k) => plus(times(block(W, H, w) as number[][], xj), fromChildren(k), b.slice(w * H, (w + 1) * H));
      const [i, o, u] = [gate(0).map(logistic), gate(1).map(logistic), gate(2).map(Math.tanh)];
      const kept = list.map(({ c }, k) => scaled(gate(3 + k, 3).map(logistic), c));
      const c = plus(scaled(i, u), total(kept, H));
      return { h: scaled(o, c.map(Math.tanh)), c };
    });
    expectStates(net.forward(wide, xs), states);
  });

  it("over a chain, the child-sum Tree-LSTM is an LSTM", () => {
    const H = 4;
    const [T, tree] = [6, new ChildSumTreeLSTM({ inputSize: D, hiddenSize: H, ...f64(1) })];
    const lstm = new LSTMCell({ inputSize: D, hiddenSize: H, biases: 1, ...f64(2) });
    // From rows i o u f to PyTorch's i f g o.
    const reordered = (list: readonly Vector[]) => [0, 3, 2, 1].flatMap((k) => block(list, H, k)).flat();
    assign(lstm.weightIh, reordered(rows(tree.weightIh)));
    assign(lstm.weightHh, reordered([...rows(tree.weightHh), ...rows(tree.weightFh)]));
    assign(lstm.biasIh as Tensor, reordered(vector(tree.bias).map((v) => [v])));
    const chain = new Structure(Array.from({ length: T }, (_, t) => (t === 0 ? [] : [t - 1])));
    const inputs = new Generator(3).uniform([T, D], -1, 1, "float64");
    const [ys] = lstm.scan(reshape(inputs, [T, 1, D]));
    expectClose(tree.forward(chain, inputs).h, vector(ys), 1e-12);
  });
});

describe("initial values", () => {
  it("take the mean of the children", () => {
    const { weight } = new RecursiveNetwork({ size: 50, ...f64(1) });
    const W = rows(weight);
    const mean = (list: number[]) => list.reduce((a, b) => a + b) / list.length;
    expect(mean(W.map((row, i) => row[i] as number))).toBeCloseTo(0.5, 1);
    expect(mean(W.map((row, i) => row[50 + i] as number))).toBeCloseTo(0.5, 1);
    expect(mean(W.map((row, i) => row[(i + 1) % 50] as number))).toBeCloseTo(0, 1);
  });

  it("keep what is in the cells", () => {
    const { bias } = new NaryTreeLSTM({ inputSize: 2, hiddenSize: 3, ...f64(1) });
    expect(vector(bias).slice(9)).toEqual([1, 1, 1]);
  });
});

describe("Structure", () => {
  it("puts nodes on levels by their height", () => {
    const graph = new Structure([[], [], [0, 1], [], [2, 3], [0, 0]]);
    expect(graph.levels.map(({ nodes }) => nodes)).toEqual([[0, 1, 3], [2, 5], [4]]);
    expect(graph.levels[2]).toEqual({ nodes: [4], sources: [0, 1], rows: [[3, 2]] });
    expect(graph.order).toEqual([0, 1, 3, 2, 5, 4]);
  });

  it("joins structures side by side", () => {
    const pair = new Structure([[], [0]]);
    expect(Structure.join([pair, pair, new Structure([[]])]).children).toEqual([[], [0], [], [2], []]);
    expect(Structure.join([pair, new Structure([[], [], [1, 0]])]).children).toEqual([[], [0], [], [], [3, 2]]);
  });

  it("has children below their parents", () => {
    expect(() => new Structure([])).toThrow(ArgumentError);
    for (const bad of [1, 2, -1, 0.5]) expect(() => new Structure([[], [bad]])).toThrow(`children of node 1 below it, got ${bad}`);
  });
});

describe("a structure's lists", () => {
  it("are its own", () => {
    const lists = [[], [], [0, 1]];
    const structure = new Structure(lists);
    const { levels } = structure;
    (lists[2] as number[]).push(0);
    lists.push([]);
    expect(structure.children).toEqual([[], [], [0, 1]]);
    expect(new Structure([[], [], [0, 1]]).levels).toEqual(levels);
  });

  it("are the children's own, too", () => {
    const rows = [[0, 1], [1]];
    const children = new Children(tensor([[1], [2]]), rows);
    (rows[1] as number[]).push(0, 1);
    expect(children.all().toArray()).toEqual([[1], [2], [2]]);
  });
});

describe("forestOf", () => {
  it("numbers children before their parents", () => {
    const { structure, symbols, roots } = forestOf([[4, [5, 4]], 6], { inner: 9 });
    expect(structure.children).toEqual([[], [], [], [1, 2], [0, 3], []]);
    expect(symbols).toEqual([4, 5, 4, 9, 9, 6]);
    expect(roots).toEqual([4, 5]);
  });

  it("shares equal subtrees, and a tree that is part of another", () => {
    const { structure, symbols, roots } = forestOf([[4, [5, 4]], [5, 4], 4], { shared: true });
    expect(structure.children).toEqual([[], [], [1, 0], [0, 2]]);
    expect(symbols).toEqual([4, 5, 0, 0]);
    expect(roots).toEqual([3, 2, 0]);
    expect(() => forestOf([[1, []]])).toThrow(ArgumentError);
  });
});

describe("biases of the Tree-LSTMs at first", () => {
  it.each([ChildSumTreeLSTM, NaryTreeLSTM])("are drawn, but for those of the forget gates", (Network) => {
    const [bias, own] = [{}, { forgetBias: -2 }].map((o) => vector(new Network({ inputSize: D, hiddenSize: 4, ...f64(1), ...o }).bias));
    expect([bias?.slice(12), own?.slice(12)]).toEqual([new Array(4).fill(1), new Array(4).fill(-2)]);
    expect(new Set(bias?.slice(0, 12)).size).toBe(12);
    expect(Math.max(...(bias?.slice(0, 12) ?? [2]).map(Math.abs))).toBeLessThanOrEqual(0.5);
  });
});

describe("Children", () => {
  it("gives places, all, and sums", () => {
    const states = tensor([[1], [2], [3]], { dtype: "float64" });
    const children = new Children(states, [[2, 0], [1]]);
    expect([children.count, children.arity]).toEqual([2, 2]);
    expect(vector(children.at(0))).toEqual([3, 2]);
    expect(vector(children.at(1))).toEqual([1, 0]);
    expect(vector(children.at(2))).toEqual([0, 0]);
    expect(vector(children.all())).toEqual([3, 1, 2]);
    expect(vector(children.total(children.all()))).toEqual([4, 2]);
    expect(vector(children.perChild(tensor([[7], [8]], { dtype: "float64" })))).toEqual([7, 7, 8]);
  });
});

describe("learning", () => {
  it.each(Object.entries(NETWORKS).filter(([, { arity }]) => arity === 2))("nested exclusive ors from a bracketing, %s", (_, { make }) => {
    const g = new Generator(3);
    const network = make({ dtype: "float32", generator: g });
    const [table, head] = [new Embedding(3, D, { generator: g, paddingIdx: 0 }), new Linear(network.outputSize, 2, { generator: g })];
    const optimizer = new Adam([...network.parameters(), ...table.parameters(), ...head.parameters()], { lr: 2e-2 });
    const xor = (tree: Tree): number => (typeof tree === "number" ? tree - 1 : tree.map(xor).reduce((a, b) => a ^ b));
    const bits: Tree[] = [1, 2];
    const pairs: Tree[] = bits.flatMap((a) => bits.map((b) => [a, b]));
    const trees: Tree[] = [
      ...pairs,
      ...pairs.flatMap((p) =>
        bits.flatMap(
          (b) =>
            [
              [p, b],
              [b, p],
            ] as Tree[],
        ),
      ),
    ];
    const { structure, symbols, roots } = forestOf(trees, { shared: true });
    const targets = tensor(trees.map(xor), { dtype: "int32" });
    const index = (list: readonly number[]) => tensor([...list], { dtype: "int32" });
    const error = learn(400, () => {
      const h = stateTensors(network.forward(structure, table.forward(index(symbols))))[0] as Tensor;
      const loss = crossEntropy(head.forward(takeRows(h, index(roots))), targets);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    expect(error).toBeLessThan(0.1);
  });
});
