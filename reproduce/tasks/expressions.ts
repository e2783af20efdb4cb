/** Expressions with a value: logic, and operations on lists of digits. */

import type { Tree } from "../../src/trees/structure.ts";
import type { Dice } from "./dice.ts";

/** An expression as a binary tree of symbols (0 is left for nodes with children), as a sequence of symbols, and its value. */
export interface Expression {
  readonly tree: Tree;
  readonly sequence: readonly number[];
  readonly value: number;
  /** The operations inside and the expression itself: every node that has a value. */
  readonly parts: readonly Expression[];
}

/** An expression of its parts. */
function composed(whole: Omit<Expression, "parts">, operands: readonly Expression[]): Expression {
  const parts: Expression[] = operands.flatMap((e) => e.parts);
  const expression = { ...whole, parts };
  parts.push(expression);
  return expression;
}

/** A symbol with a value. */
function atom(symbol: number, value: number): Expression {
  return { tree: symbol, sequence: [symbol], value, parts: [] };
}

/** Symbols of expressions of logic, with that of inner nodes; values are 0 and 1. */
export const LOGIC = { symbols: 7, classes: 2 } as const;

const [FALSE, NOT] = [1, 3];
/** Symbols 4, 5, 6: and, or, exclusive or. */
const BINARY = [(a: number, b: number) => a & b, (a: number, b: number) => a | b, (a: number, b: number) => a ^ b];

/**
 * A random expression of a given depth over true, false, not, and, or, xor; one operand has the depth that is left, the other any up to it.
 * An operator takes its first operand, then its second: [[op a] b], [not a].
 * @see Bowman, Potts and Manning, "Recursive neural networks can learn logical semantics", 2015
 */
export function logicExpression(dice: Dice, depth: number): Expression {
  if (depth === 0) {
    const value = dice.below(2);
    return atom(FALSE + value, value);
  }
  const deep = logicExpression(dice, depth - 1);
  const op = dice.below(BINARY.length + 1);
  if (op === BINARY.length) return composed({ tree: [NOT, deep.tree], sequence: [NOT, ...deep.sequence], value: 1 - deep.value }, [deep]);
  const [a, b] = dice.shuffle([deep, logicExpression(dice, dice.below(depth))]) as [Expression, Expression];
  const symbol = NOT + 1 + op;
  const value = (BINARY[op] as (a: number, b: number) => number)(a.value, b.value);
  return composed({ tree: [[symbol, a.tree], b.tree], sequence: [symbol, ...a.sequence, ...b.sequence], value }, [a, b]);
}

/** Symbols of operations on lists, with that of inner nodes; values are digits. */
export const LIST_OPS = { symbols: 16, classes: 10 } as const;

/** Digit d is symbol d + 1; then the opened operators, and the bracket that closes a list. */
const DIGIT = 1;
const OPENED = 11;
const CLOSE = 15;
const byValue = (list: readonly number[]) => [...list].sort((a, b) => a - b);
const OPERATIONS: readonly ((list: readonly number[]) => number)[] = [
  (list) => Math.max(...list),
  (list) => Math.min(...list),
  median,
  (list) => list.reduce((a, b) => a + b) % 10,
];

/** The middle of a list; for an even number the mean of the two in the middle, rounded down. */
function median(list: readonly number[]): number {
  const sorted = byValue(list);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[half] as number) : Math.floor(((sorted[half - 1] as number) + (sorted[half] as number)) / 2);
}

/**
 * A random expression as [MAX 2 9 [MIN 4 7] 0]: operators MAX, MIN, MED and SM (sum modulo 10), 2 to 4 arguments of which a third
 * are expressions themselves where the depth allows it. The tree branches to the left: ((((([MAX 2) 9) (([MIN 4) 7) ])) 0) ]).
 * @see Nangia and Bowman, "ListOps: a diagnostic dataset for latent tree learning", 2018
 */
export function listExpression(dice: Dice, depth: number): Expression {
  const digit = (): Expression => {
    const value = dice.below(10);
    return atom(DIGIT + value, value);
  };
  const op = dice.below(OPERATIONS.length);
  const list = Array.from({ length: dice.between(2, 4) }, () =>
    depth > 1 && dice.chance(1 / 3) ? listExpression(dice, depth - 1) : digit(),
  );
  const tree = [...list.map((e) => e.tree), CLOSE].reduce<Tree>((left, right) => [left, right], OPENED + op);
  const sequence = [OPENED + op, ...list.flatMap((e) => e.sequence), CLOSE];
  const value = (OPERATIONS[op] as (list: readonly number[]) => number)(list.map((e) => e.value));
  return composed({ tree, sequence, value }, list);
}
