/** Signal-flow graphs: their runs against recurrences of the library, their transposes against autodiff. */

import { describe, expect, it } from "vitest";
import { iirGraph } from "../../reproduce/iir-graph.ts";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { LocalFeedbackNetwork } from "../../src/cells/delays/local-feedback.ts";
import { SimpleRecurrentNetwork } from "../../src/cells/simple/elman.ts";
import {
  type GradientAlgorithm,
  leeSensitivities,
  rtrl,
  SignalFlowGraph,
  transpose,
  transposedGraph,
  transposedResponse,
  usingGradients,
} from "../../src/learning/index.ts";
import { Parameter } from "../../src/nn/module.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { expectSlopes } from "./slopes.ts";

const dtype = "float64";
const uniform = (generator: Generator, shape: number[], bound = 0.8) => generator.uniform(shape, -bound, bound, dtype);

/** A whole number below n. */
const below = (generator: Generator, n: number): number => Math.floor(Number(generator.uniform([1], 0, n, dtype).data()[0]));

interface Choice {
  readonly linear: boolean;
}

/** A random graph: edges of every kind forwards along the nodes' numbers, delays of 1 to 4 steps between any. */
function randomGraph(seed: number, { linear }: Choice = { linear: false }): SignalFlowGraph {
  const generator = new Generator(seed);
  const pick = (n: number) => below(generator, n);
  const graph = new SignalFlowGraph({ dtype });
  const count = 10 + pick(21);
  const sizes: number[] = [];
  const shared = new Map<number, Parameter>();
  for (let n = 0; n < count; n++) {
    sizes.push(1 + pick(3));
    const [name, size] = [`n${n}`, sizes[n] as number];
    if (n < 2) graph.input(name, size);
    else if (!linear && n % 7 === 3) graph.product(name, size);
    else graph.node(name, size);
  }
  if (!linear) for (const size of [1, 2, 3]) graph.input(`g${size}`, size);
  const connect = (from: number, to: number): void => {
    const [a, b] = [`n${from}`, `n${to}`];
    const size = sizes[from] as number;
    const matrix = () => graph.matrix(a, b, new Parameter(uniform(generator, [sizes[to] as number, size])));
    if (size !== sizes[to]) matrix();
    else {
      const gain = (weight: Parameter) => graph.gain(a, b, weight);
      const known = shared.get(size);
      const kinds = [
        matrix,
        () => gain(new Parameter(uniform(generator, [size]))),
        () => gain(new Parameter(uniform(generator, [1]))),
        () => {
          const weight = known ?? new Parameter(uniform(generator, [size]));
          shared.set(size, weight);
          gain(weight);
        },
        () => graph.gain(a, b, 0.5),
        () => graph.apply(a, b, "tanh"),
        () => graph.apply(a, b, "logistic"),
        () => graph.vary(a, b, `g${size}`),
      ];
      kinds[pick(linear ? 5 : 8)]?.();
    }
  };
  for (let n = 2; n < count; n++) for (let k = 0; k < 1 + pick(3); k++) connect(pick(n), n);
  for (let k = 0; k < 1 + pick(4); k++) {
    const from = pick(count);
    const targets = sizes.flatMap((size, n) => (size === sizes[from] && n > 1 ? [n] : []));
    const steps = 1 + pick(4);
    const initial = pick(2) === 0 || linear ? undefined : new Parameter(uniform(generator, [steps, sizes[from] as number]));
    const to = targets[pick(targets.length)];
    if (to !== undefined) graph.delay(`n${from}`, `n${to}`, { steps, ...(initial && { initial }) });
  }
  if (!linear) graph.bias(`n${count - 2}`, new Parameter(uniform(generator, [sizes[count - 2] as number])));
  return graph.output(`n${count - 1}`).output(`n${count - 2}`);
}

interface Asked extends ScanOptions {
  readonly T?: number;
  readonly ends?: boolean;
  /** Starts from lines that are given, not from `initial`. */
  readonly given?: boolean;
}

/** Gradients by parameter, input and first line. */
function gradientsOf(graph: SignalFlowGraph, asked: Asked = {}, algorithm?: GradientAlgorithm): (Tensor | null)[] {
  const { T = 12, ends = true, given = true, ...options } = asked;
  const [B, generator] = [2, new Generator(7)];
  const xs = track(uniform(generator, [T, B, graph.inputSize], 1));
  const start = graph.initialState(B).map((s) => track(uniform(generator, [...s.shape], 1)));
  const loss = (): Tensor => {
    const [ys, last] = graph.scan(xs, given ? start : undefined, options);
    const score = sum(mul(ys, uniform(new Generator(5), [...ys.shape], 1)));
    return ends ? last.reduce((total, s) => add(total, sum(mul(s, s))), score) : score;
  };
  const value = algorithm === undefined ? loss() : usingGradients(algorithm, graph, loss);
  return gradients([value], [...graph.parameters(), xs, ...start], [onesLike(value)]);
}

const flat = (ts: readonly (Tensor | null)[]): number[] => ts.flatMap((t) => Array.from(t?.data() ?? [], Number));

function distance(got: readonly (Tensor | null)[], expected: readonly (Tensor | null)[]): number {
  const pairs = expected.map((e, i) => {
    const [a, b] = [flat([got[i] ?? null]), flat([e])];
    // Nothing and zeros are the same.
    return Array.from({ length: Math.max(a.length, b.length) }, (_, k) => Math.abs((a[k] ?? 0) - (b[k] ?? 0)));
  });
  return Math.max(...pairs.flat()) / Math.max(1, ...flat(expected).map(Math.abs));
}

function largest(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number)))) / Math.max(...b.map(Math.abs));
}

describe("a signal-flow graph", () => {
  it("runs as the recurrences that it draws", () => {
    const generator = new Generator(1);
    const cell = new SimpleRecurrentNetwork({ inputSize: 2, hiddenSize: 3, dtype, generator });
    const resting = tensor([[cell.restingContext, cell.restingContext, cell.restingContext]], { dtype });
    const graph = new SignalFlowGraph({ dtype }).input("x", 2).node("a", 3).node("h", 3).node("context", 3).output("h");
    graph.matrix("x", "a", cell.weightIh).matrix("context", "a", cell.weightHh).bias("a", cell.bias);
    graph.delay("h", "context", { initial: resting }).apply("a", "h", "logistic");
    const xs = uniform(generator, [6, 2, 2]);
    const [expected, got] = [cell.scan(xs)[0], graph.scan(xs)[0]];
    expect(largest(flat([got]), flat([expected]))).toBeLessThanOrEqual(1e-15);
    expect(graph.whyEager(xs)).toBeNull();
    expect(flat([scanSteps(graph, xs)[0]])).toEqual(flat([got]));
    const net = new LocalFeedbackNetwork({ sizes: [2, 3, 2], inputDelays: 2, feedbackDelays: 2, dtype, generator });
    const drawn = iirGraph(net);
    expect(largest(flat([drawn.scan(xs)[0]]), flat([net.scan(xs)[0]]))).toBeLessThanOrEqual(1e-13);
    expect(drawn.parameters().reduce((n, p) => n + p.size, 0)).toBe(net.parameters().reduce((n, p) => n + p.size, 0));
  });

  it("is itself when transposed twice", () => {
    for (let seed = 0; seed < 20; seed++) {
      const { structure } = randomGraph(seed);
      const once = transpose(structure);
      expect(transpose(once)).toEqual(structure);
      expect(once.edges.map(({ from, to }) => [to, from])).toEqual(structure.edges.map(({ from, to }) => [from, to]));
      expect(once.causal).toBe(false);
      expect(once.inputs).toEqual(structure.outputs);
    }
  });

  it("refuses loops without a delay, by the names of their nodes", () => {
    const graph = new SignalFlowGraph({ dtype }).input("u").node("a").node("b").node("c").node("after").output("after");
    graph.gain("u", "a", 1).gain("a", "b", 1).apply("b", "c", "tanh").gain("c", "a", 1).gain("c", "after", 1);
    const run = () => graph.scan(zeros([2, 1, 1], dtype));
    expect(run).toThrow(ArgumentError);
    expect(run).toThrow(/a delay in every loop, got none in (a → b → c → a|b → c → a → b|c → a → b → c)$/);
    const self = new SignalFlowGraph({ dtype }).input("u").output("u").gain("u", "u", 1);
    expect(() => self.scan(zeros([2, 1, 1], dtype))).toThrow(/none in u → u/);
  });

  it("refuses what does not fit together", () => {
    const graph = new SignalFlowGraph({ dtype }).input("u", 2).node("a", 3).constant("k", 1, 3).input("g", 3);
    expect(() => graph.node("u")).toThrow(/"u" twice/);
    expect(() => graph.gain("u", "x", 1)).toThrow(/a node of the graph, got "x"/);
    expect(() => graph.gain("u", "a", 1)).toThrow(ShapeError);
    expect(() => graph.matrix("u", "a", zeros([2, 3], dtype))).toThrow(/\[3,2\]/);
    expect(() => graph.matrix("u", "a", zeros([3, 2]))).toThrow(/float64/);
    expect(() => graph.delay("a", "a", { steps: 0 })).toThrow(/steps/);
    expect(() => graph.delay("a", "a", { initial: zeros([2, 3], dtype) })).toThrow(/\[1,3\]/);
    expect(() => graph.apply("a", "k", "tanh")).toThrow(/constant "k"/);
    expect(() => graph.vary("a", "a", "k")).toThrow(/an input/);
    expect(() => graph.delay("a", "a").vary("a", "a", "g").gain("a", "g", 1)).toThrow(/is a gain/);
    expect(() => graph.scan(zeros([1, 1, 5], dtype))).toThrow(/inputs and outputs/);
    const empty = new SignalFlowGraph({ dtype }).input("u").product("p").output("p");
    expect(() => empty.scan(zeros([1, 1, 1], dtype))).toThrow(/factors for the product "p"/);
    expect(() => transposedGraph().scan(new RNNCell({ inputSize: 1, hiddenSize: 1 }) as never, zeros([1, 1, 1]))).toThrow(
      /expected a SignalFlowGraph, got .*RNNCell/,
    );
    expect(() => transposedGraph({ window: [2, 3] })).toThrow(ArgumentError);
    expect(() => transposedGraph({ window: [2, 0] })).toThrow(ArgumentError);
  });
});

describe("the transposed graph", () => {
  it("gives the gradients of 200 random graphs", () => {
    const kinds = new Set<string>();
    let [delayed, largestError] = [0, 0];
    for (let seed = 0; seed < 200; seed++) {
      scope(() => {
        const graph = randomGraph(seed);
        const { nodes, edges } = graph.structure;
        for (const { kind } of [...nodes, ...edges]) kinds.add(kind);
        const moving = edges.flatMap((edge) => (edge.kind === "delay" ? [edge.steps] : []));
        if (moving.length > 0) delayed++;
        expect(moving.length).toBeLessThanOrEqual(4);
        const expected = gradientsOf(graph);
        expect(flat(expected).some((g) => Math.abs(g) > 1e-4)).toBe(true);
        const error = distance(gradientsOf(graph, {}, transposedGraph()), expected);
        expect(error, `graph ${seed}`).toBeLessThanOrEqual(1e-9);
        largestError = Math.max(largestError, error);
      });
    }
    expect([...kinds].sort()).toEqual(["constant", "delay", "function", "gain", "matrix", "product", "sum", "varying"]);
    expect(delayed).toBeGreaterThan(150);
    expect(largestError).toBeLessThanOrEqual(1e-12);
  }, 120_000);

  it("gives those of ragged batches, of reversed and of short sequences, and of what lines start from", () => {
    for (const seed of [3, 4, 5, 6]) {
      const graph = randomGraph(seed);
      for (const asked of [
        { lengths: [12, 5] },
        { reverse: true },
        { lengths: [0, 7], reverse: true },
        { T: 2 },
        { T: 1 },
        { given: false },
        { ends: false },
      ]) {
        scope(() => expect(distance(gradientsOf(graph, asked, transposedGraph()), gradientsOf(graph, asked))).toBeLessThanOrEqual(1e-12));
      }
    }
    const learned = new Parameter(tensor([[0.3], [-0.2]], { dtype }));
    const graph = new SignalFlowGraph({ dtype })
      .input("u")
      .node("s")
      .output("s")
      .gain("u", "s", 1)
      .delay("s", "s", { steps: 2, initial: learned });
    const found = gradientsOf(graph, { given: false, ends: false }, transposedGraph())[0] as Tensor;
    // Every second output has each of the two values in it.
    const weights = Array.from(uniform(new Generator(5), [12, 2, 1], 1).data(), Number);
    const at = (t: number) => (weights[2 * t] as number) + (weights[2 * t + 1] as number);
    const every = (from: number) => Array.from({ length: 6 }, (_, k) => at(from + 2 * k)).reduce((a, b) => a + b);
    expect(largest(flat([found]), [every(1), every(0)])).toBeLessThanOrEqual(1e-12);
  });

  it("agrees with finite differences", () => {
    const generator = new Generator(2);
    const draw = (...shape: number[]) => new Parameter(uniform(generator, shape));
    const graph = new SignalFlowGraph({ dtype }).input("u", 2).node("a", 2).product("p", 2).node("y", 1).output("y");
    graph
      .matrix("u", "a", draw(2, 2))
      .bias("a", draw(2))
      .delay("p", "a", { steps: 2, initial: draw(2, 2) })
      .apply("a", "p", "tanh");
    graph.gain("u", "p", draw(2)).delay("u", "p").matrix("p", "y", draw(1, 2)).delay("y", "y");
    const xs = uniform(generator, [5, 1, 2]);
    const loss = (): Tensor => {
      const [ys] = graph.scan(xs, [...graph.initialState(1).slice(0, 1), add(zeros([1, 1, 2], dtype), 0.7), zeros([1, 1, 1], dtype)]);
      return sum(mul(ys, ys));
    };
    const value = usingGradients(transposedGraph(), graph, loss);
    const found = gradients([value], graph.parameters(), [onesLike(value)]);
    expectSlopes(graph.parameters(), found, loss, { least: 1e-6, tolerance: 1e-7 });
  });

  it("trains with fit's loop like backpropagation", () => {
    const [a, b] = [randomGraph(8), randomGraph(8)];
    const xs = uniform(new Generator(2), [8, 2, a.inputSize]);
    backward(sum(mul(a.scan(xs)[0], a.scan(xs)[0])));
    backward(usingGradients(transposedGraph(), b, () => sum(mul(b.scan(xs)[0], b.scan(xs)[0]))));
    const grads = (graph: SignalFlowGraph) => graph.parameters().map((p) => p.grad);
    expect(distance(grads(b), grads(a))).toBeLessThanOrEqual(1e-12);
    expect(grads(a).some((g) => g !== null)).toBe(true);
  });

  it("agrees with real-time recurrent learning", () => {
    const graph = randomGraph(9);
    const xs = uniform(new Generator(2), [5, 1, graph.inputSize]);
    const run = (algorithm: GradientAlgorithm) => {
      const loss = usingGradients(algorithm, graph, () => sum(mul(graph.scan(xs)[0], graph.scan(xs)[0])));
      return gradients([loss], graph.parameters(), [onesLike(loss)]);
    };
    expect(distance(run(transposedGraph()), run(rtrl()))).toBeLessThanOrEqual(1e-9);
  });
});

describe("windows on the way", () => {
  it("give the whole gradient where they reach back to the start", () => {
    for (const seed of [3, 8, 13]) {
      const graph = randomGraph(seed);
      const expected = gradientsOf(graph);
      for (const hPrime of [1, 3, 5, 12]) {
        expect(distance(gradientsOf(graph, {}, transposedGraph({ window: [12, hPrime] })), expected)).toBeLessThanOrEqual(1e-12);
      }
    }
  });

  it("cut off what is further back, as truncated backpropagation does", () => {
    const graph = iirGraph(new LocalFeedbackNetwork({ sizes: [1, 2, 1], feedbackDelays: 1, dtype, generator: new Generator(2) }));
    const [T, xs, errors] = [10, uniform(new Generator(3), [10, 1, 1]), uniform(new Generator(4), [10, 1, 1])];
    const run = (h: number, hPrime: number): (Tensor | null)[] => {
      const [ys] = transposedGraph({ window: [h, hPrime] }).scan(graph, xs);
      return gradients([ys], graph.parameters(), [errors]);
    };
    /** Each window as a scan of its own, from a state without a tape. */
    const oracle = (h: number, hPrime: number): Tensor[] => {
      const total = graph.parameters().map((p) => zeros(p.shape, dtype));
      for (let fresh = 0; fresh < T; fresh += hPrime) {
        const to = Math.min(T, fresh + hPrime);
        const from = Math.max(0, to - h);
        const start = from === 0 ? undefined : graph.scan(slice(xs, 0, 0, from))[1].map((s) => s.detach());
        const [ys] = graph.scan(slice(xs, 0, from, to), start);
        const found = gradients([slice(ys, 0, fresh - from, to - from)], graph.parameters(), [slice(errors, 0, fresh, to)]);
        found.forEach((g, i) => {
          if (g) total[i] = add(total[i] as Tensor, g);
        });
      }
      return total;
    };
    const exact = run(T, T);
    for (const [h, hPrime] of [
      [1, 1],
      [3, 1],
      [4, 2],
      [5, 3],
    ] as const) {
      expect(distance(run(h, hPrime), oracle(h, hPrime))).toBeLessThanOrEqual(1e-12);
    }
    const errorsOf = [1, 3, 6].map((h) => distance(run(h, 1), exact));
    expect(errorsOf[0]).toBeGreaterThan(errorsOf[1] as number);
    expect(errorsOf[1]).toBeGreaterThan(errorsOf[2] as number);
    expect(errorsOf[2]).toBeGreaterThan(0);
  });
});

describe("linear time-invariant graphs", () => {
  const impulse = (graph: SignalFlowGraph, i: number, T: number): Tensor => {
    const values = new Float64Array(T * graph.inputSize);
    values[i] = 1;
    return graph.scan(tensor(values, { shape: [T, 1, graph.inputSize], dtype }))[0];
  };

  it("are reciprocal: from input to output as from output to input in the transpose", () => {
    for (let seed = 0; seed < 10; seed++) {
      const graph = randomGraph(seed, { linear: true });
      const [T, O, I] = [12, graph.outputSize, graph.inputSize];
      const response = transposedResponse(graph, T);
      expect(response.shape).toEqual([T, O, I]);
      for (let i = 0; i < I; i++) {
        const direct = flat([select(impulse(graph, i, T), 1, 0)]);
        const back = flat([select(response, 2, i)]);
        expect(Math.max(...direct.map(Math.abs))).toBeGreaterThan(1e-6);
        expect(largest(back, direct)).toBeLessThanOrEqual(1e-12);
      }
    }
  });

  it("have their sensitivities by convolution, and from them any gradient", () => {
    for (const seed of [1, 2, 3]) {
      const graph = randomGraph(seed, { linear: true });
      const [T, B] = [12, 2];
      const xs = uniform(new Generator(4), [T, B, graph.inputSize]);
      const found = leeSensitivities(graph, xs);
      const errors = uniform(new Generator(6), [T, B, graph.outputSize]);
      const [ys] = transposedGraph().scan(graph, xs);
      const accumulated = gradients([ys], graph.parameters(), [errors]);
      const convolved = graph.parameters().map((p) => {
        const dy = found.get(p) as Tensor;
        const weighted = mul(dy, reshape(errors, [T, B, graph.outputSize, ...p.shape.map(() => 1)]));
        return sum(weighted, { axis: [0, 1, 2] });
      });
      expect(distance(convolved, accumulated)).toBeLessThanOrEqual(1e-12);
      // One output at one step, as autodiff has it.
      const one = gradients([sum(select(select(graph.scan(xs)[0], 0, 9), 1, 0))], graph.parameters(), [add(zeros([], dtype), 1)]);
      const same = graph.parameters().map((p) => sum(select(select(found.get(p) as Tensor, 0, 9), 1, 0), { axis: 0 }));
      expect(distance(same, one)).toBeLessThanOrEqual(1e-12);
    }
    expect(() => leeSensitivities(randomGraph(1), zeros([2, 1, 9], dtype))).toThrow(/linear time-invariant/);
    expect(() => leeSensitivities(randomGraph(1, { linear: true }), zeros([2, 1, 99], dtype))).toThrow(ShapeError);
  });
});
