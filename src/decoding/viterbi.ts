/** The Viterbi algorithm: the likeliest label sequence of a chain, or several of them. */

import { checkObject, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { checkEmissions, type RealSteps, realSteps } from "../nn/crf.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { logAdd } from "./log-add.ts";

/** The scores of a chain that do not depend on the step: a `LinearChainCRF`, for example, or the logarithms of a hidden Markov model. */
export interface Chain {
  /** [C,C], from the row's label to the column's. */
  readonly transitions: Tensor;
  /** Score of each label as the first, [C]. */
  readonly startTransitions: Tensor;
  /** Score of each label as the last, [C]. */
  readonly endTransitions: Tensor;
}

export interface ViterbiOptions extends RealSteps {
  /** Most sequences to find for each element of the batch; default 1. */
  readonly best?: number;
}

/** One sequence of labels. */
export interface Labelling {
  /** One label per step that counts. */
  readonly labels: readonly number[];
  readonly score: number;
  /** score − log Σ exp(score) over all sequences of labels. */
  readonly logProbability: number;
}

/** A path to a label at a step: the score so far, and the path to the step before. */
interface Way {
  readonly label: number;
  readonly score: number;
  readonly before: Way | null;
}

type Row = ArrayLike<number>;

interface Scores {
  readonly transitions: readonly Row[];
  readonly start: Row;
  readonly end: Row;
}

function scoresOf({ transitions, startTransitions, endTransitions }: Chain, C: number): Scores {
  const expected = { transitions: [C, C], startTransitions: [C], endTransitions: [C] };
  for (const [name, t] of Object.entries({ transitions, startTransitions, endTransitions })) {
    checkTensor("viterbi", t);
    const shape = expected[name as keyof typeof expected];
    if (!sameShape(t.shape, shape)) throw new ShapeError(`viterbi: expected ${name} ${show(shape)}, got ${show(t.shape)}`);
    checkScores(name, t.data());
  }
  return { transitions: rowsOf(transitions.data(), C), start: startTransitions.data(), end: endTransitions.data() };
}

function rowsOf(values: { subarray(from: number, to: number): Row; readonly length: number }, C: number): Row[] {
  return Array.from({ length: values.length / C }, (_, i) => values.subarray(i * C, (i + 1) * C));
}

/** The `count` best; among equals, the first. */
function best(ways: Way[], count: number): Way[] {
  return ways.sort((a, b) => b.score - a.score).slice(0, count);
}

/** Requires scores; −∞ is one, for impossible labels. */
function checkScores(name: string, row: Row): void {
  for (let c = 0; c < row.length; c++) {
    if ((row[c] as number) < Number.POSITIVE_INFINITY) continue;
    throw new ArgumentError(`viterbi: expected scores below +∞ in ${name}, got ${row[c]} at element ${c}`);
  }
}

/** The `count` best labellings of one sequence, from the scores of its steps. */
function search(emissions: readonly Row[], { transitions, start, end }: Scores, count: number): Labelling[] {
  if (emissions.length === 0) return [{ labels: [], score: 0, logProbability: 0 }];
  const C = start.length;
  const labels = Array.from({ length: C }, (_, c) => c);
  const said = (t: number, c: number): number => (emissions[t] as Row)[c] as number;
  let ways = labels.map((label): Way[] => [{ label, score: (start[label] as number) + said(0, label), before: null }]);
  let alpha = labels.map((c) => (ways[c] as Way[])[0]?.score as number);
  for (let t = 1; t < emissions.length; t++) {
    const [reached, sums] = [ways, alpha];
    const move = (from: number, to: number): number => (transitions[from]?.[to] as number) + said(t, to);
    ways = labels.map((label) =>
      best(
        reached.flatMap((list) => list.map((before): Way => ({ label, score: before.score + move(before.label, label), before }))),
        count,
      ),
    );
    alpha = labels.map((to) =>
      labels.reduce((total, from) => logAdd(total, (sums[from] as number) + move(from, to)), Number.NEGATIVE_INFINITY),
    );
  }
  const logZ = alpha.reduce((total, a, c) => logAdd(total, a + (end[c] as number)), Number.NEGATIVE_INFINITY);
  const ended = ways.flat().map((way) => ({ ...way, score: way.score + (end[way.label] as number) }));
  return best(ended, count)
    .filter(({ score }) => score > Number.NEGATIVE_INFINITY)
    .map((way) => ({ labels: trace(way), score: way.score, logProbability: way.score - logZ }));
}

function trace(last: Way): number[] {
  const labels: number[] = [];
  for (let way: Way | null = last; way !== null; way = way.before) labels.push(way.label);
  return labels.reverse();
}

/**
 * The best label sequences of each element of the batch, best first: those with the greatest start[y_1] + Σ emissions[t][y_t] +
 * Σ transitions[y_{t−1}][y_t] + end[y_T]. Each label at each step keeps the `best` paths to it. Takes O(T·C²·best) operations per sequence,
 * and a sort of C·best paths for each label and step.
 * @param emissions [T,B,C]; −∞ for an impossible label
 * @returns for each sequence at most `best` labellings; none if all have score −∞
 * @throws ArgumentError for NaN or +∞, lengths out of range
 * @see Viterbi, "Error bounds for convolutional codes and an asymptotically optimum decoding algorithm", 1967; several best: Seshadri
 * and Sundberg, "List Viterbi decoding algorithms with applications", 1994, the parallel algorithm
 * @example const [[best]] = viterbi(crf, emissions, { lengths: [7] });
 */
export function viterbi(chain: Chain, emissions: Tensor, options: ViterbiOptions = {}): Labelling[][] {
  checkObject("viterbi", "a chain", chain);
  const { best: count = 1 } = optionsOf("viterbi", options, ["best", "lengths", "mask"]);
  checkSizes("viterbi", { best: count });
  checkTensor("viterbi", chain.transitions);
  const C = chain.transitions.dim(-1);
  checkEmissions("viterbi", emissions, C);
  const [T, B] = emissions.shape as [number, number, number];
  const scores = scoresOf(chain, C);
  const rows = rowsOf(emissions.data(), C);
  return realSteps("viterbi", T, B, options).map((steps, b) => {
    const own = steps.map((t) => rows[t * B + b] as Row);
    for (const [i, row] of own.entries()) checkScores(`emissions at step ${steps[i]} of sequence ${b}`, row);
    return search(own, scores, count);
  });
}
