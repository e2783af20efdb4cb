import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { EnergyModel, type Motion, type RecallSettings, settle } from "../../src/energy/energy-model.ts";
import { zeros } from "../../src/tensor/create.ts";
import { tensor } from "../../src/tensor/tensor.ts";

/** A walk through the whole numbers, given as the state that follows each. */
function walk(next: readonly number[], start: number): Motion {
  const state = Float64Array.of(start);
  return {
    state,
    deterministic: true,
    noisy: false,
    step: () => {
      const before = state[0] as number;
      state[0] = next[before] as number;
      return Math.abs((state[0] as number) - before);
    },
    energy: () => -(state[0] as number),
  };
}

describe("settle", () => {
  it("finds a fixed point, with the step that showed it", () => {
    const { steps, converged, period, energies, states } = settle(walk([1, 2, 3, 3], 0), { trace: true });
    expect({ steps, converged, period }).toEqual({ steps: 4, converged: true, period: 1 });
    expect(energies).toEqual([-0, -1, -2, -3, -3]);
    expect(states.map((s) => s[0])).toEqual([0, 1, 2, 3, 3]);
  });

  // A tail of any length into a cycle of any length: the period is the cycle's, not a multiple.
  it.each([
    [0, 2],
    [0, 3],
    [1, 2],
    [5, 4],
    [7, 1],
    [3, 9],
    [12, 5],
  ])("tells the period after a tail of %d into a cycle of %d", (tail, cycle) => {
    const next = Array.from({ length: tail + cycle }, (_, i) => (i + 1 < tail + cycle ? i + 1 : tail));
    const { converged, period } = settle(walk(next, 0));
    expect(period).toBe(cycle);
    expect(converged).toBe(cycle === 1);
  });

  it("says neither when the steps run out, and makes none when none are allowed", () => {
    const next = Array.from({ length: 100 }, (_, i) => (i + 1) % 100);
    expect(settle(walk(next, 0), { maxSteps: 20 })).toMatchObject({ steps: 20, converged: false, period: 0 });
    expect(settle(walk(next, 0), { maxSteps: 0 })).toMatchObject({ steps: 0, converged: false, period: 0, energies: [-0] });
  });

  it("takes no state that comes again for a cycle where chance decides, and no pause for rest", () => {
    const still: Motion = { ...walk([0], 0), deterministic: false, noisy: true };
    expect(settle(still, { maxSteps: 7 })).toMatchObject({ steps: 7, converged: false, period: 0 });
  });
});

/** Every unit takes its left neighbour's value: a ring that turns. */
class Ring extends EnergyModel {
  override readonly size = 3;
  protected override readonly values = "bits";
  protected override energyOf(state: Float64Array): number {
    return -state.reduce((a, b) => a + b, 0);
  }
  protected override motion(state: Float64Array, _: RecallSettings): Motion {
    const step = (): number => {
      const before = state.slice();
      for (let i = 0; i < 3; i++) state[i] = before[(i + 2) % 3] as number;
      return before.filter((v, i) => v !== state[i]).length;
    };
    return { state, deterministic: true, noisy: false, step, energy: () => this.energyOf(state) };
  }
}

describe("an energy model of one's own", () => {
  it("recalls with a trace, in the cue's dtype", () => {
    const { state, states, steps, period, converged, energies } = new Ring().recall(tensor([1, 0, 0], { dtype: "int32" }), { trace: true });
    expect({ period, converged }).toEqual({ period: 3, converged: false });
    expect(state.dtype).toBe("int32");
    expect(states?.shape).toEqual([steps + 1, 3]);
    expect(Array.from(states?.data().slice(0, 9) ?? [])).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1]);
    expect(energies).toEqual(new Array(steps + 1).fill(-1));
  });

  it("leaves the cue as it was, and can be asked twice", () => {
    const cue = tensor([1, 0, 0]);
    const ring = new Ring();
    const [first, second] = [ring.recall(cue, { maxSteps: 1 }), ring.recall(cue, { maxSteps: 1 })];
    expect(Array.from(cue.data())).toEqual([1, 0, 0]);
    expect(Array.from(first.state.data())).toEqual([0, 1, 0]);
    expect(Array.from(second.state.data())).toEqual([0, 1, 0]);
    expect(first.states).toBeNull();
  });

  it.each([
    [() => new Ring().energy(tensor([1, 0])), ShapeError, "energy: expected the state of shape [3], got [2]"],
    [() => new Ring().energy(zeros([1, 3])), ShapeError, "energy: expected the state of shape [3], got [1,3]"],
    [() => new Ring().recall(tensor([1, -1, 0])), ArgumentError, "recall: expected the cue to hold 0 and 1, got -1 at position 1"],
    [() => new Ring().recall(tensor([1, Number.NaN, 0])), ArgumentError, "recall: expected the cue to hold 0 and 1, got NaN at position 1"],
    [() => new Ring().recall([1, 0, 0] as never), DTypeError, "recall: expected"],
    [() => new Ring().recall(tensor([1, 0, 0]), { temperature: -1 }), ArgumentError, "recall: expected temperature of at least 0, got -1"],
    [() => new Ring().recall(tensor([1, 0, 0]), { maxSteps: 1.5 }), ArgumentError, "recall: expected maxSteps to be a whole number"],
    [() => new Ring().recall(tensor([1, 0, 0]), { updates: "sync" as never }), ArgumentError, "recall: expected updates to be one of"],
    [() => new Ring().recall(tensor([1, 0, 0]), { steps: 3 } as never), ArgumentError, "recall: expected options among"],
  ])("refuses by name, case %#", (call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});
