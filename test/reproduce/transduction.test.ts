import { describe, expect, it } from "vitest";
import { allBrackets, balancedWord, countedText, isBalanced, spoiltWord } from "../../reproduce/tasks/brackets.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { answers, bitsToCopy, itemsToRecall, symbolsToSay, wrongBits } from "../../reproduce/tasks/transduction.ts";
import { sub } from "../../src/ops/arithmetic.ts";
import { slice } from "../../src/ops/shape.ts";

describe("bitsToCopy", () => {
  const task = bitsToCopy(new Dice(1), { batch: 3, bits: 4, length: 5 });

  it("shows words, a mark, and nothing; asks for the same words", () => {
    expect(task.xs.shape).toEqual([11, 3, 5]);
    expect(slice(slice(task.xs, 0, 0, 5), 2, 0, 4).toArray()).toEqual(task.targets.toArray());
    expect(slice(task.xs, 0, 5, 6).toArray()).toEqual([new Array(3).fill([0, 0, 0, 0, 1])]);
    expect(
      slice(task.xs, 0, 6, 11)
        .data()
        .every((v) => v === 0),
    ).toBe(true);
    expect(
      slice(slice(task.xs, 0, 0, 5), 2, 4, 5)
        .data()
        .every((v) => v === 0),
    ).toBe(true);
    expect(answers(task.xs, task).toArray()).toEqual(slice(task.xs, 0, 6, 11).toArray());
  });

  it("counts wrong bits a sequence", () => {
    const right = sub(task.targets, 0.5);
    expect(wrongBits(right, task)).toBe(0);
    expect(wrongBits(sub(0, right), task)).toBe(20);
  });
});

describe("itemsToRecall", () => {
  it("shows items, one of them again, and asks for the one after it", () => {
    const batch = 50;
    const { xs, targets, length } = itemsToRecall(new Dice(4), { batch, bits: 4, items: 5 });
    expect([xs.shape, targets.shape, length]).toEqual([[7, batch, 6], [1, batch, 4], 1]); // biome-ignore format: shapes
    const rows = xs.toArray() as number[][][];
    const wanted = (targets.toArray() as number[][][]).flat();
    const asked = wanted.map((word, b) => {
      const column = rows.map((row) => row[b] as number[]);
      expect(column.map((x) => x.slice(4).join(""))).toEqual(["10", "10", "10", "10", "10", "01", "00"]);
      const words = column.map((x) => x.slice(0, 4).join(""));
      expect(new Set(words.slice(0, 5)).size).toBe(5);
      expect(words[6]).toBe("0000");
      const at = words.indexOf(words[5] as string);
      expect(words[at + 1]).toBe(word.join(""));
      return at;
    });
    expect(new Set(asked)).toEqual(new Set([0, 1, 2, 3]));
  });
});

describe("symbolsToSay", () => {
  it.each([false, true])("asks for the symbols again, in reverse order: %s", (reverse) => {
    const { xs, targets } = symbolsToSay(new Dice(2), { batch: 2, symbols: 6, length: 4, reverse });
    expect(xs.shape).toEqual([8, 2, 8]);
    const rows = xs.toArray() as number[][][];
    const shown = [0, 1].map((b) => [0, 1, 2, 3].map((t) => rows[t]?.[b]?.indexOf(1)));
    const said = [0, 1].map((b) => (targets.toArray() as number[][]).map((row) => row[b]));
    expect(said).toEqual(reverse ? shown.map((word) => word.toReversed()) : shown);
    const marks = rows.slice(4).map((row) => row.map((x) => x.indexOf(1)));
    expect(marks).toEqual(new Array(4).fill(reverse ? [7, 7] : [6, 6]));
    expect(rows.flat(2).reduce((sum, v) => sum + v)).toBe(16);
    expect(answers(xs, { length: 4 }).toArray()).toEqual(rows.slice(4));
  });
});

describe("brackets", () => {
  it("are balanced or not", () => {
    expect([[], [0, 1], [0, 0, 1, 1], [0, 1, 0, 1]].map(isBalanced)).toEqual([true, true, true, true]);
    expect([[0], [1, 0], [0, 1, 1], [0, 1, 1, 0]].map(isBalanced)).toEqual([false, false, false, false]);
    // Catalan's numbers.
    expect([2, 4, 6, 8].map((n) => allBrackets(n, n).filter(isBalanced).length)).toEqual([1, 2, 5, 14]);
    expect(allBrackets(1, 3).length).toBe(14);
  });

  it("are made of either kind in the length asked for", () => {
    const dice = new Dice(3);
    for (let length = 2; length <= 20; length += 2) {
      const [good, bad] = [balancedWord(dice, length), spoiltWord(dice, length)];
      expect([good.length, bad.length]).toEqual([length, length]);
      expect([isBalanced(good), isBalanced(bad)]).toEqual([true, false]);
    }
  });

  it("counts are said one after the other, certain but for the first b of a string and the first a", () => {
    expect(countedText([2, 1])).toEqual({
      symbols: [0, 0, 1, 1, 0, 1],
      certain: [false, false, false, true, true, false],
    });
  });
});
