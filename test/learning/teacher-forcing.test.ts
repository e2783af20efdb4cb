/** Teacher forcing and its relatives: reductions to a scan and to free running, gradients that are cut, schedules by their formulas. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { FullyRecurrentNetwork, JordanNetwork, TeacherForced } from "../../src/cells/index.ts";
import { BahdanauDecoder, Encoder } from "../../src/encoder-decoder/index.ts";
import {
  Curriculum,
  exponentialDecay,
  inverseSigmoidDecay,
  linearDecay,
  ProfessorForcing,
  rtrl,
  usingGradients,
} from "../../src/learning/index.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { GRU, LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import { onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { freeRun, scheduledSampling } from "../../src/wrappers/index.ts";

const dtype = "float64";
const values = (t: Tensor): number[] => Array.from(t.data());

describe("TeacherForced", () => {
  const n = 4;
  const O = 2;
  const network = () => new FullyRecurrentNetwork({ inputSize: 1, units: n, outputSize: O, dtype, generator: new Generator(1) });
  const missing = Number.NaN;
  /** Inputs and the targets of the step before; some units have none, as in Williams and Zipser. */
  const taught = [
    [0.3, missing, missing],
    [-0.2, 0.9, missing],
    [0.8, 0.1, 0.7],
    [0.5, missing, 0.2],
    [-0.6, missing, missing],
  ];
  const xs = tensor(
    taught.map((row) => [row]),
    { dtype },
  );

  it("puts targets into the state where there are any, by the equations", () => {
    const net = network();
    const [ys] = new TeacherForced(net).scan(xs);
    const w = net.weight.toArray() as number[][];
    let y = new Array<number>(n).fill(0);
    taught.forEach(([x, ...d], t) => {
      const z = [x as number, 1, ...y.map((v, k) => (k < O && !Number.isNaN(d[k]) ? (d[k] as number) : v))];
      y = w.map((row) => 1 / (1 + Math.exp(-row.reduce((s, v, i) => s + v * (z[i] as number), 0))));
      const got = values(select(ys, 0, t));
      for (let k = 0; k < O; k++) expect(!(Math.abs((got[k] as number) - (y[k] as number)) <= 1e-14)).toBe(false);
    });
  });

  it("cuts the gradient off at forced units, exactly, and nowhere else", () => {
    const start = track(new Generator(2).uniform([1, n], 0, 1, dtype));
    const forced = new TeacherForced(network());
    const [y] = forced.step(tensor([[0.1, 0.5, missing]], { dtype }), start);
    const [g] = gradients([y], [start], [onesLike(y)]);
    const [first, ...others] = values(g as Tensor);
    expect(first).toBe(0);
    expect(others.every((v) => v !== 0 && Number.isFinite(v))).toBe(true);
  });

  it.each([
    ["fully recurrent", () => new TeacherForced(network()) as unknown as Recurrence],
    [
      "Jordan",
      () =>
        new TeacherForced(
          new JordanNetwork({ inputSize: 1, hiddenSize: 3, outputSize: 2, dtype, generator: new Generator(3) }),
        ) as unknown as Recurrence,
    ],
  ])("has one gradient by real-time recurrent learning and by backpropagation: %s", (_, make) => {
    const found = [false, true].map((online) => {
      const net = make();
      const loss = () => {
        const [ys] = net.scan(xs);
        return sum(mul(ys, ys));
      };
      backward(online ? usingGradients(rtrl(), net, loss) : loss());
      return net.parameters().flatMap((p) => values(p.grad as Tensor));
    }) as [number[], number[]];
    expect(found[0].some((v) => v !== 0)).toBe(true);
    found[0].forEach((v, i) => {
      expect(!(Math.abs(v - (found[1][i] as number)) <= 1e-9)).toBe(false);
    });
  });

  it("runs on its own outputs where nothing is forced", () => {
    const net = network();
    const free = tensor(
      taught.map(([x]) => [[x as number]]),
      { dtype },
    );
    const never = tensor(
      taught.map(([x]) => [[x as number, missing, missing]]),
      { dtype },
    );
    expect(values(new TeacherForced(net).scan(never)[0])).toEqual(values(net.scan(free)[0]));
  });
});

describe("scheduledSampling", () => {
  const [T, B, I] = [6, 3, 2];
  const inputs = new Generator(4).uniform([T, B, I], -1, 1, dtype);
  const lstm = new LSTM({ inputSize: I, hiddenSize: I, dtype, generator: new Generator(5) });
  const sizes = { dtype, generator: new Generator(6) } as const;
  const encoder = new Encoder(new GRUCell({ inputSize: 2, hiddenSize: 3, ...sizes }));
  const decoder = new BahdanauDecoder({
    encoder,
    cell: new GRUCell({ inputSize: 2 + 3, hiddenSize: 2, ...sizes }),
    attentionSize: 3,
    ...sizes,
  });
  const source = encoder.encode(new Generator(7).uniform([4, B, 2], -1, 1, dtype), [4, 3, 2]);
  const cases: [string, Recurrence, State][] = [
    ["LSTM", lstm as unknown as Recurrence, lstm.initialState(B)],
    [
      "GRUCell",
      new GRUCell({ inputSize: I, hiddenSize: I, ...sizes }) as unknown as Recurrence,
      new Generator(1).uniform([B, I], -1, 1, dtype),
    ],
    ["a decoder with attention", decoder as unknown as Recurrence, decoder.start(source) as State],
  ];
  const lists = ([ys, last]: [Tensor, State]): number[][] => [values(ys), ...stateTensors(last).map(values)];

  it.each(cases)("is teacher forcing for 1 and free running for 0, to the bit: %s", (_, net, state) => {
    const generator = new Generator(8);
    const decode = (y: Tensor): Tensor => slice(y, 1, 0, I);
    expect(lists(scheduledSampling(net, inputs, { truth: 1, state, generator, decode }))).toEqual(lists(net.scan(inputs, state)));
    expect(lists(scheduledSampling(net, inputs, { truth: 0, state, generator, decode }))).toEqual(
      lists(freeRun(net, select(inputs, 0, 0), T, { state, decode })),
    );
    expect(generator.state).toEqual(new Generator(8).state);
    // Coins that all fall on the teacher's side go through the steps one by one.
    const stepped = scheduledSampling(net, inputs, { truth: 1 - 1e-9, state, generator, decode });
    lists(stepped).forEach((list, i) => {
      const expected = lists(net.scan(inputs, state))[i] as number[];
      list.forEach((v, k) => {
        expect(!(Math.abs(v - (expected[k] as number)) <= 1e-14)).toBe(false);
      });
    });
  });

  it.each(["token", "sequence"] as const)("tosses a coin for each %s", (coin) => {
    const net = new GRUCell({ inputSize: I, hiddenSize: I, ...sizes });
    const [ys] = scheduledSampling(net, inputs, { truth: 0.6, coin, generator: new Generator(9) });
    const coins = new Generator(9);
    const toss = (): number[] => values(coins.bernoulli([B, 1], 0.6, "bool"));
    const once = coin === "sequence" ? toss() : [];
    let [state, x] = [net.initialState(B), select(inputs, 0, 0)] as [Tensor, Tensor];
    const seen = new Set<string>();
    for (let t = 0; t < T; t++) {
      const [y, next] = net.step(x, state);
      expect(values(y)).toEqual(values(select(ys, 0, t)));
      if (t === T - 1) break;
      const heads = coin === "sequence" ? once : toss();
      seen.add(heads.join());
      const [own, given] = [y.toArray() as number[][], select(inputs, 0, t + 1).toArray() as number[][]];
      x = tensor(
        own.map((row, b) => (heads[b] === 1 ? (given[b] as number[]) : row)),
        { dtype },
      );
      state = next as Tensor;
    }
    expect(seen.size > 1).toBe(coin === "token");
  });

  it("has no gradient through what it samples", () => {
    const net = new GRUCell({ inputSize: I, hiddenSize: I, ...sizes });
    // With the state cut off, the last output depends on the first state by way of the input alone: not at all.
    const start = track(new Generator(3).uniform([B, I], -1, 1, dtype));
    const spy = { inputSize: I, outputSize: I, initialState: () => start, step: (x: Tensor, s: Tensor) => [net.step(x, s)[0], start] };
    const [ys] = scheduledSampling(spy as never, inputs, { truth: 0, state: start });
    const last = select(ys as Tensor, 0, T - 1);
    const [g] = gradients([last], [start], [onesLike(last)]);
    const [direct] = gradients([net.step(select(ys as Tensor, 0, T - 2).detach(), start)[0]], [start], [onesLike(last)]);
    expect(values(g as Tensor)).toEqual(values(direct as Tensor));
  });

  it("refuses what cannot be", () => {
    const net = new GRUCell({ inputSize: I, hiddenSize: 3, ...sizes });
    expect(() => scheduledSampling(net, inputs, { truth: 0.5 })).toThrow(ShapeError);
    expect(() => scheduledSampling(lstm, inputs, { truth: 1.5 })).toThrow(ArgumentError);
    expect(() => scheduledSampling(lstm, inputs, { truth: Number.NaN })).toThrow(ArgumentError);
    expect(() => scheduledSampling(lstm, inputs, { truth: 0.5, coin: "batch" as never })).toThrow(ArgumentError);
  });

  it("follows schedules", () => {
    const linear = linearDecay({ start: 0.9, slope: 0.01, least: 0.25 });
    expect([0, 10, 1000].map(linear)).toEqual([0.9, 0.9 - 0.1, 0.25]);
    [0, 3, 500].forEach((i) => {
      expect(Math.abs(exponentialDecay(0.99)(i) - 0.99 ** i)).toBeLessThan(1e-14);
      expect(Math.abs(inverseSigmoidDecay(50)(i) - 50 / (50 + Math.exp(i / 50)))).toBeLessThan(1e-14);
    });
    expect(inverseSigmoidDecay(1)(1e6)).toBe(0);
    expect(() => exponentialDecay(1)).toThrow(ArgumentError);
    expect(() => inverseSigmoidDecay(0.5)).toThrow(ArgumentError);
    expect(() => linear(-1)).toThrow(ArgumentError);
  });
});

describe("ProfessorForcing", () => {
  const sizes = { behaviorSize: 2, hiddenSize: 3, dtype } as const;
  const behaviour = (seed: number, mean = 0): Tensor => new Generator(seed).normal([5, 4, 2], mean, 1, dtype);

  it("has the losses of its equations, each with its own gradient", () => {
    const professor = new ProfessorForcing({ ...sizes, discriminatorBelow: 1, generatorAbove: 0, both: true, generator: new Generator(1) });
    const [forced, free] = [track(behaviour(2)), track(behaviour(3))];
    const found = professor.losses(forced, free);
    const D = (x: Tensor): number[] => values(professor.forward(x)).map((z) => 1 / (1 + Math.exp(-z)));
    const [real, own] = [D(forced), D(free)];
    const mean = (list: number[]): number => list.reduce((a, b) => a + b, 0) / list.length;
    const [toReal, toOwn] = [mean(real.map((p) => -Math.log(p))), mean(own.map((p) => -Math.log(1 - p)))];
    const taught = mean(own.map((p) => -Math.log(p))) + mean(real.map((p) => -Math.log(1 - p)));
    expect(Math.abs((found.discriminator?.item() as number) - toReal - toOwn)).toBeLessThan(1e-12);
    expect(Math.abs((found.generator?.item() as number) - taught)).toBeLessThan(1e-12);
    expect(found.accuracy).toBe((real.filter((p) => p > 0.5).length + own.filter((p) => p < 0.5).length) / 8);
    const generated = gradients(
      [found.generator as Tensor],
      [forced, free, ...professor.parameters()],
      [onesLike(found.generator as Tensor)],
    );
    expect(generated.map((g) => g !== null)).toEqual([true, true, ...professor.parameters().map(() => false)]);
    const judged = gradients(
      [found.discriminator as Tensor],
      [forced, free, ...professor.parameters()],
      [onesLike(found.discriminator as Tensor)],
    );
    expect(judged.map((g) => g !== null)).toEqual([false, false, ...professor.parameters().map(() => true)]);
    expect(professor.parameters().every((p) => p.requiresGrad)).toBe(true);
  });

  it("takes the mean over real steps alone", () => {
    const professor = new ProfessorForcing({ ...sizes, generator: new Generator(1) });
    const x = behaviour(2);
    const short = tensor((x.toArray() as number[][][]).slice(0, 3), { dtype });
    const [one] = values(professor.forward(x, [3, 5, 5, 5]));
    expect(Math.abs((one as number) - (values(professor.forward(short))[0] as number))).toBeLessThan(1e-14);
  });

  it("teaches only between its thresholds, and comes to tell behaviours apart", () => {
    const professor = new ProfessorForcing({ ...sizes, generator: new Generator(1) });
    const optimizer = new Adam(professor.parameters(), { lr: 3e-2 });
    const seen = { undecided: 0, both: 0, sure: 0 };
    for (let i = 0; i < 60; i++) {
      scope(() => {
        const { discriminator, generator, accuracy } = professor.losses(behaviour(100 + i, 1.5), behaviour(200 + i, -1.5));
        expect(discriminator === null).toBe(!(accuracy < 0.99));
        expect(generator === null).toBe(!(accuracy > 0.75));
        if (generator === null) seen.undecided++;
        else if (discriminator === null) seen.sure++;
        else seen.both++;
        if (discriminator === null) return;
        optimizer.zeroGrad();
        backward(discriminator);
        optimizer.step();
      });
    }
    expect(seen.sure > 30 && seen.undecided > 0).toBe(true);
  });

  it("refuses behaviours that do not fit", () => {
    const professor = new ProfessorForcing({ ...sizes, generator: new Generator(1) });
    expect(() => professor.losses(behaviour(1), new Generator(1).normal([5, 3, 2], 0, 1, dtype))).toThrow(ShapeError);
    expect(() => new ProfessorForcing({ ...sizes, hiddenSize: 0 })).toThrow(ArgumentError);
    expect(() => new ProfessorForcing({ ...sizes, generatorAbove: 2 })).toThrow(ArgumentError);
  });

  it("is made of PyTorch's bidirectional GRU", () => {
    const professor = new ProfessorForcing({ ...sizes, generator: new Generator(1) });
    expect(professor.gru).toBeInstanceOf(GRU);
    expect([...professor.stateDict().keys()]).toContain("gru.weight_ih_l0_reverse");
  });
});

describe("Curriculum", () => {
  const draws = (c: Curriculum, count = 2000): number[] => Array.from({ length: count }, () => c.draw());

  it("draws as each strategy says", () => {
    const at = { least: 1, most: 10, threshold: 0.9, window: 1 } as const;
    const naive = new Curriculum({ ...at, strategy: "naive" });
    for (let i = 0; i < 3; i++) expect(naive.report(0.95)).toBe(true);
    expect(new Set(draws(naive))).toEqual(new Set([4]));
    expect(new Set(draws(new Curriculum({ ...at, strategy: "baseline" })))).toEqual(new Set([10]));
    const mixed = draws(new Curriculum({ ...at, strategy: "mixed", generator: new Generator(1) }));
    for (let d = 1; d <= 10; d++) expect(Math.abs(mixed.filter((v) => v === d).length / 2000 - 0.1)).toBeLessThan(0.03);
    const combined = draws(new Curriculum({ ...at, strategy: "combined", generator: new Generator(1) }));
    expect(Math.abs(combined.filter((v) => v === 1).length / 2000 - 0.55)).toBeLessThan(0.04);
    expect(Math.abs(combined.filter((v) => v === 7).length / 2000 - 0.05)).toBeLessThan(0.02);
  });

  it("moves on when the mean of a level passes the threshold", () => {
    const c = new Curriculum({ least: 2, most: 5, step: 2, threshold: 0.5, better: "lower", window: 2, strategy: "naive" });
    expect([c.report(0.1), c.report(0.8), c.report(0.3), c.level]).toEqual([false, true, false, 4]);
    expect([c.report(0.9), c.report(0.2), c.report(0.2), c.level, c.finished]).toEqual([false, false, true, 5, true]);
    expect([c.report(0), c.report(0), c.level]).toEqual([false, false, 5]);
    const again = new Curriculum({ least: 2, most: 5, step: 2, threshold: 0.5, better: "lower", window: 2, strategy: "naive" });
    again.state = JSON.parse(JSON.stringify(c.state));
    expect(again.state).toEqual(c.state);
    expect(() => {
      again.state = { level: 6, recent: [] };
    }).toThrow(FormatError);
    expect(again.level).toBe(5);
    expect(() => c.report(Number.NaN)).toThrow(ArgumentError);
    expect(() => new Curriculum({ least: 3, most: 2, threshold: 1 })).toThrow(ArgumentError);
    expect(() => new Curriculum({ most: 2, threshold: 1, strategy: "hard" as never })).toThrow(ArgumentError);
  });
});
