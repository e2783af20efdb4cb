/** The short form of experiments as tests: seconds, and a failure when a system has stopped learning. */

import { describe, expect, it } from "vitest";
import type { Experiment, Figures, Run } from "../../reproduce/experiment.ts";

/** A run that shows nothing; its pictures are kept. */
class QuietRun implements Run {
  readonly pictures: Map<string, string> = new Map();
  constructor(
    readonly seed: number,
    readonly short: boolean,
  ) {}
  progress(): void {}
  picture(name: string, svg: string): void {
    this.pictures.set(name, svg);
  }
}

function expectFigures({ figures }: Experiment, got: Figures): void {
  expect(Object.keys(got).sort()).toEqual(Object.keys(figures).sort());
  for (const [name, value] of Object.entries(got)) expect(value, name).not.toBeNaN();
}

/** One test for each experiment. */
export function shortForms(experiments: readonly Experiment[]): void {
  describe("short forms", () => {
    it.each(experiments.map((e) => [e.name, e] as const))("%s learns", (_, experiment) => {
      const run = new QuietRun(0, true);
      const figures = experiment.run(run);
      expectFigures(experiment, figures);
      expect(experiment.learns(figures), JSON.stringify(figures)).toBe(true);
      for (const svg of run.pictures.values()) expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\s*$/);
    });
  });
}
