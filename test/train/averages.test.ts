/** Averages of the parameters that a training keeps: what the model is evaluated with, and what a resumed run goes on from. */

import { describe, expect, it } from "vitest";
import { FormatError, StateError } from "../../src/base/errors.ts";
import { decodeCheckpoint } from "../../src/io/checkpoint.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { EMA } from "../../src/optim/ema.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type FitOptions, fit } from "../../src/train/fit.ts";

interface Batch {
  readonly x: Tensor;
  readonly y: Tensor;
}

const batches: readonly Batch[] = Array.from({ length: 8 }, (_, i) => ({ x: tensor([[i, 1]]), y: tensor([[Math.sin(i)]]) }));
const values = (tensors: readonly Tensor[]) => tensors.map((t) => Array.from(t.data()));

function training(options: Partial<FitOptions<Linear, Batch, never>> = {}, averaged = true) {
  const model = new Linear(2, 1, { generator: new Generator(3) });
  const ema = new EMA(model.parameters(), { decay: 0.9, warmUp: true });
  const run = fit<Linear, Batch, never>(model, batches, {
    optimizer: new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 }),
    loss: (m, { x, y }) => mseLoss(m.forward(x), y),
    ...(averaged && { averages: ema }),
    ...options,
  });
  return { model, ema, run };
}

async function all(run: AsyncIterable<{ readonly evaluation?: number }>): Promise<number[]> {
  const evaluations: number[] = [];
  for await (const { evaluation } of run) if (evaluation !== undefined) evaluations.push(evaluation);
  return evaluations;
}

describe("averages in fit", () => {
  it("of another model are refused", () => {
    const other = new EMA(new Linear(2, 1).parameters());
    expect(() => training({ averages: other })).toThrow(/expected averages of parameters of the model or the optimiser/);
  });

  it("are those of an EMA that is updated by hand after every step", async () => {
    const { ema, run } = training();
    await all(run);
    const { model, ema: byHand, run: bare } = training({}, false);
    for await (const _ of bare) byHand.update();
    expect(values(ema.stateDict().averages)).toEqual(values(byHand.stateDict().averages));
    expect(ema.stateDict().updates).toBe(8);
    expect(values(ema.stateDict().averages)).not.toEqual(values(model.parameters()));
  });

  it("are what is evaluated, and what is restored as the best", async () => {
    const seen: number[][][] = [];
    const evaluate = (m: Linear) => {
      seen.push(values(m.parameters()));
      return 8 - seen.length;
    };
    const { model, ema, run } = training({ evaluate, evaluateEvery: 4, earlyStopping: { patience: 5 } });
    const averages: number[][][] = [];
    for await (const { step, evaluation } of run) if (evaluation !== undefined && step > 0) averages.push(values(ema.stateDict().averages));
    expect(seen).toEqual(averages);
    expect(seen.length).toBe(2);
    expect(values(model.parameters())).toEqual(seen[1]);
  });

  it("go on to the bit from a checkpoint", async () => {
    const straight = training();
    await all(straight.run);
    const first = training({ maxSteps: 3 });
    await all(first.run);
    const rest = training({ resume: first.run.checkpoint() });
    expect(values(rest.ema.stateDict().averages)).toEqual(values(first.ema.stateDict().averages));
    await all(rest.run);
    expect(values(rest.ema.stateDict().averages)).toEqual(values(straight.ema.stateDict().averages));
    expect(rest.ema.stateDict().updates).toBe(8);
    expect(rest.run.checkpoint()).toEqual(straight.run.checkpoint());
  });

  it("are not lost and not missed in silence", async () => {
    const [kept, bare] = [training({ maxSteps: 2 }), training({ maxSteps: 2 }, false)];
    await all(kept.run);
    await all(bare.run);
    expect(decodeCheckpoint(bare.run.checkpoint()).averages).toBeNull();
    expect(() => training({ resume: kept.run.checkpoint() }, false)).toThrow(FormatError);
    const { model, ema } = training();
    const before = values([...model.parameters(), ...ema.stateDict().averages]);
    const resume = bare.run.checkpoint();
    expect(() =>
      fit<Linear, Batch, never>(model, batches, {
        optimizer: new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 }),
        loss: () => tensor(0),
        averages: ema,
        resume,
      }),
    ).toThrow("checkpoint: expected averages, as fit has them, got none");
    expect(values([...model.parameters(), ...ema.stateDict().averages])).toEqual(before);
  });

  it("have to be in their own place when a step begins", async () => {
    const { model, ema, run } = training();
    ema.swap();
    const before = values(model.parameters());
    await expect(all(run)).rejects.toThrow(StateError);
    expect(values(model.parameters())).toEqual(before);
    ema.swap();
    await all(run);
    expect(ema.stateDict().updates).toBe(8);
  });

  describe("leave a checkpoint the weights", () => {
    const start = (options: Partial<FitOptions<Linear, Batch, never>> = {}) =>
      training({ evaluate: () => 1, evaluateEvery: 3, ...options });
    const upTo = async (steps: number, run: AsyncIterable<{ readonly step: number }>) => {
      for await (const { step } of run) if (step === steps) break;
    };

    const saved: Record<string, () => Promise<Uint8Array>> = {
      "in evaluate": async () => {
        let bytes: Uint8Array | undefined;
        const started = start({
          evaluate: () => {
            bytes ??= started.run.checkpoint();
            return 1;
          },
        });
        await upTo(3, started.run);
        return bytes as Uint8Array;
      },
      "in withAverages": async () => {
        const { ema, run } = start();
        await upTo(3, run);
        return ema.withAverages(() => run.checkpoint());
      },
      "after swap": async () => {
        const { ema, run } = start();
        await upTo(3, run);
        ema.swap();
        const bytes = run.checkpoint();
        ema.swap();
        return bytes;
      },
    };
    it.each(Object.entries(saved))("%s: a run resumed from it is the whole one", async (_, save) => {
      const whole = start();
      await all(whole.run);
      const resumed = start({ resume: await save() });
      expect(resumed.run.step).toBe(3);
      await all(resumed.run);
      expect(values(resumed.model.parameters())).toEqual(values(whole.model.parameters()));
      expect(values(resumed.ema.stateDict().averages)).toEqual(values(whole.ema.stateDict().averages));
    });

    it("where another EMA's are in their place, by refusing", async () => {
      const { model, run } = start();
      const other = new EMA(model.parameters());
      await upTo(3, run);
      expect(() => other.withAverages(() => run.checkpoint())).toThrow(StateError);
      const [step] = other.withAverages(() => [all(run)]);
      await expect(step).rejects.toThrow("fit: expected the parameters in their place, got their averages there");
    });
  });

  it("in the parameters' place take part in a resumed run, and in the end of one", async () => {
    const [whole, begun] = [training(), training()];
    await all(whole.run);
    for await (const { step } of begun.run) if (step === 3) break;
    const { model, ema } = training();
    ema.swap();
    const rest = fit<Linear, Batch, never>(model, batches, {
      optimizer: new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 }),
      loss: (m, { x, y }) => mseLoss(m.forward(x), y),
      averages: ema,
      resume: begun.run.checkpoint(),
    });
    ema.swap();
    await all(rest);
    expect(values(model.parameters())).toEqual(values(whole.model.parameters()));
    expect(values(ema.stateDict().averages)).toEqual(values(whole.ema.stateDict().averages));
  });

  it("in the parameters' place at the end: the best weights are the parameters'", async () => {
    const run = async (swaps: boolean) => {
      const { model, ema, run } = training({
        evaluate: (m) => (m.parameters()[0] as Tensor).data()[0] as number,
        evaluateEvery: 8,
        earlyStopping: { patience: 1 },
      });
      for await (const { evaluation } of run) if (swaps && evaluation !== undefined) ema.swap();
      if (swaps) ema.swap();
      return values([...model.parameters(), ...ema.stateDict().averages]);
    };
    expect(await run(true)).toEqual(await run(false));
  });

  it("are an EMA", () => {
    expect(() => training({ averages: 3 as never })).toThrow("fit: expected averages, an EMA");
  });
});
