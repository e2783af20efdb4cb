import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, DTypeError, FormatError } from "../../src/base/errors.ts";
import { SequenceBatches } from "../../src/data/sequence-batches.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { mul, square, sub } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { lineChart } from "../../src/plot/svg.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type FitOptions, fit, type Training } from "../../src/train/fit.ts";
import type { TrainingStep } from "../../src/train/progress.ts";

/** (w − goal)²: with lr 0.25 each step halves the distance. */
class Line extends Module {
  readonly w: Parameter = new Parameter(tensor([8], { dtype: "float64" }));
}

interface Goal {
  readonly goal: number;
}

type Options = Partial<FitOptions<Line, Goal, Tensor>>;

function training(model: Line, batches: Iterable<Goal>, options: Options = {}): Training<Line, Goal, Tensor> {
  const optimizer = new SGD(model.parameters(), { lr: 0.25 });
  return fit(model, batches, { optimizer, loss: (m, { goal }) => sum(square(sub(m.w, goal))), ...options });
}

const zeros = (n: number): Goal[] => Array.from({ length: n }, () => ({ goal: 0 }));

async function stepsOf(run: AsyncIterable<TrainingStep>): Promise<TrainingStep[]> {
  const steps: TrainingStep[] = [];
  for await (const step of run) steps.push(step);
  return steps;
}

describe("awaiting a training", () => {
  it("runs it to its end and says what it came to", async () => {
    const model = new Line();
    const summary = await training(model, zeros(3));
    expect(model.w.item()).toBe(1);
    expect(summary).toMatchObject({ steps: 3, reason: "batches", loss: 4, best: null });
    expect(summary.history.loss).toEqual({ name: "loss", x: [1, 2, 3], y: [64, 16, 4] });
    expect(summary.history.gradNorm.y).toEqual([16, 8, 4]);
    expect(summary.history.lr.y).toEqual([0.25, 0.25, 0.25]);
    expect(lineChart([summary.history.loss])).toContain("<svg");
  });

  it("says why it ended", async () => {
    expect((await training(new Line(), zeros(5), { maxSteps: 2 })).reason).toBe("maxSteps");
    expect((await training(new Line(), zeros(1), { maxSteps: 2 })).reason).toBe("batches");
    expect(await training(new Line(), [])).toMatchObject({ steps: 0, loss: null, reason: "batches" });
    const stopped = training(new Line(), zeros(9), { evaluate: () => 1, evaluateEvery: 1, earlyStopping: { patience: 2 } });
    expect(await stopped).toMatchObject({ steps: 3, reason: "earlyStopping", best: { value: 1, step: 1 } });
  });

  it("gives the same summary each time, with the steps that were iterated before", async () => {
    const run = training(new Line(), zeros(4));
    expect(run.history.loss.x).toEqual([]);
    for await (const { step } of run) if (step === 2) break;
    expect(run.history.loss).toEqual({ name: "loss", x: [1, 2], y: [64, 16] });
    const summary = await run;
    expect([summary.steps, summary.history.loss.x]).toEqual([4, [1, 2, 3, 4]]);
    expect(await run).toBe(summary);
  });

  it("gives one summary with all steps to everyone who waits", async () => {
    const run = training(new Line(), zeros(4));
    const [one, other] = await Promise.all([run, run]);
    expect(one.history.loss.x).toEqual([1, 2, 3, 4]);
    expect(other).toBe(one);
  });

  it("goes on after an abort", async () => {
    const abort = new AbortController();
    const run = training(new Line(), zeros(4), {
      signal: abort.signal,
      loss: (m, { goal }) => {
        if (m.w.item() === 4) abort.abort(new Error("enough"));
        return sum(square(sub(m.w, goal)));
      },
    });
    await expect(run).rejects.toThrow("enough");
    expect((await run).steps).toBe(4);
  });

  it("is no function that a scope could mistake for its end", () => {
    expect(() => scope(() => training(new Line(), []))).toThrow("expected a synchronous function");
  });
});

describe("epochs", () => {
  it("read the batches again and again", async () => {
    const run = await training(new Line(), [{ goal: 0 }, { goal: 1 }], { epochs: 3 });
    expect(run.steps).toBe(6);
    expect((await training(new Line(), [], { epochs: 3 })).steps).toBe(0);
    const examples = [1, 2, 3].map((n) => ({ xs: new Array<number>(n).fill(n), ys: 0 }));
    const batches = new SequenceBatches(examples, { batchSize: 2, epochs: 1, shuffle: true, generator: new Generator(1) });
    const read: number[][] = [];
    await fit(new Line(), batches, {
      optimizer: new SGD(new Line().parameters(), { lr: 0 }),
      loss: (m, { lengths }) => {
        read.push([...lengths]);
        return sum(mul(m.w, 0));
      },
      epochs: 2,
    });
    expect(read.length).toBe(4);
  });

  it("drop the carried state where a pass begins", async () => {
    const seen: (number | null)[] = [];
    const model = new Line();
    const loss = (m: Line, _: Goal, state: Tensor | undefined) => {
      seen.push(state === undefined ? null : state.item());
      return [sum(square(m.w)), tensor([seen.length])] as const;
    };
    await training(model, zeros(2), { epochs: 2, loss });
    expect(seen).toEqual([null, 1, null, 3]);
  });

  it.each([1, 2, 3, 4, 5])("go on from a checkpoint after %i steps to the bit", async (stop) => {
    const batches = [{ goal: 1 }, { goal: 5 }];
    const straight = new Line();
    await training(straight, batches, { epochs: 3 });
    const [first, second] = [new Line(), new Line()];
    const run = training(first, batches, { epochs: 3 });
    let saved: Uint8Array | null = null;
    for await (const { step } of run) {
      if (step !== stop) continue;
      saved = run.checkpoint();
      break;
    }
    const summary = await training(second, batches, { epochs: 3, resume: saved as Uint8Array });
    expect([second.w.item(), summary.steps]).toEqual([straight.w.item(), 6]);
    if (stop > 2) expect(() => training(new Line(), batches, { epochs: 1, resume: saved as Uint8Array })).toThrow(FormatError);
  });

  it("need batches that can be read again", () => {
    const generator = (function* () {
      yield { goal: 0 };
    })();
    expect(() => training(new Line(), generator, { epochs: 2 })).toThrow("expected an array or a source with places");
    expect(() => training(new Line(), zeros(1), { epochs: -1 })).toThrow(ArgumentError);
    expect(() => training(new Line(), zeros(1), { epochs: 1.5 })).toThrow(ArgumentError);
  });
});

describe("several metrics", () => {
  const evaluate = (m: Line) => ({ error: m.w.item(), score: tensor(10 - m.w.item(), { dtype: "float64" }), worse: -m.w.item() });

  it("are told by name, and the first is the one that counts", async () => {
    const run = training(new Line(), zeros(3), { evaluate, evaluateEvery: 1 });
    const steps = await stepsOf(run);
    expect(steps.map(({ evaluation }) => evaluation)).toEqual([4, 2, 1]);
    expect(steps[0]?.metrics).toEqual({ error: 4, score: 6, worse: -4 });
    expect(run.best).toEqual({ value: 1, step: 3 });
  });

  it("go into the history", async () => {
    const { history } = await training(new Line(), zeros(4), { evaluate, evaluateEvery: 2 });
    expect(history.metrics.score).toEqual({ name: "score", x: [2, 4], y: [8, 9.5] });
    expect(history.loss.x).toEqual([1, 2, 3, 4]);
    const alone = await training(new Line(), zeros(3), { evaluate: (m) => m.w.item(), evaluateEvery: 2 });
    expect(alone.history.metrics).toEqual({ evaluation: { name: "evaluation", x: [2, 3], y: [2, 1] } });
  });

  it("stop a training by any of them, the greatest or the least", async () => {
    const stopped = (monitor: Options["monitor"]) =>
      training(new Line(), zeros(6), { evaluate, monitor, evaluateEvery: 1, earlyStopping: { patience: 2 } });
    expect(await stopped({ metric: "score", mode: "max" })).toMatchObject({ steps: 6, best: { value: 10 - 8 / 64, step: 6 } });
    expect(await stopped({ metric: "score", mode: "min" })).toMatchObject({
      steps: 3,
      reason: "earlyStopping",
      best: { value: 6, step: 1 },
    });
    expect(await stopped({ metric: "worse" })).toMatchObject({ steps: 3, best: { value: -4, step: 1 } });
    // The greatest of a single number.
    const alone = training(new Line(), zeros(3), { evaluate: (m) => -m.w.item(), evaluateEvery: 1, monitor: { mode: "max" } });
    expect((await alone).best).toEqual({ value: -1, step: 3 });
  });

  it("are refused where they are none, or lack the one that counts", async () => {
    const failing = (result: unknown, monitor?: Options["monitor"]) =>
      stepsOf(training(new Line(), zeros(1), { evaluate: () => result as number, evaluateEvery: 1, monitor }));
    await expect(failing({ a: 1 }, { metric: "b" })).rejects.toThrow('expected evaluate to return "b", got a');
    await expect(failing(1, { metric: "b" })).rejects.toThrow("got a number");
    await expect(failing({})).rejects.toThrow(ArgumentError);
    await expect(failing({ a: "x" })).rejects.toThrow(ArgumentError);
    expect(() => training(new Line(), [], { monitor: { mode: "best" as never } })).toThrow(ArgumentError);
    expect(() => training(new Line(), [], { monitor: { metric: 5 as never } })).toThrow(DTypeError);
  });
});

describe("accumulation", () => {
  const goals = [{ goal: 1 }, { goal: 5 }, { goal: 3 }, { goal: 9 }, { goal: 2 }];

  it("makes one step of several batches, by the mean of their gradients", async () => {
    const [one, many] = [new Line(), new Line()];
    const { history } = await training(one, goals, { accumulate: 2 });
    // The mean of two squares has its minimum at the mean of the goals; the last step has one batch alone.
    const means = [{ goal: 3 }, { goal: 6 }, { goal: 2 }];
    await training(many, means);
    expect(one.w.item()).toBeCloseTo(many.w.item(), 12);
    expect(history.loss.y[0]).toBe((49 + 9) / 2);
    expect(history.loss.x).toEqual([1, 2, 3]);
  });

  it("carries the state from batch to batch, and does not mix passes", async () => {
    const seen: (number | null)[] = [];
    const loss = (m: Line, { goal }: Goal, state: Tensor | undefined) => {
      seen.push(state === undefined ? null : state.item());
      return [sum(square(m.w)), tensor([goal])] as const;
    };
    const { steps } = await training(new Line(), goals, { accumulate: 2, epochs: 2, loss });
    expect(seen).toEqual([null, 1, 5, 3, 9, null, 1, 5, 3, 9]);
    expect(steps).toBe(6);
  });

  it("goes on from a checkpoint to the bit", async () => {
    const straight = new Line();
    await training(straight, goals, { accumulate: 2, epochs: 2 });
    const [first, second] = [new Line(), new Line()];
    const run = training(first, goals, { accumulate: 2, epochs: 2 });
    for await (const { step } of run) if (step === 4) break;
    await training(second, goals, { accumulate: 2, epochs: 2, resume: run.checkpoint() });
    expect(second.w.item()).toBe(straight.w.item());
  });

  it.each([
    ["a source that is read anew", false],
    ["an iterator", true],
  ])("loses and repeats nothing when %s fails", async (_, isIterator) => {
    let fails = true;
    const give = (goal: number) => ({ done: false as const, value: { goal, held: tensor([goal]) } });
    const source = {
      [Symbol.iterator](): Iterator<Goal> {
        let n = 0;
        return {
          next() {
            if (n === 1 && fails) throw new Error("no more");
            return n < 2 ? give(++n) : { done: true, value: undefined };
          },
        };
      },
    };
    const once = source[Symbol.iterator]();
    const iterator = { [Symbol.iterator]: () => iterator, next: () => once.next() };
    const held: number[] = [];
    const run = training(new Line(), isIterator ? iterator : source, {
      accumulate: 2,
      loss: (m, batch) => {
        held.push((batch as Goal & { held: Tensor }).held.item());
        return sum(square(m.w));
      },
    });
    await expect(run).rejects.toThrow("no more");
    fails = false;
    expect((await run).steps).toBe(1);
    expect(held).toEqual([1, 2]);
  });
});

describe("a step that fails", () => {
  const bad = [{ goal: 0 }, { goal: Number.NaN }, { goal: 0 }];

  it("is left out where onError says so", async () => {
    const model = new Line();
    const told: string[] = [];
    const onError = (error: unknown, [batch]: readonly Goal[]) => {
      told.push(`${(error as Error).message} ${batch?.goal}`);
      return "skip" as const;
    };
    const summary = await training(model, bad, { onError });
    expect(summary).toMatchObject({ steps: 2, skipped: 1 });
    expect(model.w.item()).toBe(2);
    expect(told).toEqual(["fit: expected a finite loss in step 2, got NaN NaN"]);
  });

  it("ends the training otherwise, and is tried again", async () => {
    const run = training(new Line(), bad, { onError: () => "throw" });
    await expect(run).rejects.toThrow("finite loss in step 2");
    await expect(run).rejects.toThrow("finite loss in step 2");
    expect((await training(new Line(), [{ goal: Number.NaN }], { onError: () => "skip" })).steps).toBe(0);
    expect(() => training(new Line(), bad, { onError: "skip" as never })).toThrow(DTypeError);
    expect(() => training(new Line(), bad, { accumulate: 0 })).toThrow(ArgumentError);
  });
});

describe("L-BFGS", () => {
  it("finds the minimum in a few steps, also of several batches", async () => {
    const model = new Line();
    const optimizer = new LBFGS(model.parameters(), { lineSearchFn: "strongWolfe" });
    const summary = await training(model, [{ goal: 1 }, { goal: 5 }], { optimizer, accumulate: 2, epochs: 2 });
    expect(model.w.item()).toBeCloseTo(3, 9);
    expect(summary.history.loss.y[0]).toBe((49 + 9) / 2);
    expect(summary.history.loss.y[1]).toBeCloseTo(4, 9);
  });

  it("takes the same steps as by its closure", async () => {
    const [one, two] = [new Line(), new Line()];
    await training(one, zeros(3), { optimizer: new LBFGS(one.parameters(), { maxIter: 2, lr: 0.1 }) });
    const optimizer = new LBFGS(two.parameters(), { maxIter: 2, lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      optimizer.step(() => {
        optimizer.zeroGrad();
        const loss = sum(square(sub(two.w, 0)));
        backward(loss);
        return loss;
      });
    }
    expect(one.w.item()).toBe(two.w.item());
  });

  it("is as before where the loss fails in the midst of its step", async () => {
    const model = new Line();
    const optimizer = new LBFGS(model.parameters(), { maxIter: 5, lr: 0.1 });
    let calls = 0;
    const run = training(model, zeros(2), {
      optimizer,
      loss: (m) => {
        if (++calls === 4) throw new Error("mine");
        return sum(square(m.w));
      },
    });
    await expect(run).rejects.toThrow("mine");
    expect(model.w.item()).toBe(8);
    expect(optimizer.stateDict().tensors).toEqual({});
    expect((await run).steps).toBe(2);
  });
});
