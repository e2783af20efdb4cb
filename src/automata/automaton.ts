/** Deterministic finite automata, which can be extracted from networks over strings and built into them. */

import { checkIterable, checkList, checkObject } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";

/** States 0 … n−1, with 0 as the start; symbols 0 … K−1. */
export interface Automaton {
  readonly symbols: number;
  /** transitions[q][a]: the state after symbol a in state q. */
  readonly transitions: readonly (readonly number[])[];
  readonly accepting: readonly boolean[];
}

/**
 * Checks an automaton's shape.
 * @throws ArgumentError for a missing or unknown state
 */
export function checkAutomaton(op: string, automaton: Automaton): void {
  checkObject(op, "an automaton", automaton);
  const { symbols, transitions, accepting } = automaton;
  checkList(op, "transitions", transitions);
  checkList(op, "accepting", accepting);
  const n = transitions.length;
  const known = (q: number) => Number.isInteger(q) && q >= 0 && q < n;
  if (n === 0 || accepting.length !== n) {
    throw new ArgumentError(`${op}: expected at least one state and as many labels, got ${n} states and ${accepting.length} labels`);
  }
  transitions.forEach((row, q) => {
    if (row.length === symbols && row.every(known)) return;
    throw new ArgumentError(`${op}: expected ${symbols} transitions to states below ${n} from state ${q}, got [${row.join(", ")}]`);
  });
}

/** The state after a string. */
export function runAutomaton(automaton: Automaton, word: Iterable<number>): number {
  checkObject("runAutomaton", "an automaton", automaton);
  const { transitions } = automaton;
  checkIterable("runAutomaton", "a word", word);
  checkList("runAutomaton", "transitions", transitions);
  let q = 0;
  for (const a of word) {
    const next = transitions[q]?.[a];
    if (next === undefined) throw new ArgumentError(`runAutomaton: expected symbols of the automaton, got ${a}`);
    q = next;
  }
  return q;
}

/** Whether the automaton accepts a string. */
export function acceptsWord(automaton: Automaton, word: Iterable<number>): boolean {
  checkObject("acceptsWord", "an automaton", automaton);
  return automaton.accepting[runAutomaton(automaton, word)] === true;
}

/**
 * The smallest automaton of the same language, with states numbered in breadth-first order;
 * so two automata accept the same language if and only if these are equal.
 * @see Moore, "Gedanken-experiments on sequential machines", 1956: partition refinement
 */
export function minimizeAutomaton(automaton: Automaton): Automaton {
  checkAutomaton("minimizeAutomaton", automaton);
  const { symbols, transitions, accepting } = automaton;
  const merged = mergeStates(transitions, accepting.map(String));
  return { symbols, transitions: merged.transitions, accepting: merged.states.map((q) => accepting[q] === true) };
}

/**
 * States that no string tells apart by their labels become one: one of each kind that is reached from state 0, in breadth-first order, and the
 * transitions among these.
 */
export function mergeStates(
  transitions: readonly (readonly number[])[],
  labels: readonly string[],
): { states: number[]; transitions: number[][] } {
  let block = numbered(labels);
  for (let count = new Set(block).size; ; ) {
    const refined = numbered(transitions.map((row, q) => [block[q], ...row.map((next) => block[next])].join()));
    const now = new Set(refined).size;
    block = refined;
    if (now === count) break;
    count = now;
  }
  const member = (b: number) => block.indexOf(b);
  const next = (b: number, a: number) => block[transitions[member(b)]?.[a] as number] as number;
  const explored = explore(block[0] as number, (transitions[0] as readonly number[]).length, next, String);
  return { states: explored.states.map(member), transitions: explored.transitions };
}

/** Maps equal keys to equal numbers. */
function numbered(keys: readonly string[]): number[] {
  const known = new Map<string, number>();
  return keys.map((key) => {
    const id = known.get(key) ?? known.size;
    known.set(key, id);
    return id;
  });
}

/**
 * Breadth-first search from a start. States with equal keys count as one, represented by the first reached.
 * @throws ArgumentError when there are more than `limit` states
 */
export function explore<S>(
  start: S,
  symbols: number,
  next: (state: S, symbol: number) => S,
  key: (state: S) => string,
  limit: number = Number.POSITIVE_INFINITY,
): { states: S[]; transitions: number[][] } {
  const states = [start];
  const known = new Map([[key(start), 0]]);
  const transitions: number[][] = [];
  const numberOf = (state: S): number => {
    const found = known.get(key(state));
    if (found !== undefined) return found;
    if (states.length >= limit) throw new ArgumentError(`explore: expected at most ${limit} states, got more`);
    known.set(key(state), states.length);
    return states.push(state) - 1;
  };
  for (let q = 0; q < states.length; q++) {
    transitions.push(Array.from({ length: symbols }, (_, a) => numberOf(next(states[q] as S, a))));
  }
  return { states, transitions };
}

/** A shortest string on which two automata differ, or null if they accept the same language. */
export function differingWord(a: Automaton, b: Automaton): number[] | null {
  checkAutomaton("differingWord", a);
  checkAutomaton("differingWord", b);
  if (a.symbols !== b.symbols) throw new ArgumentError(`differingWord: expected one alphabet, got ${a.symbols} and ${b.symbols} symbols`);
  const queue: { p: number; q: number; word: number[] }[] = [{ p: 0, q: 0, word: [] }];
  const seen = new Set(["0,0"]);
  for (const { p, q, word } of queue) {
    if (a.accepting[p] !== b.accepting[q]) return word;
    for (let s = 0; s < a.symbols; s++) {
      const [p1, q1] = [a.transitions[p]?.[s] as number, b.transitions[q]?.[s] as number];
      if (seen.has(`${p1},${q1}`)) continue;
      seen.add(`${p1},${q1}`);
      queue.push({ p: p1, q: q1, word: [...word, s] });
    }
  }
  return null;
}

const tomitaTable: readonly [transitions: number[][], accepting: number[]][] = [
  [
    [
      [1, 0],
      [1, 1],
    ],
    [0],
  ],
  [
    [
      [2, 1],
      [0, 2],
      [2, 2],
    ],
    [0],
  ],
  [
    [
      [0, 1],
      [2, 0],
      [3, 4],
      [2, 3],
      [4, 4],
    ],
    [0, 1, 3],
  ],
  [
    [
      [1, 0],
      [2, 0],
      [3, 0],
      [3, 3],
    ],
    [0, 1, 2],
  ],
  [
    [
      [1, 2],
      [0, 3],
      [3, 0],
      [2, 1],
    ],
    [0],
  ],
  [
    [
      [1, 2],
      [2, 0],
      [0, 1],
    ],
    [0],
  ],
  [
    [
      [0, 1],
      [2, 1],
      [2, 3],
      [4, 3],
      [4, 4],
    ],
    [0, 1, 2, 3],
  ],
];

/**
 * The minimal automata of Tomita's seven languages over {0, 1}; all accept the empty string.
 *
 *   1: 1*    2: (10)*    3: no odd run of 1s followed later by an odd run of 0s    4: no 000
 *   5: an even number of 0s and of 1s    6: the numbers of 0s and 1s differ by a multiple of 3    7: 0*1*0*1*
 *
 * @see Tomita, "Dynamic construction of finite-state automata from examples using hill-climbing", 1982
 */
export function tomita(grammar: 1 | 2 | 3 | 4 | 5 | 6 | 7): Automaton {
  const entry = tomitaTable[grammar - 1];
  if (entry === undefined) throw new ArgumentError(`tomita: expected a grammar from 1 to 7, got ${grammar}`);
  const [transitions, accepting] = entry;
  return { symbols: 2, transitions, accepting: transitions.map((_, q) => accepting.includes(q)) };
}
