import { expect, it } from "vitest";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { ORDER, orderBatch } from "../../reproduce/tasks/order.ts";

it("the temporal order problem is B, letters with two that count, E, and asks for the pair", () => {
  const B = 200;
  const { xs, targets } = orderBatch(new Dice(1), { batch: B });
  const values = xs.data();
  const classes = Array.from(targets.data(), Number);
  let ones = 0;
  for (let b = 0; b < B; b++) {
    const text = Array.from({ length: 50 }, (_, t) => {
      const row = Array.from(values.subarray((t * B + b) * ORDER.symbols, (t * B + b + 1) * ORDER.symbols), Number);
      ones += row.filter((v) => v === 1).length;
      return "BEXYabcd"[row.indexOf(1)] as string;
    });
    expect(text.join("")).toMatch(/^B[a-d]{2,11}[XY][a-d]*[XY][a-d]*E$/);
    const places = text.flatMap((letter, t) => (letter === "X" || letter === "Y" ? [t] : [])) as [number, number];
    expect(places[0]).toBeLessThanOrEqual(12);
    expect(places[1]).toBeGreaterThanOrEqual(25);
    expect(places[1]).toBeLessThanOrEqual(40);
    expect(["XX", "XY", "YX", "YY"][classes[b] as number]).toBe(places.map((t) => text[t]).join(""));
  }
  expect(ones).toBe(50 * B);
  for (let k = 0; k < ORDER.classes; k++) expect(Math.abs(classes.filter((c) => c === k).length / B - 0.25)).toBeLessThan(0.1);
});
