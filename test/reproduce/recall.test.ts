import { describe, expect, it } from "vitest";
import { recall } from "../../reproduce/experiments/recall.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { recallBatch } from "../../reproduce/tasks/recall.ts";
import { shortForms } from "./short-forms.ts";

shortForms(recall);

describe("recallBatch", () => {
  it("shows different keys with a value each, then asks for all of them", () => {
    const [pairs, B, keys, values] = [5, 30, 9, 4];
    const { xs, targets } = recallBatch(new Dice(1), { pairs, batch: B, keys, values });
    const at = (t: number, b: number, from: number, n: number) => {
      const start = (t * B + b) * (keys + values) + from;
      const part = Array.from(xs.data().subarray(start, start + n), Number);
      expect(part.filter((v) => v !== 0 && v !== 1)).toEqual([]);
      return part.indexOf(1);
    };
    for (let b = 0; b < B; b++) {
      const meant = new Map(Array.from({ length: pairs }, (_, t) => [at(t, b, 0, keys), at(t, b, keys, values)] as const));
      expect(meant.size).toBe(pairs);
      const asked = Array.from({ length: pairs }, (_, t) => at(pairs + t, b, 0, keys));
      expect(asked.toSorted()).toEqual([...meant.keys()].sort());
      for (const [t, key] of asked.entries()) {
        expect(at(pairs + t, b, keys, values)).toBe(-1);
        expect(targets.data()[t * B + b]).toBe(meant.get(key));
      }
    }
  });
});
