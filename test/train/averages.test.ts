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

  it("are an EMA", () => {
    expect(() => training({ averages: 3 as never })).toThrow("fit: expected averages, an EMA");
  });
});
