/** Boltzmann machines, restricted and not. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { BoltzmannMachine } from "../../src/energy/boltzmann-machine.ts";
import { RBM } from "../../src/energy/rbm.ts";
import type { Parameter } from "../../src/nn/module.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { allStates, boltzmann, float64, pairwiseEnergy, randomCouplings, rowsOf } from "./plain.ts";

const numbers = (t: Tensor | null): number[] => Array.from((t as Tensor).data(), Number);

function expectClose(got: readonly number[], wanted: readonly number[], tolerance: number): void {
  expect(got.length).toBe(wanted.length);
  got.forEach((v, i) => {
    if (!(Math.abs(v - (wanted[i] as number)) <= tolerance)) throw new Error(`expected ${wanted[i]} at ${i}, got ${v}`);
  });
}

/** Central differences of a value in every element of a parameter. */
function differences(p: Parameter, value: () => number): number[] {
  const whole = numbers(p);
  const at = (i: number, d: number): number => {
    assign(
      p,
      whole.map((v, k) => (k === i ? v + d : v)),
    );
    return value();
  };
  const slopes = whole.map((_, i) => (at(i, 1e-5) - at(i, -1e-5)) / 2e-5);
  assign(p, whole);
  return slopes;
}

describe("Boltzmann machine", () => {
  const make = (coding: "binary" | "bipolar", hiddenSize = 2) => {
    const machine = new BoltzmannMachine({ visibleSize: 3, hiddenSize, coding, generator: new Generator(1) });
    const N = 3 + hiddenSize;
    assign(machine.weight, randomCouplings(2, N).flat());
    assign(machine.bias, numbers(new Generator(3).normal([N], 0, 0.5, "float64")));
    return machine;
  };

  it("couples what its mask couples: bipartite, it is a restricted machine", () => {
    const [V, H] = [3, 2];
    const rbm = new RBM({ visibleSize: V, hiddenSize: H, std: 0.5, dtype: "float64", generator: new Generator(1) });
    const across = Array.from({ length: V + H }, (_, i) => Array.from({ length: V + H }, (__, j) => i < V !== j < V));
    const mask = tensor(across, { dtype: "bool" });
    const machine = new BoltzmannMachine({ visibleSize: V, hiddenSize: H, mask, generator: new Generator(1) });
    const W = rowsOf(rbm.weight);
    // What the mask keeps apart may say anything.
    const weight = across.map((row, i) => row.map((on, j) => (on ? (W[Math.max(i, j) - V]?.[Math.min(i, j)] as number) : 7)));
    assign(machine.weight, weight.flat());
    assign(rbm.visibleBias, [0.3, -0.2, 0.1]);
    assign(rbm.hiddenBias, [0.5, -0.4]);
    assign(machine.bias, [0.3, -0.2, 0.1, 0.5, -0.4]);
    const data = float64([
      [1, 0, 1],
      [0, 0, 1],
    ]);
    const loss = machine.negativeLogLikelihood(data);
    expectClose([loss.item()], [-rbm.logLikelihood(data).item()], 1e-12);
    backward(loss);
    const slopes = rowsOf(machine.weight.grad as Tensor);
    expect(slopes.flatMap((row, i) => row.filter((_, j) => !across[i]?.[j])).every((d) => d === 0)).toBe(true);
    const state = float64([1, 1, 0, 1, 0]);
    expectClose([machine.energy(state)], [machine.energies(float64([[1, 1, 0, 1, 0]])).item()], 1e-12);
    expect([...machine.stateDict().keys()]).toContain("mask");

    const refused = (m: Tensor) => () => new BoltzmannMachine({ visibleSize: 2, mask: m });
    expect(refused(tensor([[0, 1], [1, 0]]))).toThrow(DTypeError); // biome-ignore format: a matrix
    expect(refused(tensor([true, false], { dtype: "bool" }))).toThrow(ShapeError);
    expect(refused(tensor([[false, true], [false, false]], { dtype: "bool" }))).toThrow("one way only between units 0 and 1"); // biome-ignore format: a matrix
    expect(refused(null as never)).toThrow(DTypeError);
  });

  it.each([
    ["binary", 0],
    ["bipolar", -1],
  ] as const)("%s: likelihood and its gradient are those of enumerated sums", (coding, low) => {
    const machine = make(coding);
    const [J, h] = [rowsOf(machine.weight), numbers(machine.bias)];
    const states = allStates(5, low);
    const p = boltzmann(
      states.map((s) => pairwiseEnergy(J, h, s)),
      1,
    );
    const data = [
      [1, low, 1],
      [low, low, 1],
    ];
    const logP = data.map((v) => Math.log(states.reduce((sum, s, k) => (v.every((x, i) => x === s[i]) ? sum + (p[k] as number) : sum), 0)));
    const loss = machine.negativeLogLikelihood(float64(data));
    expectClose([loss.item()], [-(logP.reduce((a, b) => a + b, 0) / 2)], 1e-12);
    backward(loss);
    // ½ (⟨s_i s_j⟩_model − ⟨s_i s_j⟩_data), off the diagonal
    const mean = (weights: readonly number[], f: (s: readonly number[]) => number) =>
      states.reduce((sum, s, k) => sum + (weights[k] as number) * f(s), 0);
    const clamped = states.map((s, k) =>
      data.reduce((w, v) => {
        const total = states.reduce((sum, r, m) => (v.every((x, i) => x === r[i]) ? sum + (p[m] as number) : sum), 0);
        return v.every((x, i) => x === s[i]) ? w + (p[k] as number) / total / 2 : w;
      }, 0),
    );
    const W = J.map((row, i) =>
      row.map((_, j) =>
        i === j
          ? 0
          : 0.5 * (mean(p, (s) => (s[i] as number) * (s[j] as number)) - mean(clamped, (s) => (s[i] as number) * (s[j] as number))),
      ),
    );
    expectClose(numbers(machine.weight.grad), W.flat(), 1e-12);
    expectClose(
      numbers(machine.bias.grad),
      h.map((_, i) => mean(p, (s) => s[i] as number) - mean(clamped, (s) => s[i] as number)),
      1e-12,
    );
  });

  it("learns the distribution of another machine, and weights that stay symmetric", () => {
    const teacher = make("bipolar", 0);
    const p = teacher.enumerate().probabilities(1);
    const student = new BoltzmannMachine({ visibleSize: 3, coding: "bipolar", generator: new Generator(4) });
    const optimizer = new SGD(student.parameters(), { lr: 1 });
    // The loss is a mean over data: states are repeated to their shares of 200.
    const counts = Array.from(p, (v) => Math.round(v * 200));
    const data = float64(allStates(3).flatMap((s, k) => new Array<number[]>(counts[k] as number).fill(s)));
    for (let k = 0; k < 150; k++) {
      scope(() => {
        optimizer.zeroGrad();
        backward(student.negativeLogLikelihood(data));
        optimizer.step();
      });
    }
    const total = counts.reduce((a, b) => a + b, 0);
    // Where the likelihood is at its maximum, machine and data agree in all means and products of two.
    const learned = student.enumerate().probabilities(1);
    const products = (weights: ArrayLike<number>) =>
      [0, 1, 2].flatMap((i) =>
        [0, 1, 2].map((j) =>
          allStates(3).reduce((sum, s, k) => sum + (weights[k] as number) * (s[i] as number) * (i === j ? 1 : (s[j] as number)), 0),
        ),
      );
    expectClose(products(learned), products(counts.map((c) => c / total)), 1e-4);
    // Shares of 200 are not quite the teacher's probabilities.
    expectClose(Array.from(learned), Array.from(p), 1e-2);
    const W = rowsOf(student.weight);
    W.forEach((row, i) => {
      row.forEach((v, j) => expect(v).toBe(W[j]?.[i]));
    });
  });

  it("by sampling estimates the exact gradient, with units clamped and free", () => {
    const machine = make("binary");
    const data = float64([
      [1, 0, 1],
      [0, 0, 1],
      [1, 1, 1],
      [1, 0, 0],
    ]);
    const gradients = (loss: Tensor) => {
      machine.zeroGrad();
      backward(loss);
      return [...numbers(machine.weight.grad), ...numbers(machine.bias.grad)];
    };
    const exact = gradients(machine.negativeLogLikelihood(data));
    const many = float64(Array.from({ length: 400 }, (_, k) => rowsOf(data)[k % 4] as number[]));
    const sampled = gradients(machine.contrast(many, { chains: 2000, generator: new Generator(5) }));
    expectClose(sampled, exact, 0.06);
    expect(Math.max(...exact.map(Math.abs))).toBeGreaterThan(0.12);
  });
});

describe("restricted Boltzmann machine", () => {
  const make = (V = 4, H = 3) => {
    const rbm = new RBM({ visibleSize: V, hiddenSize: H, std: 0.8, dtype: "float64", generator: new Generator(1) });
    assign(rbm.visibleBias, numbers(new Generator(2).normal([V], 0, 0.5, "float64")));
    assign(rbm.hiddenBias, numbers(new Generator(3).normal([H], 0, 0.5, "float64")));
    return rbm;
  };

  it("sums large machines in blocks: log Z and its gradient, of units on their own in closed form", () => {
    // 2^12 states × 1100: two blocks. Without couplings Z is a product, and the mean of h vᵀ the product of probabilities.
    for (const [V, H] of [
      [1100, 12],
      [12, 1100],
    ] as const) {
      const rbm = new RBM({ visibleSize: V, hiddenSize: H, std: 0, dtype: "float64" });
      assign(rbm.visibleBias, numbers(new Generator(7).normal([V], 0, 1, "float64")));
      assign(rbm.hiddenBias, numbers(new Generator(8).normal([H], 0, 1, "float64")));
      const [b, c] = [numbers(rbm.visibleBias), numbers(rbm.hiddenBias)];
      const { heap } = rbm.weight.storage;
      const before = heap.liveBytes;
      const logZ = rbm.logPartition();
      // What stays for backward is as large as the weights, not as the states.
      expect(heap.liveBytes - before).toBeLessThan(2 ** 22);
      expectClose([logZ.item()], [[...b, ...c].reduce((s, x) => s + Math.log1p(Math.exp(x)), 0)], 1e-9);
      backward(logZ);
      const [p, q] = [b, c].map((list) => list.map((x) => 1 / (1 + Math.exp(-x)))) as [number[], number[]];
      expectClose(numbers(rbm.visibleBias.grad as Tensor), p, 1e-12);
      expectClose(numbers(rbm.hiddenBias.grad as Tensor), q, 1e-12);
      expectClose(
        numbers(rbm.weight.grad as Tensor),
        q.flatMap((y) => p.map((x) => x * y)),
        1e-12,
      );
    }
  });

  it("in blocks, is differentiable in couplings as when small", () => {
    // Units that are cut off add ln 2 each and let the same machine be summed in one sweep and in blocks.
    const [small, large] = [make(4, 12), new RBM({ visibleSize: 1100, hiddenSize: 12, std: 0, dtype: "float64" })];
    const W = rowsOf(small.weight);
    assign(
      large.weight,
      W.flatMap((row) => [...row, ...new Array<number>(1096).fill(0)]),
    );
    assign(large.visibleBias, [...numbers(small.visibleBias), ...new Array<number>(1096).fill(0)]);
    assign(large.hiddenBias, numbers(small.hiddenBias));
    const [a, z] = [small.logPartition(), large.logPartition()];
    expectClose([z.item()], [a.item() + 1096 * Math.LN2], 1e-9);
    backward(mul(a, 3));
    backward(mul(z, 3));
    const first = rowsOf(large.weight.grad as Tensor).flatMap((row) => row.slice(0, 4));
    expectClose(first, numbers(small.weight.grad as Tensor), 1e-10);
    expectClose(numbers(large.hiddenBias.grad as Tensor), numbers(small.hiddenBias.grad as Tensor), 1e-10);
  });

  it("has probabilities, free energies and log Z of enumerated sums, whichever side is smaller", () => {
    for (const [V, H] of [
      [4, 3],
      [3, 4],
    ] as const) {
      const rbm = make(V, H);
      const [W, b, c] = [rowsOf(rbm.weight), numbers(rbm.visibleBias), numbers(rbm.hiddenBias)];
      const E = (v: readonly number[], h: readonly number[]): number => {
        const pairs = W.reduce((s, row, j) => s + row.reduce((t, w, i) => t + w * (h[j] as number) * (v[i] as number), 0), 0);
        const biases = b.reduce((s, x, i) => s + x * (v[i] as number), 0) + c.reduce((s, x, j) => s + x * (h[j] as number), 0);
        return -pairs - biases;
      };
      const [vs, hs] = [allStates(V, 0), allStates(H, 0)];
      const weights = vs.map((v) => hs.map((h) => Math.exp(-E(v, h))));
      const totals = weights.map((row) => row.reduce((x, y) => x + y, 0));
      const Z = totals.reduce((x, y) => x + y, 0);
      expectClose([rbm.logPartition().item()], [Math.log(Z)], 1e-12);
      expectClose(
        numbers(rbm.freeEnergy(float64(vs))),
        totals.map((t) => -Math.log(t)),
        1e-12,
      );
      const on = vs.flatMap((_, k) =>
        c.map((__, j) => hs.reduce((s, h, m) => s + (h[j] as number) * (weights[k]?.[m] as number), 0) / (totals[k] as number)),
      );
      expectClose(numbers(rbm.hiddenProbabilities(float64(vs))), on, 1e-12);
      expectClose([rbm.logLikelihood(float64([vs[5] as number[]])).item()], [Math.log((totals[5] as number) / Z)], 1e-12);
      const [v, h] = [vs[3] as number[], hs[5] as number[]];
      expectClose([rbm.energy(float64([...v, ...h]))], [E(v, h)], 1e-12);
      expect(rbm.enumerate().logPartition(1)).toBeCloseTo(Math.log(Z), 11);
    }
  });

  it("has the exact gradient of the likelihood, by finite differences", () => {
    const rbm = make();
    const data = float64([
      [1, 0, 1, 1],
      [0, 1, 0, 1],
    ]);
    backward(rbm.logLikelihood(data));
    for (const p of rbm.parameters())
      expectClose(
        numbers(p.grad),
        differences(p, () => rbm.logLikelihood(data).item()),
        1e-8,
      );
  });

  it("by long chains estimates that gradient; contrastive divergence by its statistics", () => {
    const rbm = make();
    const data = float64([
      [1, 0, 1, 1],
      [0, 1, 0, 1],
    ]);
    const gradients = (loss: Tensor) => {
      rbm.zeroGrad();
      backward(loss);
      return rbm.parameters().flatMap((p) => numbers(p.grad));
    };
    const exact = gradients(rbm.logLikelihood(data)).map((v) => -v);
    const chain = new Generator(4).bernoulli([4000, 4], 0.5, "float64");
    const { loss, chain: moved } = rbm.contrastiveDivergence(data, { k: 25, chain, generator: new Generator(5) });
    expect(moved.shape).toEqual([4000, 4]);
    expectClose(gradients(loss), exact, 0.05);
    // One step: ⟨p(h|v_k) v_kᵀ⟩ − ⟨p(h|v) vᵀ⟩ with the v_k that gibbs draws from the same generator.
    const v1 = rbm.gibbs(data, { generator: new Generator(6) });
    const statistics = (v: Tensor) => {
      const [rows, h] = [rowsOf(v), rowsOf(rbm.hiddenProbabilities(v))];
      return [0, 1, 2].flatMap((j) =>
        [0, 1, 2, 3].map((i) => rows.reduce((s, row, n) => s + ((row[i] as number) * (h[n]?.[j] as number)) / 2, 0)),
      );
    };
    const got = gradients(rbm.contrastiveDivergence(data, { generator: new Generator(6) }).loss).slice(0, 12);
    const [model, seen] = [statistics(v1), statistics(data)];
    expectClose(
      got,
      model.map((v, k) => v - (seen[k] as number)),
      1e-12,
    );
  });

  it("trains in float32 and raises the likelihood", () => {
    const rbm = new RBM({ visibleSize: 4, hiddenSize: 4, generator: new Generator(7) });
    const data = tensor([
      [1, 1, 0, 0],
      [0, 0, 1, 1],
    ]);
    const before = rbm.logLikelihood(data).item();
    const optimizer = new SGD(rbm.parameters(), { lr: 0.2, momentum: 0.5 });
    for (let k = 0; k < 300; k++) {
      scope(() => {
        optimizer.zeroGrad();
        backward(rbm.contrastiveDivergence(data, { generator: new Generator(k) }).loss);
        optimizer.step();
      });
    }
    expect(before).toBeLessThan(-2.7);
    expect(rbm.logLikelihood(data).item()).toBeGreaterThan(-1.4);
  });
});

describe("bad input", () => {
  const machine = () => new BoltzmannMachine({ visibleSize: 2 });
  const rbm = () => new RBM({ visibleSize: 2, hiddenSize: 30 });
  it.each([
    [() => new BoltzmannMachine({ visibleSize: 0 }), ArgumentError, "BoltzmannMachine: expected visibleSize"],
    [() => machine().contrast(tensor([[1, -1]])), ArgumentError, "contrast: expected data to hold 0 and 1, got -1 at position 1"],
    [() => machine().contrast(tensor([[1, 1, 1]])), ShapeError, "contrast: expected data of shape [P,2] or [2], got [1,3]"],
    [() => machine().contrast(tensor([1, 1]), { temperatures: [1, 0] }), ArgumentError, "contrast: expected temperatures above 0, got 0"],
    [
      () => machine().contrast(tensor([1, 1]), { temperatures: [] }),
      ArgumentError,
      "contrast: expected at least one of temperatures, got none",
    ],
    [
      () => machine().contrast(tensor([1, 1]), { temperatures: tensor([1]) as never }),
      DTypeError,
      "contrast: expected temperatures to be an array of numbers, got a Tensor",
    ],
    [
      () => machine().contrast(tensor([1, 1]), { temperatures: 1 as never }),
      DTypeError,
      "contrast: expected temperatures to be an array of numbers, got 1",
    ],
    [
      () => new BoltzmannMachine({ visibleSize: 17 }).negativeLogLikelihood(tensor([new Array(17).fill(1)])),
      ArgumentError,
      "expected at most 16 units, got 17",
    ],
    [() => new RBM({ visibleSize: 2, hiddenSize: 0 }), ArgumentError, "RBM: expected hiddenSize"],
    [() => rbm().freeEnergy(tensor([1, 0])), ShapeError, "freeEnergy: expected v of shape [B,2] with B of at least 1, got [2]"],
    [() => rbm().contrastiveDivergence(tensor([[1, 0]]), { k: 0 }), ArgumentError, "contrastiveDivergence: expected k"],
    [
      () => rbm().contrastiveDivergence(tensor([[1, Number.NaN]])),
      ArgumentError,
      "contrastiveDivergence: expected finite numbers in v [1,2]",
    ],
    [
      () => rbm().contrastiveDivergence(tensor([[1, 0]]), { chain: tensor([[Number.POSITIVE_INFINITY, 0]]) }),
      ArgumentError,
      "contrastiveDivergence: expected finite numbers in chain [1,2]",
    ],
    [() => rbm().gibbs(tensor([[Number.NaN, 0]])), ArgumentError, "gibbs: expected finite numbers in v [1,2]"],
    [() => rbm().freeEnergy(float64([[1, 0]])), DTypeError, "freeEnergy: expected v of float32, got float64"],
    [
      () => rbm().contrastiveDivergence(tensor([[true, false]], { dtype: "bool" })),
      DTypeError,
      "contrastiveDivergence: expected v of float32, got bool",
    ],
    [
      () => rbm().contrastiveDivergence(tensor([[1, 0]]), { chain: tensor([[1, 0, 1]]) }),
      ShapeError,
      "contrastiveDivergence: expected chain of shape [B,2] with B of at least 1, got [1,3]",
    ],
    [
      () => new RBM({ visibleSize: 21, hiddenSize: 30 }).logPartition(),
      ArgumentError,
      "logPartition: expected at most 20 units on one side, got 21 and 30",
    ],
  ])("is refused by name, case %#", (call, kind, message) => {
    expect(call).toThrow(kind);
    expect(call).toThrow(message);
  });
});
