/** Extracts automata from networks. */

import { noGrad } from "../autodiff/tape.ts";
import { checkOptions, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { SecondOrderRNN } from "../cells/simple/second-order.ts";
import { checkRecurrence } from "../recurrence/recurrence.ts";
import { scope, tensor } from "../tensor/tensor.ts";
import { type Automaton, acceptsWord, explore, minimizeAutomaton } from "./automaton.ts";

/** A string and whether it belongs to the language. */
export interface LabelledWord {
  readonly word: readonly number[];
  readonly accepted: boolean;
}

export interface ExtractOptions {
  /** Initial number of intervals into which each unit's range [0, 1] is divided (default 2). */
  readonly levels?: number;
  /** Strings that the automaton must classify correctly; the number of intervals rises until it does. */
  readonly examples?: readonly LabelledWord[];
  /** Largest number of intervals tried (default 8). */
  readonly maxLevels?: number;
  /** Largest number of cells visited (default 1000). */
  readonly maxStates?: number;
}

/**
 * The minimal automaton of a network's behaviour: the state space is divided into q^N cells, and from the first
 * state found in each cell every symbol is tried, breadth first; a cell is accepting if S_0 > 0.5.
 * @throws ArgumentError when no number of intervals up to `maxLevels` explains the examples, or too many cells are visited
 * @see Giles, Miller, Chen, Chen, Sun and Lee, 1992, section 5
 * Deviates: the number of intervals rises until the automaton explains the examples; the paper chooses it by hand.
 * @example const automaton = extractAutomaton(cell, { examples });
 */
export function extractAutomaton(cell: SecondOrderRNN, options: ExtractOptions = {}): Automaton {
  checkOptions("extractAutomaton", options, ["levels", "examples", "maxLevels", "maxStates"]);
  checkRecurrence("extractAutomaton", cell);
  return simplestOf("extractAutomaton", options, (levels, most) => minimizeAutomaton(cellAutomaton(cell, levels, most)), acceptsWord);
}

/** What is read with the least number of intervals that explains the examples. @throws ArgumentError when none does */
export function simplestOf<A>(
  op: string,
  options: ExtractOptions,
  read: (levels: number, maxStates: number) => A,
  accepts: (found: A, word: readonly number[]) => boolean,
): A {
  const { levels = 2, examples = [], maxLevels = Math.max(8, levels), maxStates = 1000 } = options;
  checkWhole(op, "levels", levels, { least: 2 });
  for (let q = levels; q <= maxLevels; q++) {
    const found = read(q, maxStates);
    if (examples.every(({ word, accepted }) => accepts(found, word) === accepted)) return found;
  }
  throw new ArgumentError(`${op}: expected the ${examples.length} examples to be explained by at most ${maxLevels} intervals, got errors`);
}

/** The cell in which activations between 0 and 1 lie, when the range of each is divided into so many intervals. */
export function cellOf(activations: ArrayLike<number>, levels: number): string {
  return Array.from(activations, (s) => Math.min(levels - 1, Math.floor(s * levels))).join();
}

function cellAutomaton(cell: SecondOrderRNN, levels: number, maxStates: number): Automaton {
  const K = cell.inputSize;
  const start: ArrayLike<number> = scope(() => cell.initialState(1).data());
  const key = (state: ArrayLike<number>) => cellOf(state, levels);
  const { states, transitions } = explore(start, K, (state, symbol) => afterSymbol(cell, state, symbol), key, maxStates);
  return { symbols: K, transitions, accepting: states.map((state) => (state[0] as number) > 0.5) };
}

function afterSymbol(cell: SecondOrderRNN, values: ArrayLike<number>, symbol: number): ArrayLike<number> {
  return scope(() =>
    noGrad(() => {
      const { dtype } = cell.start;
      const s = tensor(Float64Array.from(values), { shape: [1, cell.hiddenSize], dtype });
      const x = tensor(
        Float64Array.from({ length: cell.inputSize }, (_, k) => Number(k === symbol)),
        { shape: [1, cell.inputSize], dtype },
      );
      return cell.step(x, s)[0].data();
    }),
  );
}
