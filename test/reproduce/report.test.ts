import { describe, expect, it } from "vitest";
import { countedSeeds, type Experiment, experiment, judge, median, needed, wilson } from "../../reproduce/experiment.ts";
import { extended, isFresh, type RunRecord, readRecords, recordOf, type TuningRecord, tuningRecordOf } from "../../reproduce/record.ts";
import {
  bestRate,
  cataloguePage,
  headText,
  outcomesText,
  resultJson,
  resultText,
  short,
  spread,
  tuningText,
} from "../../reproduce/report.ts";
import { parseSeeds, seedsText } from "../../reproduce/seeds.ts";
import { experiments } from "../../reproduce/table.ts";
import { UserError } from "../../src/cli/errors.ts";

const sample: Experiment = experiment({
  name: "sample",
  system: "A | B",
  file: "src/a.ts",
  paper: "Somebody (1999)",
  task: "t",
  reported: "r",
  claim: "at most 1",
  claims: [{ rate: 0.6, holds: ({ error }) => error <= 1 }],
  figures: { error: "error" },
  tuning: { grid: [1e-3, 1e-2], seeds: [0], updates: 50, better: "lower", rates: { error: 1e-2 } },
  run: () => ({ error: 1 }),
  learns: ({ error }) => error <= 1,
});
const tunings = new Map([["sample", tuningRecordOf(sample, [])]]);
const errors = (...values: number[]) => values.map((error) => ({ error }));
const results = (...values: number[]) =>
  errors(...values)
    .map((figures, i) => ({ seed: 100 + i, figures }))
    .reverse();

describe("verdicts", () => {
  it("count the seeds in which a claim holds, against the rate claimed", () => {
    expect(judge(sample, errors(1, 0, 2))).toMatchObject({ pass: true, outcomes: [{ successes: 2, seeds: 3, rate: 0.6 }] });
    expect(judge(sample, errors(1, 3, 2)).pass).toBe(false);
    expect(judge(sample, errors(3)).pass).toBe(false);
    expect([needed(0.8, 5), needed(0.8, 10), needed(0.9, 20), needed(0.6, 3), needed(1, 7)]).toEqual([4, 8, 18, 2, 7]);
  });

  it("ask for every claim of several", () => {
    const two = { ...sample, claims: [...sample.claims, { what: "zero", rate: 1, holds: ({ error }: { error?: number }) => error === 0 }] };
    expect(judge(two, errors(0, 0)).pass).toBe(true);
    const { pass, outcomes } = judge(two, errors(0, 1));
    expect(pass).toBe(false);
    expect(outcomesText(outcomes)).toBe("2 of 2 seeds (34 to 100 %); zero: 1 of 2 seeds (9 to 91 %)");
  });

  it("take a seed whose figure is not a number for one that fails", () => {
    expect(judge(sample, errors(Number.NaN, Number.NaN, 0)).pass).toBe(false);
  });

  // Values of R: binom::binom.wilson(x, n); checked by hand for 0 of 10, whose upper end is z²/(n + z²).
  it.each([
    [0, 10, 0, 0.277533],
    [9, 10, 0.59585, 0.982123],
    [18, 20, 0.698966, 0.972135],
    [5, 5, 0.565518, 1],
  ])("give the 95 % interval of Wilson: %i of %i", (successes, n, low, high) => {
    const [a, b] = wilson(successes, n);
    expect(a).toBeCloseTo(low, 5);
    expect(b).toBeCloseTo(high, 5);
  });
});

describe("seeds", () => {
  it("are given as ranges and lists", () => {
    expect(parseSeeds("100..103")).toEqual([100, 101, 102, 103]);
    expect(parseSeeds("107,100,101")).toEqual([100, 101, 107]);
    expect(parseSeeds("3, 100..101,101")).toEqual([3, 100, 101]);
    expect(seedsText([100, 101, 102, 107, 109])).toBe("100 to 102, 107, 109");
    expect(seedsText([0, 1])).toBe("0, 1");
  });

  it.each(["", "5..3", "1.5", "-1", "1..", "a", "0..99999999", "1,,2"])('cannot be "%s"', (text) => {
    expect(() => parseSeeds(text)).toThrow(UserError);
    expect(() => parseSeeds(text)).toThrow(`--seeds: expected seeds like 100..119 or 100,101,107, got "${text}"`);
  });

  it("are from 100 on where a claim is shown", () => {
    expect(countedSeeds(sample)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
    expect(countedSeeds({ ...sample, seeds: 2 })).toEqual([100, 101]);
    for (const e of experiments) for (const seed of e.tuning?.seeds ?? []) expect(seed, e.name).toBeLessThan(10);
  });
});

describe("the report", () => {
  it("shows numbers in three digits, and the middle of several", () => {
    expect([0.012345, 18.44, 31390.4, 3, 1e-6, 0].map(short)).toEqual(["0.0123", "18.4", "31390", "3", "1.0e-6", "0"]);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(spread([0.5, 0.1, 0.9])).toBe("0.5 (0.1 to 0.9)");
    expect(spread([2, 2])).toBe("2");
  });

  it("keeps the seeds in order and says what was not reproduced", () => {
    const record = recordOf(sample, results(3, 2, 1), 6.04);
    expect(record.figures).toEqual(errors(3, 2, 1));
    expect(record.seeds).toEqual([100, 101, 102]);
    expect(record.processorSeconds).toBe(6);
    expect(headText(sample)).toContain("claim     at most 1; at least 60 % of the seeds");
    expect(resultText(sample, record)).toContain("FAIL: 1 of 3 seeds (6 to 79 %), 0:06 of processor time for seeds 100 to 102");
    expect(JSON.parse(resultJson(sample, record))).toMatchObject({ name: "sample", pass: false, paper: "Somebody (1999)" });
    const page = cataloguePage([sample], new Map([["sample", record]]), tunings, ["sample.b.svg", "sampler.c.svg"]);
    expect(page).toContain("0 of 1 results reproduced");
    expect(page).toContain("A \\| B");
    expect(page).toContain("**not reproduced**: 1 of 3 seeds (6 to 79 %)");
    expect(page).toContain("- Run: seeds 100 to 102, 0:06 of processor time");
    expect(page).toContain("- Learning rates: the best of 0.001, 0.01 on seed 0, 50 updates each: error 0.01");
    expect(page).toContain("![sample](pictures/sample.b.svg)");
    expect(page).not.toContain("sampler");
  });

  it("grow by seeds, old and new judged together, and a figure that JSON could not write still fails", () => {
    const old = JSON.parse(JSON.stringify(recordOf(sample, results(1, Number.NaN), 2))) as RunRecord;
    const more = extended(sample, old, [{ seed: 102, figures: { error: 0.5 } }], 1.5);
    expect(more).toMatchObject({ seeds: [100, 101, 102], processorSeconds: 3.5, outcomes: [{ successes: 2, seeds: 3 }] });
    expect(extended(sample, old, [], 0)).toMatchObject({ seeds: [100, 101], outcomes: [{ successes: 1, seeds: 2 }] });
  });

  it("does not count what was only shown on seeds that settings were tuned on", () => {
    const record = { ...recordOf(sample, results(0, 0), 1), seeds: [0, 101] };
    expect(isFresh(record)).toBe(false);
    const page = cataloguePage([sample], new Map([["sample", record]]), tunings, []);
    expect(page).toContain("0 of 1 results reproduced; 1 have not been run on fresh seeds yet.");
    expect(page).toContain("not yet shown on fresh seeds");
  });

  it("says so where no grid has been tried", () => {
    const page = cataloguePage([sample], new Map(), new Map(), []);
    expect(page).toContain("- Learning rates: set by hand, not yet chosen from a grid, 50 updates each: error 0.01");
    expect(page).toContain("| not yet run in this setting |");
    expect(page).toContain("0 of 1 results reproduced; 1 not at all in their present setting.");
  });

  it("judges old figures by today's claims", () => {
    const record = { ...recordOf(sample, results(0, 0), 1), pass: false, outcomes: [] };
    expect(cataloguePage([sample], new Map([["sample", record]]), tunings, [])).toContain("reproduced: 2 of 2 seeds");
  });

  it("takes the rate whose mean figure is best", () => {
    const tried = [
      { rate: 1e-2, seed: 1, figures: { error: 0.4 } },
      { rate: 1e-2, seed: 0, figures: { error: 0.2 } },
      { rate: 1e-3, seed: 0, figures: { error: 0.1 } },
      { rate: 1e-3, seed: 1, figures: { error: 0.9 } },
    ];
    const record = tuningRecordOf(sample, tried);
    expect(record.tried.map(({ rate, seed }) => [rate, seed])).toEqual([
      [1e-3, 0],
      [1e-3, 1],
      [1e-2, 0],
      [1e-2, 1],
    ]);
    expect(bestRate(sample, record, "error")).toBe(1e-2);
    const higher = { ...sample, tuning: { ...(sample.tuning as NonNullable<Experiment["tuning"]>), better: "higher" as const } };
    expect(bestRate(higher, record, "error")).toBe(1e-3);
    const diverged = tuningRecordOf(sample, [{ rate: 1e-4, seed: 0, figures: { error: Number.NaN } }, ...tried]);
    expect(bestRate(sample, diverged, "error")).toBe(1e-2);
    expect(bestRate(higher, diverged, "error")).toBe(1e-3);
    expect(tuningText(sample, record)).toContain("error  0.001: 0.5  0.01: 0.3  best 0.01");
  });
});

describe("the table", () => {
  it("has each name once, in kebab case", () => {
    const names = experiments.map((e) => e.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  it("takes for every system the rate that came out best on the seeds it was tuned on", async () => {
    const records = await readRecords<TuningRecord>("reproduce/results/tuning");
    for (const e of experiments.filter((e) => e.tuning !== undefined)) {
      const record = records.get(e.name);
      if (record === undefined) continue;
      const { grid, seeds = [0, 1], rates } = e.tuning as NonNullable<Experiment["tuning"]>;
      const pairs = (record as TuningRecord).tried.map(({ rate, seed }) => `${rate} ${seed}`);
      expect(pairs.sort(), e.name).toEqual(grid.flatMap((rate) => seeds.map((seed) => `${rate} ${seed}`)).sort());
      for (const [system, rate] of Object.entries(rates))
        expect(rate, `${e.name}, ${system}`).toBe(bestRate(e, record as TuningRecord, system));
    }
  });

  it("has records of seeds and figures that belong together", async () => {
    const records = await readRecords<RunRecord>("reproduce/results");
    for (const e of experiments) {
      const record = records.get(e.name);
      if (record === undefined) continue;
      expect(record.figures.length, e.name).toBe(record.seeds.length);
      for (const figures of record.figures) expect(Object.keys(figures).sort(), e.name).toEqual(Object.keys(e.figures).sort());
    }
  });
});
