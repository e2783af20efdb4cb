import { expect, it } from "vitest";
import { run } from "../../examples/translation/translation.ts";
import { bleu } from "../../src/metrics/text.ts";

it("translates sentences that it has not seen better than one answer for all", async () => {
  const losses: number[] = [];
  const { score, guesses, references, test, attention } = await run({ epochs: 2, onStep: ({ loss }) => losses.push(loss) });
  expect(test.length).toBeGreaterThan(250);
  expect(guesses.length).toBe(test.length);
  expect(losses.at(-1)).toBeLessThan(0.5 * (losses[0] as number));
  // The best of all answers in the data, given to everything.
  const answers = references.flat();
  const baseline = Math.max(
    ...answers.map((answer) =>
      bleu(
        references.map(() => answer),
        references,
        { smooth: true },
      ),
    ),
  );
  expect(score).toBeGreaterThan(1.3 * baseline);

  const { source, words, weights } = attention("i'm tired.");
  expect(source).toEqual(["i'm", "tired", "."]);
  expect(weights.length).toBe(words.length);
  for (const row of weights) expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
}, 240_000);
