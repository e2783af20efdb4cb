import { describe, expect, test } from "vitest";
import { ArgumentError, FormatError } from "../../src/base/errors.ts";
import * as S from "../../src/optim/schedules.ts";
import { tensor } from "../../src/tensor/tensor.ts";

/** A FormatError in a few words. */
function expectRefusal(fn: () => void): void {
  let error: unknown = null;
  try {
    fn();
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(FormatError);
  expect((error as Error).message.length).toBeLessThan(300);
}

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

  test("oneCycleLR at the edges of its options, as PyTorch has them", () => {
    const cycle = (options: object, n: number) =>
      rates(S.oneCycleLR({ maxLr: 1, divFactor: 2, annealStrategy: "linear", ...options } as never), n);
    // torch.optim.lr_scheduler.OneCycleLR: the first phase ends in step pct_start·total_steps − 1, which belongs to it.
    expectClose(cycle({ totalSteps: 5, pctStart: 1 }, 7), [0.5, 0.625, 0.75, 0.875, 1, 1, 1]);
    expectClose(cycle({ totalSteps: 4, pctStart: 0, finalDivFactor: 5 }, 5), [0.775, 0.55, 0.325, 0.1, 0.1]);
    expectClose(cycle({ totalSteps: 1, pctStart: 1 }, 2), [1, 1]);
    expectClose(cycle({ totalSteps: 1, finalDivFactor: 5 }, 2), [0.1, 0.1]);
    expectClose(cycle({ totalSteps: 5, pctStart: 0.2, finalDivFactor: 5 }, 5), [1, 0.775, 0.55, 0.325, 0.1]);
    for (const annealStrategy of ["cos", "linear"] as const) {
      for (const pctStart of [0, 0.1, 1 / 3, 0.5, 0.9, 1]) {
        for (const totalSteps of [1, 2, 3, 10]) {
          const all = rates(S.oneCycleLR({ maxLr: 1, totalSteps, pctStart, annealStrategy }), totalSteps + 2);
          expect(all.every((lr) => lr >= 0 && lr <= 1)).toBe(true);
        }
      }
    }
  });

  test("stay rates at the edges of their options", () => {
    const { POSITIVE_INFINITY: inf } = Number;
    expectClose(rates(S.constantLR({ factor: 0, totalIters: 1 }), 3), [0, 0.1, 0.1]);
    expectClose(rates(S.constantLR({ factor: 0.5, totalIters: 0 }), 2), [0.1, 0.1]);
    expectClose(rates(S.constantLR({ factor: 0.5, totalIters: inf }), 2), [0.05, 0.05]);
    expectClose(rates(S.stepLR({ stepSize: 1, gamma: 0 }), 3), [0.1, 0, 0]);
    expectClose(rates(S.multiStepLR({ milestones: [] }), 2), [0.1, 0.1]);
    expectClose(rates(S.multiStepLR({ milestones: [0] }), 2), [0.01, 0.01]);
    expectClose(rates(S.exponentialLR({ gamma: 0 }), 2), [0.1, 0]);
    expectClose(rates(S.exponentialLR({ gamma: 1 }), 2), [0.1, 0.1]);
    expectClose(rates(S.linearLR({ startFactor: 0, endFactor: 0, totalIters: 1 }), 2), [0, 0]);
    expectClose(rates(S.cosineAnnealingLR({ tMax: 1 }), 3), [0.1, 0, 0.1]);
    expectClose(rates(S.cosineAnnealingLR({ tMax: 2, etaMin: 0.1 }), 3), [0.1, 0.1, 0.1]);
    expectClose(rates(S.cosineAnnealingWarmRestarts({ t0: 1 }), 3), [0.1, 0.1, 0.1]);
    expectClose(rates(S.warmUp(1), 2), [0.1, 0.1]);
    const undefinedly = { gamma: undefined, etaMin: undefined, factor: undefined, totalIters: undefined } as never as object;
    expect(rates(S.stepLR({ stepSize: 2, ...undefinedly }), 5)).toEqual(rates(S.stepLR({ stepSize: 2 }), 5));
    expect(rates(S.constantLR(undefinedly), 3)).toEqual(rates(S.constantLR(), 3));
    const milestones = [1];
    const schedule = S.multiStepLR({ milestones });
    milestones[0] = 0;
    expectClose(rates(schedule, 2), [0.1, 0.01]);
  });

  test("reject what would give no rate", () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const bad: (() => unknown)[] = [
      ...[nan, -1, inf, "1", null].flatMap((x) => [
        () => S.constantLR({ factor: x as number }),
        () => S.stepLR({ stepSize: 1, gamma: x as number }),
        () => S.multiStepLR({ milestones: [1], gamma: x as number }),
        () => S.exponentialLR({ gamma: x as number }),
        () => S.linearLR({ startFactor: x as number }),
        () => S.linearLR({ endFactor: x as number }),
        () => S.cosineAnnealingLR({ tMax: 1, etaMin: x as number }),
        () => S.cosineAnnealingWarmRestarts({ t0: 1, etaMin: x as number }),
        () => S.oneCycleLR({ maxLr: x as number, totalSteps: 3 }),
        () => S.oneCycleLR({ maxLr: 1, totalSteps: 3, pctStart: x as number }),
        () => S.oneCycleLR({ maxLr: 1, totalSteps: 3, divFactor: x as number }),
        () => S.oneCycleLR({ maxLr: 1, totalSteps: 3, finalDivFactor: x as number }),
        () => S.multiStepLR({ milestones: [x as number] }),
      ]),
      ...[nan, -1, 0.5, "1"].map((x) => () => S.constantLR({ factor: 1, totalIters: x as number })),
      ...[nan, 0, 0.5, inf].flatMap((x) => [
        () => S.linearLR({ totalIters: x }),
        () => S.cosineAnnealingWarmRestarts({ t0: x }),
        () => S.cosineAnnealingWarmRestarts({ t0: 1, tMult: x }),
        () => S.oneCycleLR({ maxLr: 1, totalSteps: x }),
      ]),
      () => S.exponentialLR({} as never),
      () => S.oneCycleLR({ maxLr: 1, totalSteps: 2, divFactor: 0 }),
      () => S.oneCycleLR({ maxLr: 1, totalSteps: 2, annealStrategy: "cosine" as never }),
    ];
    for (const [i, make] of bad.entries()) expect(make, `${i}: ${make}`).toThrow(ArgumentError);
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

  test("keeps what others have done to a rate", () => {
    const optimizer = { groups: [{ lr: 1 }, { lr: 0.1 }] };
    const scheduler = new S.Scheduler(optimizer, S.warmUp(4));
    const plateau = new S.ReduceLROnPlateau(optimizer, { factor: 0.5, patience: 0 });
    const seen: number[] = [];
    for (let i = 0; i < 7; i++) {
      plateau.step(i === 2 || i === 5 ? 9 : -i);
      seen.push(optimizer.groups[0]?.lr as number);
      scheduler.step();
    }
    expectClose(seen, [0.25, 0.5, 0.375, 0.5, 0.5, 0.25, 0.25]);
    expect(optimizer.groups[1]?.lr).toBeCloseTo(0.025, 12);
    const again = { groups: optimizer.groups.map(({ lr }) => ({ lr })) };
    const resumed = new S.Scheduler(again, S.warmUp(4));
    again.groups.forEach((group, i) => {
      group.lr = optimizer.groups[i]?.lr as number;
    });
    resumed.loadStateDict(JSON.parse(JSON.stringify(scheduler.stateDict())));
    for (const s of [scheduler, resumed]) s.step();
    expect(again.groups).toEqual(optimizer.groups);
    // From a rate of 0 no factor leads anywhere.
    const zero = { groups: [{ lr: 1 }] };
    const falling = new S.Scheduler(zero, (t, base) => (t === 1 ? 0 : base));
    falling.step();
    zero.groups[0] = { lr: 5 };
    falling.step();
    expect(falling.lr).toBe(1);
  });

  test("leaves the rates alone where the schedule gives none", () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    for (const value of [nan, inf, -1, undefined, "1"]) {
      const optimizer = { groups: [{ lr: 1 }, { lr: 2 }] };
      const scheduler = new S.Scheduler(optimizer, (t, base) => (t === 1 && base === 2 ? (value as number) : base / 2));
      expect(() => scheduler.step()).toThrow(ArgumentError);
      expect(optimizer.groups).toEqual([{ lr: 0.5 }, { lr: 1 }]);
      expect(scheduler.stateDict().step).toBe(0);
      expect(() => scheduler.loadStateDict({ step: 1, baseLrs: [1, 2] })).toThrow(ArgumentError);
      expect(optimizer.groups).toEqual([{ lr: 0.5 }, { lr: 1 }]);
      expect(scheduler.stateDict()).toEqual({ step: 0, baseLrs: [1, 2], factors: [1, 1] });
    }
  });

  test("refuses states that no scheduler has", () => {
    const optimizer = { groups: [{ lr: 1 }] };
    const scheduler = new S.Scheduler(optimizer, S.stepLR({ stepSize: 1 }));
    const good = scheduler.stateDict();
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const junk: unknown[] = [null, undefined, 1, "x", [], {}];
    for (const step of [undefined, null, -1, 0.5, nan, 1e300, "1", "x".repeat(1e6)]) junk.push({ ...good, step });
    for (const value of [undefined, null, 3, "x".repeat(1e6), [], [1, 2], ["1"], [nan], [inf], [-1], [null], new Array(1e5).fill(0)]) {
      junk.push({ ...good, baseLrs: value });
      if (value !== undefined) junk.push({ ...good, factors: value });
    }
    for (const state of junk) expectRefusal(() => scheduler.loadStateDict(state as S.SchedulerState));
    expect(scheduler.stateDict()).toEqual(good);
    expect(optimizer.groups).toEqual([{ lr: 1 }]);
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

  test("improves on a negative metric by falling or rising, not by its threshold", () => {
    const options = { factor: 0.5, patience: 0, threshold: 0.1 };
    expect(run(options, [-10, -10, -9.5])).toEqual([1, 0.5, 0.25]);
    expect(run(options, [-10, -10.5, -11.5])).toEqual([1, 0.5, 0.5]);
    expect(run({ ...options, mode: "max" }, [-10, -10, -9.5, -8.5])).toEqual([1, 0.5, 0.25, 0.25]);
    expect(run({ ...options, mode: "max" }, [-1, 0, 0, 0.001])).toEqual([1, 1, 0.5, 0.5]);
  });

  test("never takes what is not finite for an improvement", () => {
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const options = { factor: 0.5, patience: 0 };
    expect(run(options, [nan, inf, -inf, 1])).toEqual([0.5, 0.25, 0.125, 0.125]);
    expect(run({ ...options, mode: "max" }, [-inf, inf, 1])).toEqual([0.5, 0.25, 0.25]);
    expect(run(options, [3, nan, 2])).toEqual([1, 0.5, 0.5]);
  });

  test("reads tensors of one number, and nothing else", () => {
    const optimizer = { groups: [{ lr: 1 }] };
    const plateau = new S.ReduceLROnPlateau(optimizer, { factor: 0.5, patience: 0 });
    plateau.step(tensor(10));
    plateau.step(tensor([9]));
    expect(optimizer.groups[0]?.lr).toBe(1);
    for (const metric of ["8", null, undefined, [1], tensor([1, 2]), 3n]) {
      expect(() => plateau.step(metric as never)).toThrow(ArgumentError);
    }
    expect(plateau.stateDict()).toEqual({ best: 9, badSteps: 0, coolingSteps: 0, lrs: [1] });
  });

  test("takes undefined for an option that is not given, and refuses what makes no sense", () => {
    const nothing = Object.fromEntries(
      ["mode", "factor", "patience", "threshold", "thresholdMode", "cooldown", "minLr", "eps"].map((name) => [name, undefined]),
    );
    const metrics = [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4];
    expect(run(nothing as never, metrics)).toEqual(run({}, metrics));
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const wrong: Record<string, unknown[]> = {
      mode: ["lowest", null],
      thresholdMode: ["both"],
      factor: [0, 1, 1.5, nan, "0.5"],
      patience: [-1, 0.5, nan, inf, "1"],
      cooldown: [-1, 0.5, nan],
      threshold: [-1, nan, inf],
      minLr: [-1, nan],
      eps: [-1, nan],
    };
    for (const [name, values] of Object.entries(wrong)) {
      for (const value of values) {
        expect(() => new S.ReduceLROnPlateau({ groups: [] }, { [name]: value }), `${name} ${value}`).toThrow(ArgumentError);
      }
    }
  });

  test("has a state that survives JSON before its first metric, and refuses others", () => {
    const optimizer = { groups: [{ lr: 1 }] };
    const make = () => new S.ReduceLROnPlateau(optimizer, { factor: 0.5, patience: 0 });
    for (const mode of ["min", "max"] as const) {
      const fresh = new S.ReduceLROnPlateau(optimizer, { factor: 0.5, patience: 0, mode });
      fresh.loadStateDict(JSON.parse(JSON.stringify(fresh.stateDict())));
      fresh.step(-7);
      expect(optimizer.groups[0]?.lr).toBe(1);
      expect(fresh.stateDict().best).toBe(-7);
    }
    const plateau = make();
    const good = plateau.stateDict();
    const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
    const junk: unknown[] = [null, undefined, 3, "x", [], {}];
    for (const count of [undefined, null, -1, 0.5, nan, "1", 1e300]) {
      junk.push({ ...good, badSteps: count }, { ...good, coolingSteps: count });
    }
    for (const best of [undefined, nan, inf, "1", [1]]) junk.push({ ...good, best });
    for (const lrs of [undefined, null, [], [1, 2], [nan], [-1], ["1"], "x".repeat(1e6)]) junk.push({ ...good, lrs });
    for (const state of junk) expectRefusal(() => plateau.loadStateDict(state as S.PlateauState));
    expect(plateau.stateDict()).toEqual(good);
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
