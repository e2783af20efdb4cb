/** The short form of experiments as tests: seconds, and a failure when a system has stopped learning. */

import { describe, expect, it } from "vitest";
import { type Experiment, type Figures, type Run, tunedRate } from "../../reproduce/experiment.ts";

/** A short run that shows nothing and collects its pictures. */
function quietRun(experiment: Experiment, pictures: string[]): Run {
  return {
    seed: 0,
    short: true,
    rate: (system) => tunedRate(experiment, system),
    progress: () => {},
    picture: (_, svg) => pictures.push(svg),
  };
}

function expectFigures({ figures }: Experiment, got: Figures): void {
  expect(Object.keys(got).sort()).toEqual(Object.keys(figures).sort());
  for (const [name, value] of Object.entries(got)) expect(value, name).not.toBeNaN();
}

/** One test for each experiment. */
export function shortForms(experiments: readonly Experiment[]): void {
  describe("short forms", () => {
    it.each(experiments.map((e) => [e.name, e] as const))("%s learns", (_, experiment) => {
      const pictures: string[] = [];
      const figures = experiment.run(quietRun(experiment, pictures));
      expectFigures(experiment, figures);
      expect(experiment.learns(figures), JSON.stringify(figures)).toBe(true);
      for (const svg of pictures) expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\s*$/);
    });
  });
}
