import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { run } from "../../examples/generate-text/generate-text.ts";

const text = readFileSync(new URL("../../examples/generate-text/shakespeare.txt", import.meta.url), "utf8").slice(0, 40_000);

/** Bits per character of a text by how often each occurs in it. */
function entropy(own: string): number {
  const counts = new Map<string, number>();
  for (const symbol of own) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
  return -[...counts.values()].reduce((sum, n) => sum + (n / own.length) * Math.log2(n / own.length), 0);
}

it("learns more of a text than how often each character occurs, and goes on from a checkpoint as if it had never stopped", async () => {
  let half: Uint8Array | undefined;
  const whole = await run({
    text,
    steps: 60,
    onStep({ step }, training) {
      if (step === 30) half = training.checkpoint();
    },
  });
  expect(whole.bits).toBeLessThan(0.85 * entropy(text.slice(-4000)));
  expect(whole.written.length).toBe(400);
  const resumed = await run({ text, steps: 60, resume: half });
  expect(resumed.history.loss.x).toEqual(Array.from({ length: 30 }, (_, i) => 31 + i));
  expect([resumed.bits, resumed.written]).toEqual([whole.bits, whole.written]);
});
