import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import {
  accuracy,
  bitsPerSymbol,
  bleu,
  characterErrorRate,
  classReport,
  confusionMatrix,
  editDistance,
  f1,
  mae,
  mape,
  mase,
  perplexity,
  precision,
  recall,
  rmse,
  rocAuc,
  smape,
  topKAccuracy,
  wordErrorRate,
} from "../../src/metrics/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";

describe("metrics of classes", () => {
  // The examples of scikit-learn's documentation.
  const [truth, guess] = [
    [0, 1, 2, 0, 1, 2],
    [0, 2, 1, 0, 0, 1],
  ];

  it("are those of scikit-learn", () => {
    expect(accuracy([0, 2, 1, 3], [0, 1, 2, 3])).toBe(0.5);
    expect(confusionMatrix([0, 0, 2, 2, 0, 2], [2, 0, 2, 2, 0, 1])).toEqual([
      [2, 0, 0],
      [0, 0, 1],
      [1, 0, 2],
    ]);
    expect(precision(guess, truth)).toBeCloseTo(2 / 9, 12);
    expect(precision(guess, truth, { average: "micro" })).toBeCloseTo(1 / 3, 12);
    expect(precision(guess, truth, { average: "weighted" })).toBeCloseTo(2 / 9, 12);
    expect(recall(guess, truth)).toBeCloseTo(1 / 3, 12);
    expect(f1(guess, truth)).toBeCloseTo(0.8 / 3, 12);
    expect(classReport(guess, truth)[0]).toEqual({ precision: 2 / 3, recall: 1, f1: 0.8, support: 2 });
    const scores = [
      [0.5, 0.2, 0.2],
      [0.3, 0.4, 0.2],
      [0.2, 0.4, 0.3],
      [0.7, 0.2, 0.1],
    ];
    expect(topKAccuracy(scores, [0, 1, 2, 2], 2)).toBe(0.75);
    expect(rocAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])).toBe(0.75);
  });

  it("weigh classes by how often they are the target", () => {
    // Class 0: P 1/2, R 1, F 2/3, once; class 1: P 1, R 2/3, F 4/5, three times.
    const [own, goal] = [
      [0, 0, 1, 1],
      [0, 1, 1, 1],
    ];
    expect(f1(own, goal, { average: "weighted" })).toBeCloseTo((2 / 3 + 3 * 0.8) / 4, 12);
    // Classes that never occur count for nothing, whatever the number of classes.
    expect(f1(own, goal, { classes: 7 })).toBe(f1(own, goal));
    expect(confusionMatrix(own, goal, { classes: 3 })).toEqual([
      [1, 0, 0],
      [1, 2, 0],
      [0, 0, 0],
    ]);
  });

  it("leave out padding: by lengths, by a mask, by the index that crossEntropy ignores", () => {
    const logits = tensor([
      [
        [2, 1],
        [0, 1],
      ],
      [
        [0, 3],
        [9, 0],
      ],
    ]);
    const targets = tensor(Int32Array.of(0, 1, 0, 1), { shape: [2, 2] });
    expect(accuracy(logits, targets)).toBe(0.5);
    expect(accuracy(logits, targets, { lengths: [1, 1] })).toBe(1);
    expect(accuracy(logits, targets, { lengths: [2, 1] })).toBeCloseTo(2 / 3, 12);
    expect(
      accuracy(logits, targets, {
        mask: [
          [false, true],
          [true, true],
        ],
      }),
    ).toBeCloseTo(1 / 3, 12);
    expect(
      accuracy(logits, [
        [0, 1],
        [-100, -100],
      ]),
    ).toBe(1);
    expect(
      accuracy(
        logits,
        [
          [0, 1],
          [7, 7],
        ],
        { ignoreIndex: 7 },
      ),
    ).toBe(1);
    expect(
      accuracy(
        [
          [Number.NaN, 1],
          [0, 1],
        ],
        [-100, 1],
      ),
    ).toBe(1);
  });

  it("take equal scores in the order of classes", () => {
    expect(accuracy([[1, 1, 1]], [0])).toBe(1);
    expect(topKAccuracy([[1, 1, 1]], [1], 1)).toBe(0);
    expect(topKAccuracy([[1, 1, 1]], [1], 2)).toBe(1);
  });

  it("count pairs of equal scores half, as every pair counted by itself does", () => {
    const scores = [0.3, 0.1, 0.3, 0.7, 0.3, 0.1, 0.9, 0.2];
    const labels = [1, 0, 0, 1, 1, 1, 0, 0];
    let [won, all] = [0, 0];
    labels.forEach((a, i) => {
      labels.forEach((b, j) => {
        if (a !== 1 || b !== 0) return;
        const [x, y] = [scores[i] as number, scores[j] as number];
        won += x > y ? 1 : x === y ? 0.5 : 0;
        all++;
      });
    });
    expect(rocAuc(scores, labels)).toBe(won / all);
    expect(rocAuc([...scores, 5], [...labels, 1], { mask: [...scores.map(() => 1), 0] })).toBe(won / all);
  });

  it("refuse what makes no sense", () => {
    expect(() => accuracy([1, 2], [1, 2, 3])).toThrow(ShapeError);
    expect(() => accuracy([[1, Number.NaN]], [0])).toThrow("got NaN for class 1");
    expect(() => accuracy([0], [-100])).toThrow("at least one element that counts");
    expect(() => accuracy("abc" as never, [0])).toThrow(DTypeError);
    expect(() => accuracy([0], null as never)).toThrow(DTypeError);
    expect(() => accuracy([0], [0], { lengths: [1] })).toThrow(ShapeError);
    expect(() => accuracy([0], [0], { mask: [1, 1] })).toThrow(ShapeError);
    expect(() => accuracy([0], [0], { ignore: 1 } as never)).toThrow(ArgumentError);
    expect(() => topKAccuracy([0, 1], [0, 1], 1)).toThrow(ShapeError);
    expect(() => topKAccuracy([[0, 1]], [1], 3)).toThrow(ArgumentError);
    expect(() => topKAccuracy([[0, 1]], [2], 1)).toThrow("a target");
    expect(() => confusionMatrix([0, 5], [0, 1], { classes: 3 })).toThrow(ArgumentError);
    expect(() => confusionMatrix([0.5], [0])).toThrow(ArgumentError);
    expect(() => f1([0], [0], { average: "none" } as never)).toThrow(ArgumentError);
    expect(() => rocAuc([0.1, 0.2], [1, 1])).toThrow("both kinds");
    expect(() => rocAuc([0.1, 0.2], [0, 2])).toThrow(ArgumentError);
    expect(() => rocAuc([0.1, Number.NaN], [0, 1])).toThrow(ArgumentError);
  });
});

describe("metrics of numbers", () => {
  it("are what their formulas say", () => {
    expect(rmse([1, 2], [1, 4])).toBe(Math.SQRT2);
    expect(mae(tensor([1, 2]), tensor([1, 4]))).toBe(1);
    expect(mape([90, 220], [100, 200])).toBeCloseTo(0.1, 12);
    expect(smape([100, 0], [300, 0])).toBe(0.5);
    // scikit-learn's documentation: errors 0.5, 0.5, 0, 1.
    expect(mae([2.5, 0, 2, 8], [3, -0.5, 2, 7])).toBe(0.5);
    expect(rmse([2.5, 0, 2, 8], [3, -0.5, 2, 7])).toBeCloseTo(Math.sqrt(0.375), 12);
    expect(perplexity(Math.log(8))).toBeCloseTo(8, 12);
    expect(bitsPerSymbol(Math.log(8))).toBeCloseTo(3, 12);
  });

  it("scale errors by those of the naive forecast, of a season ago", () => {
    expect(mase([5, 6], [5, 7], [1, 2, 3, 4])).toBe(0.5);
    // Seasonal differences 3, 3: the error 1.5 is half of them.
    expect(mase([1.5], [3], [0, 10, 3, 13], { season: 2 })).toBe(0.5);
  });

  it("leave out padding, whatever it holds", () => {
    const padded = tensor([
      [1, 2],
      [3, Number.NaN],
    ]);
    expect(
      mae(
        padded,
        [
          [2, 2],
          [3, 0],
        ],
        { lengths: [2, 1] },
      ),
    ).toBeCloseTo(1 / 3, 12);
    expect(mape([1, 5], [2, 0], { mask: [1, 0] })).toBe(0.5);
  });

  it("refuse what makes no sense", () => {
    expect(() => rmse([1], [1, 2])).toThrow(ShapeError);
    expect(() => mape([1], [0])).toThrow("mask them, or use smape or mase");
    expect(() => mase([1], [1], [1, 2], { season: 2 })).toThrow("more than 2 steps, got 2");
    expect(() => mase([1], [1], [1, 1])).toThrow("repeats itself");
    expect(() => mase([1], [1], [[1, 2]])).toThrow(ShapeError);
    expect(() => perplexity(tensor(1) as never)).toThrow("loss.item()");
  });
});

describe("metrics of texts", () => {
  it("count edits", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance([1, 2, 3], Int32Array.of(2, 3))).toBe(1);
    // One character, though two code units.
    expect(editDistance("a😀", "ab")).toBe(1);
    expect(wordErrorRate("the cat sat", "the cat sat down")).toBe(0.25);
    expect(wordErrorRate(["a  b", "c"], ["a b", "d e"])).toBe(0.5);
    expect(characterErrorRate(["helo"], ["hello"])).toBeCloseTo(0.2, 12);
  });

  it("give the BLEU of NLTK's documentation", () => {
    const words = (text: string) => text.split(" ");
    const one = words("It is a guide to action which ensures that the military always obeys the commands of the party");
    const references = [
      "It is a guide to action that ensures that the military will forever heed Party commands",
      "It is the guiding principle which guarantees the military forces always being under the command of the Party",
      "It is the practical guide for the army always to heed the directions of the party",
    ].map(words);
    const two = words("he read the book because he was interested in world history");
    const other = [words("he was interested in world history because he read the book")];
    expect(bleu([one], [references])).toBeCloseTo(0.5045666840058485, 12);
    expect(bleu([one, two], [references, other])).toBeCloseTo(0.5920778868801042, 12);
  });

  it("penalise brevity and smooth short texts", () => {
    // Every n-gram of the hypothesis occurs; it is 2 words shorter than the reference.
    expect(bleu([[1, 2, 3, 4]], [[[1, 2, 3, 4, 5, 6]]])).toBeCloseTo(Math.exp(1 - 6 / 4), 12);
    expect(bleu([[1, 2]], [[[1, 2]]])).toBe(0);
    expect(bleu([[1, 2]], [[[1, 2]]], { maxOrder: 2 })).toBe(1);
    // 2/2 · (1 + 1)/(1 + 1) · 1/1 · 1/1.
    expect(bleu([[1, 2]], [[[1, 2]]], { smooth: true })).toBe(1);
    expect(bleu([[1, 9]], [[[1, 2]]], { smooth: true, maxOrder: 2 })).toBeCloseTo(Math.sqrt(0.5 * 0.5), 12);
    expect(bleu([[]], [[[1]]])).toBe(0);
    // 11 and 1 are not 1 and 11; "1" is not 1.
    expect(bleu([[11, 1]], [[[1, 11]]], { maxOrder: 2 })).toBe(0);
    expect(bleu([["1"]], [[[1]]], { maxOrder: 1 })).toBe(0);
  });

  it("refuse what makes no sense", () => {
    expect(() => editDistance(3 as never, "a")).toThrow(DTypeError);
    expect(() => wordErrorRate(["a"], ["a", "b"])).toThrow(ShapeError);
    expect(() => wordErrorRate([" "], [" "])).toThrow(ArgumentError);
    expect(() => wordErrorRate([["a"]] as never, ["a"])).toThrow(DTypeError);
    expect(() => bleu([["a"]], [])).toThrow(ShapeError);
    expect(() => bleu([["a"]], [[]])).toThrow(ArgumentError);
    expect(() => bleu([["a"]], [[["a"]]], { maxOrder: 0 })).toThrow(ArgumentError);
  });
});
