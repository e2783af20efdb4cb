import { expect, it } from "vitest";
import { run } from "../../examples/tagger/tagger.ts";

/** The share of tags that the most frequent tag of each word gets right, told the test sentences themselves. */
function byWordAlone(sentences: readonly { readonly words: readonly string[]; readonly tags: readonly string[] }[]): number {
  const counts = new Map<string, Map<string, number>>();
  for (const { words, tags } of sentences) {
    words.forEach((word, i) => {
      const own = counts.get(word) ?? new Map<string, number>();
      counts.set(word, own.set(tags[i] as string, (own.get(tags[i] as string) ?? 0) + 1));
    });
  }
  const all = [...counts.values()].map((own) => [...own.values()]);
  return all.reduce((sum, own) => sum + Math.max(...own), 0) / all.flat().reduce((a, b) => a + b);
}

it("tags words by what stands on both sides", async () => {
  const both = await run({ epochs: 2 });
  const forwards = await run({ epochs: 2, bidirectional: false });
  const baseline = byWordAlone(both.test);
  expect(both.test.length).toBe(400);
  expect(baseline).toBeLessThan(0.88);
  expect(forwards.right).toBeGreaterThan(baseline);
  expect(both.right).toBeGreaterThan(forwards.right + 0.02);
  expect(both.tag("the old man often fish").length).toBe(5);
});
