/** Deterministic pushdown automata, and reading them out of networks that have a stack. */

import { noGrad } from "../autodiff/tape.ts";
import { checkIterable, checkList, checkNumber, checkObject, checkOptions } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { PushdownAutomaton } from "../memory/pushdown-automaton.ts";
import { checkRecurrence } from "../recurrence/recurrence.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { explore, mergeStates } from "./automaton.ts";
import { cellOf, type ExtractOptions, simplestOf } from "./extraction.ts";

/** What an automaton does with its stack as it goes to a state: 1 pushes the symbol that was read, −1 pops, 0 leaves it. */
export interface PushdownMove {
  readonly state: number;
  readonly action: -1 | 0 | 1;
}

/** States 0 … n−1, with 0 as the start; symbols 0 … K−1, which are also what lies on the stack. Empty at first, it has to be empty in the end. */
export interface PushdownMachine {
  readonly symbols: number;
  /** transitions[q][a][top]: the move on symbol a in state q with `top` on the stack, K for an empty one; null where that never occurs. */
  readonly transitions: readonly (readonly (readonly (PushdownMove | null)[])[])[];
  readonly accepting: readonly boolean[];
}

/**
 * Whether a pushdown automaton accepts a string: it ends in an accepting state with an empty stack.
 * @throws ArgumentError for symbols that the automaton does not have
 * @example acceptsByStack(machine, [0, 0, 1, 1])
 */
export function acceptsByStack(machine: PushdownMachine, word: Iterable<number>): boolean {
  checkObject("acceptsByStack", "a machine", machine);
  checkIterable("acceptsByStack", "a word", word);
  const { symbols: K, transitions, accepting } = machine;
  checkList("acceptsByStack", "transitions", transitions);
  const stack: number[] = [];
  let q = 0;
  for (const a of word) {
    const move = transitions[q]?.[a]?.[stack.at(-1) ?? K];
    if (move == null) throw new ArgumentError(`acceptsByStack: expected symbols of the machine, got ${a}`);
    if (move.action > 0) stack.push(a);
    if (move.action < 0) stack.pop();
    q = move.state;
  }
  return accepting[q] === true && stack.length === 0;
}

export interface ExtractPushdownOptions extends ExtractOptions {
  /** An action A counts as a push or pop from this |A| on (default 0.5), as none below. */
  readonly threshold?: number;
}

/** A state of the network, and what follows each symbol over each top of the stack. */
interface Found {
  readonly units: readonly number[];
  readonly moves: readonly { readonly units: readonly number[]; readonly action: -1 | 0 | 1 }[];
}

/**
 * The smallest pushdown automaton of a network's behaviour. The state units' space is divided into q^N cells, actions become pushes, pops or none, and
 * what is read is the one symbol on top, or nothing. From the first state found in each cell every symbol is tried over all that can lie on the stack,
 * breadth first; a cell accepts if S_0 > 0.5. States that differ in nothing are merged.
 * @throws ArgumentError when no number of intervals up to `maxLevels` explains the examples, or too many cells are visited
 * @see Das, Giles and Sun, "Learning context-free grammars: capabilities and limitations of a recurrent neural network with an external stack
 * memory", 1992; Sun, Giles, Chen and Lee, "The neural network pushdown automaton: model, stack and learning simulations", 1993
 * Deviates: quoted from memory; cells are equal intervals, as in `extractAutomaton`, where the authors look for clusters.
 * @example const machine = extractPushdown(cell, { examples: [{ word: [0, 1], accepted: true }] });
 */
export function extractPushdown(cell: PushdownAutomaton, options: ExtractPushdownOptions = {}): PushdownMachine {
  checkOptions("extractPushdown", options, ["levels", "examples", "maxLevels", "maxStates", "threshold"]);
  checkRecurrence("extractPushdown", cell);
  const { threshold = 0.5 } = options;
  checkNumber("extractPushdown", "threshold", threshold, { above: 0, below: 1 });
  const read = (levels: number, maxStates: number) => machineOf(cell, levels, maxStates, threshold);
  return simplestOf("extractPushdown", options, read, acceptsByStack);
}

function machineOf(cell: PushdownAutomaton, levels: number, maxStates: number, threshold: number): PushdownMachine {
  const K = cell.inputSize;
  const start = scope(() => Array.from(cell.initialState(1).units.data(), Number));
  const key = (found: Found) => cellOf(found.units, levels);
  // What can lie on the stack: at first nothing, then also what is found to be pushed over that.
  for (let tops = [K]; ; ) {
    const pairs = Array.from({ length: K }, (_, a) => tops.map((top) => [a, top] as const)).flat();
    const found = (units: readonly number[]): Found => ({ units, moves: movesFrom(cell, units, pairs, threshold) });
    const next = (state: Found, pair: number) => found((state.moves[pair] as Found["moves"][number]).units);
    const { states, transitions } = explore(found(start), pairs.length, next, key, maxStates);
    const pushed = pairs.flatMap(([a], pair) => (states.some(({ moves }) => moves[pair]?.action === 1) ? [a] : []));
    const all = [...new Set([K, ...pushed])];
    if (all.length === tops.length) return smallest(K, pairs, states, transitions);
    tops = all;
  }
}

/** The machine of some states, with those merged that nothing tells apart. */
function smallest(
  K: number,
  pairs: readonly (readonly [number, number])[],
  states: readonly Found[],
  transitions: readonly (readonly number[])[],
): PushdownMachine {
  const accepting = states.map(({ units }) => (units[0] as number) > 0.5);
  const merged = mergeStates(
    transitions,
    states.map(({ moves }, q) => [accepting[q], ...moves.map(({ action }) => action)].join()),
  );
  const rows = merged.states.map((q, at) => {
    const row = Array.from({ length: K }, () => new Array<PushdownMove | null>(K + 1).fill(null));
    for (const [pair, [a, top]] of pairs.entries()) {
      const action = states[q]?.moves[pair]?.action ?? 0;
      (row[a] as (PushdownMove | null)[])[top] = { state: merged.transitions[at]?.[pair] as number, action };
    }
    return row;
  });
  return { symbols: K, transitions: rows, accepting: merged.states.map((q) => accepting[q] === true) };
}

/** What a network does in a state, for pairs of a symbol and what is on top. */
function movesFrom(
  cell: PushdownAutomaton,
  units: readonly number[],
  pairs: readonly (readonly [number, number])[],
  threshold: number,
): Found["moves"] {
  const { inputSize: K, hiddenSize: N } = cell;
  const { dtype } = cell.weight;
  const hot = (codes: readonly number[], width: number): Tensor =>
    tensor(codes.flatMap((code) => Array.from({ length: width }, (_, k) => Number(k === code))), { shape: [codes.length, width], dtype }); // biome-ignore format: one call
  return scope(() =>
    noGrad(() => {
      const here = tensor(pairs.flatMap(() => [...units]), { shape: [pairs.length, N], dtype }); // biome-ignore format: one call
      const [next, action] = cell.move(hot(pairs.map(([a]) => a), K), here, hot(pairs.map(([, top]) => top), K + 1)); // biome-ignore format: one call
      const [values, actions] = [next.data(), action.data()];
      return pairs.map((_, i) => {
        const A = Number(actions[i]);
        return {
          units: Array.from({ length: N }, (_, n) => Number(values[i * N + n])),
          action: Math.abs(A) < threshold ? 0 : A > 0 ? 1 : -1,
        };
      });
    }),
  );
}
