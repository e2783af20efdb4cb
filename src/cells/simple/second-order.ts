/** Second-order recurrent networks: learning automata, reading them out, building them in. */

import { noGrad } from "../../autodiff/tape.ts";
import { type Automaton, acceptsWord, checkAutomaton, explore, minimizeAutomaton } from "../../automata/automaton.ts";
import { checkSizes } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import type { LayerOptions } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { bilinear } from "../../ops/linear.ts";
import { sigmoid } from "../../ops/math.ts";
import { contiguous, expand } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { assign, keep, scope, type Tensor, tensor } from "../../tensor/tensor.ts";

export interface SecondOrderRNNOptions extends LayerOptions {
  /** Number of symbols K. */
  readonly inputSize: number;
  /** Number of units N. */
  readonly hiddenSize: number;
  /** Whether there are biases (default true). */
  readonly bias?: boolean;
  /** State before the first symbol (default 1, 0, …, 0). */
  readonly start?: readonly number[];
}

/**
 * Units that are driven by products of a unit and a symbol.
 *
 *   S_i(t+1) = σ(b_i + Σ_jk W_ijk S_j(t) I_k(t))
 *
 * I(t) [B,K] is one-hot. S_0 is the response unit: after a string it says whether the string belongs to the language.
 * weight = W [N,N,K] from U(±1), bias = b [N] zero, start = S(0) [N], which is not trained.
 * @see Giles, Miller, Chen, Chen, Sun and Lee, "Learning and extracting finite state automata with second-order recurrent
 * neural networks", 1992, eq. 1-2
 * Deviates: a bias, as in Omlin and Giles 1996; `bias: false` leaves it out.
 * @example const [ys] = new SecondOrderRNN({ inputSize: 2, hiddenSize: 4 }).scan(strings);
 */
export class SecondOrderRNN extends Cell<Tensor> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly start: Tensor;

  constructor(options: SecondOrderRNNOptions) {
    super();
    const { inputSize: K, hiddenSize: N, dtype = "float32", generator = defaultGenerator(), bias = true } = options;
    checkSizes("SecondOrderRNN", { inputSize: K, hiddenSize: N });
    const start = options.start ?? Array.from({ length: N }, (_, i) => (i === 0 ? 1 : 0));
    if (start.length !== N) throw new ArgumentError(`SecondOrderRNN: expected ${N} numbers in start, got ${start.length}`);
    this.inputSize = K;
    this.hiddenSize = N;
    this.outputSize = N;
    this.weight = new Parameter(generator.uniform([N, N, K], -1, 1, dtype));
    this.bias = bias ? new Parameter(tensor(new Float64Array(N), { dtype })) : null;
    this.start = keep(tensor([...start], { dtype }));
  }

  /** S(0) for each string. */
  initialState(batch: number): Tensor {
    return contiguous(expand(this.start, [batch, this.hiddenSize]));
  }

  /** I [B,K], S [B,N]. */
  step(x: Tensor, s: Tensor): [y: Tensor, next: Tensor] {
    const next = sigmoid(bilinear(s, x, this.weight, this.bias ?? undefined));
    return [next, next];
  }
}

export interface InsertOptions extends LayerOptions {
  /** Rule strength H: the larger, the closer to 0 and 1 the states keep (default 8). */
  readonly strength?: number;
}

/**
 * The network that runs a given automaton: unit 0 answers, unit j + 1 is on in state j.
 *
 *   W_ijk = H if δ(q_j, a_k) = q_i    W_jjk = −H if δ(q_j, a_k) ≠ q_j    W_0jk = ±H as δ(q_j, a_k) is accepted    b = −H/2
 *
 * @see Omlin and Giles, "Constructing deterministic finite-state automata in recurrent neural networks", 1996, section 3
 * @example const net = insertAutomaton(tomita(4), { strength: 8 });
 */
export function insertAutomaton(automaton: Automaton, options: InsertOptions = {}): SecondOrderRNN {
  checkAutomaton("insertAutomaton", automaton);
  const { symbols: K, transitions, accepting } = automaton;
  const { strength: H = 8 } = options;
  if (!(H > 0)) throw new ArgumentError(`insertAutomaton: expected strength above 0, got ${H}`);
  const N = transitions.length + 1;
  const start = Array.from({ length: N }, (_, i) => Number(i === 0 ? accepting[0] : i === 1));
  const cell = new SecondOrderRNN({ ...options, inputSize: K, hiddenSize: N, start });
  const weights = new Float64Array(N * N * K);
  const set = (i: number, j: number, k: number, value: number) => {
    weights[(i * N + j) * K + k] = value;
  };
  transitions.forEach((row, q) => {
    row.forEach((next, k) => {
      const j = q + 1;
      set(j, j, k, -H);
      set(next + 1, j, k, H);
      set(0, j, k, accepting[next] ? H : -H);
    });
  });
  assign(cell.weight, weights);
  assign(cell.bias as Parameter, new Float64Array(N).fill(-H / 2));
  return cell;
}

/** A string and whether it belongs to the language. */
export interface LabelledWord {
  readonly word: readonly number[];
  readonly accepted: boolean;
}

export interface ExtractOptions {
  /** Intervals that each unit's range [0, 1] is cut into at first (default 2). */
  readonly levels?: number;
  /** Strings that the automaton must get right: the number of intervals is raised until it does. */
  readonly examples?: readonly LabelledWord[];
  /** Largest number of intervals tried (default 8). */
  readonly maxLevels?: number;
  /** Largest number of cells visited (default 1000). */
  readonly maxStates?: number;
}

/**
 * The minimal automaton that a network's states behave as: the state space is cut into q^N cells, and from the first
 * state found in each cell every symbol is tried, breadth first; a cell is accepting where S_0 > 0.5.
 * @throws ArgumentError when no number of intervals up to `maxLevels` explains the examples, or too many cells are visited
 * @see Giles, Miller, Chen, Chen, Sun and Lee, 1992, section 5
 * @example const automaton = extractAutomaton(cell, { examples });
 */
export function extractAutomaton(cell: SecondOrderRNN, options: ExtractOptions = {}): Automaton {
  const { levels = 2, examples = [], maxLevels = Math.max(8, levels), maxStates = 1000 } = options;
  if (!(Number.isInteger(levels) && levels >= 2)) throw new ArgumentError(`extractAutomaton: expected levels of at least 2, got ${levels}`);
  for (let q = levels; q <= maxLevels; q++) {
    const found = minimizeAutomaton(cellAutomaton(cell, q, maxStates));
    if (examples.every(({ word, accepted }) => acceptsWord(found, word) === accepted)) return found;
  }
  throw new ArgumentError(
    `extractAutomaton: expected the ${examples.length} examples to be explained by at most ${maxLevels} intervals, got errors`,
  );
}

function cellAutomaton(cell: SecondOrderRNN, levels: number, maxStates: number): Automaton {
  const K = cell.inputSize;
  const start: ArrayLike<number> = scope(() => cell.initialState(1).data());
  const key = (state: ArrayLike<number>) => Array.from(state, (s) => Math.min(levels - 1, Math.floor(s * levels))).join();
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
