import { describe, expect, it } from "vitest";
import { encoderDecoder } from "../../reproduce/experiments/encoder-decoder.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { reversalBatch } from "../../reproduce/tasks/reversal.ts";
import { shortForms } from "./short-forms.ts";

describe("reversal", () => {
  it("has all lengths and symbols, and targets from the end", () => {
    const { sources, targets } = reversalBatch(new Dice(1), 2000);
    expect(new Set(sources.map((s) => s.length))).toEqual(new Set([4, 5, 6, 7, 8, 9, 10]));
    expect(new Set(sources.flat())).toEqual(new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    for (const [b, source] of sources.entries()) expect(source.map((_, i) => source[source.length - 1 - i])).toEqual(targets[b]);
  });
});

shortForms(encoderDecoder);
