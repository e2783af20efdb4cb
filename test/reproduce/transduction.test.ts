import { describe, expect, it } from "vitest";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { answers, bitsToCopy, symbolsToSay, wrongBits } from "../../reproduce/tasks/transduction.ts";
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

describe("symbolsToSay", () => {
  it.each([false, true])("asks for the symbols again, in reverse: %s", (reverse) => {
    const { xs, targets } = symbolsToSay(new Dice(2), { batch: 2, symbols: 6, length: 4, reverse });
    expect(xs.shape).toEqual([9, 2, 7]);
    const rows = xs.toArray() as number[][][];
    const shown = [0, 1].map((b) => [0, 1, 2, 3].map((t) => rows[t]?.[b]?.indexOf(1)));
    const said = [0, 1].map((b) => (targets.toArray() as number[][]).map((row) => row[b]));
    expect(said).toEqual(reverse ? shown.map((word) => word.toReversed()) : shown);
    expect(rows[4]?.map((row) => row.indexOf(1))).toEqual([6, 6]);
    expect(
      rows
        .slice(5)
        .flat(2)
        .every((v) => v === 0),
    ).toBe(true);
  });
});
