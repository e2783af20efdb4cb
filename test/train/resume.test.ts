/** A resumed run is the straight one, to the bit: every kind of source, with everything that a run may have beside its weights. */

import { describe, expect, it } from "vitest";
import type { Batches, Cursor, Pass } from "../../src/data/batches.ts";
import { SeriesWindows } from "../../src/data/series.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Dropout, VariationalDropout } from "../../src/nn/dropout-layers.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { square, sub } from "../../src/ops/arithmetic.ts";
import { mean } from "../../src/ops/reduce.ts";
import { Adam } from "../../src/optim/adam.ts";
import { EMA, type EMAState } from "../../src/optim/ema.ts";
import { NAdam } from "../../src/optim/nadam.ts";
import type { Optimizer } from "../../src/optim/optimizer.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { cosineAnnealingLR, oneCycleLR, ReduceLROnPlateau, warmUp } from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator, manualSeed } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type FitOptions, fit, type Training } from "../../src/train/fit.ts";
import type { TrainingStep } from "../../src/train/progress.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";
import { Zoneout } from "../../src/wrappers/zoneout.ts";

interface Batch {
  readonly inputs: Tensor;
  readonly targets: Tensor;
  readonly fresh?: boolean;
}

/** Everything whose place or statistics a checkpoint must not lose; generators of the model's own, and the default one. */
class Net extends Module {
  readonly norm = new SequenceBatchNorm(2);
  readonly drop = new Dropout(0.2, { generator: new Generator(11) });
  readonly rnn = new LSTM({ inputSize: 2, hiddenSize: 4, numLayers: 2, dropout: 0.2, generator: new Generator(12) });
  readonly same = new VariationalDropout(0.3);
  readonly zone = new Zoneout(new LSTMCell({ inputSize: 4, hiddenSize: 4, generator: new Generator(13) }), 0.2, {
    generator: new Generator(14),
  });
  readonly stack = new StackedRNN(
    [15, 17].map((seed) => new LSTMCell({ inputSize: 4, hiddenSize: 4, generator: new Generator(seed) })),
    { dropout: 0.1 },
  );
  readonly head = new Linear(4, 2, { generator: new Generator(16) });

  loss({ inputs, targets }: Batch, state: LstmState | undefined): [Tensor, LstmState] {
    const x = this.drop.forward(this.norm.forward(inputs));
    const { output, state: next } = this.rnn.forward(x, state === undefined ? {} : { state });
    const [ys] = this.zone.scan(this.same.forward(output));
    const [zs] = this.stack.scan(ys);
    return [mean(square(sub(this.head.forward(zs), targets))), next];
  }
}

const series = () => new Generator(21).normal([40, 2]);
const windows = () => new SeriesWindows(series(), { window: 4, horizon: 4, stride: 3, batch: 3, shuffle: 5 });

/** The first batches of the windows. */
function some(count: number): Batch[] {
  const pass = windows()[Symbol.iterator]();
  return Array.from({ length: count }, () => {
    const { inputs, targets } = pass.next().value as Batch;
    return { inputs, targets, fresh: inputs.dim(1) < 3 };
  }).filter(({ fresh }) => !fresh);
}

/** Batches that carry the state, with places of a kind of their own. */
class Counted implements Batches<Batch> {
  readonly all = some(40);
  [Symbol.iterator](): Pass<Batch> {
    return this.from({ at: 0 });
  }
  from({ at = 0 }: Cursor): Pass<Batch> {
    const { all } = this;
    return {
      get cursor() {
        return { at };
      },
      next: () => (at < all.length ? { done: false, value: all[at++] as Batch } : { done: true, value: undefined }),
      [Symbol.iterator]() {
        return this;
      },
    };
  }
}

const sources: Record<string, () => Iterable<Batch>> = {
  array: () => some(40),
  generator: () => {
    const [all, order] = [some(12), new Generator(31)];
    return (function* () {
      for (;;) {
        for (const i of order.permutation(all.length).data()) yield all[i] as Batch;
      }
    })();
  },
  windows: () => windows(),
  places: () => new Counted(),
};

type Options = Partial<FitOptions<Net, Batch, LstmState>>;

interface Setting {
  readonly optimizer: (params: Tensor[]) => Optimizer;
  readonly options?: Options;
  readonly ema?: boolean;
  readonly plateau?: boolean;
}

const settings: Record<string, Setting> = {
  "Adam, warm-up and cosine, early stopping with the best weights": {
    optimizer: (params) => new Adam(params, { lr: 0.02, amsgrad: true }),
    options: { schedule: warmUp(3, cosineAnnealingLR({ tMax: 20 })), earlyStopping: { patience: 2, minDelta: 1e-3 } },
  },
  "SGD with momentum, one cycle": {
    optimizer: (params) => new SGD(params, { lr: 0.05, momentum: 0.9, weightDecay: 1e-3 }),
    options: { schedule: oneCycleLR({ maxLr: 0.1, totalSteps: 12, pctStart: 1 }) },
  },
  "RMSprop with averages of its weights and a plateau": {
    optimizer: (params) => new RMSprop(params, { lr: 0.01, centered: true, momentum: 0.5 }),
    ema: true,
    plateau: true,
  },
  "NAdam, a plateau under a warm-up": { optimizer: (params) => new NAdam(params), options: { schedule: warmUp(6) }, plateau: true },
};

interface Run {
  readonly training: Training<Net, Batch, LstmState>;
  readonly model: Net;
  readonly ema: EMA;
  readonly plateau: ReduceLROnPlateau;
}

interface Saved {
  readonly checkpoint: Uint8Array;
  readonly averages: Uint8Array;
  readonly rest: string;
}

function start(source: () => Iterable<Batch>, { optimizer: make, options, ema: averaged }: Setting, saved?: Saved, maxSteps = 12): Run {
  manualSeed(3);
  const model = new Net();
  const optimizer = make(model.parameters());
  const ema = new EMA(model.parameters(), { decay: 0.7 });
  const plateau = new ReduceLROnPlateau(optimizer, { patience: 0, factor: 0.5, threshold: 0.3 });
  const held = some(3);
  const score = (m: Net) => held.reduce((total, batch) => total + m.loss(batch, undefined)[0].item(), 0);
  const training = fit(model, source(), {
    optimizer,
    loss: (m, batch, state: LstmState | undefined) => m.loss(batch, state),
    maxSteps,
    clipNorm: 1,
    evaluate: (m) => (averaged ? ema.withAverages(() => score(m)) : score(m)),
    evaluateEvery: 3,
    ...options,
    resume: saved?.checkpoint,
  });
  if (saved !== undefined) {
    const { tensors } = parse(saved.averages);
    const rest = JSON.parse(saved.rest);
    const averages = Array.from({ length: tensors.size }, (_, i) => tensors.get(String(i)) as Tensor);
    ema.loadStateDict({ updates: rest.updates, averages } as EMAState);
    plateau.loadStateDict(rest.plateau);
  }
  return { training, model, ema, plateau };
}

async function go({ training, ema, plateau }: Run, setting: Setting, stop = Number.POSITIVE_INFINITY): Promise<TrainingStep[]> {
  const events: TrainingStep[] = [];
  for await (const event of training) {
    events.push(event);
    if (setting.ema) ema.update();
    if (setting.plateau && event.evaluation !== undefined) plateau.step(event.evaluation);
    if (event.step >= stop) break;
  }
  return events;
}

function save({ training, ema, plateau }: Run): Saved {
  const { averages, updates } = ema.stateDict();
  return {
    checkpoint: training.checkpoint(),
    averages: serialize(new Map(averages.map((t, i) => [String(i), t]))),
    rest: JSON.stringify({ updates, plateau: plateau.stateDict() }),
  };
}

const values = (model: Module) => [...model.stateDict()].map(([name, t]) => [name, ...t.data()]);

describe.each(Object.entries(settings))("%s", (_, setting) => {
  it.each(Object.entries(sources))("with batches from %s", async (_name, source) => {
    const whole = start(source, setting);
    const events = await go(whole, setting);
    expect(events.length).toBeGreaterThan(6);
    for (const stop of [1, 6]) {
      const first = start(source, setting);
      const head = await go(first, setting, stop);
      const saved = save(first);
      // What goes on after a checkpoint, or resumes from it first, changes nothing for who resumes later.
      await go(first, setting, stop + 1);
      await go(start(source, setting, saved), setting, stop + 2);
      const second = start(source, setting, saved);
      const middle = await go(second, setting, stop + 2);
      const third = start(source, setting, save(second));
      const tail = await go(third, setting);
      expect([...head, ...middle, ...tail]).toEqual(events);
      expect(save(third)).toEqual(save(whole));
      expect(values(third.model)).toEqual(values(whole.model));
      expect(third.training.best).toEqual(whole.training.best);
    }
  });
});

describe("the best weights", () => {
  // Best after step 6.
  let running: Run | null = null;
  const scores = () => Math.abs((running?.training.step ?? 0) - 6);
  const setting: Setting = {
    optimizer: (params) => new Adam(params, { lr: 0.02 }),
    options: { earlyStopping: { patience: 9 }, evaluate: scores },
  };
  const begin = (maxSteps: number, saved?: Saved): Run => {
    running = start(sources.places as () => Iterable<Batch>, setting, saved, maxSteps);
    return running;
  };

  it("are in the model at the end, and the last ones in the checkpoint: resumed to more steps it is the straight run", async () => {
    const whole = begin(18);
    const events = await go(whole, setting);
    const short = begin(9);
    const head = await go(short, setting);
    expect(short.training.best).toEqual({ value: 0, step: 6 });
    const ended = save(short);
    const same = begin(9, ended);
    expect(await go(same, setting)).toEqual([]);
    expect(values(same.model)).toEqual(values(short.model));
    expect(save(same)).toEqual(ended);
    const longer = begin(18, ended);
    expect([...head, ...(await go(longer, setting))]).toEqual(events);
    expect(save(longer)).toEqual(save(whole));
    expect(values(longer.model)).toEqual(values(whole.model));
  });
});

describe("an evaluation that is still to be made", () => {
  it("is made by the run that resumes", async () => {
    const make = (resume?: Uint8Array) => {
      const model = new Linear(1, 1, { generator: new Generator(1) });
      const g = new Generator(2);
      let asked = 0;
      return {
        fail: () => asked++,
        training: fit(
          model,
          [1, 2, 3, 4, 5].map((x) => ({ x })),
          {
            optimizer: new SGD(model.parameters(), { lr: 0.01 }),
            generator: g,
            loss: (m, { x }) => mean(square(m.forward(tensor([[x]])))),
            evaluate: (m) => {
              const value = g.uniform([1]).item() + m.bias!.item();
              if (asked > 0) throw new Error("no");
              return value;
            },
            evaluateEvery: 2,
            resume,
          },
        ),
      };
    };
    const all = async (training: AsyncIterable<TrainingStep>) => {
      const events: TrainingStep[] = [];
      for await (const event of training) events.push(event);
      return events;
    };
    const whole = await all(make().training);
    expect(whole.map((e) => e.step)).toEqual([1, 2, 3, 4, 5, 5]);
    const first = make();
    first.fail();
    await expect(all(first.training)).rejects.toThrow("no");
    expect(first.training.step).toBe(2);
    expect(await all(make(first.training.checkpoint()).training)).toEqual(whole.slice(1));
  });
});
