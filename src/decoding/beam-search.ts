/** Greedy and beam search over models that predict one symbol after another. */

import { noGrad } from "../autodiff/tape.ts";
import { checkList, checkMethods, checkNumber, checkOptions, checkSizes, checkWhole, finished } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { indexSelect } from "../ops/gather.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { batchAxesOf } from "../recurrence/recurrence.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";

/** A model of the next symbol: takes int32 symbols [B] and a state to logits [B,V] and the next state. */
export interface Autoregressive<S extends State = State> {
  step(symbols: Tensor, state: S): [logits: Tensor, next: S];
  /** Shows the batch axis of each tensor of the state, as in any recurrence. Without it, the batch is the first axis. */
  initialState?(batch: number): S;
}

/** A sequence that was found. */
export interface Hypothesis {
  /** The symbols, without the end symbol. */
  readonly symbols: readonly number[];
  /** Log-probability of all symbols, including the end. */
  readonly logProbability: number;
  /** The value by which sequences are ranked. */
  readonly score: number;
  /** Whether the end symbol came; if not, the search stopped at the greatest length. */
  readonly ended: boolean;
}

export interface DecodingOptions {
  /** Most symbols per sequence, including the end. */
  readonly maxLength: number;
  /** Symbol that ends a sequence (default 0). */
  readonly end?: number;
  /** Symbol that precedes the first one (default: `end`). */
  readonly start?: number;
}

export interface BeamOptions extends DecodingOptions {
  /** Number of hypotheses to keep. */
  readonly width: number;
  /** α of the length penalty ((5 + length)/6)^α, which divides log-probabilities (default 0: none). */
  readonly lengthPenalty?: number;
}

/** A sequence so far. */
interface Path {
  readonly symbols: readonly number[];
  readonly logProbability: number;
}

/** A path with one more symbol; `row` is the row of the path's state. */
interface Step extends Path {
  readonly row: number;
  readonly symbol: number;
}

/** Asks the model for the next symbols. */
interface Asking<S extends State> {
  readonly op: string;
  readonly model: Autoregressive<S>;
  readonly start: number;
  readonly end: number;
}

/**
 * The log-probabilities [B][V] of the symbols that follow the paths, and the states after the paths' last symbols.
 * @throws StateError for a step that returns a promise; DTypeError, ShapeError for anything but logits [B,V]
 * @throws ArgumentError if `end` is no symbol of the model
 */
function follow<S extends State>(asking: Asking<S>, paths: readonly Path[], state: S): [ArrayLike<number>[], S] {
  const { op, model, start, end } = asking;
  const last = paths.map(({ symbols }) => symbols.at(-1) ?? start);
  const stepped = finished(op, model.step(tensor(last, { dtype: "int32" }), state));
  checkList(op, "what step gives", stepped);
  const [logits, next] = stepped;
  checkTensor(op, logits);
  if (logits.rank !== 2 || logits.dim(0) !== paths.length) {
    throw new ShapeError(`${op}: expected logits [${paths.length},V], got ${show(logits.shape)}`);
  }
  const V = logits.dim(1);
  checkWhole(op, "end", end, { least: 0, below: V });
  const values = logSoftmax(logits, -1).data();
  return [paths.map((_, b) => values.subarray(b * V, (b + 1) * V)), next];
}

/** @throws ArgumentError for logits without a softmax: NaN, +∞, or only −∞ */
function checkRow(op: string, step: number, row: ArrayLike<number>): void {
  const symbol = Array.prototype.findIndex.call(row, Number.isNaN);
  if (symbol >= 0) throw new ArgumentError(`${op}: expected logits that have a softmax, got NaN for symbol ${symbol} at step ${step}`);
}

/** The batch axis of each tensor of a state. */
function axesOf<S extends State>(model: Autoregressive<S>, state: S): number[] {
  const { initialState } = model;
  if (initialState === undefined) return stateTensors(state).map(() => 0);
  return batchAxesOf({ initialState: (batch) => initialState.call(model, batch) }, state);
}

function batchOf(state: State, axes: readonly number[]): number {
  return stateTensors(state)[0]?.dim(axes[0] as number) ?? 0;
}

/** Runs a search that leaves nothing on the tape or in memory. */
function search<R>(run: () => R): R {
  return scope(() => noGrad(run));
}

/**
 * Takes the likeliest symbol at each step, for every row of the batch separately.
 * @param state the batch's state before the first symbol
 * @throws ArgumentError for an `end` that is no symbol and for logits of NaN (the message names the step); StateError for an asynchronous `step`
 * @example const [best] = greedySearch(model, model.encode([[3, 1, 2]]), { maxLength: 10 });
 */
export function greedySearch<S extends State>(model: Autoregressive<S>, state: S, options: DecodingOptions): Hypothesis[] {
  checkMethods("greedySearch", "model", model, ["step"]);
  checkOptions("greedySearch", options, ["maxLength", "end", "start"]);
  const { maxLength, end = 0, start = end } = options;
  checkSizes("greedySearch", { maxLength });
  for (const [name, symbol] of Object.entries({ end, start })) checkWhole("greedySearch", name, symbol);
  const asking = { op: "greedySearch", model, start, end };
  return search(() => {
    const B = batchOf(state, axesOf(model, state));
    let [paths, now] = [Array.from({ length: B }, (): Path => ({ symbols: [], logProbability: 0 })), state];
    for (let i = 0; i < maxLength && paths.some((path) => path.symbols.at(-1) !== end); i++) {
      const [logProbabilities, next] = follow(asking, paths, now);
      paths = paths.map((path, b) => {
        if (path.symbols.at(-1) === end) return path;
        const row = logProbabilities[b] as ArrayLike<number>;
        checkRow("greedySearch", i, row);
        return likeliest(path, row);
      });
      now = next;
    }
    return paths.map((path) => hypothesis(path, end, 0));
  });
}

function likeliest({ symbols, logProbability }: Path, next: ArrayLike<number>): Path {
  let best = 0;
  for (let v = 1; v < next.length; v++) if ((next[v] as number) > (next[best] as number)) best = v;
  return { symbols: [...symbols, best], logProbability: logProbability + (next[best] as number) };
}

function hypothesis({ symbols, logProbability }: Path, end: number, alpha: number): Hypothesis {
  const ended = symbols.at(-1) === end;
  return {
    symbols: ended ? symbols.slice(0, -1) : symbols,
    logProbability,
    score: logProbability / ((5 + symbols.length) / 6) ** alpha,
    ended,
  };
}

/**
 * Finds likely sequences with a beam, best first. At each step, the `width` likeliest continuations of the paths in the beam stay;
 * a path that ends leaves the beam and reduces its width by one. With a beam as wide as there are sequences this is
 * exhaustive search; with width 1 it is greedy.
 * @param state the state of a batch of one, before the first symbol
 * @throws ArgumentError for a width or a length below 1, a length penalty that is no number, an `end` that is no symbol, a state with
 * another batch size, and logits of NaN (the message names the step); StateError for an asynchronous `step`
 * @see Sutskever, Vinyals and Le, "Sequence to sequence learning with neural networks", 2014, section 3.2; length penalty: Wu et al.,
 * "Google's neural machine translation system", 2016, eq. 14
 * @example const [best] = beamSearch(model, model.encode([[3, 1, 2]]), { width: 4, maxLength: 10 });
 */
export function beamSearch<S extends State>(model: Autoregressive<S>, state: S, options: BeamOptions): Hypothesis[] {
  checkMethods("beamSearch", "model", model, ["step"]);
  checkOptions("beamSearch", options, ["width", "lengthPenalty", "maxLength", "end", "start"]);
  const { width, maxLength, end = 0, start = end, lengthPenalty = 0 } = options;
  checkSizes("beamSearch", { width, maxLength });
  checkNumber("beamSearch", "lengthPenalty", lengthPenalty);
  for (const [name, symbol] of Object.entries({ end, start })) checkWhole("beamSearch", name, symbol);
  const asking = { op: "beamSearch", model, start, end };
  const axes = axesOf(model, state);
  const batch = batchOf(state, axes);
  if (batch !== 1) throw new ArgumentError(`beamSearch: expected a state of a batch of 1, got ${batch}`);
  return search(() => {
    const done: Path[] = [];
    let [beam, now]: [readonly Path[], S] = [[{ symbols: [], logProbability: 0 }], state];
    for (let i = 0; i < maxLength && beam.length > 0; i++) {
      const [logProbabilities, next] = follow(asking, beam, now);
      for (const row of logProbabilities) checkRow("beamSearch", i, row);
      const best = continuations(beam, logProbabilities, width - done.length);
      done.push(...best.filter(({ symbol }) => symbol === end));
      const alive = best.filter(({ symbol }) => symbol !== end);
      if (alive.length > 0) now = reordered(next, axes, alive);
      beam = alive;
    }
    return [...done, ...beam].map((path) => hypothesis(path, end, lengthPenalty)).sort((a, b) => b.score - a.score);
  });
}

/** The `count` likeliest continuations that are possible; among equals, the first. */
function continuations(paths: readonly Path[], next: readonly ArrayLike<number>[], count: number): Step[] {
  const all = paths.flatMap(({ symbols, logProbability }, row) =>
    Array.from(next[row] as ArrayLike<number>, (p, symbol) => ({ row, symbol, symbols, logProbability: logProbability + p })),
  );
  const possible = all.filter(({ logProbability }) => logProbability > Number.NEGATIVE_INFINITY);
  const best = possible.sort((a, b) => b.logProbability - a.logProbability).slice(0, count);
  return best.map((step) => ({ ...step, symbols: [...step.symbols, step.symbol] }));
}

/** The states of the rows from which the steps continued. */
function reordered<S extends State>(state: S, axes: readonly number[], steps: readonly Step[]): S {
  const rows = tensor(
    steps.map(({ row }) => row),
    { dtype: "int32" },
  );
  let i = 0;
  return mapState((t) => indexSelect(t, axes[i++] as number, rows), state);
}
