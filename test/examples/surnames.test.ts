import { expect, it } from "vitest";
import { languages, run } from "../../examples/surnames/surnames.ts";

it("tells languages of surnames better than the most frequent one", async () => {
  const { history, right, confusion } = await run({ epochs: 4, every: 10 });
  const counts = confusion.map((row) => row.reduce((a, b) => a + b));
  const total = counts.reduce((a, b) => a + b);
  expect(languages.length).toBe(18);
  expect(total).toBeGreaterThan(290);
  expect(history.loss.y.length).toBe(4 * Math.ceil((2005 - total) / 64));
  const baseline = Math.max(...counts) / total;
  expect(baseline).toBeGreaterThan(0.4);
  expect(right).toBeGreaterThan(baseline + 0.12);
});
