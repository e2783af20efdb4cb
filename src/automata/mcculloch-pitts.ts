/** Nets of McCulloch and Pitts, 1943, with circles, and Kleene's theorem of 1956: they recognise exactly the regular events. */

import { noGrad } from "../autodiff/tape.ts";
import { checkIterable, checkList, checkText, checkWhole, isRecord, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { list, quote } from "../base/quote.ts";
import { add } from "../ops/arithmetic.ts";
import { broadcastTo } from "../ops/broadcast.ts";
import { cast } from "../ops/cast.ts";
import { greaterEqual, lessEqual, logicalAnd, notEqual } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { copyOf } from "../tensor/strided.ts";
import { keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Automaton, checkAutomaton, explore } from "./automaton.ts";
import { positionsOf } from "./expression.ts";

/** A unit, by the names of the inputs and units whose pulses reach it. A name given twice stands for two synapses. */
export interface McCullochPittsUnit {
  readonly excitatory?: readonly string[];
  /** If any of these is active, the unit stays silent. */
  readonly inhibitory?: readonly string[];
  /** θ: number of simultaneous excitatory pulses needed (default 1). */
  readonly threshold?: number;
}

export interface McCullochPittsOptions {
  /** Names of the input lines. */
  readonly inputs: readonly string[];
  readonly units: Readonly<Record<string, McCullochPittsUnit>>;
  /** Units that are initially active (default none). */
  readonly active?: readonly string[];
}

/** The unit that is active before the first symbol, and the one that tells whether a word belongs to the language. */
const [START, ANSWER] = ["start", "answer"] as const;

/**
 * A net of all-or-none units, each of which takes one step to respond:
 *
 *   x_i(t+1) = 1 if no inhibitory line of unit i is active at t and Σ_exc x_j(t) ≥ θ_i, else 0.
 *
 * Circles among the units form its memory. Inputs [B,I] other than 0 are pulses; the output [B,N] and the state are the units' activity, 0 or 1,
 * in the order of `units`. Nothing is trained, and derivatives are zero.
 * @throws ArgumentError for unknown or duplicate names, and thresholds that are not whole numbers of at least 1
 * @see McCulloch and Pitts, "A logical calculus of the ideas immanent in nervous activity", Bulletin of Mathematical Biophysics 5, 1943; Kleene,
 * "Representation of events in nerve nets and finite automata", 1956. From memory.
 * @example
 * const latch = new McCullochPittsNetwork({
 *   inputs: ["set", "reset"],
 *   units: { on: { excitatory: ["set", "on"], inhibitory: ["reset"] } },
 * });
 * const [ys] = latch.scan(tensor([[[1, 0]], [[0, 0]], [[0, 1]]])); // 1, 1, 0
 */
export class McCullochPittsNetwork extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly inputs: readonly string[];
  readonly units: readonly string[];
  /** Numbers of synapses [N,I] and [N,N], and of inhibitory ones [N,I] and [N,N]; thresholds [N]; activity at the start [N]. */
  readonly excitationIh: Tensor;
  readonly excitationHh: Tensor;
  readonly inhibitionIh: Tensor;
  readonly inhibitionHh: Tensor;
  readonly threshold: Tensor;
  readonly start: Tensor;

  constructor(options: McCullochPittsOptions) {
    super();
    const op = "McCullochPittsNetwork";
    const { inputs, units, active = [] } = optionsOf(op, options, ["inputs", "units", "active"]);
    checkList(op, "inputs", inputs);
    checkList(op, "active", active);
    if (!isRecord(units)) throw new DTypeError(`${op}: expected units by name, got ${quote(units)}`);
    const names = Object.keys(units);
    for (const name of inputs) checkText(op, "a name of an input", name);
    if (names.length === 0) throw new ArgumentError(`${op}: expected at least one unit, got none`);
    const lines = [...inputs, ...names];
    const twice = lines.find((name, k) => lines.indexOf(name) !== k);
    if (twice !== undefined) throw new ArgumentError(`${op}: expected different names, got ${quote(twice)} twice`);
    const all = Object.entries(units).map(([name, unit]) => readUnit(op, name, unit, lines));
    for (const name of active) if (!names.includes(name)) throw unknown(op, "active units", names, name);
    this.inputs = [...inputs];
    this.units = names;
    this.inputSize = inputs.length;
    this.outputSize = names.length;
    const counts = (kind: "excitatory" | "inhibitory", from: readonly string[]) =>
      matrix(all.map((unit) => from.map((name) => unit[kind].filter((other) => other === name).length)));
    this.excitationIh = counts("excitatory", inputs);
    this.excitationHh = counts("excitatory", names);
    this.inhibitionIh = counts("inhibitory", inputs);
    this.inhibitionHh = counts("inhibitory", names);
    this.threshold = keep(tensor(all.map((unit) => unit.threshold)));
    this.start = keep(tensor(names.map((name) => (active.includes(name) ? 1 : 0))));
  }

  /**
   * A net that recognises the words of a regular expression: one unit per letter in the expression, which is active when the word so far may end
   * there. It fires on its letter if a unit that may precede it was active: it has as many synapses from the letter as there are such units, and one
   * more is the threshold. The unit "answer" follows one step later.
   * @param alphabet the letters of the input lines, in order
   * @throws ArgumentError for anything but an expression of letters, `|`, `*`, `+`, `?` and parentheses, or one with other letters
   * @see Kleene, 1956, theorem 3; by the positions of Glushkov, 1961
   * @example McCullochPittsNetwork.ofExpression("(ab)*a", "ab").accepts([0, 1, 0]) // true
   */
  static ofExpression(expression: string, alphabet: string): McCullochPittsNetwork {
    checkText("ofExpression", "the alphabet", alphabet);
    const { positions, ends } = positionsOf(expression);
    return eventNet([...alphabet], positions, ends);
  }

  /**
   * A net that recognises the words of an automaton: one unit for each state and symbol, which is active after that step. The unit "answer" follows one
   * step later.
   * @throws ArgumentError for an invalid automaton
   * @see Kleene, "Representation of events in nerve nets and finite automata", 1956
   * @example McCullochPittsNetwork.ofAutomaton(tomita(4)).accepts([0, 1, 0, 0]) // true
   */
  static ofAutomaton(automaton: Automaton): McCullochPittsNetwork {
    checkAutomaton("ofAutomaton", automaton);
    const { symbols: K, transitions, accepting } = automaton;
    const targets = transitions.flat();
    const leadingTo = (q: number) => [...(q === 0 ? [-1] : []), ...targets.flatMap((target, k) => (target === q ? [k] : []))];
    const positions = targets.map((_, k) => ({ letter: String(k % K), after: leadingTo(Math.floor(k / K)) }));
    const ends = accepting.flatMap((yes, q) => (yes ? leadingTo(q) : []));
    return eventNet(Array.from({ length: K }, (_, a) => String(a)), positions, ends); // biome-ignore format: one call
  }

  initialState(batch: number): Tensor {
    checkWhole("initialState", "batch", batch);
    return copyOf(broadcastTo(this.start, [batch, this.outputSize]));
  }

  step(x: Tensor, state: Tensor): [y: Tensor, next: Tensor] {
    const pulses = cast(notEqual(x, 0), "float32");
    const excitation = add(linear(pulses, this.excitationIh), linear(state, this.excitationHh));
    const inhibition = add(linear(pulses, this.inhibitionIh), linear(state, this.inhibitionHh));
    const next = cast(logicalAnd(greaterEqual(excitation, this.threshold), lessEqual(inhibition, 0)), "float32");
    return [next, next];
  }

  /**
   * Whether a net of `ofExpression` or `ofAutomaton` accepts a word of symbols 0 … I − 1: its answer one step after the last symbol.
   * @throws ArgumentError for unknown symbols, and for a net without a unit "answer"
   */
  accepts(word: Iterable<number>): boolean {
    checkIterable("accepts", "a word", word);
    const answer = this.#answer("accepts");
    const symbols = [...word];
    for (const symbol of symbols) checkWhole("accepts", "symbols", symbol, { least: 0, below: this.inputSize });
    return scope(() =>
      noGrad(() => {
        const rows = [...symbols, -1].map((symbol) => [this.#pulse(symbol)]);
        const [, last] = this.scan(tensor(rows, { shape: [rows.length, 1, this.inputSize] }));
        return last.data()[answer] === 1;
      }),
    );
  }

  /**
   * The automaton of a net of `ofExpression` or `ofAutomaton`, or of any net with a unit "answer": its states are the net's, and it accepts where one more
   * step without a pulse makes the answer.
   * @throws ArgumentError for more than `limit` states (default 10000), and for a net without a unit "answer"
   */
  toAutomaton(limit = 10000): Automaton {
    checkWhole("toAutomaton", "limit", limit, { least: 1 });
    const answer = this.#answer("toAutomaton");
    const next = (state: readonly number[], symbol: number): number[] =>
      scope(() => noGrad(() => Array.from(this.step(tensor([this.#pulse(symbol)]), tensor([[...state]]))[1].data())));
    const start = Array.from(this.start.data());
    const { states, transitions } = explore(start, this.inputSize, next, String, limit);
    return { symbols: this.inputSize, transitions, accepting: states.map((state) => next(state, -1)[answer] === 1) };
  }

  #answer(op: string): number {
    const answer = this.units.indexOf(ANSWER);
    if (answer < 0) throw new ArgumentError(`${op}: expected a net with a unit "${ANSWER}", got ${list(this.units)}`);
    return answer;
  }

  /** A pulse on one line, or on none for −1. */
  #pulse(symbol: number): number[] {
    return this.inputs.map((_, k) => (k === symbol ? 1 : 0));
  }
}

/** The net of a language by its positions. */
function eventNet(
  alphabet: readonly string[],
  positions: readonly { readonly letter: string; readonly after: readonly number[] }[],
  ends: readonly number[],
): McCullochPittsNetwork {
  const nameOf = (k: number) => (k < 0 ? START : `${positions[k]?.letter}·${k + 1}`);
  const units = positions.map(({ letter, after }, k): [string, McCullochPittsUnit] => {
    const excitatory = [...after.map(() => letter), ...after.map(nameOf)];
    return [nameOf(k), { excitatory, threshold: after.length + 1 }];
  });
  return new McCullochPittsNetwork({
    inputs: alphabet,
    units: { [START]: {}, ...Object.fromEntries(units), [ANSWER]: { excitatory: ends.map(nameOf) } },
    active: [START],
  });
}

function readUnit(op: string, name: string, unit: McCullochPittsUnit, lines: readonly string[]): Required<McCullochPittsUnit> {
  const { excitatory = [], inhibitory = [], threshold = 1 } = optionsOf(op, unit, ["excitatory", "inhibitory", "threshold"]);
  checkWhole(op, `the threshold of ${name}`, threshold, { least: 1 });
  for (const [kind, sources] of Object.entries({ excitatory, inhibitory })) {
    checkList(op, `${kind} lines of ${name}`, sources);
    for (const source of sources) if (!lines.includes(source)) throw unknown(op, `${kind} lines of ${name}`, lines, source);
  }
  return { excitatory, inhibitory, threshold };
}

function unknown(op: string, what: string, known: readonly string[], got: unknown): ArgumentError {
  return new ArgumentError(`${op}: expected ${what} among ${list(known)}, got ${quote(got)}`);
}

/** A tensor from rows of numbers, which may be empty. */
function matrix(rows: readonly (readonly number[])[]): Tensor {
  return keep(tensor(rows.flat(), { shape: [rows.length, rows[0]?.length ?? 0] }));
}
