import { describe, expect, it } from "vitest";
import { recursive } from "../../reproduce/experiments/recursive.ts";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { LIST_OPS, LOGIC, listExpression, logicExpression } from "../../reproduce/tasks/expressions.ts";
import type { Tree } from "../../src/trees/structure.ts";
import { shortForms } from "./short-forms.ts";

const leaves = (tree: Tree): number[] => (typeof tree === "number" ? [tree] : tree.flatMap(leaves));

/** What an expression in words comes to, from its symbols alone; `read` takes them off the list. */
function spoken(sequence: readonly number[], read: (rest: number[]) => number): number {
  const rest = [...sequence];
  const value = read(rest);
  expect(rest).toEqual([]);
  return value;
}

describe("logic", () => {
  const NAMES = ["", "false", "true", "not", "and", "or", "xor"];
  const read = (rest: number[]): number => {
    const name = NAMES[rest.shift() as number];
    if (name === "false" || name === "true") return Number(name === "true");
    const a = read(rest) === 1;
    if (name === "not") return Number(!a);
    const b = read(rest) === 1;
    return Number(name === "and" ? a && b : name === "or" ? a || b : a !== b);
  };
  const depthOf = (tree: Tree): number => {
    if (typeof tree === "number") return 0;
    const [head, operand] = tree as [Tree, Tree];
    return 1 + Math.max(depthOf(operand), typeof head === "number" ? 0 : depthOf((head as readonly Tree[])[1] as Tree));
  };

  it("has the values of its words, in the order of its leaves, at the depth asked for", () => {
    const dice = new Dice(1);
    const symbols = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const { tree, sequence, value } = logicExpression(dice, i % 7);
      expect(leaves(tree)).toEqual(sequence);
      expect(spoken(sequence, read)).toBe(value);
      expect(depthOf(tree)).toBe(i % 7);
      for (const s of sequence) symbols.add(s);
    }
    expect([...symbols].sort()).toEqual(Array.from({ length: LOGIC.symbols - 1 }, (_, i) => i + 1));
  });
});

describe("lists of digits", () => {
  const NAMES = [...Array.from({ length: 10 }, (_, d) => String(d)), "MAX", "MIN", "MED", "SM", "]"];
  const read = (rest: number[]): number => {
    const name = NAMES[(rest.shift() as number) - 1] as string;
    if (/\d/.test(name)) return Number(name);
    const list: number[] = [];
    while (NAMES[(rest[0] as number) - 1] !== "]") list.push(read(rest));
    rest.shift();
    expect(list.length >= 2 && list.length <= 4).toBe(true);
    list.sort((a, b) => a - b);
    if (name === "MAX") return list[list.length - 1] as number;
    if (name === "MIN") return list[0] as number;
    if (name === "SM") return list.reduce((a, b) => a + b) % 10;
    return Math.floor(((list[Math.ceil(list.length / 2) - 1] as number) + (list[Math.floor(list.length / 2)] as number)) / 2);
  };

  it("have the values of their words, and branch to the left", () => {
    const dice = new Dice(2);
    const symbols = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const { tree, sequence, value } = listExpression(dice, 1 + (i % 3));
      expect(leaves(tree)).toEqual(sequence);
      expect(spoken(sequence, read)).toBe(value);
      expect((tree as readonly Tree[])[1]).toBe(LIST_OPS.symbols - 1);
      for (const s of sequence) symbols.add(s);
    }
    expect(symbols.size).toBe(LIST_OPS.symbols - 1);
  });
});

shortForms(recursive);
