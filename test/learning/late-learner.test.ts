/** Learning step by step with errors that wait: the gradients of the scan, memory that stays, and everything as bytes. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { LocalFeedbackLayer, LocalFeedbackNetwork } from "../../src/cells/index.ts";
import {
  crbp,
  type GradientAlgorithm,
  hybrid,
  type Learner,
  SignalFlowGraph,
  transposedGraph,
  truncated,
} from "../../src/learning/index.ts";
import { Parameter } from "../../src/nn/module.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRUCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { every, spikes } from "../recurrence/every.ts";
import { expectEqual, gradientsNow, largest, NOT_FORWARD, runSteps, squareError } from "./recurrences.ts";

type Float = "float64" | "float32";

const any = <S>(cell: S) => cell as unknown as Recurrence;
const make = (name: string): Recurrence => every[name]?.({ dtype: "float64", generator: new Generator(3) }) as Recurrence;
const begin = (algorithm: GradientAlgorithm, cell: Recurrence, batch = 1): Learner => algorithm.begin?.(cell, batch) as Learner;
const gru = () => any(new GRUCell({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator: new Generator(1) }));

interface Task {
  readonly T: number;
  readonly B?: number;
  readonly dtype?: Float;
}

const random = (seed: number, shape: number[], dtype: Float = "float64"): Tensor => new Generator(seed).uniform(shape, -1, 1, dtype);
const inputsOf = (cell: Recurrence, { T, B = 2, dtype }: Task): Tensor => random(4, [T, B, cell.inputSize], dtype);
/** The loss is the inner product of these with the outputs. */
const weightsOf = (cell: Recurrence, { T, B = 2, dtype }: Task): Tensor => random(5, [T, B, cell.outputSize], dtype);

/** What the algorithm says of the whole scan. */
function ofScan(cell: Recurrence, algorithm: GradientAlgorithm, task: Task): (Tensor | null)[] {
  const [ys] = algorithm.scan(cell, inputsOf(cell, task));
  const loss = sum(mul(ys, weightsOf(cell, task)));
  return gradients([loss], cell.parameters(), [onesLike(loss)]);
}

/** What steps and the end of the sequence add up to, with the learner's place taken by another one from its bytes in between. */
function ofSteps(cell: Recurrence, algorithm: GradientAlgorithm, task: Task): (Tensor | null)[] {
  cell.zeroGrad();
  const [xs, weights] = [inputsOf(cell, task), weightsOf(cell, task)];
  const [ys] = cell.scan(xs);
  let learner = begin(algorithm, cell, task.B ?? 2);
  const [other, half] = [begin(algorithm, cell, task.B ?? 2), Math.floor(task.T / 2)];
  for (let t = 0; t < task.T; t++) {
    if (t === half) {
      other.fromBytes(learner.toBytes());
      learner = other;
    }
    const y = learner.step(select(xs, 0, t), () => select(weights, 0, t));
    expectEqual([y], [select(ys, 0, t)], task.dtype === "float32" ? 1e-5 : 1e-12);
  }
  learner.finish();
  const found = cell.parameters().map((p) => p.grad && tensor(p.grad.data(), { shape: p.shape, dtype: p.dtype }));
  cell.zeroGrad();
  return found;
}

function expectScan(cell: Recurrence, algorithm: GradientAlgorithm, task: Task, tolerance?: number): void {
  const expected = ofScan(cell, algorithm, task);
  expect(expected.some((g) => largest(g) > 0)).toBe(true);
  expectEqual(ofSteps(cell, algorithm, task), expected, tolerance);
}

const forward = Object.keys(every).filter((name) => !(name in NOT_FORWARD) && !("encoder" in make(name)));

describe("windows and blocks, step by step", () => {
  it.each(forward.filter((name) => make(name).parameters().length > 0 && !spikes(name)))(
    "add up to the gradient of the scan: %s",
    (name) => {
      scope(() => {
        for (const algorithm of [hybrid(3), truncated({ steps: [3, 2] })]) expectScan(make(name), algorithm, { T: 4 });
      });
    },
  );

  it("do with windows and sequences of any length, in float32, too", () => {
    for (const T of [1, 2, 5, 7]) {
      for (const steps of [
        [1, 1],
        [2, 1],
        [2, 2],
        [4, 3],
        [9, 2],
      ] as const)
        expectScan(gru(), truncated({ steps }), { T });
      for (const h of [2, 3, 9]) expectScan(gru(), hybrid(h), { T, B: 1 });
    }
    const single = any(new GRUCell({ inputSize: 2, hiddenSize: 3, generator: new Generator(1) }));
    for (const rule of [hybrid(3), truncated({ steps: [4, 2] })]) expectScan(single, rule, { T: 5, dtype: "float32" }, 1e-5);
  });

  it("refuse what is no steps in time, and truncated ones draw no numbers", () => {
    for (const name of Object.keys(NOT_FORWARD)) {
      for (const rule of [hybrid(2), truncated({ steps: [2, 1] })]) {
        let error: unknown = null;
        try {
          begin(rule, make(name), 2);
        } catch (thrown) {
          error = thrown;
        }
        expect([ArgumentError, StateError].some((kind) => error instanceof kind)).toBe(true);
      }
    }
  });
});

/** Two filters around a squashing function, whose first line is trained. */
function filterGraph(): SignalFlowGraph {
  const weight = (seed: number, n = 2) => new Parameter(random(seed, [n]));
  const graph = new SignalFlowGraph({ dtype: "float64" });
  graph.input("x", 2).node("u", 2).node("z", 2).node("z1", 2).node("y", 2);
  graph
    .gain("x", "u", weight(1))
    .matrix("z1", "u", new Parameter(random(2, [2, 2])))
    .apply("u", "z", "tanh");
  graph.delay("z", "z1", { initial: new Parameter(random(3, [1, 2])) });
  return graph.gain("z", "y", weight(4)).output("y");
}

const [T, B] = [7, 2];
const filters = { sizes: [2, 3, 2], inputDelays: 1, feedbackDelays: 2, dtype: "float64" } as const;
const network = (options = {}) => any(new LocalFeedbackNetwork({ ...filters, generator: new Generator(1), ...options }));

describe("filters, step by step", () => {
  it.each([
    ["two layers, Q = 0", network(), 0],
    ["two layers, Q = 2", network(), 2],
    ["three layers", network({ sizes: [2, 3, 2, 1] }), [1, 3]],
    ["three layers with lattices", network({ sizes: [2, 2, 3, 2], lattice: true }), [2, 1]],
    ["no feedback", network({ feedbackDelays: 0, inputDelays: 2 }), 1],
    ["no delays at all", network({ feedbackDelays: 0, inputDelays: 0 }), 3],
    ["longer than the sequence", network(), 12],
    ["one layer", any(new LocalFeedbackLayer({ inputSize: 2, outputSize: 3, inputDelays: 1, feedbackDelays: 3, dtype: "float64" })), 4],
  ] as const)("crbp adds up to the gradient of the scan: %s", (_, cell, Q) => {
    for (const task of [{ T, B }, { T: 1 }, { T: 2 }]) expectScan(cell, crbp({ Q }), task);
  });

  it("crbp does in float32, with weights frozen and layers that share weights", () => {
    const single = any(new LocalFeedbackNetwork({ ...filters, dtype: "float32", generator: new Generator(1) }));
    expectScan(single, crbp({ Q: 2 }), { T, dtype: "float32" }, 1e-5);
    const net = new LocalFeedbackNetwork({ ...filters, sizes: [2, 2, 2], outputActivation: "tanh", generator: new Generator(1) });
    const [below, above] = net.layers as [LocalFeedbackLayer, LocalFeedbackLayer];
    (above as { bias: Parameter }).bias = below.bias;
    (below.weightFb as Parameter).requiresGrad = false;
    expectScan(any(net), crbp({ Q: 2 }), { T });
    expect(ofSteps(any(net), crbp({ Q: 2 }), { T })[net.parameters().indexOf(below.weightFb as Parameter)]).toBeNull();
  });

  it.each([
    [1, 1],
    [3, 1],
    [3, 2],
    [4, 4],
    [20, 3],
  ] as const)("a transposed graph's windows add up to the gradient of the scan: %i, %i", (h, hPrime) => {
    const graph = any(filterGraph());
    for (const task of [{ T, B }, { T: 1 }]) expectScan(graph, transposedGraph({ window: [h, hPrime] }), task);
  });

  it("are refused for other recurrences, and without a window", () => {
    expect(() => begin(crbp({ Q: 1 }), gru())).toThrow(ArgumentError);
    expect(() => begin(crbp({ Q: [1, 2, 3] }), network())).toThrow(ArgumentError);
    expect(() => begin(transposedGraph({ window: [2, 1] }), gru())).toThrow(ArgumentError);
    expect(transposedGraph().begin).toBeUndefined();
  });
});

const rules: Record<string, readonly [() => Recurrence, GradientAlgorithm]> = {
  truncated: [gru, truncated({ steps: [5, 3] })],
  hybrid: [gru, hybrid(4)],
  crbp: [() => network(), crbp({ Q: 3 })],
  transposedGraph: [() => any(filterGraph()), transposedGraph({ window: [5, 3] })],
};

describe.each(Object.keys(rules))("a learner with errors that wait: %s", (name) => {
  const [makeCell, algorithm] = rules[name] as readonly [() => Recurrence, GradientAlgorithm];
  const xs = random(6, [12, 1, 2]);
  const run = (learner: Learner, from: number, to: number): number[] => runSteps(learner, xs, from, to);

  it("goes on from bytes to the bit, beside another one", () => {
    const [a, b] = [makeCell(), makeCell()];
    const [first, second] = [begin(algorithm, a), begin(algorithm, b)];
    run(second, 3, 8);
    b.zeroGrad();
    run(first, 0, 7);
    a.zeroGrad();
    second.fromBytes(first.toBytes());
    expect(run(second, 7, 12)).toEqual(run(first, 7, 12));
    first.finish();
    second.finish();
    expect(gradientsNow(b)).toEqual(gradientsNow(a));
    expect(gradientsNow(a).some((g) => g !== 0)).toBe(true);
  });

  it("learns nothing from no steps or errors, and loses what waits by reset", () => {
    const cell = makeCell();
    const learner = begin(algorithm, cell);
    learner.finish();
    expect(gradientsNow(cell)).toEqual([]);
    learner.step(select(xs, 0, 0));
    learner.finish();
    expect(gradientsNow(cell).every((g) => g === 0)).toBe(true);
    cell.zeroGrad();
    const ys = run(learner, 0, 9);
    learner.finish();
    const expected = gradientsNow(cell);
    cell.zeroGrad();
    run(learner, 5, 7);
    learner.reset();
    cell.zeroGrad();
    expect(run(learner, 0, 9)).toEqual(ys);
    learner.finish();
    expect(gradientsNow(cell)).toEqual(expected);
  });

  it("leaves everything as it was where something fails", () => {
    const cell = makeCell();
    const learner = begin(algorithm, cell);
    run(learner, 0, 4);
    const [bytes, found] = [learner.toBytes(), gradientsNow(cell)];
    expect(() => learner.step(zeros([2, 2], "float64"))).toThrow(ShapeError);
    expect(() => learner.step(select(xs, 0, 0), () => zeros([1, 9], "float64"))).toThrow(ShapeError);
    expect(() => learner.fromBytes(bytes.slice(1))).toThrow(FormatError);
    scope(() => {
      const taken = learner.take(select(xs, 0, 0));
      expect(() => taken.pull(null, [zeros([1, 3], "float64")])).toThrow(/expected an error of the output/);
    });
    expect(learner.toBytes()).toEqual(bytes);
    expect(gradientsNow(cell)).toEqual(found);
  });

  it("holds the same memory after 400 steps", () => {
    const cell =
      name === "hybrid" || name === "truncated" ? any(new RNNCell({ inputSize: 2, hiddenSize: 1, dtype: "float64" })) : makeCell();
    const learner = begin(algorithm, cell);
    const x = select(xs, 0, 0).detach();
    const steps = (n: number): number => {
      for (let i = 0; i < n; i++) scope(() => void learner.step(x, squareError));
      return memory().liveBytes;
    };
    const before = steps(60);
    expect(steps(360)).toBe(before);
  });
});

it("refuses counts of a window that cannot be", () => {
  const learner = begin(truncated({ steps: [4, 2] }), gru());
  const good = learner.memory as Record<string, never>;
  for (const counts of [
    [5, 0, 0],
    [0, 1, 0],
    [3, 2, 0],
    [-1, 0, 0],
    [0, -1, 1],
  ]) {
    expect(() => {
      learner.memory = { ...good, counts: tensor(Int32Array.from(counts)) } as never;
    }).toThrow(FormatError);
  }
});
