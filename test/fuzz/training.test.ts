/**
 * Training's own data under damaged input: states of every optimiser, and checkpoints that a run resumes from. Each is refused with a typed
 * error in a few words, and nothing is changed, or it works; see fuzz.ts.
 */

import { describe, expect, it } from "vitest";
import type { Cursor, Pass } from "../../src/data/batches.ts";
import { SeriesWindows } from "../../src/data/series.ts";
import { serialize } from "../../src/io/safetensors.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Dropout } from "../../src/nn/dropout-layers.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { square, sub } from "../../src/ops/arithmetic.ts";
import { mean } from "../../src/ops/reduce.ts";
import { Adadelta } from "../../src/optim/adadelta.ts";
import { Adagrad } from "../../src/optim/adagrad.ts";
import { Adam, AdamW } from "../../src/optim/adam.ts";
import { Adamax } from "../../src/optim/adamax.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { NAdam } from "../../src/optim/nadam.ts";
import type { OptimizerState } from "../../src/optim/optimizer.ts";
import { RAdam } from "../../src/optim/radam.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { Rprop } from "../../src/optim/rprop.ts";
import { warmUp } from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { fit, type Training } from "../../src/train/fit.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";
import { unsealedParts } from "../unsealed.ts";
import { damage, disturb, INPUTS, pick, type Random, randomOf, textOf } from "./fuzz.ts";

function expectTyped(error: unknown, told: string): void {
  expect((error as { code?: unknown }).code, `${told}: ${(error as Error).stack}`).toMatch(/^ERR_(FORMAT|ARGUMENT|SHAPE|DTYPE|STATE)$/);
  expect((error as Error).message.length, told).toBeLessThan(700);
}

/** A state and weights as text, to the last bit. */
function bitsOf({ tensors, ...rest }: OptimizerState, weights: Iterable<Tensor>): string {
  const lists = [...Object.entries(tensors).map(([name, t]) => [name, ...t.data()]), ...Array.from(weights, (t) => [...t.data()])];
  return JSON.stringify([rest, lists.map((list) => list.map(String))]);
}

/** Whether options, slots and weights are of a size with which nothing overflows: any constructor takes 1e300 as a rate. */
function isTame({ groups, numbers, tensors }: OptimizerState, weights: Iterable<Tensor>): boolean {
  const options = [...groups.flatMap((group) => Object.values(group).flat()), numbers["0.stepLength"]];
  const values = [...Object.values(tensors), ...weights].flatMap((t) => Array.from<number>(t.data()));
  return options.every((x) => typeof x !== "number" || Math.abs(x) <= 1e4) && values.every((x) => Math.abs(x) <= 1e15);
}

const NOT_JSON: readonly unknown[] = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  undefined,
  3n,
  Symbol("s"),
  () => 1,
  new Date(0),
  new Float32Array(2),
];

/** Plain data disturbed, at times with what JSON has not. */
function disturbObject<T>(random: Random, value: T): T {
  if (random(3) > 0) return disturb(random, value) as T;
  const copy = structuredClone(value);
  let at = copy as Record<string, unknown>;
  for (;;) {
    const name = pick(random, Object.keys(at));
    const part = at[name];
    if (typeof part === "object" && part !== null && Object.keys(part).length > 0 && random(6) > 0) {
      at = part as Record<string, unknown>;
      continue;
    }
    at[name] = pick(random, NOT_JSON);
    return copy;
  }
}

const f64 = { dtype: "float64" } as const;
const leaf = (): Tensor => keep(tensor([1, -2, 3], { ...f64, requiresGrad: true }));

interface Stateful {
  stateDict(): OptimizerState;
  loadStateDict(state: OptimizerState): void;
}

/** An optimiser of one parameter, and a step of it. */
type Subject = (p: Tensor) => { readonly optimizer: Stateful; readonly step: () => void };

const firstOrder =
  (Class: unknown, options: object = {}): Subject =>
  (p) => {
    const optimizer = new (Class as typeof Adam)([p], options);
    return { optimizer, step: () => scope(() => optimizer.step([tensor([0.5, -1, 0.25], f64)])) };
  };

const subjects: Record<string, Subject> = {
  SGD: firstOrder(SGD, { momentum: 0.9 }),
  Adam: firstOrder(Adam, { amsgrad: true }),
  AdamW: firstOrder(AdamW),
  Adamax: firstOrder(Adamax),
  NAdam: firstOrder(NAdam),
  RAdam: firstOrder(RAdam),
  RMSprop: firstOrder(RMSprop, { centered: true, momentum: 0.5 }),
  Rprop: firstOrder(Rprop),
  Adagrad: firstOrder(Adagrad),
  Adadelta: firstOrder(Adadelta),
  LBFGS: (p) => {
    const optimizer = new LBFGS([p], { lr: 0.1, maxIter: 4 });
    const closure = () => {
      const [x = 0, y = 0, z = 0] = p.data();
      p.grad ??= keep(tensor([0, 0, 0], f64));
      assign(p.grad, [2 * x, 4 * y ** 3, z]);
      return x ** 2 + y ** 4 + z ** 2 / 2;
    };
    return { optimizer, step: () => void optimizer.step(closure) };
  },
};

/** A state with the values of its tensors open to damage. */
const opened = ({ tensors, ...rest }: OptimizerState) => ({
  ...rest,
  tensors: Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, { shape: [...t.shape], values: [...t.data()] }])),
});

/** Tensors again, of what still can be one. */
function closed(state: ReturnType<typeof opened>): OptimizerState {
  const { tensors } = state ?? {};
  if (typeof tensors !== "object" || tensors === null) return state as never;
  const made = Object.entries(tensors).map(([name, held]) => {
    let t: unknown = held;
    thrown(() => {
      t = tensor(held.values, { shape: held.shape, ...f64 });
    });
    return [name, t];
  });
  return { ...state, tensors: Object.fromEntries(made) };
}

describe.each(Object.entries(subjects))("damaged states of %s", (_, make) => {
  it("are refused, or work", () => {
    const random = randomOf(71);
    const counts = { refused: 0, taken: 0 };
    for (let i = 0; i < INPUTS; i++) {
      const p = leaf();
      const { optimizer, step } = make(p);
      step();
      step();
      const before = bitsOf(optimizer.stateDict(), [p]);
      const bad = closed(disturbObject(random, opened(optimizer.stateDict())));
      const error = thrown(() => optimizer.loadStateDict(bad));
      if (error !== null) {
        counts.refused++;
        expectTyped(error, `input ${i}`);
        expect(bitsOf(optimizer.stateDict(), [p]), `input ${i}`).toBe(before);
        continue;
      }
      counts.taken++;
      const tame = isTame(optimizer.stateDict(), [p]);
      step();
      if (!tame) continue;
      expect(p.data().some(Number.isNaN), `input ${i}`).toBe(false);
      const other = make(leaf()).optimizer;
      other.loadStateDict(optimizer.stateDict());
    }
    expect(counts.refused).toBeGreaterThan(INPUTS / 4);
    expect(counts.taken).toBeGreaterThan(0);
  });
});

class Net extends Module {
  readonly norm = new SequenceBatchNorm(2);
  readonly drop = new Dropout(0.2, { generator: new Generator(1) });
  readonly rnn = new LSTM({ inputSize: 2, hiddenSize: 3, generator: new Generator(2) });
  readonly head = new Linear(3, 2, { generator: new Generator(3) });
}

interface Batch {
  readonly inputs: Tensor;
  readonly targets: Tensor;
}

type NetTraining = Training<Net, Batch, LstmState>;

const series = new Generator(5).normal([30, 2]);

/** Windows put forward as if they followed each other, so that there is a state to carry. */
function continued(pass: Pass<Batch>): Pass<Batch> {
  return {
    get cursor() {
      return pass.cursor;
    },
    next: () => {
      const { value, done } = pass.next();
      return done ? { done, value } : { done: false, value: { inputs: value.inputs, targets: value.targets } };
    },
    [Symbol.iterator]() {
      return this;
    },
  };
}

function train(model: Net, optimizer: Adam, resume?: Uint8Array): NetTraining {
  const source = new SeriesWindows(series, { window: 4, horizon: 4, batch: 2, shuffle: 3 });
  const batches = {
    from: (cursor: Cursor) => continued(source.from(cursor)),
    [Symbol.iterator]: () => continued(source[Symbol.iterator]()),
  };
  return fit(model, batches, {
    optimizer,
    loss: (m, { inputs, targets }, state: LstmState | undefined) => {
      const x = m.drop.forward(m.norm.forward(inputs));
      const { output, state: next } = m.rnn.forward(x, state === undefined || state.h.dim(1) !== x.dim(1) ? {} : { state });
      return [mean(square(sub(m.head.forward(output), targets))), next] as const;
    },
    schedule: warmUp(5),
    evaluate: (m) => m.head.bias?.data()[0] ?? 0,
    evaluateEvery: 2,
    earlyStopping: { patience: 50 },
    resume,
  });
}

function made(): { readonly model: Net; readonly optimizer: Adam } {
  const model = new Net();
  return { model, optimizer: new Adam(model.parameters(), { lr: 0.01 }) };
}

/** Goes so many steps. @returns what was thrown, or null */
async function go(training: NetTraining, steps: number): Promise<unknown> {
  try {
    let left = steps;
    for await (const _ of training) if (--left === 0) break;
  } catch (error) {
    return error;
  }
  return null;
}

/** The file with its bytes damaged, its run disturbed, or its tensors exchanged, left out or filled. */
function variant(random: Random, good: Uint8Array): Uint8Array {
  if (random(4) === 0) return damage(random, good, [good]);
  const { tensors, metadata } = unsealedParts(good);
  if (random(3) > 0) return serialize(tensors, { ...metadata, run: textOf(disturb(random, JSON.parse(metadata.run as string))) });
  const names = [...tensors.keys()];
  const name = pick(random, names);
  const t = tensors.get(name) as Tensor;
  if (random(2) === 0) assign(t, t.data().fill(pick(random, [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e30])));
  if (random(2) === 0) tensors.delete(name);
  if (random(2) === 0) tensors.set(pick(random, [name, `${name}x`, pick(random, names), "state.9", "model.x"]), t);
  return serialize(tensors, metadata);
}

describe("damaged checkpoints", () => {
  it("are refused and leave nothing behind, or training goes on from them", async () => {
    const first = made();
    const begun = train(first.model, first.optimizer);
    await go(begun, 5);
    const good = begun.checkpoint({ note: "x" });
    const random = randomOf(72);
    const counts = { refused: 0, failed: 0, taken: 0 };
    for (let i = 0; i < INPUTS; i++) {
      const told = `input ${i}`;
      const bad = scope(() => variant(random, good));
      const { model, optimizer } = made();
      const everything = () => bitsOf(optimizer.stateDict(), model.stateDict().values()) + model.drop.generator?.state.counter;
      const before = everything();
      const { liveBytes } = memory();
      const resumed: NetTraining[] = [];
      const error = thrown(() => resumed.push(train(model, optimizer, bad)));
      const [training] = resumed;
      if (training === undefined) {
        counts.refused++;
        expectTyped(error, told);
        expect(everything(), told).toBe(before);
        expect(memory().liveBytes, told).toBe(liveBytes);
        continue;
      }
      const place = training.checkpoint();
      const tame = isTame(optimizer.stateDict(), model.parameters());
      const failure = await go(training, 1);
      if (failure !== null) {
        counts.failed++;
        expectTyped(failure, told);
        expect(training.checkpoint(), told).toEqual(place);
        continue;
      }
      counts.taken++;
      // The schedule has set the rate by now, from base rates that may be anything.
      if (!tame || optimizer.lr > 1e4) continue;
      for (const [name, t] of model.namedParameters()) expect(t.data().some(Number.isNaN), `${told}, ${name}`).toBe(false);
      const again = made();
      train(again.model, again.optimizer, training.checkpoint());
    }
    expect(counts.refused).toBeGreaterThan(INPUTS / 4);
    expect(counts.taken).toBeGreaterThan(0);
  });
});
