import { describe, expect, it } from "vitest";
import { convLstm } from "../../reproduce/experiments/conv-lstm.ts";
import { filmBatch } from "../../reproduce/tasks/blobs.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { shortForms } from "./short-forms.ts";

shortForms(convLstm);

describe("filmBatch", () => {
  it("shows a square that moves evenly and turns at the walls", () => {
    const [T, B, side] = [20, 30, 6];
    const values = filmBatch(new Dice(1), { frames: T, batch: B, side, squares: 1 }).data();
    for (let b = 0; b < B; b++) {
      const places = Array.from({ length: T }, (_, t) => {
        const lit = Array.from({ length: side * side }, (_, i) => i).filter((i) => values[(t * B + b) * side * side + i] === 1);
        const first = lit[0] as number;
        expect(lit).toEqual([first, first + 1, first + side, first + side + 1]);
        return [Math.floor(first / side), first % side] as const;
      });
      for (const axis of [0, 1] as const) {
        const steps = places.slice(1).map((p, t) => p[axis] - (places[t] as readonly [number, number])[axis]);
        expect(new Set(steps.map(Math.abs)).size).toBe(1);
        steps.slice(1).forEach((step, t) => {
          if (step !== steps[t]) expect([0, side - 2]).toContain((places[t + 1] as readonly [number, number])[axis]);
        });
      }
    }
  });
});
