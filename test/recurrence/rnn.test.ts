/** Recurrent layers and cells: the equations, PyTorch's names and orders, lengths, and agreement of all ways to run them. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { ArgumentError, ShapeError, StateError } from "../../src/base/errors.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { tanh } from "../../src/ops/math.ts";
import { flip, select, slice, transpose } from "../../src/ops/shape.ts";
import { Cell, type Recurrence, type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM, RNN, type StackedOptions } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { memory } from "../../src/wasm/host.ts";

const dtype = "float64";
const normal = (shape: number[], seed = 1): Tensor => new Generator(seed).normal(shape, 0, 1, dtype);
const base = { inputSize: 3, hiddenSize: 5, dtype } as const;

function expectClose(got: Tensor, expected: Tensor | number[], tolerance: number): void {
  const [g, e] = [[...got.data()], Array.isArray(expected) ? expected : [...expected.data()]];
  if (!Array.isArray(expected)) expect(got.shape).toEqual(expected.shape);
  expect(g.length).toBe(e.length);
  e.forEach((v, i) => {
    const error = Math.abs((g[i] as number) - v) / Math.max(1, Math.abs(v));
    if (!(error <= tolerance)) throw new Error(`element ${i}: expected ${v}, got ${g[i]}`);
  });
}

const expectSame = (got: Tensor, expected: Tensor): void => {
  expect(got.shape).toEqual(expected.shape);
  expect(got.data()).toEqual(expected.data());
};

// ---- The published equations in plain loops ----

const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a));
const values = (t: Tensor | null | undefined): number[] => [...(t?.data() ?? [])];
/** Row `row` of w·x + b; a missing bias is zero. */
const affine = (w: number[], b: number[], row: number, x: number[]): number =>
  x.reduce((s, v, k) => s + (w[row * x.length + k] as number) * v, b[row] ?? 0);

interface Weighted {
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly biasIh: Tensor | null;
  readonly biasHh: Tensor | null;
}

/** Sums of a gate from the input and from the state, apart. */
function sides(cell: Weighted, x: number[], h: number[]): [fromInput: (row: number) => number, fromState: (row: number) => number] {
  const [wi, wh, bi, bh] = [cell.weightIh, cell.weightHh, cell.biasIh, cell.biasHh].map(values) as [number[], number[], number[], number[]];
  return [(row) => affine(wi, bi, row, x), (row) => affine(wh, bh, row, h)];
}

const BIASES = [{ bias: false }, { biases: 1 }, { biases: 2 }] as const;

describe.each(BIASES)("cells compute their equations, %j", (biases) => {
  const x = normal([1, 3], 2);
  const options = { ...base, ...biases };
  const j = [0, 1, 2, 3, 4];

  it.each(["tanh", "relu"] as const)("RNNCell %s", (nonlinearity) => {
    const cell = new RNNCell({ ...options, nonlinearity });
    const h0 = normal([1, 5], 3);
    const [fromInput, fromState] = sides(cell, values(x), values(h0));
    const expected = j.map((k) => {
      const a = fromInput(k) + fromState(k);
      return nonlinearity === "relu" ? Math.max(0, a) : Math.tanh(a);
    });
    const [y, h1] = cell.step(x, h0);
    expectClose(y, expected, 1e-13);
    expectSame(h1, y);
  });

  it.each([true, false])("GRUCell, resetAfter=%s", (resetAfter) => {
    const cell = new GRUCell({ ...options, resetAfter });
    const h0 = normal([1, 5], 3);
    const h = values(h0);
    const [fromInput, fromState] = sides(cell, values(x), h);
    const r = j.map((k) => sigmoid(fromInput(k) + fromState(k)));
    const [, fromReset] = sides(
      cell,
      values(x),
      h.map((v, k) => v * (r[k] as number)),
    );
    const expected = j.map((k) => {
      const z = sigmoid(fromInput(5 + k) + fromState(5 + k));
      const n = Math.tanh(fromInput(10 + k) + (resetAfter ? (r[k] as number) * fromState(10 + k) : fromReset(10 + k)));
      return (1 - z) * n + z * (h[k] as number);
    });
    expectClose(cell.step(x, h0)[0], expected, 1e-13);
  });

  it.each([
    { projSize: 0, peepholes: false },
    { projSize: 2, peepholes: true },
  ])("LSTMCell, %j", ({ projSize, peepholes }) => {
    const cell = new LSTMCell({ ...options, projSize, peepholes });
    const state = { h: normal([1, projSize || 5], 3), c: normal([1, 5], 4) };
    const [fromInput, fromState] = sides(cell, values(x), values(state.h));
    const p = values(cell.weightPeephole);
    const gate = (g: number, k: number, c: number): number =>
      fromInput(5 * g + k) + fromState(5 * g + k) + (p[(g === 3 ? 2 : g) * 5 + k] ?? 0) * c;
    const c1 = values(state.c).map(
      (c, k) => sigmoid(gate(1, k, c)) * c + sigmoid(gate(0, k, c)) * Math.tanh(fromInput(10 + k) + fromState(10 + k)),
    );
    const m = c1.map((c, k) => sigmoid(gate(3, k, c)) * Math.tanh(c));
    const h1 = projSize ? [0, 1].map((k) => affine(values(cell.weightHr), [], k, m)) : m;
    const [y, next] = cell.step(x, state);
    expectClose(y, h1, 1e-13);
    expectSame(next.h, y);
    expectClose(next.c, c1, 1e-13);
  });
});

// ---- Ways to run ----

type Net = Recurrence<State>;

const CELLS: readonly [string, () => Net][] = [
  ["RNNCell", () => new RNNCell(base) as unknown as Net],
  ["LSTMCell", () => new LSTMCell({ ...base, peepholes: true, projSize: 2 }) as unknown as Net],
  ["GRUCell", () => new GRUCell(base) as unknown as Net],
  ["GRUCell before", () => new GRUCell({ ...base, resetAfter: false, biases: 1 }) as unknown as Net],
];

const SCANS: readonly ScanOptions[] = [
  {},
  { reverse: true },
  { lengths: [4, 4, 4, 4] },
  { lengths: [2, 4, 0, 3] },
  { lengths: [2, 4, 1, 3], reverse: true },
  { lengths: [0, 0, 0, 0] },
];

describe.each(CELLS)("%s", (_, make) => {
  it.each(SCANS)("scan is step after step, %j", (options) => {
    scope(() => {
      const cell = make();
      const xs = normal([4, 4, 3]);
      const state = mapState((s) => normal([...s.shape], 7), cell.initialState(4));
      const parameters = cell.parameters();
      const results = [cell.scan(xs, state, options), scanSteps(cell, xs, state, options)].map(([ys, last]) => {
        const outputs = [ys, ...stateTensors(last)];
        const weights = outputs.map((y, i) => normal([...y.shape], i));
        return [...outputs, ...gradients(outputs, parameters, weights)];
      });
      const [fused, stepped] = results as [(Tensor | null)[], (Tensor | null)[]];
      fused.forEach((t, i) => {
        // Where no step is real there is no path, or zeros.
        const other = stepped[i];
        if (other) expectClose(t as Tensor, other, 1e-12);
        else expect(values(t).every((v) => v === 0)).toBe(true);
      });
    });
  });
});

/** A cell of one's own around a fused one. */
class Around extends Cell<State> {
  readonly inputSize = 3;
  readonly outputSize: number;
  readonly inner: Net;
  constructor(inner: Net) {
    super();
    this.inner = inner;
    this.outputSize = inner.outputSize;
  }
  initialState(batch: number): State {
    return this.inner.initialState(batch);
  }
  step(x: Tensor, state: State): [Tensor, State] {
    const [y, next] = this.inner.step(tanh(x), state);
    return [mul(y, y), next];
  }
}

describe.each(CELLS)("%s inside a captured cell", (_, make) => {
  it.each([false, true])("is step after step, gradients included, reverse=%s", (reverse) => {
    scope(() => {
      const cell = new Around(make());
      const xs = normal([5, 2, 3]);
      const state = mapState((s) => normal([...s.shape], 7), cell.initialState(2));
      expect(cell.whyEager(xs, state)).toBeNull();
      const run = (scan: () => [Tensor, State]): Tensor[] => {
        const [ys, last] = scan();
        const outputs = [ys, ...stateTensors(last)];
        const weights = outputs.map((y, i) => normal([...y.shape], i));
        return [...outputs, ...gradients(outputs, cell.parameters(), weights)] as Tensor[];
      };
      const replayed = run(() => cell.scan(xs, state, { reverse }));
      run(() => scanSteps(cell, xs, state, { reverse })).forEach((t, i) => {
        expectClose(replayed[i] as Tensor, t, 1e-13);
      });
    });
  });
});

const LAYERS: readonly [string, (options?: Partial<StackedOptions>) => RNN | LSTM | GRU][] = [
  ["RNN", (options) => new RNN({ ...base, ...options })],
  ["LSTM", (options) => new LSTM({ ...base, ...options })],
  ["LSTM projected", (options) => new LSTM({ ...base, projSize: 2, peepholes: true, ...options })],
  ["GRU", (options) => new GRU({ ...base, ...options })],
];

/** `forward` and `scan` of the layers have different state types; here any will do. */
type AnyLayer = { forward(xs: Tensor, options?: { state?: State; lengths?: number[] }): { output: Tensor; state: State } } & Net;

describe.each(LAYERS)("%s", (_, makeLayer) => {
  const make = (options?: Partial<StackedOptions>): AnyLayer => makeLayer(options) as unknown as AnyLayer;

  it("streams with the same bits as it runs whole", () => {
    scope(() => {
      const layer = make({ numLayers: 2 });
      const xs = normal([6, 3, 3]);
      const whole = layer.forward(xs);
      let state = layer.initialState(3);
      for (let t = 0; t < 6; t++) {
        const [y, next] = layer.step(select(xs, 0, t), state);
        expectSame(y, select(whole.output, 0, t));
        state = next;
      }
      stateTensors(state).forEach((s, i) => {
        expectSame(s, stateTensors(whole.state)[i] as Tensor);
      });
    });
  });

  it("continues where it stopped", () => {
    const layer = make({ numLayers: 2 });
    const xs = normal([6, 2, 3]);
    const whole = layer.forward(xs);
    const first = layer.forward(slice(xs, 0, 0, 2));
    const second = layer.forward(slice(xs, 0, 2), { state: first.state });
    expectSame(second.output, slice(whole.output, 0, 2));
    stateTensors(second.state).forEach((s, i) => {
      expectSame(s, stateTensors(whole.state)[i] as Tensor);
    });
  });

  it.each([false, true])("gives a sequence in a padded batch what it gives it alone, bidirectional=%s", (bidirectional) => {
    scope(() => {
      const layer = make({ numLayers: 2, bidirectional });
      const lengths = [3, 5, 1, 4];
      const xs = normal([5, 4, 3]);
      const { output, state } = layer.forward(xs, { lengths });
      lengths.forEach((n, b) => {
        const alone = layer.forward(slice(slice(xs, 1, b, b + 1), 0, 0, n));
        expectSame(slice(slice(output, 1, b, b + 1), 0, 0, n), alone.output);
        expect(values(slice(slice(output, 1, b, b + 1), 0, n)).every((v) => v === 0)).toBe(true);
        stateTensors(state).forEach((s, i) => {
          expectSame(slice(s, 1, b, b + 1), stateTensors(alone.state)[i] as Tensor);
        });
      });
    });
  });

  it("does not look at padding", () => {
    const layer = make({ bidirectional: true });
    const xs = normal([4, 2, 3]);
    const poisoned = xs.data();
    poisoned.fill(Number.NaN, 2 * 6 + 3, 2 * 6 + 6);
    poisoned.fill(Number.NaN, 3 * 6 + 3, 3 * 6 + 6);
    const lengths = [4, 2];
    const expected = layer.forward(xs, { lengths });
    const spoiled = layer.forward(tensor(poisoned, { shape: [4, 2, 3] }), { lengths });
    expectSame(spoiled.output, expected.output);
  });

  it("reads backwards with its second set of weights", () => {
    const both = make({ bidirectional: true });
    const single = make();
    const xs = normal([4, 2, 3]);
    const state = both.stateDict();
    single.loadStateDict(new Map([...single.stateDict().keys()].map((name) => [name, state.get(`${name}_reverse`) as Tensor])));
    const backwards = single.forward(flip(xs, 0));
    const O = single.outputSize;
    const { output, state: last } = both.forward(xs);
    expectSame(slice(output, 2, O), flip(backwards.output, 0));
    stateTensors(last).forEach((s, i) => {
      expectSame(slice(s, 0, 1), stateTensors(backwards.state)[i] as Tensor);
    });
  });

  it("takes the batch first, or no batch", () => {
    const layer = make({ numLayers: 2, bidirectional: true });
    const first = make({ numLayers: 2, bidirectional: true, batchFirst: true });
    first.loadStateDict(layer.stateDict());
    const xs = normal([4, 2, 3]);
    const expected = layer.forward(xs, { lengths: [4, 3] });
    const swapped = first.forward(transpose(xs, 0, 1), { lengths: [4, 3] });
    expectSame(swapped.output, transpose(expected.output, 0, 1));
    stateTensors(swapped.state).forEach((s, i) => {
      expectSame(s, stateTensors(expected.state)[i] as Tensor);
    });
    const alone = layer.forward(slice(xs, 1, 0, 1));
    for (const l of [layer, first]) {
      const unbatched = l.forward(select(xs, 1, 0));
      expectSame(unbatched.output, select(alone.output, 1, 0));
      stateTensors(unbatched.state).forEach((s, i) => {
        expectSame(s, select(stateTensors(alone.state)[i] as Tensor, 1, 0));
      });
      const again = l.forward(select(xs, 1, 0), { state: unbatched.state });
      expect(again.output.shape).toEqual(unbatched.output.shape);
    }
  });

  it("has right derivatives through layers, directions and lengths", () => {
    const layer = make({ hiddenSize: 3, numLayers: 2, bidirectional: true });
    checkGrads((xs) => layer.forward(xs, { lengths: [1, 3] }).output, [normal([3, 2, 3])], { order: 2 });
  });

  it.each([true, false])("reads indices as one-hot vectors, bias=%s", (bias) => {
    scope(() => {
      const layer = make({ numLayers: 2, bidirectional: true, bias });
      const ids = [2, 0, 1, 1, 2, 2, 0, 1];
      const indices = tensor(ids, { dtype: "int32", shape: [4, 2] });
      const oneHot = tensor(
        ids.flatMap((id) => [0, 1, 2].map((k) => Number(k === id))),
        { dtype, shape: [4, 2, 3] },
      );
      const run = (xs: Tensor): Tensor[] => {
        const { output, state } = layer.forward(xs, { lengths: [4, 3] });
        return [output, ...stateTensors(state), ...(gradients([output], layer.parameters(), [normal([...output.shape])]) as Tensor[])];
      };
      const expected = run(oneHot);
      run(indices).forEach((t, i) => {
        if (i < 3) expectClose(t, expected[i] as Tensor, 0);
        else expectClose(t, expected[i] as Tensor, 1e-14);
      });
      const alone = layer.forward(select(indices, 1, 0));
      expectSame(alone.output, layer.forward(select(oneHot, 1, 0)).output);
      const single = make();
      expectSame(
        single.step(select(indices, 0, 0), single.initialState(2))[0],
        single.step(select(oneHot, 0, 0), single.initialState(2))[0],
      );
      expect(() => single.forward(tensor([3], { dtype: "int32" }))).toThrow(ArgumentError);
      expect(() => single.step(indices, single.initialState(2))).toThrow(ShapeError);
    });
  });

  it("drops between layers, in training only", () => {
    const options = { numLayers: 2, dropout: 0.5 };
    const layer = make({ ...options, generator: new Generator(5) });
    const same = make({ ...options, generator: new Generator(5) });
    const plain = make({ numLayers: 2 });
    plain.loadStateDict(layer.stateDict());
    const xs = normal([4, 3, 3]);
    const first = layer.forward(xs).output;
    expect(first.data()).not.toEqual(plain.forward(xs).output.data());
    expect(first.data()).not.toEqual(layer.forward(xs).output.data());
    expectSame(same.forward(xs).output, first);
    layer.eval();
    expectSame(layer.forward(xs).output, plain.forward(xs).output);
    const one = make({ dropout: 0.5 });
    expectSame(one.forward(xs).output, one.forward(xs).output);
  });

  it("of no sequences gives an empty output", () => {
    const { output, state } = make({ numLayers: 2 }).forward(normal([3, 0, 3]));
    expect(output.shape.slice(0, 2)).toEqual([3, 0]);
    expect(stateTensors(state).map((s) => s.shape.slice(0, 2))).toEqual(stateTensors(state).map(() => [2, 0]));
  });

  it("leaves nothing behind in memory", () => {
    const layer = make({ numLayers: 2, bidirectional: true });
    const run = (): void => {
      scope(() => noGrad(() => layer.forward(normal([4, 3, 3]), { lengths: [4, 2, 1] })).output.item.length);
    };
    run();
    const before = memory().liveBytes;
    run();
    expect(memory().liveBytes).toBe(before);
  });

  it("names what does not fit", () => {
    const layer = make({ bidirectional: true });
    expect(() => layer.forward(normal([0, 2, 3]))).toThrow(ShapeError);
    expect(() => layer.forward(normal([2, 2, 4]))).toThrow(new ShapeError("scan: expected xs [T,B,3], got [2,2,4]"));
    expect(() => layer.forward(normal([2, 2, 3]), { lengths: [1] })).toThrow(ShapeError);
    expect(() => layer.forward(normal([2, 2, 3]), { lengths: [1, 3] })).toThrow(ArgumentError);
    expect(() => layer.forward(normal([2, 2, 3]), { state: layer.initialState(3) })).toThrow(ShapeError);
    expect(() => layer.step(normal([2, 3]), layer.initialState(2))).toThrow(StateError);
    expect(() => make().step(normal([2, 4]), make().initialState(2))).toThrow(ShapeError);
    expect(() => make({ numLayers: 0 })).toThrow(ArgumentError);
    expect(() => make({ hiddenSize: 0 })).toThrow(ArgumentError);
    expect(() => make({ dropout: 1 })).toThrow(ArgumentError);
    expect(() => make({ biases: 3 as 2 })).toThrow(ArgumentError);
  });
});

describe("parameters", () => {
  it("bear PyTorch's names and shapes", () => {
    const layer = new LSTM({ inputSize: 3, hiddenSize: 4, projSize: 2, numLayers: 2, bidirectional: true });
    const shapes = [...layer.namedParameters()].map(([name, p]) => `${name} ${p.shape.join("x")}`);
    const of = (suffix: string, width: number): string[] => [
      `weight_ih_${suffix} 16x${width}`,
      `weight_hh_${suffix} 16x2`,
      `bias_ih_${suffix} 16`,
      `bias_hh_${suffix} 16`,
      `weight_hr_${suffix} 2x4`,
    ];
    expect(shapes).toEqual([...of("l0", 3), ...of("l0_reverse", 3), ...of("l1", 4), ...of("l1_reverse", 4)]);
    expect([...new LSTM({ ...base, bias: false, peepholes: true }).stateDict().keys()]).toEqual([
      "weight_ih_l0",
      "weight_hh_l0",
      "weight_peephole_l0",
    ]);
    expect([...new GRUCell({ ...base, biases: 1 }).stateDict().keys()]).toEqual(["weight_ih", "weight_hh", "bias_ih"]);
  });

  it("start uniform in ±1/√H, from the generator", () => {
    const make = (): GRU => new GRU({ inputSize: 30, hiddenSize: 25, generator: new Generator(3) });
    const drawn = [...make().namedParameters()].flatMap(([, p]) => values(p));
    expect(drawn.every((v) => Math.abs(v) <= 0.2)).toBe(true);
    expect(Math.max(...drawn)).toBeGreaterThan(0.19);
    expect(Math.min(...drawn)).toBeLessThan(-0.19);
    const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect([...make().namedParameters()].flatMap(([, p]) => values(p))).toEqual(drawn);
  });

  it("of a projection are smaller than the hidden size", () => {
    expect(() => new LSTM({ ...base, projSize: 5 })).toThrow(ArgumentError);
    expect(() => new LSTMCell({ ...base, projSize: -1 })).toThrow(ArgumentError);
  });
});
