import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { languages, logitsOf } from "../../examples/pytorch-weights/weights.ts";

const expected = JSON.parse(readFileSync(new URL("../../examples/pytorch-weights/expected.json", import.meta.url), "utf8"));

it("says what PyTorch says", () => {
  const logits = logitsOf(expected.names).toArray() as number[][];
  expect(languages.length).toBe(18);
  expect(logits.length).toBe(8);
  for (const [b, row] of logits.entries()) {
    expect(row.length).toBe(18);
    for (const [c, logit] of row.entries()) expect(Math.abs(logit - expected.logits[b][c])).toBeLessThanOrEqual(1e-5);
  }
  const best = logits.map((row) => languages[row.indexOf(Math.max(...row))]);
  expect([best[1], best[3]]).toEqual(["English", "Italian"]); // Jackson, Rossi
});
