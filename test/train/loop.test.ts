/** What a training loop leaves alone, puts back and goes on with. */

import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError, StateError } from "../../src/base/errors.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Dropout } from "../../src/nn/dropout-layers.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { mean } from "../../src/ops/reduce.ts";
import { Adam } from "../../src/optim/adam.ts";
import { NAdam } from "../../src/optim/nadam.ts";
import { Optimizer } from "../../src/optim/optimizer.ts";
import { ReduceLROnPlateau, warmUp } from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { assign, keep, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type FitOptions, fit, type Training } from "../../src/train/fit.ts";
import type { TrainingStep } from "../../src/train/progress.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";
import { unsealedParts } from "../unsealed.ts";

interface Batch {
  readonly n: number;
}

/** (w − n)² of a batch n. */
class Follower extends Module {
  readonly w: Parameter = new Parameter(tensor([0], { dtype: "float64" }));
  loss(n: number): Tensor {
    return reshape(square(sub(this.w, n)), []);
  }
}

const numbers = (count: number, from = 0): Batch[] => Array.from({ length: count }, (_, i) => ({ n: from + i }));

function follow(batches: Iterable<Batch>, options: Partial<FitOptions<Follower, Batch, Tensor>> = {}) {
  const model = new Follower();
  const seen: number[] = [];
  const training = fit(model, batches, {
    optimizer: new SGD(model.parameters(), { lr: 0.1 }),
    loss: (m, { n }) => {
      seen.push(n);
      return m.loss(n);
    },
    ...options,
  });
  return { model, training, seen };
}

/** Runs a training, to its end or to a step. */
async function run(training: AsyncIterable<TrainingStep>, stop = Number.POSITIVE_INFINITY): Promise<TrainingStep[]> {
  const events: TrainingStep[] = [];
  for await (const event of training) {
    events.push(event);
    if (event.step >= stop) break;
  }
  return events;
}

const sources: [string, () => Iterable<Batch>][] = [
  ["an array", () => numbers(6)],
  [
    "a generator",
    () =>
      (function* () {
        yield* numbers(6);
      })(),
  ],
  [
    "an iterable that makes generators",
    () => ({
      *[Symbol.iterator]() {
        yield* numbers(6);
      },
    }),
  ],
];

describe.each(sources)("the batches of %s", (_, source) => {
  it("go on after break", async () => {
    const { training, seen } = follow(source());
    await run(training, 2);
    await run(training, 3);
    expect((await run(training)).map((e) => e.step)).toEqual([4, 5, 6]);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await run(training)).toEqual([]);
  });

  it("go on after an abort, which counts once", async () => {
    const stop = new AbortController();
    const { training, seen } = follow(source(), { signal: stop.signal });
    const aborted = (async () => {
      for await (const { step } of training) if (step === 3) stop.abort("enough");
    })();
    await expect(aborted).rejects.toBe("enough");
    training.signal = AbortSignal.abort("again");
    await expect(run(training)).rejects.toBe("again");
    await run(training);
    expect(seen).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("go on with the batch whose step has failed", async () => {
    let fail = true;
    const { training, seen } = follow(source(), {
      loss: (m, { n }) => {
        seen.push(n);
        if (n === 2 && fail) throw new Error("not now");
        return m.loss(n);
      },
    });
    await expect(run(training)).rejects.toThrow("not now");
    const place = training.checkpoint();
    await expect(run(training)).rejects.toThrow("not now");
    expect(training.checkpoint()).toEqual(place);
    fail = false;
    expect((await run(training)).map((e) => e.step)).toEqual([3, 4, 5, 6]);
    expect(seen).toEqual([0, 1, 2, 2, 2, 3, 4, 5]);
  });

  it("go on from a checkpoint, as often as wanted", async () => {
    const whole = follow(source());
    const events = await run(whole.training);
    const first = follow(source());
    await run(first.training, 2);
    const bytes = first.training.checkpoint();
    for (let again = 0; again < 2; again++) {
      const second = follow(source(), { resume: bytes });
      await run(second.training, 4);
      const third = follow(source(), { resume: second.training.checkpoint() });
      expect(await run(third.training)).toEqual(events.slice(4));
      expect([...second.seen, ...third.seen]).toEqual([2, 3, 4, 5]);
      expect(third.model.w.item()).toBe(whole.model.w.item());
      const over = follow(source(), { resume: third.training.checkpoint() });
      expect(await run(over.training)).toEqual([]);
      expect(over.model.w.item()).toBe(whole.model.w.item());
    }
  });
});

describe("a source", () => {
  it("that is shorter than the place of a checkpoint is an error", async () => {
    const { training } = follow(numbers(6));
    await run(training, 5);
    const resume = training.checkpoint();
    expect(() => follow(numbers(4), { resume })).toThrow("cursor: expected a source of at least 5 batches, got 4");
    const late = follow(new Set(numbers(4)), { resume });
    await expect(run(late.training)).rejects.toThrow("cursor: expected a source of at least 5 batches, got 4");
  });

  it("that fails is asked again, and its end after an error is not taken for the end", async () => {
    let fail = true;
    const failing = function* () {
      for (const batch of numbers(4)) {
        if (batch.n === 2 && fail) throw new Error("no data");
        yield batch;
      }
    };
    const made = follow({ [Symbol.iterator]: failing });
    const once = follow(failing());
    for (const { training } of [made, once]) await expect(run(training)).rejects.toThrow("no data");
    fail = false;
    await run(made.training);
    expect(made.seen).toEqual([0, 1, 2, 3]);
    await expect(run(once.training)).rejects.toThrow(/expected the batches to go on after their error, got their end/);
    expect(once.training.step).toBe(2);
  });

  it("is closed at the end, not at a break", async () => {
    let closed = 0;
    const { training } = follow(
      (function* () {
        try {
          yield* numbers(9);
        } finally {
          closed++;
        }
      })(),
      { maxSteps: 3 },
    );
    await run(training, 1);
    expect(closed).toBe(0);
    await run(training);
    expect(closed).toBe(1);
  });

  it("releases what its dropped batches were made of", async () => {
    const source = () =>
      (function* () {
        for (let n = 0; ; n++) yield { n, x: tensor(new Float32Array(1000)) };
      })();
    const { training } = follow(source(), { maxSteps: 40 });
    await run(training, 30);
    const resume = training.checkpoint();
    const later = follow(source(), { maxSteps: 32, resume });
    const before = memory().liveBytes;
    await run(later.training);
    expect(memory().liveBytes - before).toBeLessThan(4000);
  });
});

describe("gradients", () => {
  class Scaled extends Module {
    readonly w: Parameter = new Parameter(tensor([1], { dtype: "float64" }));
  }

  /** w·c·n with a factor c that is no part of the model. */
  function scaled(clipNorm: number) {
    const model = new Scaled();
    const c = keep(tensor([2], { dtype: "float64", requiresGrad: true }));
    const optimizer = new SGD([...model.parameters(), c], { lr: 0.1 });
    const training = fit(model, numbers(3, 1), { optimizer, clipNorm, loss: (m, { n }) => reshape(mul(mul(m.w, c), n), []) });
    return { model, c, training };
  }

  it("of parameters that only the optimiser has are cleared before each step and after it", async () => {
    const { model, c, training } = scaled(100);
    c.grad = tensor([7], { dtype: "float64" });
    let [w, f] = [1, 2];
    for await (const { step, gradNorm } of training) {
      const [gw, gf] = [f * step, w * step];
      expect(gradNorm).toBeCloseTo(Math.hypot(gw, gf), 12);
      [w, f] = [w - 0.1 * gw, f - 0.1 * gf];
      expect(model.w.item()).toBeCloseTo(w, 12);
      expect(c.item()).toBeCloseTo(f, 12);
      expect(c.grad).toBe(null);
    }
  });

  it("of all of them together are clipped", async () => {
    const { model, c, training } = scaled(0.5);
    await run(training, 1);
    // The gradient (2, 1) comes to the length 0.5.
    expect(Math.hypot(model.w.item() - 1, c.item() - 2)).toBeCloseTo(0.05, 6);
    expect((model.w.item() - 1) / (c.item() - 2)).toBeCloseTo(2, 6);
  });
});

class Block extends Module {
  readonly norm = new SequenceBatchNorm(2);
  readonly drop = new Dropout(0.5, { generator: new Generator(3) });
  readonly head = new Linear(2, 1, { generator: new Generator(4) });
  readonly frozen = new SequenceBatchNorm(2);
  forward(xs: Tensor): Tensor {
    return this.head.forward(this.drop.forward(this.frozen.forward(this.norm.forward(xs))));
  }
}

interface Sequences {
  readonly xs: Tensor;
}

const sequences = (count: number): Sequences[] => {
  const g = new Generator(9);
  return Array.from({ length: count }, () => ({ xs: g.normal([3, 2, 2]) }));
};

describe("modes", () => {
  const train = (model: Block, options: Partial<FitOptions<Block, Sequences, Tensor>> = {}) =>
    fit(model, sequences(6), {
      optimizer: new SGD(model.parameters(), { lr: 0.01 }),
      loss: (m, { xs }) => mean(square(m.forward(xs))),
      evaluate: (m) => mean(square(m.forward((sequences(1)[0] as Sequences).xs))),
      evaluateEvery: 2,
      ...options,
    });

  it("of modules that are frozen stay so, through evaluations too", async () => {
    const model = new Block();
    model.frozen.eval();
    const statistics = model.frozen.runningMean.toArray();
    const moved = model.norm.runningMean.toArray();
    for await (const _ of train(model)) {
      expect([model, model.norm, model.drop, model.head, model.frozen].map((m) => m.training)).toEqual([true, true, true, true, false]);
    }
    expect(model.frozen.runningMean.toArray()).toEqual(statistics);
    expect(model.norm.runningMean.toArray()).not.toEqual(moved);
  });

  it("of a model that is evaluated as a whole are set to training, frozen ones as they were in the steps before", async () => {
    const model = new Block();
    model.eval();
    const training = train(model);
    await run(training, 1);
    expect(model.norm.training && model.frozen.training).toBe(true);
    model.frozen.eval();
    await run(training, 3);
    model.eval();
    await run(training, 4);
    expect([model.training, model.norm.training, model.frozen.training]).toEqual([true, true, false]);
  });

  it("are put back when an evaluation fails, which is then made again", async () => {
    const model = new Block();
    model.frozen.eval();
    let fail = true;
    const training = train(model, {
      evaluate: () => {
        if (fail) throw new Error("no");
        return 1;
      },
    });
    await expect(run(training)).rejects.toThrow("no");
    expect([model.training, model.drop.training, model.frozen.training]).toEqual([true, true, false]);
    expect(training.step).toBe(2);
    fail = false;
    const [event] = await run(training, 2);
    expect(event).toMatchObject({ step: 2, evaluation: 1 });
  });
});

describe("a step that fails leaves everything as it was", () => {
  /** Everything there is, as bytes and lists. */
  const stateOf = (model: Module, training: Training<never, never, never>) => ({
    checkpoint: [...training.checkpoint()],
    modes: [...model.modules()].map((m) => m.training),
    values: [...model.stateDict()].map(([name, t]) => [name, ...t.data()]),
  });

  it.each(["nan", "throw", "gradient", "state", "optimizer"])("%s", async (kind) => {
    const model = new Block();
    model.frozen.eval();
    let failing = false;
    class Broken extends Adam {
      protected override updateAll(updates: never): void {
        if (failing && kind === "optimizer") {
          super.updateAll(updates);
          throw new Error("broken");
        }
        super.updateAll(updates);
      }
    }
    const optimizer = new Broken(model.parameters(), { lr: 0.01 });
    const training = fit(model, sequences(9), {
      optimizer,
      schedule: warmUp(50),
      loss: (m, { xs }, state: Tensor | undefined): [Tensor, Tensor] => {
        m.training; // modes are changed and weights written to, as no loss should do
        if (failing) {
          m.frozen.train();
          assign(m.head.weight, [7, 8]);
        }
        const out = mean(square(m.forward(failing && kind === "nan" ? mul(xs, Number.NaN) : xs)));
        if (failing && kind === "throw") throw new Error("thrown");
        const total = failing && kind === "gradient" ? mul(out, 1e38 * 1e5) : out;
        return [total, failing && kind === "state" ? (3 as unknown as Tensor) : add(state ?? 0, out)];
      },
    });
    await run(training, 3);
    const before = stateOf(model, training as never);
    failing = true;
    await expect(run(training)).rejects.toThrow();
    // The optimiser that breaks has written its moments by then: those of the library do not.
    const after = stateOf(model, training as never);
    if (kind !== "optimizer") expect(after).toEqual(before);
    expect(after.modes).toEqual(before.modes);
    expect(after.values).toEqual(before.values);
    expect(optimizer.lr).toBe((0.01 * 3) / 50);
    expect(optimizer.stateDict().numbers["0.step"]).toBe(3);
    expect(model.parameters().every((p) => p.grad === null)).toBe(true);
    failing = false;
    expect((await run(training)).length).toBe(6);
  });

  it("when a schedule's value is no rate", async () => {
    for (const bad of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
      const { model, training } = follow(numbers(4), { schedule: (t, base) => (t === 2 ? bad : base) });
      const error = await run(training).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(ArgumentError);
      expect((error as Error).message).toContain("the rate of step 2");
      expect(training.step).toBe(2);
      expect(Number.isFinite(model.w.item())).toBe(true);
    }
  });
});

describe("evaluation", () => {
  const scored = (scores: readonly (number | Tensor)[], options: Partial<FitOptions<Follower, Batch, Tensor>> = {}) => {
    let at = 0;
    const weights: number[] = [];
    const made = follow(numbers(scores.length), {
      evaluateEvery: 1,
      evaluate: (m) => {
        weights.push(m.w.item());
        return scores[at++] as number;
      },
      earlyStopping: { patience: 3 },
      ...options,
    });
    return { ...made, weights };
  };

  it("of NaN or infinity is never the best", async () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const { training, model, weights } = scored([nan, inf, 5, nan, 4, -inf, nan]);
    await run(training);
    expect(training.best).toEqual({ value: 4, step: 5 });
    expect(model.w.item()).toBe(weights[4]);
    const never = scored([nan, nan, nan, nan, nan]);
    expect((await run(never.training)).length).toBe(3);
    expect(never.training.best).toBe(null);
    expect(never.model.w.item()).toBe(never.weights[2]);
  });

  it("may be a tensor, whose number counts", async () => {
    // As text, 9 comes after 10.
    const { training } = scored([tensor(10), tensor([9]), 9.5]);
    expect((await run(training)).map((e) => e.evaluation)).toEqual([10, 9, 9.5]);
    expect(training.best).toEqual({ value: 9, step: 2 });
  });

  it.each([undefined, "3", [1], tensor([1, 2])])("of anything else is an error (%#)", async (value) => {
    const { training } = scored([1], { evaluate: () => value as never });
    const error = await run(training).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toContain("fit: evaluate: expected a number");
  });

  it("is made at the end also where the batches end before maxSteps, and tells the last step once more", async () => {
    const evaluate = (m: Follower) => m.w.item();
    for (const options of [{ maxSteps: 100 }, {}, { evaluateEvery: 2 }, { evaluateEvery: 3, maxSteps: 9 }]) {
      const { training, model } = follow(numbers(5), { evaluate, ...options });
      const events = await run(training);
      expect(events.map((e) => e.step).filter((step, i) => events[i + 1]?.step !== step)).toEqual([1, 2, 3, 4, 5]);
      expect(events.at(-1)).toEqual({ ...events.at(-2), evaluation: model.w.item() });
      expect(training.best?.step).toBe("evaluateEvery" in options ? training.best?.step : 5);
      expect(await run(training)).toEqual([]);
    }
    expect(await run(follow([], { evaluate }).training)).toEqual([]);
  });

  it("checks its options", () => {
    const with_ = (earlyStopping: object) => () => scored([1], { earlyStopping: earlyStopping as never });
    expect(with_({ patience: 1, minDelta: Number.NaN })).toThrow(ArgumentError);
    expect(with_({ patience: 1, minDelta: -1 })).toThrow(ArgumentError);
    expect(with_({ patience: 1, restoreBest: "no" })).toThrow(ArgumentError);
    expect(with_({ patience: 1, minDelta: undefined, restoreBest: undefined })).not.toThrow();
    expect(() => follow([], { generator: 3 as never })).toThrow(ArgumentError);
  });
});

it("a loss that is no tensor is an error that says so", async () => {
  for (const result of [3, undefined, null, [], [3, null], { loss: 3 }]) {
    const { training } = follow(numbers(1), { loss: () => result as never });
    const error = await run(training).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ArgumentError);
    expect((error as Error).message).toContain("fit: expected loss to return a tensor");
  }
});

describe("generators", () => {
  class Noisy extends Follower {
    readonly open: Generator | null;
    readonly #hidden: Generator;
    readonly #which: "open" | "hidden";
    constructor(which: "open" | "hidden") {
      super();
      this.open = which === "open" ? new Generator(5) : null;
      this.#hidden = this.open ?? new Generator(5);
      this.#which = which;
    }
    noise(): number {
      return this.#hidden.uniform([1]).item();
    }
    get which(): string {
      return this.#which;
    }
  }

  const noisy = (which: "open" | "hidden", options: Partial<FitOptions<Noisy, Batch, Tensor>> = {}) => {
    const model = new Noisy(which);
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    return { model, training: fit(model, numbers(6), { optimizer, loss: (m, { n }) => m.loss(n + m.noise()), ...options }) };
  };

  it("in public fields of modules have their places in the checkpoint", async () => {
    const events = await run(noisy("open").training);
    const first = noisy("open");
    await run(first.training, 2);
    const second = noisy("open", { resume: first.training.checkpoint() });
    expect(await run(second.training)).toEqual(events.slice(2));
  });

  it("that nobody can find are no reason for a checkpoint to be wrong: it is refused", async () => {
    const { training } = noisy("hidden");
    expect(() => training.checkpoint()).not.toThrow();
    await run(training, 2);
    const error = thrown(() => training.checkpoint());
    expect(error).toBeInstanceOf(StateError);
    expect((error as Error).message).toContain("public field");
  });

  it("given as a list are known", async () => {
    const own = new Generator(8);
    const make = (g: Generator, resume?: Uint8Array) =>
      follow(numbers(6), { generator: [new Generator(1), g], loss: (m, { n }) => m.loss(n + g.uniform([1]).item()), resume });
    const events = await run(make(own).training);
    const first = make(new Generator(8));
    await run(first.training, 3);
    expect(await run(make(new Generator(1), first.training.checkpoint()).training)).toEqual(events.slice(3));
    const other = follow(numbers(6), { generator: [], resume: undefined });
    expect(() => follow(numbers(6), { resume: first.training.checkpoint() })).toThrow("expected the places of 1 generators, got 3");
    expect(other.training.step).toBe(0);
  });

  it("the default one among them, whichever else is given", async () => {
    const make = (resume?: Uint8Array) => {
      const model = new Block();
      const loose = new Dropout(0.5);
      return fit(model, sequences(6), {
        generator: new Generator(1),
        optimizer: new Adam(model.parameters()),
        loss: (m, { xs }) => mean(square(m.forward(loose.forward(xs)))),
        resume,
      });
    };
    manualSeed(77);
    const events = await run(make());
    manualSeed(77);
    const first = make();
    await run(first, 2);
    const bytes = first.checkpoint();
    manualSeed(5);
    expect(await run(make(bytes))).toEqual(events.slice(2));
  });

  it("made within a step are of no account", async () => {
    const { training } = follow(numbers(3), { loss: (m, { n }) => m.loss(n + new Generator(n).uniform([1]).item()) });
    await run(training, 2);
    expect(() => training.checkpoint()).not.toThrow();
  });

  it("that generated batches share with the steps are refused; those of their own go on", async () => {
    const make = (forBatches: Generator, forSteps: Generator, resume?: Uint8Array) =>
      follow(
        (function* () {
          for (;;) {
            const order = [...(forBatches.permutation(3).data() as Int32Array)];
            for (const n of order) yield { n };
          }
        })(),
        { generator: [forBatches, forSteps], loss: (m, { n }) => m.loss(n + forSteps.uniform([1]).item()), maxSteps: 9, resume },
      );
    const shared = new Generator(2);
    const bad = make(shared, shared);
    await run(bad.training, 2);
    expect(() => bad.training.checkpoint()).toThrow("expected batches without places to draw from a generator of their own");

    const events = await run(make(new Generator(1), new Generator(2)).training);
    for (const stop of [1, 3, 5]) {
      const first = make(new Generator(1), new Generator(2));
      await run(first.training, stop);
      const second = make(new Generator(1), new Generator(2), first.training.checkpoint());
      expect(await run(second.training)).toEqual(events.slice(stop));
    }
  });
});

describe("rates", () => {
  it("that a plateau has lowered stay low under a schedule, also after a checkpoint", async () => {
    const make = (resume?: Uint8Array) => {
      const model = new Follower();
      const optimizer = new SGD(model.parameters(), { lr: 1 });
      const plateau = new ReduceLROnPlateau(optimizer, { patience: 0, factor: 0.5 });
      const training = fit(model, numbers(8), { optimizer, schedule: warmUp(4), loss: (m) => mul(m.loss(0), 0), resume });
      return { plateau, training };
    };
    const { plateau, training } = make();
    const lrs: number[] = [];
    let saved = new Uint8Array();
    let state = plateau.stateDict();
    for await (const { step, lr } of training) {
      lrs.push(lr);
      if (step === 2 || step === 6) plateau.step(1);
      if (step === 3) plateau.step(1);
      if (step === 5) [saved, state] = [training.checkpoint(), plateau.stateDict()];
    }
    expect(lrs).toEqual([0.25, 0.5, 0.75, 0.5, 0.5, 0.5, 0.25, 0.25]);
    const again = make(saved);
    again.plateau.loadStateDict(JSON.parse(JSON.stringify(state)));
    const later: number[] = [];
    for await (const { step, lr } of again.training) {
      later.push(lr);
      if (step === 6) again.plateau.step(1);
    }
    expect(later).toEqual(lrs.slice(5));
  });
});

describe("an optimiser's step that fails", () => {
  it("has counted nothing and moved nothing", () => {
    const p = keep(tensor([1, 2], { dtype: "float64", requiresGrad: true }));
    const optimizer = new NAdam([p]);
    const g = tensor([1, 1], { dtype: "float64" });
    optimizer.step([g]);
    const before = JSON.stringify(optimizer.stateDict().numbers);
    const values = p.toArray();
    (optimizer.groups[0] as { lr: number }).lr = Number.NaN;
    expect(() => optimizer.step([g])).toThrow("NAdam: expected lr of at least 0, got NaN");
    expect(JSON.stringify(optimizer.stateDict().numbers)).toBe(before);
    expect(p.toArray()).toEqual(values);

    class Failing extends Optimizer {
      constructor(params: Tensor[]) {
        super("Failing", params, { lr: 1, maximize: false });
      }
      protected override initial() {
        return { tensors: { memory: 0 } };
      }
      protected override update(): void {
        throw new Error("no");
      }
    }
    const failing = new Failing([p]);
    const live = memory().liveBytes;
    expect(() => failing.step([g])).toThrow("no");
    expect(failing.stateDict()).toMatchObject({ numbers: {}, tensors: {} });
    expect(memory().liveBytes).toBe(live);
  });
});

describe("a carried state of another structure", () => {
  class Carrying extends Follower {}
  const carrying = (resume?: Uint8Array) => {
    const model = new Carrying();
    return {
      model,
      training: fit(model, numbers(6), {
        optimizer: new SGD(model.parameters(), { lr: 0.1 }),
        loss: (m, { n }, state: { readonly h: Tensor; readonly c: readonly Tensor[] } | undefined) => {
          const before = state === undefined ? 0 : add(state.h, mul(state.c[0] as Tensor, 2));
          const out = add(m.loss(n), before);
          return [out, { h: out, c: [out] }] as const;
        },
        resume,
      }),
    };
  };

  it("is a typed error at resuming or at the first step, and changes nothing", async () => {
    const { serialize } = await import("../../src/io/safetensors.ts");
    const first = carrying();
    await run(first.training, 3);
    const good = first.training.checkpoint();
    const { tensors, metadata } = unsealedParts(good);
    const withState = (state: unknown) => {
      const runText = { ...JSON.parse(metadata.run as string), state };
      return serialize(tensors, { ...metadata, run: JSON.stringify(runText) });
    };
    for (const state of [0, {}, [0], null, [0, 1, 2], { h: 0, c: [0] }, { h: 1, c: [0] }, { h: 0, c: 0 }, "x", true, { h: 0 }]) {
      const error = thrown(() => carrying(withState(state)));
      expect(error, JSON.stringify(state)).toBeInstanceOf(FormatError);
    }
    for (const state of [[0, 1], { c: 0, h: [1] }, { a: 0, b: 1 }]) {
      const { model, training } = carrying(withState(state));
      const before = training.checkpoint();
      const error = await run(training).catch((e: unknown) => e);
      expect(error, JSON.stringify(state)).toBeInstanceOf(Error);
      expect((error as { code?: unknown }).code, JSON.stringify(state)).toMatch(/^ERR_/);
      expect(training.checkpoint()).toEqual(before);
      expect(model.w.item()).toBe(first.model.w.item());
    }
    const good2 = carrying(withState({ h: 0, c: [1] }));
    expect((await run(good2.training)).length).toBe(3);
  });
});
