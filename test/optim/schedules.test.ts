import { describe, expect, test } from "vitest";
import * as S from "../../src/optim/schedules.ts";

const rates = (schedule: S.Schedule, n: number, base = 0.1) => Array.from({ length: n }, (_, t) => schedule(t, base));

function expectClose(actual: number[], expected: number[]): void {
  expect(actual.length).toBe(expected.length);
  actual.forEach((a, i) => {
    expect(a).toBeCloseTo(expected[i] as number, 12);
  });
}

describe("schedules", () => {
  test("constantLR", () => {
    expectClose(rates(S.constantLR(), 3), [0.1, 0.1, 0.1]);
    expectClose(rates(S.constantLR({ factor: 0.5, totalIters: 2 }), 4), [0.05, 0.05, 0.1, 0.1]);
  });

  test("lambdaLR", () => {
    expectClose(
      rates(
        S.lambdaLR((t) => 1 / (1 + t)),
        3,
      ),
      [0.1, 0.05, 0.1 / 3],
    );
  });

  test("stepLR", () => {
    expectClose(rates(S.stepLR({ stepSize: 2, gamma: 0.5 }), 5), [0.1, 0.1, 0.05, 0.05, 0.025]);
  });

  test("multiStepLR counts a milestone given twice twice", () => {
    expectClose(rates(S.multiStepLR({ milestones: [3, 1, 3], gamma: 0.5 }), 5), [0.1, 0.05, 0.05, 0.0125, 0.0125]);
  });

  test("exponentialLR", () => {
    expectClose(rates(S.exponentialLR({ gamma: 0.5 }), 4), [0.1, 0.05, 0.025, 0.0125]);
  });

  test("linearLR", () => {
    expectClose(rates(S.linearLR({ startFactor: 0.5, totalIters: 4 }), 6), [0.05, 0.0625, 0.075, 0.0875, 0.1, 0.1]);
  });

  test("cosineAnnealingLR falls to its minimum and rises again", () => {
    const half = Math.SQRT1_2 / 2;
    expectClose(rates(S.cosineAnnealingLR({ tMax: 4 }), 6, 1), [1, 0.5 + half, 0.5, 0.5 - half, 0, 0.5 - half]);
    expectClose(rates(S.cosineAnnealingLR({ tMax: 2, etaMin: 0.2 }), 3, 1), [1, 0.6, 0.2]);
  });

  test("cosineAnnealingWarmRestarts lengthens its periods", () => {
    const half = Math.SQRT1_2 / 2;
    const expected = [1, 0.5, 1, 0.5 + half, 0.5, 0.5 - half, 1];
    expectClose(rates(S.cosineAnnealingWarmRestarts({ t0: 2, tMult: 2 }), 7, 1), expected);
    expectClose(rates(S.cosineAnnealingWarmRestarts({ t0: 2 }), 5, 1), [1, 0.5, 1, 0.5, 1]);
  });

  test("oneCycleLR rises to the top and falls to almost nothing", () => {
    const schedule = S.oneCycleLR({ maxLr: 1, totalSteps: 11, pctStart: 5 / 11 });
    const all = rates(schedule, 14);
    expect(all[0]).toBeCloseTo(0.04, 12);
    expect(all[2]).toBeCloseTo((1 + 0.04) / 2, 12);
    expect(all[4]).toBeCloseTo(1, 12);
    expectClose(all.slice(10), [4e-6, 4e-6, 4e-6, 4e-6]);
    const straight = rates(S.oneCycleLR({ maxLr: 1, totalSteps: 5, pctStart: 0.6, annealStrategy: "linear", divFactor: 2 }), 5);
    expectClose(straight, [0.5, 0.75, 1, 0.500025, 5e-5]);
    expect(rates(S.oneCycleLR({ maxLr: 1, totalSteps: 10, pctStart: 0.1 }), 10).every(Number.isFinite)).toBe(true);
  });

  test("warmUp rises in equal steps, then hands over", () => {
    expectClose(rates(S.warmUp(4, S.exponentialLR({ gamma: 0.5 })), 7, 1), [0.25, 0.5, 0.75, 1, 1, 0.5, 0.25]);
    expectClose(rates(S.warmUp(2), 4, 1), [0.5, 1, 1, 1]);
  });

  test("reject nonsense", () => {
    expect(() => S.stepLR({ stepSize: 0 })).toThrow(/stepLR: expected stepSize to be a whole number of at least 1, got 0/);
    expect(() => S.cosineAnnealingLR({ tMax: 1.5 })).toThrow(/cosineAnnealingLR: expected tMax to be a whole number/);
    expect(() => S.warmUp(Number.NaN)).toThrow(/warmUp: expected steps to be a whole number/);
  });
});

describe("Scheduler", () => {
  test("sets every group's rate from its own base", () => {
    const optimizer = { groups: [{ lr: 1 }, { lr: 0.1 }] };
    const scheduler = new S.Scheduler(optimizer, S.stepLR({ stepSize: 1, gamma: 0.5 }));
    scheduler.step();
    scheduler.step();
    expectClose(
      optimizer.groups.map((g) => g.lr),
      [0.25, 0.025],
    );
    expect(scheduler.lr).toBe(0.25);
  });

  test("goes on from a saved state", () => {
    const make = () => new S.Scheduler({ groups: [{ lr: 0.3 }] }, S.warmUp(3, S.cosineAnnealingLR({ tMax: 5 })));
    const [whole, begun] = [make(), make()];
    for (let i = 0; i < 4; i++) begun.step();
    const resumed = new S.Scheduler({ groups: [{ lr: 77 }] }, S.warmUp(3, S.cosineAnnealingLR({ tMax: 5 })));
    resumed.loadStateDict(JSON.parse(JSON.stringify(begun.stateDict())));
    for (let i = 0; i < 2; i++) resumed.step();
    for (let i = 0; i < 6; i++) whole.step();
    expect(resumed.lr).toBe(whole.lr);
    expect(() => whole.loadStateDict({ step: 0, baseLrs: [1, 2] })).toThrow(/expected 1 base rates, got 2/);
  });
});

describe("ReduceLROnPlateau", () => {
  const run = (options: S.PlateauOptions, metrics: number[]) => {
    const optimizer = { groups: [{ lr: 1 }] };
    const scheduler = new S.ReduceLROnPlateau(optimizer, options);
    return metrics.map((m) => {
      scheduler.step(m);
      return optimizer.groups[0]?.lr;
    });
  };

  test("waits for its patience, then reduces", () => {
    expect(run({ factor: 0.5, patience: 2 }, [3, 2, 2, 2, 2, 2, 2, 2])).toEqual([1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]);
  });

  test("counts nothing while cooling down", () => {
    expect(run({ factor: 0.5, patience: 0, cooldown: 2 }, [2, 2, 2, 2, 2])).toEqual([1, 0.5, 0.5, 0.5, 0.25]);
  });

  test("knows thresholds of both kinds and directions, and negative metrics", () => {
    const options = { factor: 0.5, patience: 0, threshold: 0.1 };
    expect(run(options, [10, 9.5])).toEqual([1, 0.5]);
    expect(run(options, [10, 8.9])).toEqual([1, 1]);
    expect(run({ ...options, thresholdMode: "abs" }, [10, 9.5])).toEqual([1, 1]);
    expect(run({ ...options, mode: "max" }, [10, 10.5])).toEqual([1, 0.5]);
    expect(run({ ...options, mode: "max" }, [10, 11.5])).toEqual([1, 1]);
    expect(run(options, [Number.NaN, 1])).toEqual([0.5, 0.5]);
  });

  test("stops at the least rate and goes on from a saved state", () => {
    expect(run({ factor: 0.5, patience: 0, minLr: 0.4 }, [1, 1, 1, 1])).toEqual([1, 0.5, 0.4, 0.4]);
    const first = { groups: [{ lr: 1 }] };
    const scheduler = new S.ReduceLROnPlateau(first, { factor: 0.5, patience: 1 });
    for (const m of [1, 1, 1, 1]) scheduler.step(m);
    const second = { groups: [{ lr: 9 }] };
    const resumed = new S.ReduceLROnPlateau(second, { factor: 0.5, patience: 1 });
    resumed.loadStateDict(scheduler.stateDict());
    for (const s of [scheduler, resumed]) s.step(1);
    expect(second.groups).toEqual(first.groups);
    expect(first.groups).toEqual([{ lr: 0.25 }]);
  });
});
