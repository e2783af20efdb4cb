import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { Hopfield } from "../../src/energy/hopfield.ts";
import { overlaps } from "../../src/energy/states.ts";
import { solve } from "../../src/numerics/matrix.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, tensor } from "../../src/tensor/tensor.ts";
import { float64, pairwiseEnergy, randomCouplings, randomPatterns, rowsOf } from "./plain.ts";

/** Whether numbers agree to a part of 1e-12 or so. */
function expectClose(got: readonly number[], wanted: readonly number[], tolerance = 1e-12): void {
  expect(got.length).toBe(wanted.length);
  got.forEach((v, i) => {
    if (!(Math.abs(v - (wanted[i] as number)) <= tolerance)) throw new Error(`expected ${wanted[i]} at ${i}, got ${v}`);
  });
}

function withWeight(W: readonly (readonly number[])[], threshold: readonly number[] = W.map(() => 0)): Hopfield {
  const net = new Hopfield({ size: W.length });
  assign(net.weight, W.flat());
  assign(net.threshold, threshold);
  return net;
}

describe("storage rules", () => {
  const patterns = randomPatterns(1, 5, 12);

  it("hebb: W = XᵀX / N", () => {
    const W = rowsOf(new Hopfield({ size: 12 }).store(float64(patterns)).weight);
    const wanted = W.map((row, i) => row.map((_, j) => patterns.reduce((w, p) => w + (p[i] as number) * (p[j] as number), 0) / 12));
    expectClose(W.flat(), wanted.flat());
  });

  it("storkey: the increments of the paper, in plain loops", () => {
    const N = 12;
    const wanted = patterns[0]?.map(() => new Array<number>(N).fill(0)) as number[][];
    for (const x of patterns) {
      const old = wanted.map((row) => [...row]);
      const h = (i: number, j: number) => x.reduce((sum, v, k) => (k === i || k === j ? sum : sum + (old[i]?.[k] as number) * v), 0);
      for (let i = 0; i < N; i++) {
        for (let j = 0; j < N; j++) {
          const [row, xi, xj] = [wanted[i] as number[], x[i] as number, x[j] as number];
          if (i !== j) row[j] = (old[i]?.[j] as number) + (xi * xj - xi * h(j, i) - h(i, j) * xj) / N;
        }
      }
    }
    expectClose(rowsOf(new Hopfield({ size: N, rule: "storkey" }).store(float64(patterns)).weight).flat(), wanted.flat());
  });

  it("pseudo-inverse: Xᵀ(XXᵀ)⁻¹X, whether stored at once, one by one, or again", () => {
    const gram = patterns.map((p) => patterns.map((q) => p.reduce((sum, v, i) => sum + v * (q[i] as number), 0)));
    const columns = patterns[0]?.map(
      (_, i) =>
        solve(
          gram,
          patterns.map((p) => p[i] as number),
        ) as number[],
    ) as number[][];
    const wanted = columns.map((_, i) => columns.map((c) => patterns.reduce((sum, p, k) => sum + (p[i] as number) * (c[k] as number), 0)));
    const once = new Hopfield({ size: 12, rule: "pseudo-inverse" }).store(float64(patterns));
    expectClose(rowsOf(once.weight).flat(), wanted.flat());
    const parts = new Hopfield({ size: 12, rule: "pseudo-inverse" });
    for (const p of [...patterns, ...patterns]) parts.store(float64(p));
    parts.store(float64((patterns[0] as number[]).map((v) => -v)));
    expectClose(rowsOf(parts.weight).flat(), wanted.flat());
  });

  it("pseudo-inverse: N − 1 patterns of N units are all fixed points, where Hebb keeps none", () => {
    const many = float64(randomPatterns(4, 39, 40));
    const fixed = (rule: "hebb" | "pseudo-inverse"): number => {
      const net = new Hopfield({ size: 40, rule }).store(many);
      return rowsOf(many).filter((p) => net.recall(float64(p)).steps === 1).length;
    };
    expect(fixed("pseudo-inverse")).toBe(39);
    expect(fixed("hebb")).toBe(0);
  });
});

describe("the diagonal", () => {
  const N = 100;
  const many = (P: number) => randomPatterns(11, P, N);
  /** The share of patterns that come back from a cue with `flipped` units turned. */
  const recalled = (P: number, flipped: number, diagonal: boolean): number => {
    const patterns = many(P);
    const net = new Hopfield({ size: N, rule: "pseudo-inverse", diagonal }).store(float64(patterns));
    const back = patterns.filter((p, k) => {
      const cue = p.map((v, i) => ((i * 7 + k) % N < flipped ? -v : v));
      return Array.from(net.recall(float64(cue), { generator: new Generator(k) }).state.data(), Number).every((v, i) => v === p[i]);
    });
    return back.length / P;
  };

  it("of a projector keeps patterns fixed, and takes their basins away at N/2", () => {
    expect([recalled(60, 0, true), recalled(60, 0, false)]).toEqual([1, 1]);
    // A unit that is turned has the field ξ (1 − 2 W_ii), and W_ii is near P/N.
    expect(recalled(60, 1, true)).toBeLessThan(0.1);
    expect(recalled(40, 1, true)).toBeGreaterThan(0.9);
    expect(recalled(60, 3, false)).toBeGreaterThan(0.8);
  });

  it("has a part in updates and energy: the plain rule, step by step", () => {
    const J = randomCouplings(7, 12).map((row, i) => row.map((v, j) => (i === j ? 1 + i / 4 : v)));
    const net = new Hopfield({ size: 12, diagonal: true });
    assign(net.weight, J.flat());
    for (const s of randomPatterns(9, 20, 12)) {
      const field = (state: readonly number[], i: number) => (J[i] as number[]).reduce((sum, w, j) => sum + w * (state[j] as number), 0);
      expectClose([net.energy(float64(s))], [-0.5 * s.reduce((sum, v, i) => sum + v * field(s, i), 0)], 1e-11);
      const all = net.recall(float64(s), { updates: "synchronous", maxSteps: 1 });
      expect(Array.from(all.state.data(), Number)).toEqual(s.map((_, i) => Math.sign(field(s, i))));
      const turned = [...s];
      for (let i = 0; i < 12; i++) turned[i] = Math.sign(field(turned, i));
      const one = net.recall(float64(s), { order: "sequential", maxSteps: 1 });
      expect(Array.from(one.state.data(), Number)).toEqual(turned);
      expectClose([one.energies[1] as number], [net.energy(one.state)], 1e-11);
    }
  });

  it("makes no difference to chances: energies differ by a constant", () => {
    const J = randomCouplings(7, 6).map((row, i) => row.map((v, j) => (i === j ? 3 : v)));
    const [held, free] = [new Hopfield({ size: 6, diagonal: true }), new Hopfield({ size: 6 })];
    for (const net of [held, free]) assign(net.weight, J.flat());
    expectClose(Array.from(held.enumerate().probabilities(1)), Array.from(free.enumerate().probabilities(1)), 1e-12);
    expectClose(
      Array.from(held.enumerate().energies),
      Array.from(free.enumerate().energies, (E) => E - 9),
      1e-11,
    );
    const run = (net: Hopfield) => net.sample(float64([1, 1, -1, 1, -1, 1]), { sweeps: 50, temperature: 2, generator: new Generator(1) });
    expect(Array.from(run(held).state.data())).toEqual(Array.from(run(free).state.data()));
  });
});

describe("energy and updates", () => {
  const J = randomCouplings(7, 20);
  const theta = Array.from(new Generator(8).normal([20], 0, 1, "float64").data(), Number);
  const starts = randomPatterns(9, 20, 20);

  it("E = −½ sᵀWs + θᵀs, whatever is on the diagonal", () => {
    const W = J.map((row, i) => row.map((v, j) => (i === j ? 5 : v)));
    const net = withWeight(W, theta);
    for (const s of starts) {
      const wanted = pairwiseEnergy(
        J,
        theta.map((t) => -t),
        s,
      );
      expectClose([net.energy(float64(s))], [wanted], 1e-11);
    }
  });

  it.each(["permutation", "sequential", "random"] as const)("one by one, %s: E never rises, and the end is a fixed point", (order) => {
    const net = withWeight(J, theta);
    for (const s of starts) {
      const { energies, converged, period, state, steps } = net.recall(float64(s), { order, generator: new Generator(3) });
      expect({ converged, period }).toEqual({ converged: true, period: 1 });
      energies.slice(1).forEach((E, k) => {
        if (!(E <= (energies[k] as number) + 1e-12)) throw new Error(`energy rose from ${energies[k]} to ${E}`);
      });
      expectClose([energies[steps] as number], [net.energy(state)], 1e-11);
      const rest = Array.from(state.data(), Number);
      rest.forEach((v, i) => {
        const field = (J[i] as number[]).reduce((sum, w, j) => sum + w * (rest[j] as number), 0) - (theta[i] as number);
        expect(Math.sign(field)).toBe(v);
      });
    }
  });

  it("all at once: the plain rule, step by step, into a fixed point or a cycle of two", () => {
    const net = withWeight(J, theta);
    const periods = starts.map((s) => {
      const { states, steps, period, converged } = net.recall(float64(s), { updates: "synchronous", trace: true });
      const seen = rowsOf(states as never);
      for (let t = 0; t < steps; t++) {
        const now = seen[t] as number[];
        const wanted = J.map((row, i) => Math.sign(row.reduce((sum, w, j) => sum + w * (now[j] as number), 0) - (theta[i] as number)));
        expect(seen[t + 1]).toEqual(wanted);
      }
      expect(converged).toBe(period === 1);
      return period;
    });
    expect(periods.every((p) => p === 1 || p === 2)).toBe(true);
  });

  it("blinks all at once where it rests one by one", () => {
    const net = withWeight([
      [0, -1],
      [-1, 0],
    ]);
    const both = net.recall(float64([1, 1]), { updates: "synchronous" });
    expect({ period: both.period, converged: both.converged }).toEqual({ period: 2, converged: false });
    const single = net.recall(float64([1, 1]));
    expect(single.converged).toBe(true);
    expect(Array.from(single.state.data(), Number).reduce((a, b) => a + b, 0)).toBe(0);
  });

  it("leaves a unit at a tie as it was", () => {
    const net = withWeight(J.map((row) => row.map(() => 0)));
    const s = starts[0] as number[];
    const { state, steps, converged } = net.recall(float64(s));
    expect({ steps, converged }).toEqual({ steps: 1, converged: true });
    expect(Array.from(state.data(), Number)).toEqual(s);
    // 0.1 + 0.2 − 0.3 is 5.6e-17 in float64, and a tie all the same.
    const near = withWeight([
      [0, 0.1, 0.2, 0.3],
      [0.1, 0, 0, 0],
      [0.2, 0, 0, 0],
      [0.3, 0, 0, 0],
    ]);
    expect(Array.from(near.recall(float64([-1, 1, 1, -1]), { maxSteps: 1, order: "sequential" }).state.data(), Number)[0]).toBe(-1);
  });
});

describe("recall", () => {
  it("completes damaged patterns, and the opposite of one as well", () => {
    const patterns = randomPatterns(11, 8, 100);
    const net = new Hopfield({ size: 100 }).store(tensor(patterns));
    for (const [k, p] of patterns.entries()) {
      const damaged = p.map((v, i) => (i % 5 === k % 5 ? -v : v));
      const { state, converged } = net.recall(tensor(damaged), { generator: new Generator(k) });
      expect(converged).toBe(true);
      expect(state.dtype).toBe("float32");
      expect(overlaps(tensor(patterns), state)[k]).toBeGreaterThan(0.95);
      const opposite = net.recall(tensor(damaged.map((v) => -v)), { generator: new Generator(k) });
      expect(overlaps(tensor(patterns), opposite.state)[k]).toBeLessThan(-0.95);
    }
  });

  it("turns by chance at a temperature, the same for the same seed", () => {
    const net = new Hopfield({ size: 50 }).store(tensor(randomPatterns(2, 3, 50)));
    const cue = tensor(randomPatterns(3, 1, 50)[0] as number[]);
    const run = (seed: number) => net.recall(cue, { temperature: 0.8, maxSteps: 10, generator: new Generator(seed) });
    expect(run(1).energies).toEqual(run(1).energies);
    expect(run(1).energies).not.toEqual(run(2).energies);
    expect(run(1)).toMatchObject({ steps: 10, converged: false, period: 0 });
  });

  it("comes back from a state dict", () => {
    const patterns = tensor(randomPatterns(5, 3, 30));
    const net = new Hopfield({ size: 30 }).store(patterns);
    const copy = new Hopfield({ size: 30 });
    copy.loadStateDict(net.stateDict());
    const cue = tensor(randomPatterns(6, 1, 30)[0] as number[]);
    expect(copy.energy(cue)).toBe(net.energy(cue));
    expect([...net.stateDict().keys()]).toEqual(["weight", "threshold"]);
  });
});

describe("bad input", () => {
  const net = () => new Hopfield({ size: 3 });
  it.each([
    [() => new Hopfield({ size: 0 }), ArgumentError, "Hopfield: expected size to be a whole number of at least 1, got 0"],
    [
      () => new Hopfield({ size: 3, rule: "oja" as never }),
      ArgumentError,
      'Hopfield: expected rule to be one of "hebb", "storkey", "pseudo-inverse"',
    ],
    [() => net().store(tensor([1, -1])), ShapeError, "store: expected patterns of shape [P,3] or [3], got [2]"],
    [() => net().store(tensor([1, 0, 1])), ArgumentError, "store: expected patterns to hold -1 and 1, got 0 at position 1"],
    [() => net().store([1, 1, 1] as never), DTypeError, "store: expected"],
    [
      () =>
        withWeight([
          [0, 1],
          [2, 0],
        ]).energy(tensor([1, 1])),
      ArgumentError,
      "Hopfield: expected finite symmetric couplings, got 2 and 1 between units 1 and 0",
    ],
    [
      () =>
        withWeight([
          [0, Number.NaN],
          [Number.NaN, 0],
        ]).recall(tensor([1, 1])),
      ArgumentError,
      "Hopfield: expected weight to hold finite numbers, got NaN",
    ],
    [() => overlaps(tensor([[1, 1]]), tensor([1, 1, 1])), ShapeError, "overlaps: expected the state of shape [2], got [3]"],
  ])("is refused by name, case %#", (call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });

  it("stores nothing when one pattern is wrong", () => {
    const memory = net();
    expect(() =>
      memory.store(
        tensor([
          [1, 1, 1],
          [1, 2, 1],
        ]),
      ),
    ).toThrow(ArgumentError);
    expect(memory.weight.data().every((v) => v === 0)).toBe(true);
  });
});
