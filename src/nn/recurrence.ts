/**
 * The one idea: a recurrent network is a function (x_t, s_t) ↦ (y_t, s_{t+1}).
 *
 * A cell implements `step`; everything else (whole sequences, variable lengths, stacking, streaming,
 * gradient algorithms) is written against this interface.
 */

import { mul } from "../ops/arithmetic.ts";
import { where } from "../ops/compare.ts";
import { stack, unstack } from "../ops/shape.ts";
import { ArgumentError, ShapeError } from "../tensor/errors.ts";
import { show } from "../tensor/shape.ts";
import { Tensor, tensor } from "../tensor/tensor.ts";
import type { Module } from "./module.ts";

/** What is carried from step to step: a tensor, or tensors in arrays and records. The batch is the first axis of each. */
export type State = Tensor | readonly State[] | { readonly [name: string]: State };

export interface ScanOptions {
  /** Real steps of each sequence of the batch, 0 ≤ length ≤ T: the state stops and the output is zero after them. */
  readonly lengths?: readonly number[];
  /** Runs from each sequence's last real step to its first. */
  readonly reverse?: boolean;
}

export interface Recurrence<S extends State = State> extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  /** The state before the first step, for a batch. */
  initialState(batch: number): S;
  /** One time step: x [B,I] and state to y [B,O] and the next state. Pure. */
  step(x: Tensor, state: S): [y: Tensor, next: S];
  /** A whole sequence: xs [T,B,I] to ys [T,B,O] and the last state. */
  scan(xs: Tensor, state?: S, options?: ScanOptions): [ys: Tensor, last: S];
}

/** Applies `fn` to corresponding tensors of states of one structure. */
export function mapState<S extends State>(fn: (...tensors: Tensor[]) => Tensor, first: S, ...rest: S[]): S {
  if (first instanceof Tensor) return fn(first, ...(rest as unknown as Tensor[])) as unknown as S;
  if (Array.isArray(first)) {
    return first.map((part, i) => mapState(fn, part, ...rest.map((r) => (r as unknown as State[])[i] as State))) as unknown as S;
  }
  const record = first as { readonly [name: string]: State };
  return Object.fromEntries(
    Object.entries(record).map(([name, part]) => [
      name,
      mapState(fn, part, ...rest.map((r) => (r as { readonly [name: string]: State })[name] as State)),
    ]),
  ) as unknown as S;
}

/** The tensors of a state, in order of structure. */
export function stateTensors(state: State): Tensor[] {
  if (state instanceof Tensor) return [state];
  return Object.values(state).flatMap(stateTensors);
}

/** Checks `xs [T,B,I]` with T ≥ 1, and the lengths against it. */
export function checkSequence(op: string, xs: Tensor, inputSize: number, lengths?: readonly number[]): void {
  const [T, B, I] = xs.shape;
  if (xs.rank !== 3 || I !== inputSize) throw new ShapeError(`${op}: expected xs [T,B,${inputSize}], got ${show(xs.shape)}`);
  if (T === 0) throw new ShapeError(`${op}: expected xs with at least one step, got ${show(xs.shape)}`);
  if (lengths === undefined) return;
  if (lengths.length !== B) throw new ShapeError(`${op}: expected ${B} lengths for xs ${show(xs.shape)}, got ${lengths.length}`);
  for (const [i, n] of lengths.entries()) {
    if (!Number.isInteger(n) || n < 0 || n > (T as number)) {
      throw new ArgumentError(`${op}: expected lengths in [0, ${T}], got ${n} at position ${i}`);
    }
  }
}

/** Runs `step` over a sequence: the definition every fused form must agree with. */
export function scanSteps<S extends State>(cell: Recurrence<S>, xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
  const { lengths, reverse = false } = options;
  checkSequence("scan", xs, cell.inputSize, lengths);
  const inputs = unstack(xs, 0);
  const outputs = new Array<Tensor>(inputs.length);
  let s = state ?? cell.initialState(xs.shape[1] as number);
  for (let i = 0; i < inputs.length; i++) {
    const t = reverse ? inputs.length - 1 - i : i;
    const [y, next] = cell.step(inputs[t] as Tensor, s);
    if (lengths === undefined || lengths.every((n) => t < n)) {
      outputs[t] = y;
      s = next;
    } else {
      outputs[t] = mul(
        y,
        column(
          lengths.map((n) => (t < n ? 1 : 0)),
          y,
        ),
      );
      s = mapState(
        (a, b) =>
          where(
            column(
              lengths.map((n) => (t < n ? 1 : 0)),
              a,
              "bool",
            ),
            a,
            b,
          ),
        next,
        s,
      );
    }
  }
  return [stack(outputs), s];
}

/** One value per sequence, shaped to broadcast over the other axes of `like`. */
function column(values: readonly number[], like: Tensor, dtype = like.dtype): Tensor {
  return tensor([...values], { dtype, shape: [values.length, ...new Array<number>(like.rank - 1).fill(1)] });
}
