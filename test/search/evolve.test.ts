import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { CMAES, evolve, GeneticAlgorithm } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { run, sphere } from "./functions.ts";

const search = (options: object = {}) =>
  new CMAES({ start: [1, -2, 0.5], sigma: 0.5, maxGenerations: 20, generator: new Generator(1), ...options });
const turn = (times: number) =>
  new Promise<void>((resolve) => (times === 0 ? resolve() : setImmediate(() => turn(times - 1).then(resolve))));

describe("evolve", () => {
  it("gives what the loop by hand gives, whatever finishes first and how many run at once", async () => {
    const byHand = search();
    run(byHand, sphere);
    for (const concurrency of [1, 3, 100]) {
      const asked = search();
      let running = 0;
      let most = 0;
      const result = await evolve(
        asked,
        async (x, { evaluation }) => {
          most = Math.max(most, ++running);
          await turn((evaluation * 7) % 5);
          running--;
          return sphere(x);
        },
        { concurrency },
      );
      expect(asked.toBytes()).toEqual(byHand.toBytes());
      expect(result).toEqual({ ...byHand.result, stop: { reason: "generations", value: 20 } });
      expect(most).toBe(Math.min(concurrency, 7));
    }
  });

  it("numbers evaluations from 0, and tells of generations", async () => {
    const numbers: number[] = [];
    const generations: number[] = [];
    const first = search();
    await evolve(first, (x, { evaluation }) => sphere(numbers.push(evaluation) > 0 ? x : x), {
      onGeneration: (result) => generations.push(result.generations),
    });
    expect(numbers).toEqual(Array.from({ length: 140 }, (_, i) => i));
    expect(generations).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  it("ends after the generation that reaches the evaluations, as the search itself does", async () => {
    const limit = { maxEvaluations: 20 };
    for (const [asked, options] of [
      [search(), limit],
      [search(limit), {}],
    ] as const) {
      // biome-ignore format: a pair of pairs
      const { evaluations, stop } = await evolve(asked, sphere, options);
      expect([evaluations, stop]).toEqual([21, { reason: "evaluations", value: 21 }]);
    }
    expect((await evolve(search({ maxEvaluations: 30 }), sphere, { maxEvaluations: 8 })).evaluations).toBe(14);
    expect((await evolve(search({ maxEvaluations: 8 }), sphere, { maxEvaluations: 30 })).evaluations).toBe(14);
    expect((await evolve(search(), sphere, { maxEvaluations: 0 })).evaluations).toBe(0);
  });

  it("ends when it is aborted, waits for what is under way, and can be gone on with", async () => {
    const whole = search();
    await evolve(whole, sphere);
    const part = search();
    const stop = new AbortController();
    let aborted = 0;
    const result = await evolve(
      part,
      async (x, { evaluation, signal }) => {
        if (evaluation === 31) stop.abort();
        await turn(2);
        if (signal.aborted) aborted++;
        return sphere(x);
      },
      { signal: stop.signal, concurrency: 3 },
    );
    expect(result.stop).toEqual({ reason: "aborted", value: 28 });
    expect(aborted).toBeGreaterThan(0);
    expect((await evolve(part, sphere, { signal: stop.signal })).stop.reason).toBe("aborted");
    await evolve(part, sphere);
    expect(part.toBytes()).toEqual(whole.toBytes());
  });

  it("passes on what an evaluation throws, after the others have ended, and loses nothing", async () => {
    const whole = search();
    await evolve(whole, sphere);
    const part = search();
    let running = 0;
    const fails = evolve(
      part,
      async (x, { evaluation }) => {
        running++;
        await turn(evaluation % 4);
        running--;
        if (evaluation === 9) throw new Error("broken");
        return sphere(x);
      },
      { concurrency: 4 },
    );
    await expect(fails).rejects.toThrow("broken");
    expect(running).toBe(0);
    await evolve(part, sphere);
    expect(part.toBytes()).toEqual(whole.toBytes());
  });

  it("passes on what onGeneration throws, after that generation", async () => {
    const part = search();
    const stops = evolve(part, sphere, {
      onGeneration: async ({ generations }) => {
        if (generations === 3) throw new Error("enough");
      },
    });
    await expect(stops).rejects.toThrow("enough");
    expect(part.result.generations).toBe(3);
  });

  it("draws anew what has no cost", async () => {
    const ga = new GeneticAlgorithm({ start: [1], population: 4, maxGenerations: 3, generator: new Generator(1) });
    const { evaluations, best } = await evolve(ga, (x) => (x[0]! < 1 ? Number.NaN : x[0]!));
    expect(evaluations).toBeGreaterThan(10);
    expect(best![0]).toBeGreaterThanOrEqual(1);
  });

  it("refuses what is no cost, no evaluation and no number of them", async () => {
    await expect(evolve(search(), () => "1" as never)).rejects.toBeInstanceOf(DTypeError);
    await expect(evolve(search(), async () => undefined as never)).rejects.toThrow(
      "expected the evaluation to give a number, got undefined",
    );
    await expect(evolve(search(), {} as never)).rejects.toBeInstanceOf(ArgumentError);
    await expect(evolve(search(), sphere, { concurrency: 0 })).rejects.toThrow("evolve: expected concurrency");
    await expect(evolve(search(), sphere, { maxEvaluations: -1 })).rejects.toThrow("evolve: expected maxEvaluations");
  });
});
