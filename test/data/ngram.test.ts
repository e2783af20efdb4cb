import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { NgramModel } from "../../src/data/ngram.ts";

/** Ids from a small language with structure: a second-order chain over V symbols, with noise that prefers small ids when skewed. */
function chain(n: number, V: number, seed: number, skew = 1): Int32Array {
  let s = seed >>> 0;
  const random = () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
  const ids = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const expected = ((ids[i - 1] ?? 0) + 2 * (ids[i - 2] ?? 0) + 1) % V;
    ids[i] = random() < 0.7 ? expected : Math.floor(random() ** skew * V);
  }
  return ids;
}

/** The model from its equation alone: counts with string keys, no shared code. */
function oracle(train: Int32Array, V: number, weights: readonly number[], ids: Int32Array, at: number): number {
  const parts: [number, number][] = [[weights[0] as number, 1 / V]];
  for (let k = 0; k < weights.length - 1; k++) {
    if (k > at) continue;
    const context = [...ids.slice(at - k, at)].join();
    let seen = 0;
    let hit = 0;
    for (let i = k; i < train.length; i++) {
      if ([...train.slice(i - k, i)].join() !== context) continue;
      seen++;
      if (train[i] === ids[at]) hit++;
    }
    if (seen > 0) parts.push([weights[k + 1] as number, hit / seen]);
  }
  const available = parts.reduce((sum, [w]) => sum + w, 0);
  return parts.reduce((sum, [w, p]) => sum + w * p, 0) / available;
}

describe("NgramModel", () => {
  it("agrees with the equation, also at the start and after unseen contexts", () => {
    const V = 7;
    const train = chain(60, V, 1);
    const test = chain(25, V, 5);
    const model = new NgramModel(train, { order: 3, vocabSize: V });
    model.weights = [0.05, 0.2, 0.3, 0.45];
    for (let at = 0; at < test.length; at++) {
      const expected = oracle(train, V, model.weights, test, at);
      expect(Math.abs(model.probability(test, at) - expected)).toBeLessThanOrEqual(1e-14);
    }
  });

  it("probabilities sum to one over the vocabulary", () => {
    const V = 5;
    const model = new NgramModel(chain(40, V, 2), { order: 3, vocabSize: V });
    for (const context of [[], [3], [4, 4], [0, 1, 2]]) {
      let sum = 0;
      for (let c = 0; c < V; c++) sum += model.probability([...context, c], context.length);
      expect(Math.abs(sum - 1)).toBeLessThanOrEqual(1e-14);
    }
  });

  it("a unigram without smoothing has the entropy of the counts", () => {
    const ids = [0, 0, 0, 1, 1, 2, 2, 2];
    const model = new NgramModel(ids, { order: 1, vocabSize: 3 });
    model.weights = [0, 1];
    const entropy = -[3 / 8, 2 / 8, 3 / 8].reduce((h, p) => h + p * Math.log2(p), 0);
    expect(model.bitsPerSymbol(ids)).toBeCloseTo(entropy, 14);
    expect(model.bitsPerSymbol(ids, 5)).toBeCloseTo(-Math.log2(3 / 8), 14);
  });

  it("tuning raises the held-out likelihood every round and ends at its maximum", () => {
    const V = 6;
    const train = chain(2000, V, 3, 3);
    const heldOut = chain(400, V, 9, 3);
    const model = new NgramModel(train, { order: 3, vocabSize: V });
    let last = model.bitsPerSymbol(heldOut);
    for (let round = 0; round < 40; round++) {
      model.tune(heldOut, { maxIterations: 1, tolerance: 0 });
      const now = model.bitsPerSymbol(heldOut);
      expect(now).toBeLessThanOrEqual(last + 1e-12);
      last = now;
    }
    model.tune(heldOut, { maxIterations: 5000, tolerance: 1e-10 });
    expect(model.weights.reduce((a, b) => a + b)).toBeCloseTo(1, 12);
    const best = model.bitsPerSymbol(heldOut);
    const at = model.weights;
    for (let from = 0; from < 4; from++) {
      for (let to = 0; to < 4; to++) {
        const moved = Math.min(0.01, at[from] as number);
        model.weights = at.map((w, k) => w + (k === to ? moved : 0) - (k === from ? moved : 0));
        expect(model.bitsPerSymbol(heldOut)).toBeGreaterThanOrEqual(best - 1e-9);
      }
    }
  });

  it("beats the unigram on a chain of order two and is near its entropy", () => {
    const V = 6;
    const [train, valid, test] = [chain(20000, V, 1), chain(2000, V, 2), chain(4000, V, 4)];
    const bits = [1, 3].map((order) => {
      const model = new NgramModel(train, { order, vocabSize: V });
      model.tune(valid);
      return model.bitsPerSymbol(test);
    }) as [number, number];
    const hit = 0.7 + 0.3 / V;
    const entropy = -hit * Math.log2(hit) - (1 - hit) * Math.log2(0.3 / V);
    expect(Math.abs(bits[1] - entropy)).toBeLessThanOrEqual(0.05);
    expect(bits[0]).toBeGreaterThan(bits[1] + 0.8);
  });

  it("rejects orders and ids that do not fit", () => {
    expect(() => new NgramModel([0], { order: 0, vocabSize: 3 })).toThrow(ArgumentError);
    expect(() => new NgramModel([0], { order: 9, vocabSize: 100 })).toThrow(ArgumentError);
    expect(() => new NgramModel([0, 3], { order: 1, vocabSize: 3 })).toThrow("expected ids in [0, 2], got 3 at 1");
    const model = new NgramModel([0, 1], { order: 2, vocabSize: 3 });
    expect(() => model.tune([])).toThrow(ArgumentError);
    expect(() => model.bitsPerSymbol([0], 1)).toThrow(ArgumentError);
  });
});
