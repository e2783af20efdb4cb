import { describe, expect, it } from "vitest";
import {
  coins,
  continualReber,
  embeddedReber,
  legalPredictions,
  oneHotSymbols,
  REBER_SYMBOLS,
  type ReberStep,
  reber,
  symbolIds,
} from "../../reproduce/tasks/reber.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { Generator } from "../../src/tensor/random.ts";

const text = (steps: readonly ReberStep[]) => steps.map((s) => s.symbol).join("");

/** The symbol after each step is one that was announced. */
function expectAnnounced(steps: readonly ReberStep[]): void {
  for (const [t, { symbol }] of steps.slice(1).entries()) expect(steps[t]?.next).toContain(symbol);
}

describe("Reber grammars", () => {
  it("are the language of the drawing, written as a regular expression", () => {
    const coin = coins(new Generator(1));
    const strings = Array.from({ length: 2000 }, () => text([...reber(coin)]));
    const language = /^B(TS*X(XT*VP)*(S|XT*VV)|PT*V(V|P(XT*VP)*(S|XT*VV)))E$/;
    expect(strings.filter((s) => !language.test(s))).toEqual([]);
    const half = strings.filter((s) => s.startsWith("BT")).length / strings.length;
    expect(Math.abs(half - 0.5)).toBeLessThan(0.04);
    for (const shortest of ["BTXSE", "BPVVE"]) expect(strings).toContain(shortest);
  });

  it("embed: 12 symbols on average and 9 at least, the second letter again before the end", () => {
    const coin = coins(new Generator(2));
    const walks = Array.from({ length: 4000 }, () => [...embeddedReber(coin)]);
    const lengths = walks.map((w) => w.length);
    expect(Math.min(...lengths)).toBe(9);
    expect(Math.abs(lengths.reduce((a, b) => a + b) / walks.length - 12)).toBeLessThan(0.3);
    for (const walk of walks) {
      expectAnnounced(walk);
      expect(walk.slice(-3)).toEqual([
        { symbol: "E", next: walk[1]?.symbol },
        { symbol: walk[1]?.symbol, next: "E" },
        { symbol: "E", next: "" },
      ]);
    }
  });

  it("go on without end", () => {
    const steps = continualReber(coins(new Generator(3)));
    const stream = Array.from({ length: 500 }, () => steps.next().value as ReberStep);
    expectAnnounced(stream);
    expect(stream.filter((s) => s.next === "TP" && s.symbol === "B").length).toBeGreaterThan(20);
  });

  it("become tensors, and judge predictions", () => {
    const walk = [...embeddedReber(coins(new Generator(4)))];
    const T = walk.length - 1;
    const next = walk.slice(1);
    expect(oneHotSymbols([walk, next.concat(next.slice(-1))]).shape).toEqual([T + 1, 2, 7]);
    expect(Array.from(symbolIds(walk).data(), (i) => REBER_SYMBOLS[i]).join("")).toBe(text(walk));
    const right = reshape(oneHotSymbols([next]), [T, 7]);
    expect(legalPredictions(right, walk.slice(0, T))).toEqual(new Array(T).fill(true));
    const repeated = reshape(oneHotSymbols([walk.slice(0, T)]), [T, 7]);
    expect(legalPredictions(repeated, walk.slice(0, T))).toEqual(walk.slice(0, T).map((s) => s.next.includes(s.symbol)));
  });
});
