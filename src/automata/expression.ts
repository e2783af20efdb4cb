/** Regular expressions as positions: which letter may follow which, without building an automaton. */

import { checkText } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** A position of a letter in an expression. */
export interface Position {
  readonly letter: string;
  /** The positions that may precede it; −1 is the beginning of the word. */
  readonly after: readonly number[];
}

/** A language by its positions. */
export interface Positions {
  readonly positions: readonly Position[];
  /** The positions at which a word may end; −1 is the empty word. */
  readonly ends: readonly number[];
}

/** The language of a part of an expression. */
interface Part {
  /** Whether it may be empty. */
  readonly empty: boolean;
  readonly first: readonly number[];
  readonly last: readonly number[];
}

/** Deepest nesting of parentheses. */
const DEEPEST = 500;
const NOTHING: Part = { empty: true, first: [], last: [] };

/**
 * The positions of a regular expression of letters, `|`, `*`, `+`, `?` and parentheses, with the same meaning as in JavaScript.
 * @throws DTypeError for anything but text; ArgumentError for anything but such an expression
 * @see Glushkov, "The abstract theory of automata", 1961; McNaughton and Yamada, "Regular expressions and state graphs for automata", 1960
 * @example positionsOf("(ab)*a").ends.length // 1: the a at the end
 */
export function positionsOf(expression: string): Positions {
  checkText("positionsOf", "an expression", expression);
  const letters: string[] = [];
  const after: Set<number>[] = [];
  let at = 0;
  let depth = 0;

  const link = (last: readonly number[], first: readonly number[]): void => {
    for (const from of last) for (const to of first) after[to]?.add(from);
  };
  const refuse = (expected: string): never => {
    const got = at < expression.length ? quote(expression[at]) : "the end";
    throw new ArgumentError(`positionsOf: expected ${expected} at ${at} of ${quote(expression)}, got ${got}`);
  };

  const choice = (): Part => {
    let part = sequence();
    while (expression[at] === "|") {
      at++;
      const other = sequence();
      part = { empty: part.empty || other.empty, first: [...part.first, ...other.first], last: [...part.last, ...other.last] };
    }
    return part;
  };
  const sequence = (): Part => {
    let part = NOTHING;
    while (at < expression.length && expression[at] !== "|" && expression[at] !== ")") {
      const next = repeated();
      link(part.last, next.first);
      part = {
        empty: part.empty && next.empty,
        first: part.empty ? [...part.first, ...next.first] : part.first,
        last: next.empty ? [...part.last, ...next.last] : next.last,
      };
    }
    return part;
  };
  const repeated = (): Part => {
    let part = single();
    for (let sign = expression[at]; sign === "*" || sign === "+" || sign === "?"; sign = expression[++at]) {
      if (sign !== "?") link(part.last, part.first);
      if (sign !== "+") part = { ...part, empty: true };
    }
    return part;
  };
  const single = (): Part => {
    const letter = expression[at] as string;
    if (letter === "(") {
      at++;
      if (++depth > DEEPEST) refuse(`at most ${DEEPEST} parentheses within each other`);
      const part = choice();
      if (expression[at] !== ")") refuse("a closing parenthesis");
      at++;
      depth--;
      return part;
    }
    if (!/^[\p{L}\p{N}]$/u.test(letter)) refuse("a letter or digit");
    at++;
    const position = letters.push(letter) - 1;
    after.push(new Set());
    return { empty: false, first: [position], last: [position] };
  };

  const whole = choice();
  if (at < expression.length) refuse("no more");
  link([-1], whole.first);
  return {
    positions: letters.map((letter, k) => ({ letter, after: [...(after[k] as Set<number>)] })),
    ends: whole.empty ? [-1, ...whole.last] : whole.last,
  };
}
