/** Ties that rounding hides, exponents that underflow, temperatures near 0. */

import { expect, it } from "vitest";
import { AmariNetwork } from "../../src/energy/amari.ts";
import { DenseAssociativeMemory } from "../../src/energy/dense-memory.ts";
import { Hopfield } from "../../src/energy/hopfield.ts";
import { Ising } from "../../src/energy/ising.ts";
import { overlaps } from "../../src/energy/states.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";

function patternsOf(count: number, N: number, seed: number): number[][] {
  const heads = new Generator(seed);
  return Array.from({ length: count }, () => Array.from(heads.bernoulli([N], 0.5).data(), (v) => 2 * Number(v) - 1));
}

/** N times the field of unit i: a whole number. */
function wholeField(patterns: readonly number[][], s: readonly number[], i: number): number {
  return patterns.reduce(
    (sum, p) => sum + p.reduce((h, value, j) => h + (j === i ? 0 : (p[i] as number) * value * (s[j] as number)), 0),
    0,
  );
}

it("the minima of a Hopfield network are its fixed points, flat neighbours or not", () => {
  const N = 9;
  for (let seed = 0; seed < 10; seed++) {
    const patterns = patternsOf(3, N, seed);
    const memory = new Hopfield({ size: N }).store(tensor(patterns));
    const expected = Array.from({ length: 2 ** N }, (_, code) => code).filter((code) => {
      const s = Array.from({ length: N }, (_, i) => ((code >> i) & 1 ? 1 : -1));
      return s.every((value, i) => value * wholeField(patterns, s, i) >= 0);
    });
    expect(Array.from(memory.enumerate().minima)).toEqual(expected);
  }
});

it("a tie leaves an element of Amari's net as it was, whatever the order of additions", () => {
  const N = 7;
  for (let seed = 0; seed < 20; seed++) {
    const patterns = patternsOf(5, N, seed);
    const net = new AmariNetwork({ size: N }).store(tensor(patterns));
    for (const s of patternsOf(10, N, 100 + seed)) {
      const expected = s.map((value, i) => Math.sign(wholeField(patterns, s, i)) || value);
      const { states } = net.recall(tensor(s), { maxSteps: 1, trace: true });
      expect(Array.from(states?.data() ?? [], Number).slice(N, 2 * N)).toEqual(expected);
    }
  }
});

it("an exponential memory of 1,000 units recalls a pattern of which 40 % are turned", () => {
  const patterns = patternsOf(3, 1000, 1);
  const memory = new DenseAssociativeMemory({ patterns: tensor(patterns), interaction: "exponential" });
  const cue = tensor((patterns[0] as number[]).map((v, i) => (i % 5 < 2 ? -v : v)));
  const { state, converged } = memory.recall(cue);
  expect(converged).toBe(true);
  expect(overlaps(tensor(patterns), state)[0]).toBe(1);
});

it("at a temperature near 0 only ground states are left", () => {
  const all = Ising.lattice({ rows: 2 }).enumerate();
  const p = all.probabilities(1e-310);
  expect(Array.from(p).filter((v) => v > 0)).toEqual([0.5, 0.5]);
  expect(all.logPartition(1e-310)).toBe(Number.POSITIVE_INFINITY);
  expect(all.logPartition(1)).toBeCloseTo(Math.log(Array.from(all.energies, (E) => Math.exp(-E)).reduce((a, b) => a + b, 0)), 12);
});
