/** Labels from the output of a network trained by connectionist temporal classification, against enumeration of all paths. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { ctcAlign, ctcBeamSearch, ctcGreedy, type LabelModel } from "../../src/decoding/index.ts";
import { ctcLoss } from "../../src/nn/ctc-loss.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

interface Enumerated {
  readonly labels: number[];
  /** Over all paths. */
  readonly logProbability: number;
  readonly bestPath: number[];
  readonly bestLogProbability: number;
}

const dropped = (path: readonly number[], blank: number): number[] => path.filter((c, t) => c !== blank && c !== path[t - 1]);

/** All C^T paths of sequence n, by what they say. */
function enumerate(logProbs: Tensor, n: number, length: number, blank: number): Map<string, Enumerated> {
  const C = logProbs.dim(2);
  const rows = logProbs.toArray() as number[][][];
  const found = new Map<string, Enumerated & { p: number }>();
  for (let i = 0; i < C ** length; i++) {
    const path = Array.from({ length }, (_, t) => Math.floor(i / C ** t) % C);
    const log = path.reduce((total, c, t) => total + (rows[t]?.[n]?.[c] as number), 0);
    const labels = dropped(path, blank);
    const known = found.get(labels.join());
    const p = (known?.p ?? 0) + Math.exp(log);
    const better = known === undefined || log > known.bestLogProbability;
    const best = better ? { bestPath: path, bestLogProbability: log } : known;
    found.set(labels.join(), {
      labels,
      p,
      logProbability: Math.log(p),
      bestPath: best.bestPath,
      bestLogProbability: best.bestLogProbability,
    });
  }
  return found;
}

const random = (seed: number, T: number, N: number, C: number): Tensor =>
  logSoftmax(new Generator(seed).normal([T, N, C], 0, 2, "float64"), -1);

const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(b));

/** log p(label | before) of a made-up language in which the last label and the length count. */
const language: LabelModel = (before, label) => -0.3 * (1 + label) - (before.at(-1) === label ? 1.7 : 0.2) - 0.1 * before.length;

function languageScore(labels: readonly number[]): number {
  return labels.reduce((total, label, i) => total + language(labels.slice(0, i), label), 0);
}

describe("ctcBeamSearch", () => {
  it.each([
    [1, 5, 3, 0],
    [2, 5, 3, 2],
    [3, 6, 3, 1],
    [4, 4, 4, 0],
    [5, 4, 4, 3],
  ])("as wide as there are labellings is enumeration: seed %i, T %i, C %i, blank %i", (seed, T, C, blank) => {
    const logProbs = random(seed, T, 2, C);
    const lengths = [T, T - 1];
    const found = ctcBeamSearch(logProbs, { width: 10_000, best: 10_000, blank, lengths });
    const weighted = ctcBeamSearch(logProbs, {
      width: 10_000,
      best: 10_000,
      blank,
      lengths,
      languageModel: language,
      languageWeight: 0.7,
      insertionBonus: 0.4,
    });
    lengths.forEach((length, n) => {
      const all = enumerate(logProbs, n, length, blank);
      const score = ({ labels, logProbability }: Enumerated) => logProbability + 0.7 * languageScore(labels) + 0.4 * labels.length;
      const plain = [...all.values()].sort((a, b) => b.logProbability - a.logProbability);
      const scored = [...all.values()].sort((a, b) => score(b) - score(a));
      expect(found[n]?.map((h) => h.labels)).toEqual(plain.map((h) => h.labels));
      expect(weighted[n]?.map((h) => h.labels)).toEqual(scored.map((h) => h.labels));
      plain.forEach((h, i) => {
        const got = found[n]?.[i];
        expect(close(got?.logProbability as number, h.logProbability) && close(got?.score as number, h.logProbability)).toBe(true);
      });
      scored.forEach((h, i) => {
        const got = weighted[n]?.[i];
        expect(close(got?.logProbability as number, h.logProbability) && close(got?.score as number, score(h))).toBe(true);
      });
    });
  });

  it("has the probabilities of ctcLoss", () => {
    const logProbs = random(6, 5, 1, 3);
    const [found] = ctcBeamSearch(logProbs, { width: 1000, best: 1000 });
    expect((found?.length as number) > 10).toBe(true);
    for (const { labels, logProbability } of found ?? []) {
      const loss = ctcLoss(logProbs, tensor([labels], { dtype: "int32", shape: [1, labels.length] }), [5], [labels.length], {
        reduction: "sum",
      });
      expect(close(-logProbability, loss.item())).toBe(true);
    }
  });

  it("asks the language model once for each extension, however long the sequence", () => {
    const asked = new Map<string, number>();
    const languageModel: LabelModel = (before, label) => {
      const key = `${before.join()}>${label}`;
      asked.set(key, (asked.get(key) ?? 0) + 1);
      return language(before, label);
    };
    const logProbs = random(7, 6, 1, 3);
    // Every labelling but the empty one is one extension of another.
    const extensions = enumerate(logProbs, 0, 6, 0).size - 1;
    for (const width of [1, 2, 5, 1000]) {
      asked.clear();
      ctcBeamSearch(logProbs, { width, languageModel });
      expect([...asked.values()].every((times) => times === 1)).toBe(true);
      if (width === 1000) expect(asked.size).toBe(extensions);
      else expect(asked.size > 1 && asked.size < extensions).toBe(true);
    }
  });

  it("finds what the best path misses", () => {
    // Graves 2012, figure 7.3: two steps, p(blank) 0.7, 0.6: the best path says nothing (0.42), A has 0.3·0.4 + 0.3·0.6 + 0.7·0.4 = 0.58.
    const logProbs = tensor([[[Math.log(0.7), Math.log(0.3)]], [[Math.log(0.6), Math.log(0.4)]]], { dtype: "float64" });
    expect(ctcGreedy(logProbs)[0]).toMatchObject({ labels: [], path: [0, 0], spans: [] });
    const [[best] = []] = ctcBeamSearch(logProbs, { width: 2 });
    expect(best?.labels).toEqual([1]);
    expect(close(Math.exp(best?.logProbability as number), 0.58)).toBe(true);
  });

  it("says a label twice only over a blank, and nothing over no steps", () => {
    const sure = (classes: number[]): Tensor =>
      tensor(
        classes.map((c) => [[0, 1, 2].map((i) => (i === c ? 0 : Number.NEGATIVE_INFINITY))]),
        { dtype: "float64" },
      );
    const says = (classes: number[]) => ctcBeamSearch(sure(classes), { width: 3 })[0]?.map((h) => h.labels);
    expect(says([1, 1, 2])).toEqual([[1, 2]]);
    expect(says([1, 0, 1, 2, 0, 0])).toEqual([[1, 1, 2]]);
    expect(says([0, 0])).toEqual([[]]);
    expect(ctcBeamSearch(sure([1]), { width: 3, lengths: [0] })).toEqual([[{ labels: [], logProbability: 0, score: 0 }]]);
    const never = tensor([[[Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]]]);
    expect(ctcBeamSearch(never, { width: 3 })).toEqual([[]]);
    const onlyBlank = ctcBeamSearch(random(1, 3, 1, 2), { width: 5, best: 5, languageModel: () => Number.NEGATIVE_INFINITY });
    expect(onlyBlank[0]?.map((h) => h.labels)).toEqual([[]]);
  });

  it("drops what does not fit into the beam, and its paths with it", () => {
    // With width 1, by hand: after step 1 the beam holds [1] (0.5 over 0.4 for []); after step 2 [1] with 0.5·(0.6 + 0.1), or [1,2] with 0.5·0.3.
    const p = [
      [0.4, 0.5, 0.1],
      [0.6, 0.1, 0.3],
    ];
    const logProbs = tensor(
      p.map((row) => [row.map(Math.log)]),
      { dtype: "float64" },
    );
    const [[best] = []] = ctcBeamSearch(logProbs, { width: 1 });
    expect(best?.labels).toEqual([1]);
    expect(close(Math.exp(best?.logProbability as number), 0.35)).toBe(true);
    const [[wide] = []] = ctcBeamSearch(logProbs, { width: 9 });
    expect(close(Math.exp(wide?.logProbability as number), 0.35 + 0.4 * 0.1)).toBe(true);
  });

  it("refuses NaN, logits, numbers out of range; padding may hold anything", () => {
    const [bad] = [tensor([[[Number.NaN, 0]], [[0, Number.NEGATIVE_INFINITY]]])];
    expect(() => ctcBeamSearch(bad, { width: 2 })).toThrow(/at most 0.*NaN for class 0 at step 0 of sequence 0/);
    expect(() => ctcGreedy(bad)).toThrow(ArgumentError);
    expect(() => ctcGreedy(tensor([[[3, -1]]]))).toThrow(/logSoftmax/);
    const padded = tensor([[[0, Number.NEGATIVE_INFINITY]], [[Number.NaN, 7]]]);
    expect(ctcGreedy(padded, { lengths: new Int32Array([1]) })[0]?.path).toEqual([0]);
    const x = random(1, 3, 2, 3);
    expect(() => ctcBeamSearch(x, { width: 0 })).toThrow(ArgumentError);
    expect(() => ctcBeamSearch(x, { width: 2, best: 1.5 })).toThrow(ArgumentError);
    expect(() => ctcBeamSearch(x, { width: 2, blank: 3 })).toThrow(ArgumentError);
    expect(() => ctcBeamSearch(x, { width: 2, lengths: [3] })).toThrow(ShapeError);
    expect(() => ctcBeamSearch(x, { width: 2, lengths: [3, 4] })).toThrow(ArgumentError);
    expect(() => ctcBeamSearch(x, { width: 2, languageModel: () => Number.NaN })).toThrow(/language model/);
    expect(() => ctcBeamSearch(x, { width: 2, languageModel: (() => "3") as never })).toThrow(DTypeError);
    expect(() => ctcBeamSearch(x, { width: 2, languageWeight: -1 })).toThrow(ArgumentError);
    expect(() => ctcGreedy(null as never)).toThrow(DTypeError);
  });
});

describe("ctcGreedy and ctcAlign", () => {
  it("read labels with the steps at which they are said", () => {
    const path = [2, 2, 0, 2, 1, 1, 1, 0];
    const logProbs = logSoftmax(
      tensor(
        path.map((c) => [[0, 1, 2].map((i) => (i === c ? 5 : 0))]),
        { dtype: "float64" },
      ),
      -1,
    );
    const spans = [
      { label: 2, start: 0, end: 2 },
      { label: 2, start: 3, end: 4 },
      { label: 1, start: 4, end: 7 },
    ];
    const each = Math.log(Math.exp(5) / (Math.exp(5) + 2));
    const [greedy] = ctcGreedy(logProbs);
    const [aligned] = ctcAlign(logProbs, tensor([2, 2, 1], { dtype: "int32" }), [8], [3]);
    for (const found of [greedy, aligned]) {
      expect(found).toMatchObject({ labels: [2, 2, 1], path, spans });
      expect(close(found?.logProbability as number, 8 * each)).toBe(true);
    }
  });

  it.each([0, 1, 2])("give the likeliest path of the enumeration, blank %i", (blank) => {
    const T = 6;
    const logProbs = random(20 + blank, T, 2, 3);
    for (const [n, length] of [T, T - 1].entries()) {
      const all = enumerate(logProbs, n, length, blank);
      const likeliest = [...all.values()].reduce((a, b) => (b.bestLogProbability > a.bestLogProbability ? b : a));
      expect(ctcGreedy(logProbs, { blank, lengths: [T, T - 1] })[n]?.path).toEqual(likeliest.bestPath);
      for (const { labels, bestPath, bestLogProbability } of all.values()) {
        const none: number[] = [];
        const targets = tensor(n === 0 ? labels.concat(none) : none.concat(labels), { dtype: "int32", shape: [labels.length] });
        const lengths = n === 0 ? [labels.length, 0] : [0, labels.length];
        const found = ctcAlign(logProbs, targets, [T, T - 1], lengths, { blank })[n];
        expect(found?.path).toEqual(bestPath);
        expect(close(found?.logProbability as number, bestLogProbability)).toBe(true);
      }
    }
  });

  it("know what does not fit", () => {
    const logProbs = random(1, 3, 3, 3);
    const targets = tensor(
      [
        [1, 1],
        [1, 1],
        [0, 0],
      ].map((row, n) => (n === 2 ? [1, 1] : row)),
      { dtype: "int32" },
    );
    const [fits, tooShort, empty] = ctcAlign(logProbs, targets, [3, 2, 0], [2, 2, 0]);
    expect(fits?.path).toEqual([1, 0, 1]);
    expect(tooShort).toBeNull();
    expect(empty).toEqual({ labels: [], path: [], spans: [], logProbability: 0 });
    expect(ctcAlign(logProbs, targets, [3, 0, 0], [2, 1, 0])[1]).toBeNull();
    expect(() => ctcAlign(logProbs, targets, [3, 3, 3], [2, 2, 3])).toThrow(ArgumentError);
    expect(() => ctcAlign(logProbs, targets, [3, 3, 3], [2, 2, 2], { blank: 1 })).toThrow(/ctcAlign: .*other than the blank/);
  });
});

describe("options that are none", () => {
  const logProbs = logSoftmax(tensor([[[1, 2, 3]]]), -1);
  it.each([null, 5, "x"])("are told by name: %j", (options) => {
    expect(() => ctcGreedy(logProbs, options as never)).toThrow("ctcGreedy: expected options as an object");
    expect(() => ctcBeamSearch(logProbs, options as never)).toThrow("ctcBeamSearch: expected options as an object");
    expect(() => ctcAlign(logProbs, tensor([[1]], { dtype: "int32" }), [1], [1], options as never)).toThrow(
      "ctcAlign: expected options as an object",
    );
  });

  it("are missing where there have to be some, or hold a language model that is no function", () => {
    expect(() => (ctcBeamSearch as (x: Tensor) => unknown)(logProbs)).toThrow(DTypeError);
    expect(() => ctcBeamSearch(logProbs, { width: 2, languageModel: 5 as never })).toThrow(
      "ctcBeamSearch: expected languageModel to be a function, got 5",
    );
  });
});
