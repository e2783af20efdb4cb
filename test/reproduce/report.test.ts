import { describe, expect, it } from "vitest";
import { type Experiment, experiment, inSeeds, median, together } from "../../reproduce/experiment.ts";
import { recordOf } from "../../reproduce/record.ts";
import { cataloguePage, resultJson, resultText, short, spread } from "../../reproduce/report.ts";
import { experiments } from "../../reproduce/table.ts";

const sample: Experiment = experiment({
  name: "sample",
  system: "A | B",
  file: "src/a.ts",
  paper: "Somebody (1999)",
  task: "t",
  reported: "r",
  claim: "at most 1 in 2 of 3",
  figures: { error: "error" },
  run: () => ({ error: 1 }),
  verdict: (all) => inSeeds(2, all, ({ error }) => error <= 1),
  learns: ({ error }) => error <= 1,
});
const results = (...errors: number[]) => errors.map((error, seed) => ({ seed, figures: { error } })).reverse();

describe("verdicts", () => {
  it("count the seeds that hold", () => {
    expect(sample.verdict([{ error: 1 }, { error: 0 }, { error: 2 }])).toEqual({ pass: true, reason: "2 of 3 seeds" });
    expect(sample.verdict([{ error: 1 }, { error: 3 }, { error: 2 }]).pass).toBe(false);
    expect(sample.verdict([{ error: 3 }]).pass).toBe(false);
    expect(together([{ a: 1 }], false)).toEqual({ pass: false, reason: "1 seeds together" });
  });

  it("take a seed whose figure is not a number for one that fails", () => {
    expect(sample.verdict([{ error: Number.NaN }, { error: Number.NaN }, { error: 0 }]).pass).toBe(false);
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
    expect(record.figures).toEqual([{ error: 3 }, { error: 2 }, { error: 1 }]);
    expect(record.processorSeconds).toBe(6);
    expect(resultText(sample, record)).toContain("FAIL: 1 of 3 seeds, 0:06 of processor time");
    expect(JSON.parse(resultJson(sample, record))).toMatchObject({ name: "sample", pass: false, paper: "Somebody (1999)" });
    const page = cataloguePage([sample], new Map([["sample", record]]), ["sample.b.svg", "sampler.c.svg"]);
    expect(page).toContain("0 of 1 results reproduced");
    expect(page).toContain("A \\| B");
    expect(page).toContain("**not reproduced** (1 of 3 seeds)");
    expect(page).toContain("![sample](pictures/sample.b.svg)");
    expect(page).not.toContain("sampler");
  });
});

describe("the table", () => {
  it("has each name once, in kebab case", () => {
    const names = experiments.map((e) => e.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });
});
