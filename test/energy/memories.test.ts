/** Dense, continuous, modern and bidirectional memories. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { AdaptiveMotion } from "../../src/energy/adaptive-bam.ts";
import { BAM } from "../../src/energy/bam.ts";
import { ContinuousHopfield } from "../../src/energy/continuous-hopfield.ts";
import { DenseAssociativeMemory } from "../../src/energy/dense-memory.ts";
import { Hopfield } from "../../src/energy/hopfield.ts";
import { HopfieldLayer, modernHopfieldEnergy, modernHopfieldUpdate } from "../../src/energy/hopfield-layer.ts";
import { overlaps } from "../../src/energy/states.ts";
import { div, square, sub } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { sqrt } from "../../src/ops/math.ts";
import { contiguous, permute } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads, grad } from "../../src/transforms/index.ts";
import { allStates, boltzmann, codeOf, float64, randomPatterns, rowsOf, variation } from "./plain.ts";

const numbers = (t: Tensor): number[] => Array.from(t.data(), Number);

function expectClose(got: readonly number[], wanted: readonly number[], tolerance = 1e-10): void {
  expect(got.length).toBe(wanted.length);
  got.forEach((v, i) => {
    if (!(Math.abs(v - (wanted[i] as number)) <= tolerance)) throw new Error(`expected ${wanted[i]} at ${i}, got ${v}`);
  });
}

function expectFalling(energies: readonly number[], slack: number): void {
  energies.slice(1).forEach((E, k) => {
    if (!(E <= (energies[k] as number) + slack)) throw new Error(`energy rose from ${energies[k]} to ${E}`);
  });
}

describe("dense associative memory", () => {
  const patterns = randomPatterns(1, 6, 30);
  const starts = randomPatterns(2, 10, 30);

  it("with n = 2 is Hopfield's network under Hebb's rule, update by update", () => {
    const dense = new DenseAssociativeMemory({ patterns: float64(patterns), power: 2 });
    const classical = new Hopfield({ size: 30 }).store(float64(patterns));
    for (const s of starts) {
      for (const updates of ["asynchronous", "synchronous"] as const) {
        const options = { updates, order: "sequential", trace: true } as const;
        const [a, b] = [dense, classical].map((model) => model.recall(float64(s), options));
        expect(rowsOf(a?.states as Tensor)).toEqual(rowsOf(b?.states as Tensor));
      }
      // −N Σ (m_μ)² = −sᵀXᵀXs / N, of which the diagonal is P.
      expectClose([dense.energy(float64(s))], [2 * classical.energy(float64(s)) - 6]);
    }
  });

  it.each(["polynomial", "rectified", "exponential"] as const)(
    "%s: the paper's rule in plain loops, and a falling energy",
    (interaction) => {
      const [N, n] = [30, 3];
      const F = (x: number): number =>
        interaction === "exponential" ? Math.exp(x - N) : interaction === "rectified" && x < 0 ? 0 : x ** n;
      // Powers of whole numbers are exact, so that ties are seen as such.
      const unit = interaction === "exponential" ? 1 : N ** n;
      const memory = new DenseAssociativeMemory({ patterns: float64(patterns), interaction, power: n });
      for (const start of starts) {
        const s = [...start];
        for (let i = 0; i < N; i++) {
          let sum = 0;
          for (const p of patterns) {
            const rest = p.reduce((o, v, j) => (j === i ? o : o + v * (s[j] as number)), 0);
            sum += F((p[i] as number) + rest) - F(-(p[i] as number) + rest);
          }
          s[i] = sum > 0 ? 1 : sum < 0 ? -1 : (s[i] as number);
        }
        const { state, energies } = memory.recall(float64(start), { order: "sequential", maxSteps: 1 });
        expect(numbers(state)).toEqual(s);
        const wanted = (-N / unit) * patterns.reduce((E, p) => E + F(p.reduce((o, v, j) => o + v * (s[j] as number), 0)), 0);
        expectClose([energies[1] as number, memory.energy(state)], [wanted, wanted]);
        expectFalling(memory.recall(float64(start), { generator: new Generator(3) }).energies, 1e-12);
      }
    },
  );

  it("keeps many more patterns than there are units", () => {
    const many = tensor(randomPatterns(4, 300, 60));
    const kept = (options: object): number => {
      const memory = new DenseAssociativeMemory({ patterns: many, ...options });
      return rowsOf(many)
        .slice(0, 30)
        .filter((p) => memory.recall(tensor(p)).steps === 1).length;
    };
    expect(kept({ power: 2 })).toBe(0);
    expect(kept({ power: 4 })).toBe(30);
    expect(kept({ interaction: "exponential" })).toBe(30);
  });
});

describe("continuous Hopfield network", () => {
  const patterns = randomPatterns(5, 4, 60);
  const weight = new Hopfield({ size: 60 }).store(float64(patterns)).weight;
  const net = new ContinuousHopfield({ weight, gain: 20 });

  it("completes patterns down an energy that falls at every step", () => {
    for (const [k, p] of patterns.entries()) {
      const cue = p.map((v, i) => 0.05 * (i % 5 === k ? -v : v));
      const { state, energies, converged } = net.recall(float64(cue));
      expect(converged).toBe(true);
      expectFalling(energies, 1e-9);
      expect(numbers(state).map(Math.sign)).toEqual(p);
      expect(overlaps(float64(patterns), net.outputs(state))[k]).toBeGreaterThan(0.99);
    }
  });

  it.each([1, 30, 1e6, 1e10, 1e300, Number.MAX_VALUE])(
    "has an energy of ln 2 / λ for a saturated unit on its own, at potential %d",
    (u) => {
      const alone = new ContinuousHopfield({ weight: zeros([1, 1]), gain: 20 });
      expectClose([alone.energy(float64([u])), alone.energy(float64([-u]))], [Math.LN2 / 20, Math.LN2 / 20], 1e-15);
    },
  );

  it("has the energy of the paper, and moves against its gradient in V", () => {
    const [J, gain] = [rowsOf(weight), 3];
    const I = numbers(new Generator(3).normal([60], 0, 0.3, "float64"));
    const model = new ContinuousHopfield({ weight, gain, input: float64(I), stepSize: 1e-3 });
    const energyOf = (V: readonly number[]): number =>
      V.reduce((E, v, i) => {
        const pairs = (J[i] as number[]).reduce((sum, w, j) => (i === j ? sum : sum + w * (V[j] as number)), 0);
        return E - 0.5 * v * pairs - (I[i] as number) * v + (v * Math.atanh(v) + 0.5 * Math.log(1 - v * v)) / gain;
      }, 0);
    const u = numbers(new Generator(4).normal([60], 0, 0.2, "float64"));
    const V = u.map((x) => Math.tanh(gain * x));
    expectClose([model.energy(float64(u))], [energyOf(V)], 1e-9);
    const next = numbers(model.recall(float64(u), { maxSteps: 1 }).state);
    for (const i of [0, 7, 31]) {
      const at = (d: number) => energyOf(V.map((v, k) => (k === i ? v + d : v)));
      const slope = (at(1e-6) - at(-1e-6)) / 2e-6;
      expectClose([((next[i] as number) - (u[i] as number)) / 1e-3], [-slope], 1e-7);
    }
  });

  it("with R and C of its own for each unit: the paper's equation and energy, worked out in plain loops", () => {
    const [J, gain, N] = [rowsOf(weight), 3, 60];
    const [R, C] = [3, 4].map((seed) => numbers(new Generator(seed).uniform([N], 0.2, 3, "float64"))) as [number[], number[]];
    const I = numbers(new Generator(3).normal([N], 0, 0.3, "float64"));
    const model = new ContinuousHopfield({ weight, gain, input: float64(I), resistance: R, capacitance: C, stepSize: 1e-3 });
    const u = numbers(new Generator(4).normal([N], 0, 0.2, "float64"));
    const V = u.map((x) => Math.tanh(gain * x));
    const flow = (i: number) => (J[i] as number[]).reduce((sum, w, j) => (i === j ? sum : sum + w * (V[j] as number)), 0);
    const wanted = V.reduce((E, v, i) => {
      const integral = v * Math.atanh(v) + 0.5 * Math.log(1 - v * v);
      return E - 0.5 * v * flow(i) - (I[i] as number) * v + integral / (gain * (R[i] as number));
    }, 0);
    expectClose([model.energy(float64(u))], [wanted], 1e-9);
    const next = u.map((x, i) => x + (1e-3 / (C[i] as number)) * (flow(i) - x / (R[i] as number) + (I[i] as number)));
    expectClose(numbers(model.recall(float64(u), { maxSteps: 1 }).state), next, 1e-14);
    // Without a step size of its own the energy falls however unequal the units are.
    const slow = new ContinuousHopfield({ weight, gain, input: float64(I), resistance: R, capacitance: C });
    const { energies, converged, state } = slow.recall(float64(u), { maxSteps: 20_000 });
    expect(converged).toBe(true);
    expectFalling(energies, 1e-9);
    // Capacitances have no part in where it rests.
    const fast = new ContinuousHopfield({ weight, gain, input: float64(I), resistance: R });
    expectClose(numbers(fast.recall(state, { maxSteps: 20_000 }).state), numbers(state), 1e-3);
  });

  it("of one unit charges to R I with the time constant RC", () => {
    const one = new ContinuousHopfield({ weight: zeros([1, 1]), input: float64([2]), resistance: 3, capacitance: 0.5, stepSize: 1e-3 });
    const { states } = one.recall(float64([0]), { maxSteps: 1500, tolerance: 0, trace: true });
    const course = numbers(states as Tensor);
    expectClose([course[1500] as number], [6 * (1 - Math.exp(-1))], 1e-3);
    expect(one.resistance).toEqual(Float64Array.of(3));
  });

  it("with a low gain forgets everything", () => {
    const low = new ContinuousHopfield({ weight, gain: 0.5 });
    const { state, converged } = low.recall(float64(patterns[0] as number[]));
    expect(converged).toBe(true);
    expect(Math.max(...numbers(state).map(Math.abs))).toBeLessThan(1e-4);
  });
});

describe("modern Hopfield network", () => {
  it("recalls any of 1,000 patterns in one update, down its energy", () => {
    const raw = new Generator(6).normal([1000, 64], 0, 1, "float64");
    const patterns = div(raw, sqrt(sum(square(raw), { axis: -1, keepDim: true })));
    const noise = new Generator(7).normal([1000, 64], 0, 1 / 8, "float64");
    const cue = sub(patterns, noise);
    const once = modernHopfieldUpdate(cue, patterns, 32);
    const errors = numbers(sqrt(sum(square(sub(once, patterns)), { axis: -1 }))).sort((a, b) => a - b);
    expect(errors[500]).toBeLessThan(1e-4);
    expect(errors.filter((e) => e > 0.5).length).toBeLessThan(10);
    const [before, after] = [cue, once].map((q) => numbers(modernHopfieldEnergy(q, patterns, 32)));
    expect(after?.every((E, i) => E <= (before?.[i] as number) + 1e-12)).toBe(true);
  });

  it("update = state − ∂E/∂state", () => {
    const [q, X] = [new Generator(1).normal([3, 5], 0, 1, "float64"), new Generator(2).normal([4, 5], 0, 1, "float64")];
    const slope = grad((x: Tensor) => sum(modernHopfieldEnergy(x, X, 1.7)))(q)[0] as Tensor;
    expectClose(numbers(modernHopfieldUpdate(q, X, 1.7)), numbers(sub(q, slope)), 1e-12);
  });

  const layer = (options: object = {}) =>
    new HopfieldLayer({ inputSize: 6, patternSize: 4, heads: 2, generator: new Generator(8), dtype: "float64", ...options });
  const R = new Generator(9).normal([3, 2, 6], 0, 1, "float64");
  const Y = new Generator(10).normal([5, 2, 4], 0, 1, "float64");

  it("as a layer with one update is attention, worked in plain loops; with more, of the updated state", () => {
    for (const updates of [1, 3]) {
      const net = layer({ updates, beta: 0.9 });
      const [Wq, Wk, Wv, Wo] = [net.query, net.key, net.value, net.output].map((l) => rowsOf(l.weight)) as [
        number[][],
        number[][],
        number[][],
        number[][],
      ];
      const bias = numbers(net.output.bias as Tensor);
      const [r, y] = [numbers(R), numbers(Y)];
      const times = (W: number[][], x: number[]) => W.map((row) => row.reduce((s, w, i) => s + w * (x[i] as number), 0));
      const wanted: number[] = [];
      for (let l = 0; l < 3; l++) {
        for (let b = 0; b < 2; b++) {
          const stored = Array.from({ length: 5 }, (_, s) => y.slice((s * 2 + b) * 4, (s * 2 + b + 1) * 4));
          const q0 = times(Wq, r.slice((l * 2 + b) * 6, (l * 2 + b + 1) * 6));
          const heads = [0, 1].flatMap((h) => {
            const part = (x: number[]) => x.slice(h * 3, h * 3 + 3);
            const [K, V] = [stored.map((x) => part(times(Wk, x))), stored.map((x) => part(times(Wv, x)))];
            const read = (q: number[], values: number[][]) => {
              const e = K.map((k) => Math.exp(0.9 * k.reduce((s, v, i) => s + v * (q[i] as number), 0)));
              const Z = e.reduce((a, c) => a + c, 0);
              return [0, 1, 2].map((i) => values.reduce((s, v, p) => s + ((e[p] as number) / Z) * (v[i] as number), 0));
            };
            let q = part(q0);
            for (let k = 1; k < updates; k++) q = read(q, K);
            return read(q, V);
          });
          wanted.push(...times(Wo, heads).map((v, i) => v + (bias[i] as number)));
        }
      }
      expectClose(numbers(net.forward(R, Y)), wanted, 1e-12);
    }
  });

  it.each([false, true])("does not see what a mask leaves out, NaN among it (batchFirst %s)", (batchFirst) => {
    const net = layer({ updates: 2, batchFirst });
    const turn = (x: Tensor): Tensor => (batchFirst ? contiguous(permute(x, [1, 0, 2])) : x);
    const mask = tensor(
      [
        [true, false, true, true, false],
        [true, true, false, true, false],
      ],
      { dtype: "bool" },
    );
    const hidden = Y.toArray() as number[][][];
    for (const [s, b] of [
      [1, 0],
      [4, 0],
      [2, 1],
      [4, 1],
    ] as const)
      (hidden[s] as number[][])[b] = [Number.NaN, 1, Number.POSITIVE_INFINITY, Number.NaN];
    const weights = net.parameters();
    const results = [Y, tensor(hidden, { dtype: "float64" })].map((stored) => {
      const out = net.forward(turn(R), turn(stored), mask);
      for (const p of weights) p.grad = null;
      backward(sum(square(out)));
      return [numbers(turn(out)), ...weights.map((p) => numbers(p.grad as Tensor))];
    });
    expect(results[1]).toEqual(results[0]);
    expect(results.flat(2).every(Number.isFinite)).toBe(true);
  });

  it("has right gradients, in its inputs and its weights, also masked", () => {
    const net = layer({ updates: 2 });
    const mask = tensor(
      [
        [1, 1, 0, 1, 1],
        [0, 1, 1, 1, 0],
      ],
      { dtype: "bool" },
    );
    checkGrads((r: Tensor, y: Tensor) => net.forward(r, y, mask), [R, Y]);
    const original = net.key.weight;
    checkGrads(
      (w: Tensor) => {
        (net.key as { weight: Tensor }).weight = w;
        return net.forward(R, Y);
      },
      [tensor(original.data() as Float64Array, { shape: original.shape })],
    );
  });

  it("does not see what the mask leaves out, and takes batches first", () => {
    const net = layer();
    const mask = tensor(
      [
        [1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1],
      ],
      { dtype: "bool" },
    );
    const other = tensor(Y.data() as Float64Array, { shape: Y.shape });
    const values = numbers(other);
    for (let k = 0; k < 8; k++) values[2 * 8 + k] = 1e6;
    assign(other, values);
    expect(numbers(net.forward(R, other, mask))).toEqual(numbers(net.forward(R, Y, mask)));
    const swapped = layer({ batchFirst: true });
    const swap = (x: Tensor) => tensor(rowsOfBatches(x));
    expectClose(numbers(swap(swapped.forward(swap(R), swap(Y)))), numbers(net.forward(R, Y)), 1e-14);
  });
});

/** [L,B,F] as nested arrays [B,L,F], float64. */
function rowsOfBatches(x: Tensor): Float64Array[][] {
  const [L, B, F] = x.shape as [number, number, number];
  const values = Float64Array.from(x.data());
  return Array.from({ length: B }, (_, b) => Array.from({ length: L }, (__, l) => values.slice((l * B + b) * F, (l * B + b + 1) * F)));
}

describe("bidirectional associative memory", () => {
  const A = [
    [1, 0, 1, 0, 1, 0],
    [1, 1, 1, 0, 0, 0],
  ];
  const B = [
    [1, 1, 0, 0],
    [1, 0, 1, 0],
  ];
  const bipolar = (rows: number[][]) => rows.map((row) => row.map((v) => 2 * v - 1));

  it("is Kosko's example, in both codings", () => {
    for (const coding of ["binary", "bipolar"] as const) {
      const code = coding === "binary" ? (rows: number[][]) => rows : bipolar;
      const memory = new BAM({ inputSize: 6, outputSize: 4, coding }).store(tensor(code(A)), tensor(code(B)));
      expect(rowsOf(memory.weight)).toEqual([
        [2, 0, 0, -2],
        [0, -2, 2, 0],
        [2, 0, 0, -2],
        [-2, 0, 0, 2],
        [0, 2, -2, 0],
        [-2, 0, 0, 2],
      ]);
      const [as, bs] = [code(A), code(B)];
      for (const k of [0, 1]) {
        const forth = memory.associate({ a: tensor(as[k] as number[]) });
        expect({ b: numbers(forth.b), steps: forth.steps }).toEqual({ b: bs[k], steps: 2 });
        const back = memory.associate({ b: tensor(bs[k] as number[]) });
        expect(numbers(back.a)).toEqual(as[k]);
        expect(memory.energy(tensor([...(as[k] as number[]), ...(bs[k] as number[])]))).toBe(coding === "binary" ? -6 : -24);
      }
    }
    const memory = new BAM({ inputSize: 6, outputSize: 4, coding: "binary" }).store(tensor(A), tensor(B));
    const probed = memory.associate({ a: tensor([0, 1, 1, 0, 0, 0]) });
    expect([numbers(probed.a), numbers(probed.b)]).toEqual([A[1], B[1]]);
  });

  it("is Hopfield's network on both fields at once", () => {
    const [xs, ys] = [randomPatterns(1, 3, 9), randomPatterns(2, 3, 7)];
    const memory = new BAM({ inputSize: 9, outputSize: 7 }).store(tensor(xs), tensor(ys));
    const joint = new Hopfield({ size: 16 });
    const M = rowsOf(memory.weight);
    const J = Array.from({ length: 16 }, (_, i) =>
      Array.from({ length: 16 }, (__, j) =>
        i < 9 && j >= 9 ? (M[i]?.[j - 9] as number) : j < 9 && i >= 9 ? (M[j]?.[i - 9] as number) : 0,
      ),
    );
    assign(joint.weight, J.flat());
    for (const s of randomPatterns(3, 20, 16)) {
      expect(memory.energy(tensor(s))).toBeCloseTo(joint.energy(tensor(s)), 12);
      const options = { order: "sequential", trace: true } as const;
      expect(numbers(memory.recall(tensor(s), options).state)).toEqual(numbers(joint.recall(tensor(s), options).state));
      const { energies, converged } = memory.associate({ a: tensor(s.slice(0, 9)) });
      expect(converged).toBe(true);
      expectFalling(energies, 0);
    }
  });

  it("adapts by Kosko's equations, down an energy of potentials and weights of which they are the slopes", () => {
    const [n, p, gain, rate] = [3, 2, 1.5, 0.3];
    const draw = (seed: number, size: number) => numbers(new Generator(seed).normal([size], 0, 0.5, "float64"));
    const [input, start, M] = [draw(1, n + p), draw(2, n + p), draw(3, n * p)];
    const motionAt = (u: readonly number[], weight: readonly number[]) =>
      new AdaptiveMotion({ sizes: [n, p], input: Float64Array.from(input), gain, rate, stepSize: 1e-3 }, Float64Array.from(u), Float64Array.from(weight));
    const S = start.map((u) => Math.tanh(gain * u));
    const at = (i: number, j: number) => M[i * p + j] as number;
    // The paper's energy, term by term.
    let E = 0;
    S.forEach((s, k) => {
      E += (s * Math.atanh(s) + 0.5 * Math.log(1 - s * s)) / gain - (input[k] as number) * s;
    });
    for (let i = 0; i < n; i++) for (let j = 0; j < p; j++) E += 0.5 * at(i, j) ** 2 - (S[i] as number) * at(i, j) * (S[n + j] as number);
    const motion = motionAt(start, M);
    expectClose([motion.energy()], [E], 1e-12);
    motion.step();
    const energyAt = (V: readonly number[], weight: readonly number[]) => motionAt(V.map((v) => Math.atanh(v) / gain), weight).energy();
    const slope = (list: readonly number[], k: number, of: (changed: number[]) => number) => {
      const moved = (d: number) => of(list.map((v, i) => (i === k ? v + d : v)));
      return (moved(1e-6) - moved(-1e-6)) / 2e-6;
    };
    for (let k = 0; k < n + p; k++) {
      expectClose([((motion.state[k] as number) - (start[k] as number)) / 1e-3], [-slope(S, k, (V) => energyAt(V, M))], 1e-8);
    }
    for (let k = 0; k < n * p; k++) {
      expectClose([((motion.weight[k] as number) - (M[k] as number)) / 1e-3], [-rate * slope(M, k, (W) => energyAt(S, W))], 1e-8);
    }
  }); // biome-ignore format: long

  it("adapts to a pair until both rest: M = S(a)ᵀS(b), then recalls it from parts", () => {
    const [a, b] = [randomPatterns(5, 1, 8)[0] as number[], randomPatterns(6, 1, 5)[0] as number[]];
    const memory = new BAM({ inputSize: 8, outputSize: 5 });
    assign(memory.weight, numbers(new Generator(3).normal([40], 0, 0.3, "float64")));
    const done = memory.adapt({ a: tensor(a), b: tensor(b) }, { maxSteps: 20_000, tolerance: 1e-10 });
    expect(done.converged).toBe(true);
    expectFalling(done.energies, 1e-12);
    const [Sa, Sb] = [numbers(done.a).map(Math.tanh), numbers(done.b).map(Math.tanh)];
    const M = rowsOf(memory.weight);
    Sa.forEach((s, i) => {
      expectClose(
        M[i] as number[],
        Sb.map((t) => s * t),
        1e-6,
      );
      const wanted = (M[i] as number[]).reduce((sum, w, j) => sum + w * (Sb[j] as number), a[i] as number);
      expectClose([numbers(done.a)[i] as number], [wanted], 1e-6);
    });
    const damaged = a.map((v, i) => (i < 2 ? -v : v));
    expect(numbers(memory.associate({ a: tensor(damaged) }).b)).toEqual(b);
  });

  it("adapts to pairs shown in turn, for a few steps of a small rate each", () => {
    const [as, bs] = [randomPatterns(7, 3, 24), randomPatterns(8, 3, 20)];
    const memory = new BAM({ inputSize: 24, outputSize: 20 });
    const shown = { maxSteps: 40, rate: 0.02, stepSize: 0.05, gain: 2 };
    for (let round = 0; round < 10; round++) as.forEach((a, k) => void memory.adapt({ a: tensor(a), b: tensor(bs[k] as number[]) }, shown));
    as.forEach((a, k) => {
      expect(numbers(memory.associate({ a: tensor(a) }).b)).toEqual(bs[k]);
      expect(numbers(memory.associate({ b: tensor(bs[k] as number[]) }).a)).toEqual(a);
    });
    const before = numbers(memory.weight);
    expect(() => memory.adapt({ a: tensor([1]) })).toThrow("adapt: expected a of shape [24], got [1]");
    expect(() => memory.adapt({}, { rate: 0 })).toThrow("adapt: expected rate above 0, got 0");
    expect(numbers(memory.weight)).toEqual(before);
    // Nothing shown: weights fade by 1 − ε dt a step.
    memory.adapt({}, { maxSteps: 1, rate: 0.5, stepSize: 0.1 });
    expectClose(
      numbers(memory.weight),
      before.map((w) => 0.95 * w),
      1e-12,
    );
  }); // biome-ignore format: long

  it("with chance is a Markov chain to exp(−E/T) / Z", () => {
    const memory = new BAM({ inputSize: 3, outputSize: 2, coding: "binary" });
    assign(memory.weight, [1, -0.5, 0.3, 0.8, -1.2, 0.4]);
    const M = rowsOf(memory.weight);
    const energies = allStates(5, 0).map(
      (s) => -M.reduce((E, row, i) => E + row.reduce((e, w, j) => e + w * (s[i] as number) * (s[3 + j] as number), 0), 0),
    );
    const { states } = memory.associate(
      { a: tensor([0, 0, 0]) },
      { temperature: 0.7, maxSteps: 12_000, trace: true, generator: new Generator(3) },
    );
    const counts = new Array<number>(32).fill(0);
    for (const s of rowsOf(states as Tensor).slice(20)) counts[codeOf(s)] = (counts[codeOf(s)] as number) + 1;
    expect(
      variation(
        counts.map((c) => c / 11_981),
        boltzmann(energies, 0.7),
      ),
    ).toBeLessThan(0.04);
  });
});

describe("bad input", () => {
  const bam = () => new BAM({ inputSize: 2, outputSize: 2 });
  const x = float64([[1, 2]]);
  it.each([
    [
      () => new DenseAssociativeMemory({ patterns: tensor([1, 1]) }),
      ShapeError,
      "DenseAssociativeMemory: expected patterns [P,N], got [2]",
    ],
    [() => new DenseAssociativeMemory({ patterns: tensor([[1, 0]]) }), ArgumentError, "expected patterns to hold -1 and 1, got 0"],
    [
      () => new DenseAssociativeMemory({ patterns: tensor([[1, 1]]), power: 1 }),
      ArgumentError,
      "expected power to be a whole number of at least 2",
    ],
    [
      () =>
        new ContinuousHopfield({
          weight: tensor([
            [0, 1],
            [2, 0],
          ]),
        }),
      ArgumentError,
      "expected finite symmetric couplings",
    ],
    [() => new ContinuousHopfield({ weight: tensor([[0]]), gain: 0 }), ArgumentError, "ContinuousHopfield: expected gain above 0, got 0"],
    [
      () => new ContinuousHopfield({ weight: tensor([[0]]), resistance: [1, 2] }),
      ShapeError,
      "ContinuousHopfield: expected a resistance for each of 1 units, got 2",
    ],
    [
      () => new ContinuousHopfield({ weight: tensor([[0]]), capacitance: -1 }),
      ArgumentError,
      "ContinuousHopfield: expected capacitance above 0, got -1",
    ],
    [() => modernHopfieldUpdate(x, float64([[1, 2, 3]]), 1), ShapeError, "modernHopfieldUpdate: expected states"],
    [() => modernHopfieldEnergy(x, x, 0), ArgumentError, "modernHopfieldEnergy: expected beta above 0, got 0"],
    [
      () => modernHopfieldUpdate(tensor([[1]]), float64([[1]]), 1),
      DTypeError,
      "modernHopfieldUpdate: expected patterns of float32, as the states, got float64",
    ],
    [
      () => new HopfieldLayer({ inputSize: 5, heads: 2 }),
      ArgumentError,
      "HopfieldLayer: expected hiddenSize (inputSize / heads unless given)",
    ],
    [
      () => new HopfieldLayer({ inputSize: 2 }).forward(tensor([[1, 2]])),
      ShapeError,
      "HopfieldLayer: expected states [L,B,2] and patterns [S,B,2], got [1,2] and [1,2]",
    ],
    [
      () => new HopfieldLayer({ inputSize: 1 }).forward(tensor([[[1]]]), tensor([[[1]]]), tensor([[1]])),
      DTypeError,
      "HopfieldLayer: expected a mask of bool",
    ],
    [
      () =>
        bam().store(
          tensor([1, 1]),
          tensor([
            [1, 1],
            [1, 1],
          ]),
        ),
      ShapeError,
      "store: expected as many patterns B as A, got 2 and 1",
    ],
    [() => bam().store(tensor([1, 0]), tensor([1, 1])), ArgumentError, "store: expected A to hold -1 and 1, got 0 at position 1"],
    [() => bam().associate({}), ArgumentError, "associate: expected a cue of a, b or both, got neither"],
    [() => bam().associate({ a: tensor([1]) }), ShapeError, "associate: expected a of shape [2], got [1]"],
    [() => bam().associate({ a: tensor([1, 1]) }, { temperature: -1 }), ArgumentError, "associate: expected temperature of at least 0"],
  ])("is refused by name, case %#", (call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});
