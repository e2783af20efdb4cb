import { describe, expect, it } from "vitest";
import { logisticRegression } from "../../examples/shared/logistic-regression.ts";
import { nearest, squaredDistance, warpedDistance } from "../../examples/shared/neighbours.ts";
import { WittenBell } from "../../examples/shared/witten-bell.ts";

describe("logisticRegression", () => {
  it("finds the optimum of its penalised loss", () => {
    // One feature, ±1, and three of four rows of each side in its class. By symmetry both classes have weights ±w/2, so that the loss is
    // ¾ log(1 + e^-w) + ¼ log(1 + e^w) + (w²/2)/(2·8); its slope vanishes where σ(w) − ¾ + w/16 = 0.
    const rows = [-1, -1, -1, -1, 1, 1, 1, 1].map((x) => [x]);
    const model = logisticRegression(rows, [0, 0, 0, 1, 1, 1, 1, 0], { classes: 2 });
    const [[a, b]] = model.scores([[1]]) as unknown as [[number, number]];
    const w = b - a;
    expect(Math.abs(1 / (1 + Math.exp(-w)) - 0.75 + w / 16)).toBeLessThanOrEqual(1e-4);
    expect(model.classes([[-5], [5]])).toEqual([0, 1]);
  });
});

describe("neighbours", () => {
  it("finds the nearest", () => {
    expect(
      nearest(
        [0, 0],
        [
          [3, 4],
          [1, 1],
          [-1, -1],
        ],
        squaredDistance,
      ),
    ).toBe(1);
  });

  it("warps time: a path along equal steps costs nothing", () => {
    const slow = [0, 0, 1, 1, 1, 2].map((x) => [x]);
    const fast = [0, 1, 2].map((x) => [x]);
    expect(warpedDistance(slow, fast)).toBe(0);
    // 0-0, 0-1 or 1-2: by hand, the diagonal path of [0, 1] and [1, 2] costs 2·1 + 2·1; that through (0,1) and (1,1) costs 2·1 + 0 + 1.
    expect(warpedDistance([[0], [1]], [[1], [2]])).toBe(3 / 4);
    expect(warpedDistance([[0], [1]], [[1], [2]], 0.1)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("WittenBell", () => {
  it("mixes each context with the shorter one by how many symbols have followed it", () => {
    const bigram = new WittenBell(
      [
        [0, 1],
        [0, 0],
      ],
      { order: 2, symbols: 2 },
    );
    // Without context, 0 came three times in four, and two symbols came at all: (3 + 2·½)/(4 + 2). After 0, both came once.
    const expected = [
      { history: [0], p: [(1 + 2 * (4 / 6)) / 4, (1 + 2 * (2 / 6)) / 4] },
      { history: [], p: [(2 + 4 / 6) / 3, 2 / 6 / 3] },
      { history: [1], p: [4 / 6, 2 / 6] },
    ];
    for (const { history, p } of expected) {
      bigram.distribution(history).forEach((own, k) => expect(Math.abs(own - (p[k] as number))).toBeLessThanOrEqual(1e-12));
    }
  });
});
