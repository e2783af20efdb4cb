/** Extends rules for plain sequences to ragged batches and to reversed scans. */

import { isFloat } from "../base/dtype.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { cat, flip, slice } from "../ops/shape.ts";
import { batchAxesOf } from "../recurrence/recurrence.ts";
import { restoreState, type State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import type { ScanCotangents, ScanGradients, ScanRule } from "./algorithm.ts";

/** Adds gradients, either of which may be missing. */
export function sumOf(a: Tensor | null, b: Tensor | null): Tensor | null {
  return a && b ? add(a, b) : (a ?? b);
}

const backwards = (x: Tensor | null): Tensor | null => x && flip(x, 0);

/**
 * Turns a rule for sequences of one length, read forwards, into a rule for any scan: reverses what is read backwards, and takes a ragged batch
 * sequence by sequence.
 * @param options alone: whether to take every batch sequence by sequence
 */
export function overSequences<S extends State>(rule: ScanRule<S>, { alone = false }: { readonly alone?: boolean } = {}): ScanRule<S> {
  const whole: ScanRule<S> = (recurrence, parameters, like, cotangents, { reverse = false }) => {
    if (!reverse) return rule(recurrence, parameters, like, cotangents, {});
    const { xs, ys, dys } = cotangents;
    const turned = { ...cotangents, xs: flip(xs, 0), ys: flip(ys, 0), dys: backwards(dys) };
    const found = rule(recurrence, parameters, like, turned, {});
    return { ...found, xs: backwards(found.xs) };
  };
  return (recurrence, parameters, like, cotangents, options) => {
    const [T, B] = cotangents.xs.shape as [number, number];
    const { lengths = new Array<number>(B).fill(T), reverse = false } = options;
    if (B === 0) return nothing(cotangents, parameters);
    if (!alone && lengths.every((n) => n === T)) return whole(recurrence, parameters, like, cotangents, { reverse });
    const axes = batchAxesOf(recurrence, like);
    const each = lengths.map((length, b) =>
      scope((): ScanGradients => {
        const own = sequenceOf(cotangents, axes, b, length);
        const found =
          length === 0 ? passedOn(own, parameters.length) : whole(recurrence, parameters, restoreState(like, own.state), own, { reverse });
        return { ...found, xs: found.xs && padded(found.xs, T) };
      }),
    );
    return joinSequences(each, cotangents, axes);
  };
}

/** The steps of sequence b, as a batch of one. */
function sequenceOf(
  { xs, ys, state, last, dys, dLast, ...wanted }: ScanCotangents,
  axes: readonly number[],
  b: number,
  length: number,
): ScanCotangents {
  const steps = (x: Tensor): Tensor => slice(slice(x, 1, b, b + 1), 0, 0, length);
  const row = (t: Tensor, i: number): Tensor => slice(t, axes[i] as number, b, b + 1);
  const ends = { state: state.map(row), last: last.map(row), dLast: dLast.map((d, i) => d && row(d, i)) };
  return { xs: steps(xs), ys: steps(ys), dys: dys && steps(dys), ...ends, ...wanted };
}

/** The gradients of a sequence without steps, whose last state is its first. */
function passedOn({ xs, dLast }: ScanCotangents, parameters: number): ScanGradients {
  return { xs: zeros(xs.shape, xs.dtype), state: dLast, parameters: new Array(parameters).fill(null) };
}

/** The gradients of a batch without sequences. */
function nothing({ state }: ScanCotangents, parameters: readonly Parameter[]): ScanGradients {
  const zero = (t: Tensor): Tensor | null => (isFloat(t.dtype) ? zeros(t.shape, t.dtype) : null);
  return { xs: null, state: state.map(zero), parameters: parameters.map(zero) };
}

/** [n,1,I] with zeros after it: [T,1,I]. */
function padded(x: Tensor, T: number): Tensor {
  return x.dim(0) === T ? x : cat([x, zeros([T - x.dim(0), ...x.shape.slice(1)], x.dtype)], 0);
}

function joinSequences(alone: readonly ScanGradients[], { state }: ScanCotangents, axes: readonly number[]): ScanGradients {
  const dState = state.map((s, i) => {
    const rows = alone.map((g) => g.state[i] ?? null);
    if (!isFloat(s.dtype) || rows.every((r) => r === null)) return null;
    const axis = axes[i] as number;
    const shape = s.shape.map((n, k) => (k === axis ? 1 : n));
    return cat(
      rows.map((r) => r ?? zeros(shape, s.dtype)),
      axis,
    );
  });
  const dxs = alone.map((g) => g.xs);
  return {
    xs: dxs.some((d) => d === null) ? null : cat(dxs as Tensor[], 1),
    state: dState,
    parameters: (alone[0] as ScanGradients).parameters.map((_, k) =>
      alone.map((g) => g.parameters[k] as Tensor | null).reduce((a, b) => sumOf(a, b)),
    ),
  };
}
