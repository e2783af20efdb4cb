import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../../src/base/errors.ts";
import { averageRanks, CMAES, centredRanks, GeneticAlgorithm, type Move, NEAT, SimulatedAnnealing } from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { damage, feed } from "../fuzz/fuzz.ts";
import { thrown } from "../thrown.ts";
import { unsealed } from "../unsealed.ts";
import { METHODS } from "./every.ts";
import { type Cost, rastrigin, run, sphere } from "./functions.ts";

const START = [1, -2, 0.5];
const options = (seed = 1) => ({ start: START, generator: new Generator(seed) });

/** Every third candidate of a kind has no cost. */
const spotty: Cost = (x) => (Math.floor(1000 * Math.abs(x[0]!)) % 3 === 0 ? Number.NaN : sphere(x));

describe.each(METHODS)("%s", (_, make) => {
  it("asks for the same candidates until they are told, and hands out copies", () => {
    const search = make(options());
    const asked = search.ask();
    const values = asked.map((x) => [...x]);
    for (const x of asked) x.fill(7);
    const again = search.ask();
    expect(again.map((x) => [...x])).toEqual(values);
    search.tell(again, again.map(sphere));
    expect(search.ask().map((x) => [...x])).not.toEqual(values);
    const { best } = search.result;
    best?.fill(9);
    expect(search.result.best).not.toEqual(best);
  });

  it("refuses what was not asked for and what are no costs, and changes nothing by it", () => {
    const search = make(options());
    expect(thrown(() => search.tell([], []))).toBeInstanceOf(StateError);
    const asked = search.ask();
    const costs = asked.map(sphere);
    const before = search.toBytes();
    expect(thrown(() => search.tell(asked.slice(1), costs))).toBeInstanceOf(ShapeError);
    expect(thrown(() => search.tell(asked, costs.slice(1)))).toBeInstanceOf(ShapeError);
    expect(
      thrown(() =>
        search.tell(
          asked.map((x) => x.map((v) => v + 1)),
          costs,
        ),
      ),
    ).toBeInstanceOf(ArgumentError);
    expect(thrown(() => search.tell(asked, [...costs.slice(1), Number.NEGATIVE_INFINITY]))).toBeInstanceOf(ArgumentError);
    expect(thrown(() => search.tell(asked, [...costs.slice(1), "1" as never]))).toBeInstanceOf(DTypeError);
    expect(search.toBytes()).toEqual(before);
    search.tell(asked, costs);
    expect(thrown(() => search.tell(asked, costs))).toBeInstanceOf(StateError);
  });

  it("finds better points than at first, the same ones for the same seed and others for another", () => {
    const traces = [3, 3, 4].map((seed) => {
      const search = make({ ...options(seed), maxEvaluations: 400 });
      const trace: number[][] = [];
      run(search, sphere, (costs) => trace.push(costs));
      const firstBest = Math.min(...trace[0]!);
      expect(search.result.bestCost).toBeLessThan(firstBest);
      expect(search.result.bestCost).toBe(Math.min(...trace.flat()));
      expect(sphere(search.result.best!)).toBe(search.result.bestCost);
      expect(search.result.evaluations).toBe(trace.flat().length);
      return trace;
    });
    expect(traces[1]).toEqual(traces[0]);
    expect(traces[2]).not.toEqual(traces[0]);
  });

  it("draws candidates without a cost anew, and takes them for the worst after ten times", () => {
    const search = make({ ...options(), maxGenerations: 40 });
    run(search, spotty);
    expect(search.result.bestCost).not.toBeNaN();
    const hopeless = make(options());
    const n = hopeless.ask().length;
    for (let k = 0; k <= 10; k++) {
      const asked = hopeless.ask();
      expect(asked.length).toBe(n);
      expect(hopeless.result.generations).toBe(0);
      hopeless.tell(
        asked,
        asked.map(() => Number.NaN),
      );
    }
    expect(hopeless.result).toEqual({ best: null, bestCost: Number.POSITIVE_INFINITY, evaluations: 11 * n, generations: 1 });
    // It goes on from there.
    const asked = hopeless.ask();
    hopeless.tell(asked, asked.map(sphere));
    expect(hopeless.result.best).not.toBeNull();
  });

  it("goes on from its bytes to the bit, wherever it was saved", () => {
    const whole = make(options());
    const steps = 60;
    const saved: Uint8Array[] = [];
    const trace: number[][] = [];
    for (let k = 0; k < steps; k++) {
      saved.push(whole.toBytes());
      const asked = whole.ask();
      // Also between asking and telling.
      if (k % 2 === 1) saved[k] = whole.toBytes();
      const costs = asked.map(spotty);
      trace.push(costs);
      whole.tell(asked, costs);
    }
    for (const k of [0, 1, 2, 3, 50, 51, steps - 1]) {
      const other = make({ ...options(99) });
      other.restore(saved[k]!);
      expect(other.toBytes()).toEqual(saved[k]);
      for (let i = k; i < steps; i++) {
        const asked = other.ask();
        const costs = asked.map(spotty);
        expect(costs).toEqual(trace[i]);
        other.tell(asked, costs);
      }
      expect(other.toBytes()).toEqual(whole.toBytes());
    }
  });

  it("refuses bytes with any one bit changed", () => {
    const search = make(options());
    for (let k = 0; k < 3; k++) {
      const asked = search.ask();
      search.tell(asked, asked.map(sphere));
    }
    search.ask();
    const good = search.toBytes();
    const target = make(options());
    const before = target.toBytes();
    for (let bit = 0; bit < 8 * good.length; bit += 7) {
      const changed = good.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(
        thrown(() => target.restore(changed)),
        `bit ${bit} of ${8 * good.length}`,
      ).toBeInstanceOf(FormatError);
    }
    expect(target.toBytes()).toEqual(before);
    target.restore(good);
    expect(target.toBytes()).toEqual(good);
  });

  it("refuses damaged bytes and changes nothing by it", () => {
    const search = make(options());
    run({ ...bound(search), stop: () => (search.result.generations > 5 ? { reason: "", value: 0 } : null) }, sphere);
    search.ask();
    // As older ones are, without a checksum, which would refuse all others before they are looked at.
    const good = unsealed(search.toBytes());
    const target = make(options());
    const before = target.toBytes();
    const victim = make(options());
    const taken = feed<Uint8Array>(
      (bytes) => {
        victim.restore(bytes);
        // What was taken can be gone on with.
        const asked = victim.ask();
        victim.tell(asked, asked.map(sphere));
      },
      good,
      5,
      (random) => damage(random, good, [good]),
      true,
    );
    expect(taken).toBeGreaterThan(0);
    expect(thrown(() => target.restore(good.slice(0, -1)))).toBeInstanceOf(FormatError);
    expect(target.toBytes()).toEqual(before);
    expect(thrown(() => make({ ...options(), start: [1, 2] }).restore(good))).toBeInstanceOf(FormatError);
  });
});

/** A search as an object whose parts may be replaced. */
function bound(search: ReturnType<(typeof METHODS)[number][1]>) {
  return {
    ask: () => search.ask(),
    tell: (c: readonly Float64Array[], costs: ArrayLike<number>) => search.tell(c, costs),
    get result() {
      return search.result;
    },
  };
}

describe("reasons to stop", () => {
  it("are named, with the number that they looked at", () => {
    const target = new CMAES({ ...options(), sigma: 0.5, target: 1e-3 });
    const reached = run(target, sphere);
    expect(reached).toEqual({ reason: "target", value: target.result.bestCost });
    expect(reached.value).toBeLessThanOrEqual(1e-3);
    expect(run(new CMAES({ ...options(), sigma: 0.5, maxGenerations: 3 }), sphere)).toEqual({ reason: "generations", value: 3 });
    expect(run(new CMAES({ ...options(), sigma: 0.5, maxEvaluations: 20 }), sphere)).toEqual({ reason: "evaluations", value: 21 });
  });

  it("nothing given, nothing stops: an option that is undefined is not given", () => {
    const search = new GeneticAlgorithm({ ...options(), target: undefined, maxGenerations: undefined, population: undefined } as never);
    expect(search.ask().length).toBe(50);
    expect(search.stop()).toBeNull();
  });

  it.each([
    ["target", Number.NaN],
    ["maxEvaluations", 0],
    ["maxGenerations", 1.5],
  ])("%s has to be a number in its range", (name, value) => {
    expect(() => new SimulatedAnnealing({ ...options(), [name]: value })).toThrow(`SimulatedAnnealing: expected ${name}`);
  });

  it("a start has numbers", () => {
    expect(() => new SimulatedAnnealing({ start: [] })).toThrow("expected start to hold at least one number");
    expect(() => new SimulatedAnnealing({ start: undefined as never })).toThrow("expected start to hold at least one number");
    expect(() => new CMAES({ start: [1, Number.NaN], sigma: 1 })).toThrow("CMAES: expected start[1] that is finite, got NaN");
  });
});

describe("ranks", () => {
  it("are averaged where costs are equal", () => {
    expect([...averageRanks([3, 1, 3, 0, 3])]).toEqual([3, 1, 3, 0, 3]);
    expect([...averageRanks([5, 5])]).toEqual([0.5, 0.5]);
    expect([...averageRanks([Number.POSITIVE_INFINITY, 1, Number.POSITIVE_INFINITY])]).toEqual([1.5, 0, 1.5]);
    expect([...centredRanks([3, 1, 2])]).toEqual([0.5, -0.5, 0]);
    expect([...centredRanks([3, 1, 1])]).toEqual([0.5, -0.25, -0.25]);
    expect([...centredRanks([7])]).toEqual([0]);
    expect([...centredRanks([])]).toEqual([]);
  });
});

describe("CMAES with restarts", () => {
  it("doubles its population at each, and solves Rastrigin's function in five dimensions where one run does not", () => {
    const common = { start: new Array(5).fill(3), sigma: 2, target: 1e-8, maxEvaluations: 60_000 };
    const single = new CMAES({ ...common, generator: new Generator(0) });
    expect(run(single, rastrigin).reason).not.toBe("target");
    const search = new CMAES({ ...common, restarts: 6, generator: new Generator(0) });
    expect(run(search, rastrigin).reason).toBe("target");
    expect(search.population).toBe(8 * 2 ** search.restarts);
    expect(search.restarts).toBeGreaterThan(0);
  });
});

describe("functions among the options", () => {
  /** A search that has been told one generation, and the costs of the next. */
  const begun = <S extends GeneticAlgorithm | SimulatedAnnealing>(search: S): [S, Float64Array[], number[]] => {
    const first = search.ask();
    search.tell(first, first.map(sphere));
    const asked = search.ask();
    return [search, asked, asked.map(sphere)];
  };

  it("that throw leave a search as it was: `learned`", () => {
    let fails = false;
    const learned = () => {
      if (fails) throw new Error("no patterns");
      return 0.5;
    };
    const [search, asked, costs] = begun(new GeneticAlgorithm({ ...options(), population: 6, learned }));
    const [other] = begun(new GeneticAlgorithm({ ...options(), population: 6, learned }));
    const before = search.toBytes();
    fails = true;
    // The cheapest so far is not taken note of, either.
    expect(() => search.tell(asked, [-5, ...costs.slice(1)])).toThrow("no patterns");
    expect(search.toBytes()).toEqual(before);
    expect(search.ask()).toEqual(asked);
    fails = false;
    search.tell(asked, costs);
    other.tell(other.ask(), costs);
    expect(search.toBytes()).toEqual(other.toBytes());
    expect(search.result.generations).toBe(2);
  });

  it("that throw leave a search as it was: `move`, asked for a neighbour and for another", () => {
    let fails = false;
    const move: Move = (x, random) => {
      const step = random.uniform();
      random.normals(1);
      if (fails) throw new Error("no way");
      return x.map((v) => v + step);
    };
    const make = () => new SimulatedAnnealing({ ...options(), temperature: 1, move });
    const [search, asked, costs] = begun(make());
    const [other] = begun(make());
    const before = search.toBytes();
    fails = true;
    expect(() => search.tell(asked, [Number.NaN])).toThrow("no way");
    expect(search.toBytes()).toEqual(before);
    search.tell(asked, costs);
    const told = search.toBytes();
    expect(() => search.ask()).toThrow("no way");
    expect(search.toBytes()).toEqual(told);
    fails = false;
    other.tell(other.ask(), costs);
    expect(search.ask()).toEqual(other.ask());
    expect(search.toBytes()).toEqual(other.toBytes());
  });

  it("that throw leave a search as it was: `fitness`", () => {
    let calls = 0;
    const fitness = (cost: number) => {
      if (++calls === 9) throw new Error("unfit");
      return 1 / (1 + cost);
    };
    const search = new NEAT({ inputs: 1, outputs: 1, population: 5, fitness, generator: new Generator(1) });
    const asked = search.ask();
    const before = search.toBytes();
    // Asked once for each when it is checked, and again when all are known.
    expect(() => search.tell(asked, [1, 2, 3, 4, 5])).toThrow("unfit");
    expect(search.toBytes()).toEqual(before);
    search.tell(asked, [1, 2, 3, 4, 5]);
    expect(search.result.generations).toBe(1);
  });

  it.each([Number.NaN, -0.1, 1.1, 5, "0.5", true, undefined, null])("`learned` gives a number from 0 to 1, not %j", (given) => {
    const search = new GeneticAlgorithm({ ...options(), population: 6, learned: () => given as number });
    const asked = search.ask();
    const before = search.toBytes();
    const error = thrown(() => search.tell(asked, asked.map(sphere)));
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error).toHaveProperty("message", expect.stringContaining("GeneticAlgorithm: expected what learned gives in [0, 1], got "));
    expect(search.toBytes()).toEqual(before);
  });

  it("are synchronous", () => {
    const search = new GeneticAlgorithm({ ...options(), learned: (async () => Promise.reject(new Error("later"))) as never });
    expect(thrown(() => search.tell(search.ask(), search.ask().map(sphere)))).toBeInstanceOf(StateError);
    const walk = new SimulatedAnnealing({ ...options(), move: (async () => Promise.reject(new Error("later"))) as never });
    expect(thrown(() => walk.ask())).toBeInstanceOf(StateError);
  });

  it("are functions", () => {
    expect(() => new GeneticAlgorithm({ ...options(), learned: 5 as never })).toThrow(DTypeError);
    expect(() => new GeneticAlgorithm({ ...options(), learned: null as never })).toThrow(
      "GeneticAlgorithm: expected learned to be a function",
    );
    expect(() => new SimulatedAnnealing({ ...options(), move: 5 as never })).toThrow(ArgumentError);
    expect(() => new NEAT({ inputs: 1, outputs: 1, fitness: 5 as never })).toThrow("NEAT: expected fitness to be a function, got 5");
  });

  it("a fitness is a number", () => {
    const search = new NEAT({ inputs: 1, outputs: 1, population: 2, fitness: (() => "5") as never });
    expect(() => search.tell(search.ask(), [1, 2])).toThrow('got the fitness "5" of 1');
  });

  it("a move is to finite numbers, and may use its array again", () => {
    const walk = new SimulatedAnnealing({ ...options(), move: () => Float64Array.of(1, Number.NaN, 2) });
    expect(() => walk.ask()).toThrow("SimulatedAnnealing: expected element 1 of what move gives that is finite, got NaN");
    const buffer = new Float64Array(3);
    const own = (copied: boolean) =>
      new SimulatedAnnealing({
        ...options(),
        move: (x, random) => {
          x.forEach((v, i) => {
            buffer[i] = v + random.uniform();
          });
          return copied ? buffer.slice() : buffer;
        },
      });
    expect(own(false).ask()).toEqual(own(true).ask());
  });
});
