import { describe, expect, it } from "vitest";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { answers, bitsToCopy, wrongBits } from "../../reproduce/tasks/transduction.ts";
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
