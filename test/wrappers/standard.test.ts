import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { DeepIndRNN } from "../../src/cells/diagonal/deep-ind-rnn.ts";
import { LSTM1997 } from "../../src/cells/gated/lstm-1997.ts";
import { MGU } from "../../src/cells/gated/mgu.ts";
import { SimpleRecurrentNetwork } from "../../src/cells/simple/elman.ts";
import { Linear } from "../../src/nn/layers.ts";
import type { Module } from "../../src/nn/module.ts";
import { add, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import type { Cell, Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { detachState, type State, stateTensors } from "../../src/recurrence/state.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { MealyMachine, MooreMachine } from "../../src/wrappers/machines.ts";
import { freeRun, lastStep, oneToMany } from "../../src/wrappers/modes.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";
import { DetachEvery, truncatedBptt } from "../../src/wrappers/truncated.ts";
import { LearnedInitialState, Reversed, StateClip } from "../../src/wrappers/wrappers.ts";
import { Zoneout } from "../../src/wrappers/zoneout.ts";
import { accept, B, checkGradients, checkStepsEqualScan, expectClose, T } from "../cells/acceptance.ts";
import { elman, holdAgainst, holdLossAgainst, lstm as lstmOf, type Numbers } from "../oracle/equations.ts";
import { each, plus, rows, times, type Vector } from "../oracle/numbers.ts";

const generator = new Generator(21);
const options = { dtype: "float64", generator } as const;
const rnn = () => new RNNCell({ inputSize: 3, hiddenSize: 4, ...options });
const lstm = () => new LSTMCell({ inputSize: 3, hiddenSize: 4, ...options });
const linear = (inputs: number, outputs: number) => new Linear(inputs, outputs, options);
const g = new Generator(4);
const xs = g.uniform([T, B, 3], -1, 1, "float64");
const list = (t: Tensor) => Array.from(t.data());

/** One sequence through h = tanh(W x + b + U h + b′) and y = V z + c in plain loops; z is [h_t], or [x_t; h_t₋₁]. */
function machine(cell: RNNCell, readout: Linear, moore: boolean): number[][] {
  const bias = plus(list(cell.biasIh as Tensor), list(cell.biasHh as Tensor));
  let h = [0, 0, 0, 0];
  return Array.from({ length: T }, (_, t) => {
    const x = list(select(select(xs, 0, t), 0, 0));
    const before = h;
    h = plus(times(rows(cell.weightIh), x), times(rows(cell.weightHh), h), bias).map(Math.tanh);
    return plus(times(rows(readout.weight), moore ? h : [...x, ...before]), list(readout.bias as Tensor));
  });
}

describe("from any state, values and derivatives", () => {
  const head = (p: Numbers, v: Vector) => plus(times(p.matrix("readout.weight", v.length), v), p.vector("readout.bias"));

  it("a Moore machine reads the new state", () =>
    holdAgainst(new MooreMachine(rnn(), linear(4, 2)), (p, x, [h]) => {
      const next = elman(p, "recurrence.", x, h as Vector);
      return [head(p, next), [next]];
    }));

  it("a Mealy machine reads the input and what was put out last", () =>
    holdAgainst(new MealyMachine(rnn(), linear(7, 2)), (p, x, [h, state]) => {
      const next = elman(p, "recurrence.", x, state as Vector);
      return [head(p, [...x, ...(h as Vector)]), [next, next]];
    }));

  it("a clipped state is clipped where it is carried, not where it is put out", () =>
    holdAgainst(new StateClip(rnn(), 0.3), (p, x, [h]) => {
      const y = elman(p, "recurrence.", x, h as Vector);
      return [y, [y.map((v) => Math.min(0.3, Math.max(-0.3, v)))]];
    }));

  it.each([
    [0.3, 0.3, 0.3],
    [[0.2, 0.7], 0.2, 0.7],
    [[0.4], 0.4, 0],
  ])("zoneout mixes what was and what is by its probabilities where it does not train: %j", (given, ph, pc) => {
    const cell = new Zoneout<LstmState>(lstm(), given);
    holdAgainst(cell.eval(), (p, x, [h, c]) => {
      const fresh = lstmOf(p, "cell.", x, h as Vector, c as Vector);
      const kept = (probability: number, before: Vector, now: Vector) =>
        each((b, v) => probability * b + (1 - probability) * v, before, now);
      const y = kept(ph, h as Vector, fresh.h);
      return [y, [y, kept(pc, c as Vector, fresh.c)]];
    });
  });
});

describe("whole numbers in a state", () => {
  const counting = () => {
    const net = new DeepIndRNN({ inputSize: 3, hiddenSize: 4, layers: 1, norm: "step", normSteps: 3, normAt: "before", ...options });
    return net.eval();
  };

  it("are neither clipped, nor mixed, nor learned: a count of steps counts them", () => {
    const around: Cell<readonly Tensor[]>[] = [
      new StateClip(counting(), 0.5),
      new Zoneout(counting(), 0.5).eval(),
      new LearnedInitialState(counting()),
    ];
    for (const net of around) {
      const [, last] = net.scan(xs);
      expect(list(last[1] as Tensor)).toEqual([T, T]);
      expect((last[1] as Tensor).dtype).toBe("int32");
    }
    expect(new LearnedInitialState(counting()).initial).toHaveLength(1);
  });
});

describe("Moore and Mealy machines", () => {
  it("are accepted over any recurrence", () => {
    accept(new MooreMachine(rnn(), linear(4, 2)));
    accept(new MooreMachine(new MGU({ inputSize: 3, hiddenSize: 4, ...options }), linear(4, 2)));
    accept(new MealyMachine(lstm(), linear(7, 2)));
    accept(new MealyMachine(new MGU({ inputSize: 3, hiddenSize: 4, ...options }), linear(7, 2)));
  });

  it("read the new state, or the old state and the input", () => {
    const cell = rnn();
    const [moore, mealy] = [new MooreMachine(cell, linear(4, 2)), new MealyMachine(cell, linear(7, 2))];
    for (const m of [moore, mealy]) {
      const [ys] = (m as Cell).scan(xs);
      expectClose(slice(ys, 1, 0, 1), machine(cell, m.readout as Linear, m === moore).flat(), 1e-12);
    }
    expect([moore.outputSize, mealy.outputSize]).toEqual([2, 2]);
  });

  it("differ by what the first output can know: a Mealy output does not pass through the recurrence", () => {
    const cell = rnn();
    const touched = (m: MooreMachine<Tensor> | MealyMachine<Tensor>) => {
      const [y] = m.step(select(xs, 0, 0), m.initialState(B) as never);
      return gradients([y], [cell.weightIh], [ones(y.shape, "float64")])[0] != null;
    };
    expect(touched(new MooreMachine(cell, linear(4, 2)))).toBe(true);
    expect(touched(new MealyMachine(cell, linear(7, 2)))).toBe(false);
  });
});

describe("modes", () => {
  it("many to one: the last real step of each sequence, none for none", () => {
    const ys = lstm().scan(xs, undefined, { lengths: [2, 0] })[0];
    const last = lastStep(ys, [2, 0]);
    expectClose(lastStep(xs, [1, 3]), [...list(select(select(xs, 0, 0), 0, 0)), ...list(select(select(xs, 0, 2), 0, 1))], 0);
    expectClose(slice(last, 0, 0, 1), list(select(select(ys, 0, 1), 0, 0)), 0);
    expect(list(slice(last, 0, 1))).toEqual([0, 0, 0, 0]);
    const [all, state] = lstm().scan(xs);
    expect(list(lastStep(all))).toEqual(list(state.h));
    expect(() => lastStep(all, [T + 1, 0])).toThrow(`lastStep: expected lengths to be whole numbers in [0, ${T}]`);
    expect(() => lastStep(select(all, 0, 0))).toThrow("lastStep: expected ys [T,B,O]");
  });

  it("one to many: the input at the first step, then nothing", () => {
    const cell = rnn();
    const x = select(xs, 0, 0);
    const [ys, last] = oneToMany(cell, x, 3);
    let [y, h] = cell.step(x, cell.initialState(B));
    const expected = [list(y)];
    for (let t = 1; t < 3; t++) {
      [y, h] = cell.step(
        tensor(
          [
            [0, 0, 0],
            [0, 0, 0],
          ],
          { dtype: "float64" },
        ),
        h,
      );
      expected.push(list(y));
    }
    expectClose(ys, expected.flat(), 0);
    expectClose(last, list(h), 0);
    expect(oneToMany(cell, x, 1)[0].shape).toEqual([1, B, 4]);
    for (const steps of [0, 1.5])
      expect(() => oneToMany(cell, x, steps)).toThrow(`oneToMany: expected steps to be a whole number of at least 1, got ${steps}`);
  });

  it("free running: reads what it decodes from its outputs, and gradients follow", () => {
    const net = new MooreMachine(lstm(), linear(4, 3));
    const x = requireGrad(g.uniform([B, 3], -1, 1, "float64"));
    const [ys, last] = freeRun(net, x, 4, { decode: square });
    let [held, input] = [net.initialState(B), x as Tensor];
    for (let t = 0; t < 4; t++) {
      const [y, next] = net.step(input, held);
      expectClose(select(ys, 0, t), list(y), 0);
      [held, input] = [next, square(y)];
    }
    expectClose(last.c, list(held.c), 0);
    const [dx] = gradients([sum(select(ys, 0, 3))], [x], [ones([], "float64")]);
    expect(Math.max(...list(dx as Tensor).map(Math.abs))).toBeGreaterThan(0);
    expect(freeRun(net, x, 2)[0].shape).toEqual([2, B, 3]);
    // What decodes is called between steps only, and may mend another size.
    const asked: number[] = [];
    const narrowed = (y: Tensor, t: number) => {
      asked.push(t);
      return slice(y, 1, 0, 3);
    };
    const cell = rnn();
    const [first, h] = cell.step(x, cell.initialState(B));
    const [second] = cell.step(slice(first, 1, 0, 3), h);
    expectClose(freeRun(cell, x, 2, { decode: narrowed })[0], [...list(first), ...list(second)], 0);
    expect(asked).toEqual([0]);
    expect(() => freeRun(rnn(), x, 2)).toThrow("freeRun: expected decode for outputs of 4 values and inputs of 3");
  });
});

describe("LearnedInitialState", () => {
  it("is accepted, of cells, layers and stacks", () => {
    accept(new LearnedInitialState(lstm()));
    accept(new LearnedInitialState(new SimpleRecurrentNetwork({ inputSize: 3, hiddenSize: 4, ...options })));
    checkGradients(new LearnedInitialState(new LSTM({ inputSize: 3, hiddenSize: 2, numLayers: 2, ...options })));
    const stack = new LearnedInitialState(new StackedRNN([lstm(), new LSTMCell({ inputSize: 4, hiddenSize: 2, ...options })]));
    expect(stack.initial.map((p) => p.shape)).toEqual([
      [1, 4],
      [1, 4],
      [1, 2],
      [1, 2],
    ]);
    checkGradients(stack);
  });

  it("begins every sequence from its parameters, values and derivatives", () => {
    const net = new LearnedInitialState<LstmState>(lstm());
    const share = g.uniform([T, B, 4], -1, 1, "float64");
    holdLossAgainst(
      net,
      () => sum(mul(net.scan(xs)[0], share)),
      (p) => {
        let total = 0;
        for (let b = 0; b < B; b++) {
          let state = { h: p.vector("initial.0"), c: p.vector("initial.1") };
          for (let t = 0; t < T; t++) {
            const [x, weights] = [xs, share].map((all) => list(select(select(all, 0, t), 0, b))) as [number[], number[]];
            state = lstmOf(p, "recurrence.", x, state.h, state.c);
            total += state.h.reduce((sum, v, k) => sum + v * (weights[k] as number), 0);
          }
        }
        return total;
      },
    );
  });

  it("has parameters of its own, also around another one", () => {
    const inner = new LearnedInitialState(rnn());
    const [a, b] = [inner.initial[0] as Tensor, new LearnedInitialState(inner).initial[0] as Tensor];
    expect(b.storage).not.toBe(a.storage);
  });

  it("starts as the recurrence does; its gradient is the sum over the batch", () => {
    const net = new LearnedInitialState(new SimpleRecurrentNetwork({ inputSize: 3, hiddenSize: 4, ...options }));
    expect(list(net.initialState(1))).toEqual([0.5, 0.5, 0.5, 0.5]);
    const loss = (x: Tensor, h?: Tensor) => sum(square(net.scan(x, h)[0]));
    const [h0] = net.initial as [Tensor];
    const total = gradients([loss(xs)], [h0], [ones([], "float64")])[0] as Tensor;
    const rowsOf = requireGrad(tensor(new Float64Array(B * 4).fill(0.5), { shape: [B, 4], dtype: "float64" }));
    const each = gradients([loss(xs, rowsOf)], [rowsOf], [ones([], "float64")])[0] as Tensor;
    expectClose(total, list(sum(each, { axis: 0 })), 1e-12);
  });
});

describe("configurations of configurations", () => {
  it("stream a step a call, by replay, with the bits of whole sequences", () => {
    const stack = new StackedRNN<State>([lstm(), new MGU({ inputSize: 4, hiddenSize: 3, ...options })]);
    const net = new MooreMachine(new LearnedInitialState(new StateClip(stack, 0.5)), linear(3, 2));
    const stream = new Stream(net);
    expect(stream.whyEager).toBeNull();
    const [ys] = noGrad(() => net.scan(slice(xs, 1, 0, 1)));
    for (let t = 0; t < T; t++) expect([...stream.step(slice(select(xs, 0, t), 0, 0, 1))]).toEqual(list(select(ys, 0, t)));
  });
});

describe("Reversed and StateClip", () => {
  it("reads from the end", () => {
    const cell = lstm();
    const reversed = new Reversed(cell);
    checkGradients(reversed);
    for (const lengths of [
      [T, T],
      [2, 5],
    ]) {
      expectClose(reversed.scan(xs, undefined, { lengths })[0], list(cell.scan(xs, undefined, { lengths, reverse: true })[0]), 0);
      expectClose(reversed.scan(xs, undefined, { lengths, reverse: true })[0], list(cell.scan(xs, undefined, { lengths })[0]), 0);
    }
  });

  it("clips what is carried", () => {
    accept(new StateClip(lstm(), 0.05), { seed: 3 });
    const cell = lstm();
    const [, free] = cell.scan(xs);
    const [, clipped] = new StateClip(cell, 0.05).scan(xs);
    expect(Math.max(...list(free.c).map(Math.abs))).toBeGreaterThan(0.05);
    expect(Math.max(...stateTensors(clipped).flatMap(list).map(Math.abs))).toBeLessThanOrEqual(0.05);
    expectClose(new StateClip(cell, 1e3).scan(xs)[0], list(cell.scan(xs)[0]), 1e-12);
    expect(() => new StateClip(cell, 0)).toThrow("StateClip: expected a bound above 0, got 0");
  });
});

describe("truncated backpropagation through time", () => {
  const targets = g.uniform([T, B, 4], -1, 1, "float64");
  const lossOf = (ys: Tensor, from: number) => sum(square(add(ys, slice(targets, 0, from, from + ys.dim(0)))));

  /** Gradients of all parameters after `run`, which fills `.grad`. */
  function collected(module: Module, run: () => void): number[] {
    module.zeroGrad();
    run();
    return module.parameters().flatMap((p) => (p.grad ? list(p.grad) : new Array(p.size).fill(0)));
  }

  const cells: (() => Recurrence<State>)[] = [
    () => lstm() as unknown as Recurrence<State>,
    () => new MGU({ inputSize: 3, hiddenSize: 4, ...options }) as unknown as Recurrence<State>,
    () => new LearnedInitialState(rnn()) as unknown as Recurrence<State>,
  ];

  it.each(cells.map((make, i) => [i, make] as const))("is the whole gradient where k₂ ≥ T, cell %i", (_, make) => {
    const cell = make();
    const full = collected(cell, () => backward(lossOf(cell.scan(xs)[0], 0)));
    for (const [k1, k2] of [
      [T, T],
      [1, T],
      [2, T + 3],
      [4, T],
    ] as const) {
      expectClose(
        collected(cell, () => truncatedBptt(cell, xs, { k1, k2, loss: lossOf })),
        full,
        1e-10,
      );
    }
    expectClose(
      collected(cell, () => backward(lossOf(new DetachEvery(cell, T).scan(xs)[0], 0))),
      full,
      1e-10,
    );
    const cut = collected(cell, () => truncatedBptt(cell, xs, { k1: 2, loss: lossOf }));
    expect(Math.max(...cut.map((v, i) => Math.abs(v - (full[i] as number))))).toBeGreaterThan(1e-3);
  });

  it("equals, for k₁ = 1 and 2 steps back, the sum over t of gradients with s_t₋₂ held, step by step", () => {
    const cell = rnn();
    const found = collected(cell, () => truncatedBptt(cell, xs, { k1: 1, k2: 2, loss: lossOf }));
    const expected = collected(cell, () => {
      const states = noGrad(() => Array.from({ length: T }, (_, t) => (t < 1 ? cell.initialState(B) : cell.scan(slice(xs, 0, 0, t))[1])));
      for (let t = 0; t < T; t++) {
        const from = Math.max(0, t - 1);
        let h = (states[from] as Tensor).detach();
        let y = h;
        for (let s = from; s <= t; s++) [y, h] = cell.step(select(xs, 0, s), h);
        backward(sum(square(add(y, select(targets, 0, t)))));
      }
    });
    expectClose(found, expected, 1e-10);
  });

  it("with k₁ = k₂ = 2 and a carried state, passes nothing to inputs beyond the cut", () => {
    for (const make of cells.slice(0, 2)) {
      const cell = make();
      const x = requireGrad(g.uniform([T, B, 3], -1, 1, "float64"));
      truncatedBptt(cell, x, { k1: 2, loss: (ys, from) => (from === 4 ? sum(square(ys)) : mul(sum(ys), 0)) });
      const reach = Array.from({ length: T }, (_, t) => Math.max(...list(select(x.grad as Tensor, 0, t)).map(Math.abs)));
      expect(reach.slice(0, 4)).toEqual([0, 0, 0, 0]);
      expect(Math.min(...reach.slice(4))).toBeGreaterThan(0);
    }
  });

  it("gives the same outputs and states as without cuts: DetachEvery, with lengths, in both directions", () => {
    for (const k of [1, 2, 4, T]) {
      checkStepsEqualScan(new DetachEvery(lstm(), k));
      checkStepsEqualScan(new DetachEvery(new MGU({ inputSize: 3, hiddenSize: 4, ...options }), k));
    }
    const cell = rnn();
    const [ys, last] = cell.scan(xs);
    const result = truncatedBptt(cell, xs, { k1: 2, k2: 3, loss: lossOf });
    expectClose(result.state, list(last), 0);
    expect(Math.abs(result.loss - lossOf(ys, 0).item())).toBeLessThan(1e-10);
  });

  it("goes on from the state that is given, which gets no gradient; on-line, from the states of the time", () => {
    const cell = rnn();
    const start = requireGrad(g.uniform([B, 4], -1, 1, "float64"));
    const loss = (ys: Tensor, from: number) => lossOf(ys, from);
    const given = truncatedBptt(cell, xs, { k1: 2, k2: 4, state: start, loss });
    const [ys, last] = cell.scan(xs, start);
    expectClose([given.loss], [lossOf(ys, 0).item()], 1e-10);
    expectClose(given.state, list(last), 0);
    expect(start.grad).toBeNull();
    // By hand: windows of two steps, each from the state that the weights of its time left, then one step down the gradient.
    const [trained, byHand] = [rnn(), rnn()];
    byHand.loadStateDict(trained.stateDict());
    const descend = (net: RNNCell) => {
      for (const p of net.parameters()) assign(p, sub(p.detach(), mul(p.grad as Tensor, 0.1)));
      net.zeroGrad();
    };
    const online = truncatedBptt(trained, xs, { k1: 2, loss, after: () => descend(trained) });
    let h: Tensor = byHand.initialState(B);
    let total = 0;
    for (let from = 0; from < T; from += 2) {
      const [piece, next] = byHand.scan(slice(xs, 0, from, from + 2), h);
      const value = lossOf(piece, from);
      backward(value);
      total += value.item();
      descend(byHand);
      h = next.detach();
    }
    expectClose([online.loss, ...list(online.state)], [total, ...list(h)], 1e-12);
    expectClose(trained.parameters().flatMap(list), byHand.parameters().flatMap(list), 1e-12);
  });

  it("DetachEvery cuts at the same steps in reverse: an output is reached by the later inputs of its own piece", () => {
    const x = requireGrad(g.uniform([T, B, 3], -1, 1, "float64"));
    const [ys] = new DetachEvery(rnn(), 4).scan(x, undefined, { reverse: true });
    for (const [t, reached] of [
      [1, [1, 2, 3]],
      [4, [4, 5]],
    ] as const) {
      const [dx] = gradients([sum(select(ys, 0, t))], [x], [ones([], "float64")]) as [Tensor];
      const steps = Array.from({ length: T }, (_, s) => s).filter((s) => list(select(dx, 0, s)).some((v) => v !== 0));
      expect(steps).toEqual(reached);
    }
  });

  it("DetachEvery cuts where truncated sweeps do; with 1 step it is Elman's procedure", () => {
    const cell = lstm();
    const swept = collected(cell, () => truncatedBptt(cell, xs, { k1: 2, loss: lossOf }));
    expectClose(
      collected(cell, () => backward(lossOf(new DetachEvery(cell, 2).scan(xs)[0], 0))),
      swept,
      1e-10,
    );
    const elman = (truncate: "none" | "elman1") =>
      new SimpleRecurrentNetwork({ inputSize: 3, hiddenSize: 4, truncate, dtype: "float64", generator: new Generator(1) });
    const [own, plain] = [elman("elman1"), elman("none")];
    const expected = collected(own, () => backward(lossOf(own.scan(xs)[0], 0)));
    expectClose(
      collected(plain, () => backward(lossOf(new DetachEvery(plain, 1).scan(xs)[0], 0))),
      expected,
      1e-10,
    );
  });

  it("changes weights on-line, and keeps no tape alive", () => {
    const cell = new GRUCell({ inputSize: 3, hiddenSize: 4, ...options });
    const ends: number[] = [];
    const long = g.uniform([50, B, 3], -1, 1, "float64");
    const round = (state?: Tensor) => {
      const result = truncatedBptt(cell, long, {
        k1: 5,
        k2: 10,
        ...(state && { state }),
        loss: (ys) => sum(square(ys)),
        after: (end) => ends.push(end),
      });
      cell.zeroGrad();
      return result.state;
    };
    let state = round();
    expect(ends).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
    const live: number[] = [];
    for (let i = 0; i < 20; i++) {
      const next = scope(() => round(state));
      state.dispose();
      state = next;
      live.push(memory().liveBytes);
    }
    expect(new Set(live.slice(1)).size).toBe(1);
    const [, last] = cell.scan(long);
    expect(detachState(last).storage).not.toBe(last.storage);
  });

  it("takes cells with truncated gates as they are, and says what does not fit", () => {
    const cell = new LSTM1997({ inputSize: 3, blocks: 2, cellsPerBlock: 2, truncate: "1997", ...options });
    const loss = (ys: Tensor) => sum(square(ys));
    const full = collected(cell, () => backward(loss(cell.scan(xs)[0])));
    expectClose(
      collected(cell, () => truncatedBptt(cell, xs, { k1: T, loss })),
      full,
      1e-10,
    );
    expect(() => truncatedBptt(cell, xs, { k1: 3, k2: 2, loss })).toThrow("truncatedBptt: expected k2 to be at least k1, got 2 and 3");
    expect(() => truncatedBptt(cell, xs, { k1: 0, loss })).toThrow("truncatedBptt: expected k1 to be a whole number of at least 1, got 0");
    expect(() => new DetachEvery(cell, 1.5)).toThrow("DetachEvery: expected steps");
  });
});
