import { describe, expect, it } from "vitest";
import { ArgumentError, FormatError, StateError } from "../../src/base/errors.ts";
import type { Batches, Cursor, Pass } from "../../src/data/batches.ts";
import { type SymbolWindow, WindowBatches } from "../../src/data/windows.ts";
import { serialize } from "../../src/io/safetensors.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add, div, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { sqrt } from "../../src/ops/math.ts";
import { mean } from "../../src/ops/reduce.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type FitOptions, fit } from "../../src/train/fit.ts";
import type { TrainingStep } from "../../src/train/progress.ts";
import { memory } from "../../src/wasm/host.ts";
import { unsealedParts } from "../unsealed.ts";

/** (a − 3)² + (b + 1)²: everything about its training can be computed by hand. */
class Bowl extends Module {
  readonly a: Parameter = new Parameter(tensor([0], { dtype: "float64" }));
  readonly b: Parameter = new Parameter(tensor([0], { dtype: "float64" }));

  loss(): Tensor {
    const [da, db] = [sub(this.a, 3), add(this.b, 1)];
    return reshape(add(mul(da, da), mul(db, db)), []);
  }

  get values(): [number, number] {
    return [this.a.item(), this.b.item()];
  }
}

/** Endless batches that know their places. */
class Counter implements Batches<{ n: number }> {
  [Symbol.iterator](): Pass<{ n: number }> {
    return this.from({ n: 0 });
  }

  from({ n = 0 }: Cursor): Pass<{ n: number }> {
    return {
      get cursor() {
        return { n };
      },
      next: () => ({ done: false, value: { n: n++ } }),
      [Symbol.iterator]() {
        return this;
      },
    };
  }
}

async function collect(steps: AsyncIterable<TrainingStep>): Promise<TrainingStep[]> {
  const events = [];
  for await (const event of steps) events.push(event);
  return events;
}

function bowl(options: Partial<FitOptions<Bowl, { n: number }, Tensor>> = {}, batches: Iterable<{ n: number }> = new Counter()) {
  const model = new Bowl();
  const optimizer = new SGD(model.parameters(), { lr: 0.1 });
  return { model, optimizer, batches, training: fit(model, batches, { optimizer, loss: (m) => m.loss(), ...options }) };
}

describe("fit", () => {
  it("does the steps it tells of", async () => {
    const { model, training } = bowl({ maxSteps: 3 });
    const events = await collect(training);
    let [a, b] = [0, 0];
    for (const [i, event] of events.entries()) {
      const [ga, gb] = [2 * (a - 3), 2 * (b + 1)];
      expect(event.step).toBe(i + 1);
      expect(event.loss).toBeCloseTo((a - 3) ** 2 + (b + 1) ** 2, 12);
      expect(event.gradNorm).toBeCloseTo(Math.hypot(ga, gb), 12);
      expect(event.lr).toBe(0.1);
      [a, b] = [a - 0.1 * ga, b - 0.1 * gb];
    }
    expect(events.length).toBe(3);
    expect(model.values[0]).toBeCloseTo(a, 12);
    expect(model.values[1]).toBeCloseTo(b, 12);
    expect(model.parameters().every((p) => p.grad === null)).toBe(true);
  });

  it("clips by norm, and tells the norm before", async () => {
    const { model, training } = bowl({ maxSteps: 1, clipNorm: 0.5 });
    const [event] = await collect(training);
    expect(event?.gradNorm).toBeCloseTo(Math.hypot(6, 2), 12);
    expect(Math.hypot(...model.values)).toBeCloseTo(0.1 * 0.5, 6);
  });

  it("sets the learning rate by step", async () => {
    const { training } = bowl({ maxSteps: 4, schedule: (step, base) => base / (step + 1) });
    expect((await collect(training)).map((e) => e.lr)).toEqual([0.1, 0.05, 0.1 / 3, 0.025]);
  });

  it("ends with the batches", async () => {
    expect((await collect(bowl({}, [{ n: 0 }, { n: 1 }]).training)).length).toBe(2);
    expect((await collect(bowl({ maxSteps: 0 }).training)).length).toBe(0);
  });

  it("goes on after break", async () => {
    const { training } = bowl({ maxSteps: 5 });
    for await (const { step } of training) if (step === 2) break;
    expect(training.step).toBe(2);
    expect((await collect(training)).map((e) => e.step)).toEqual([3, 4, 5]);
  });

  it("carries the state, off the tape, and drops it where a batch is fresh", async () => {
    const seen: (number | undefined)[] = [];
    const batches = [{ n: 1 }, { n: 2 }, { n: 3, fresh: true }, { n: 4 }];
    const { training } = bowl(
      {
        loss: (m, { n }, state) => {
          expect(state?.node ?? null).toBeNull();
          seen.push(state?.item());
          return [m.loss(), mul(m.loss(), n)];
        },
      },
      batches,
    );
    const losses = (await collect(training)).map((e) => e.loss);
    expect(seen[0]).toBeUndefined();
    expect(seen[1]).toBeCloseTo((losses[0] as number) * 1, 12);
    expect(seen[2]).toBeUndefined();
    expect(seen[3]).toBeCloseTo((losses[2] as number) * 3, 12);
  });

  it("lets the host's timers through between steps", async () => {
    const stop = new AbortController();
    setTimeout(() => stop.abort("enough"), 20);
    await expect(collect(bowl({ signal: stop.signal }).training)).rejects.toBe("enough");
  });

  it("stops at an abort between steps, throwing the reason, and can go on", async () => {
    const stop = new AbortController();
    const reason = new Error("stop");
    const { training } = bowl({ signal: stop.signal, maxSteps: 9 });
    const run = async () => {
      for await (const { step } of training) if (step === 4) stop.abort(reason);
    };
    await expect(run()).rejects.toBe(reason);
    expect(training.step).toBe(4);
    const before = bowl({ signal: AbortSignal.abort(reason) });
    await expect(collect(before.training)).rejects.toBe(reason);
    expect(before.model.values).toEqual([0, 0]);
  });

  it.each([
    ["loss", (m: Bowl, n: number) => (n < 3 ? m.loss() : mul(m.loss(), Number.NaN)), "expected a finite loss in step 4, got NaN"],
    [
      "loss",
      (m: Bowl, n: number) => (n < 3 ? m.loss() : mul(m.loss(), Number.POSITIVE_INFINITY)),
      "expected a finite loss in step 4, got Infinity",
    ],
    ["gradient", (m: Bowl, n: number) => (n < 3 ? m.loss() : reshape(sqrt(mul(m.a, 0)), [])), "expected a finite gradient norm in step 4"],
  ])("a %s that is not finite is an error and changes nothing (%#)", async (_, loss, message) => {
    const generator = new Generator(1);
    const { model, training } = bowl({
      generator,
      schedule: (step, base) => base / (step + 1),
      loss: (m, { n }) => {
        generator.uniform([2]);
        return loss(m, n);
      },
    });
    let before = new Uint8Array();
    const run = async () => {
      for await (const _step of training) before = training.checkpoint();
    };
    const error = await run().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StateError);
    expect((error as Error).message).toContain(message);
    expect(training.step).toBe(3);
    expect(training.checkpoint()).toEqual(before);
    expect(model.parameters().every((p) => p.grad === null)).toBe(true);
  });

  it("evaluates in evaluation mode, off the tape, every so often and at the end", async () => {
    const { model, training } = bowl({
      maxSteps: 7,
      evaluateEvery: 3,
      evaluate: (m) => {
        expect(m.training).toBe(false);
        expect(m.loss().node).toBeNull();
        return m.loss().item();
      },
    });
    const events = await collect(training);
    expect(events.filter((e) => e.evaluation !== undefined).map((e) => e.step)).toEqual([3, 6, 7]);
    expect(model.training).toBe(true);
    expect(training.best).toEqual({ value: events[6]?.evaluation, step: 7 });
  });

  it("stops early and ends with the best weights", async () => {
    const scores = [5, 4, 4.5, 3.95, 4.2, 9, 9, 9];
    const at: [number, number][] = [];
    const options = (restoreBest: boolean) => ({
      evaluateEvery: 2,
      evaluate: (m: Bowl) => {
        at.push(m.values);
        return scores[at.length - 1] as number;
      },
      earlyStopping: { patience: 3, minDelta: 0.1, restoreBest },
    });
    const first = bowl(options(true));
    expect((await collect(first.training)).length).toBe(10);
    expect(first.training.best).toEqual({ value: 4, step: 4 });
    expect(first.model.values).toEqual(at[1]);
    at.length = 0;
    const second = bowl(options(false));
    await collect(second.training);
    expect(second.model.values).toEqual(at[4]);
  });

  it("keeps the best weights of all steps, for patience without end", async () => {
    const scores = [5, 4, 9, 9, 9, 9, 9];
    const at: [number, number][] = [];
    const { model, training } = bowl({
      evaluateEvery: 2,
      evaluate: (m: Bowl) => {
        at.push(m.values);
        return scores[at.length - 1] as number;
      },
      earlyStopping: { patience: Number.POSITIVE_INFINITY },
      maxSteps: 14,
    });
    expect((await collect(training)).at(-1)?.step).toBe(14);
    expect(model.values).toEqual(at[1]);
  });

  it("rejects options that make no sense", () => {
    for (const options of [
      { maxSteps: -1 },
      { maxSteps: 1.5 },
      { clipNorm: 0 },
      { evaluateEvery: 0 },
      { earlyStopping: { patience: 2 } },
      { earlyStopping: { patience: 0 }, evaluateEvery: 1, evaluate: () => 0 },
    ]) {
      expect(() => bowl(options)).toThrow(ArgumentError);
    }
  });
});

/** A small model of a sequence of symbols, with dropout, so that weights, moments, state, generator and cursor all matter. */
class Net extends Module {
  readonly embedding: Embedding;
  readonly rnn: LSTM;
  readonly head: Linear;
  readonly #generator: Generator;

  constructor(generator: Generator) {
    super();
    this.embedding = new Embedding(7, 5, { generator });
    this.rnn = new LSTM({ inputSize: 5, hiddenSize: 6, numLayers: 2, dropout: 0.3, generator });
    this.head = new Linear(6, 1, { generator });
    this.#generator = generator;
  }

  loss({ inputs, targets }: SymbolWindow, state?: LstmState): [Tensor, LstmState] {
    const { output, state: next } = this.rnn.forward(this.embedding.forward(inputs), state === undefined ? {} : { state });
    const mask = this.training ? this.#generator.bernoulli(output.shape, 0.8, "float32", 1.25) : 1;
    const predicted = reshape(this.head.forward(mul(output, mask)), targets.shape);
    return [mean(square(sub(predicted, div(cast(targets, "float32"), 7)))), next];
  }
}

type MakeOptimizer = (params: Tensor[]) => Optimizer;

function charTraining(seed: number, make: MakeOptimizer, maxSteps: number, resume?: Uint8Array) {
  const ids = Int32Array.from({ length: 150 }, (_, i) => (i * i + 3 * (i % 5)) % 7);
  const generator = new Generator(seed);
  const model = new Net(generator);
  return fit(model, new WindowBatches(ids, { batch: 3, window: 8 }), {
    optimizer: make(model.parameters()),
    loss: (m, batch, state: LstmState | undefined) => m.loss(batch, state),
    maxSteps,
    clipNorm: 0.5,
    generator,
    schedule: (step, base) => base / (1 + 0.1 * step),
    evaluate: (m) => m.loss(new WindowBatches(ids, { batch: 1, window: 20 })[Symbol.iterator]().next().value as SymbolWindow)[0].item(),
    evaluateEvery: 3,
    earlyStopping: { patience: 50 },
    resume,
  });
}

const optimizers: [string, MakeOptimizer][] = [
  ["SGD with momentum", (params) => new SGD(params, { lr: 0.05, momentum: 0.9, nesterov: true })],
  ["Adam", (params) => new Adam(params, { lr: 0.01 })],
  ["RMSprop", (params) => new RMSprop(params, { lr: 0.01, centered: true, momentum: 0.5 })],
];

describe("resuming", () => {
  it.each(optimizers)("equals the uninterrupted run bit for bit: %s", async (_, make) => {
    const whole = charTraining(1, make, 20);
    const events = await collect(whole);
    for (const stop of [0, 1, 6, 7, 13, 19]) {
      const first = charTraining(1, make, 20);
      const head: TrainingStep[] = [];
      if (stop > 0) {
        for await (const event of first) {
          head.push(event);
          if (event.step === stop) break;
        }
      }
      const second = charTraining(2, make, 20, first.checkpoint());
      expect(second.step).toBe(stop);
      expect([...head, ...(await collect(second))]).toEqual(events);
      expect(second.checkpoint()).toEqual(whole.checkpoint());
    }
  });

  it("a run that learned differently ends differently", async () => {
    const make = optimizers[1]?.[1] as MakeOptimizer;
    const [a, b] = [charTraining(1, make, 3), charTraining(2, make, 3)];
    await collect(a);
    await collect(b);
    expect(a.checkpoint()).not.toEqual(b.checkpoint());
  });

  it("hands back what the caller put in", async () => {
    const { training } = bowl({ maxSteps: 2 });
    await collect(training);
    expect(bowl({ resume: training.checkpoint({ note: [1, "two"] }) }).training.extra).toEqual({ note: [1, "two"] });
  });

  it("takes over all of a checkpoint or nothing", async () => {
    const donor = bowl({ maxSteps: 2 });
    await collect(donor.training);
    const good = donor.training.checkpoint();

    class Other extends Bowl {
      readonly c: Parameter = new Parameter(zeros([1], "float64"));
    }
    const other = new Other();
    const optimizer = new SGD(other.parameters(), { lr: 0.1 });
    const batches = new Counter();
    const attempt = (resume: Uint8Array) => fit(other, batches, { optimizer, loss: (m) => m.loss(), resume });
    for (const bytes of [good, good.subarray(0, good.length - 1), new Uint8Array(9)]) {
      expect(() => attempt(bytes)).toThrow(FormatError);
    }
    expect(other.values).toEqual([0, 0]);

    const untrusted = [
      ["expected momentumBuffer, step for parameter 0, got step", { momentum: 0.9 }],
      ["expected options", { params: [] }],
      ["expected options", { lr: "high" }],
    ] as const;
    for (const [message, patch] of untrusted) {
      const bowlOf = new Bowl();
      const sgd = new SGD(bowlOf.parameters(), { lr: 0.1 });
      expect(() => fit(bowlOf, batches, { optimizer: sgd, loss: (m) => m.loss(), resume: tampered(good, patch) })).toThrow(message);
      expect(bowlOf.values).toEqual([0, 0]);
    }

    const adam = new Bowl();
    const untouched = new Adam(adam.parameters(), { lr: 0.5 });
    expect(() => fit(adam, batches, { optimizer: untouched, loss: (m) => m.loss(), resume: good })).toThrow(FormatError);
    expect(adam.values).toEqual([0, 0]);
    expect(untouched.lr).toBe(0.5);
  });
});

/** The checkpoint with other options in its optimiser's group. */
function tampered(bytes: Uint8Array, patch: object): Uint8Array {
  const { tensors, metadata } = unsealedParts(bytes);
  const run = JSON.parse(metadata.run as string) as { optimizer: { groups: object[] } };
  run.optimizer.groups = [{ ...run.optimizer.groups[0], ...patch }];
  return serialize(tensors, { ...metadata, run: JSON.stringify(run) });
}

describe("memory", () => {
  it("stays flat over steps, evaluations and checkpoints", async () => {
    const training = charTraining(1, (params) => new Adam(params), 60);
    const live: number[] = [];
    for await (const { step } of training) {
      training.checkpoint();
      if (step % 6 === 0) live.push(memory().liveBytes);
    }
    expect(new Set(live.slice(2)).size).toBe(1);
  });
});
