/** More derivatives of a stretch of steps: along a direction of its first state, and by that whole state in one sweep. */

import { track } from "../autodiff/alias.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, noGrad } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { reshape } from "../ops/broadcast.ts";
import { cat, permute, repeat, slice } from "../ops/shape.ts";
import { batchAxesOf } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors, stateToVector } from "../recurrence/state.ts";
import { eye, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { jvp } from "../transforms/transforms.ts";
import type { Stretch } from "./stretch.ts";

const floatsOf = (state: State): Tensor[] => stateTensors(state).filter((s) => isFloat(s.dtype));

/** A state with its float tensors replaced, in order of structure. */
function withFloats(state: State, floats: readonly Tensor[]): State {
  let i = 0;
  return mapState((s) => (isFloat(s.dtype) ? (floats[i++] as Tensor) : s), state);
}

/** The float tensors of a state in the order of another one, since a recurrence may list them in any order. */
function inOrderOf(like: State, state: State): Tensor[] {
  return floatsOf(mapState((_, t) => t as Tensor, like, state));
}

/** Moves an axis to another position. */
function moveAxis(x: Tensor, from: number, to: number): Tensor {
  const axes = x.shape.map((_, i) => i).filter((i) => i !== from);
  axes.splice(to, 0, from);
  return permute(x, axes);
}

/** J·v for a direction v of the first state [S]: ∂next/∂state along it, in forward mode. */
export function push({ recurrence, xs, start }: Stretch<State>, direction: Tensor): Tensor {
  const before = floatsOf(start).map((s) => s.detach());
  if (before.length === 0) return direction;
  const next = (...floats: Tensor[]): Tensor => stateToVector(inOrderOf(start, recurrence.scan(xs, withFloats(start, floats))[1]));
  return noGrad(() => jvp(next, before, stateFromVector(direction, before))[1]);
}

/** J = ∂next/∂state [S,S], by one sweep over S copies of the sequence, side by side, each with its own row. */
export function stateJacobian({ recurrence, xs, ys, start, size: S }: Stretch<State>): Tensor {
  if (S === 0) return zeros([0, 0], ys.dtype);
  const all = batchAxesOf(recurrence, start);
  const axes = stateTensors(start).flatMap((s, i) => (isFloat(s.dtype) ? [all[i] as number] : []));
  const tensors = stateTensors(start).map((s, i) => copies(s, all[i] as number, S));
  const tracked = tensors.map((s) => (isFloat(s.dtype) ? track(s) : s));
  const [, last] = enableGrad(() => recurrence.scan(copies(xs, 1, S), restoreState(start, tracked)));
  const before = tracked.filter((s) => isFloat(s.dtype));
  const after = inOrderOf(start, last);
  const found = gradients(after, before, rowsOf(after, axes, S));
  return cat(
    before.map((s, i) => {
      const [g, n] = [found[i], s.size / S];
      return g ? reshape(moveAxis(g, axes[i] as number, 0), [S, n]) : zeros([S, n], s.dtype);
    }),
    1,
  );
}

/** Repeats an axis of length one S times. */
function copies(x: Tensor, axis: number, S: number): Tensor {
  return repeat(
    x.detach(),
    x.shape.map((_, i) => (i === axis ? S : 1)),
  );
}

/** Cotangents of S copies of a state, where copy k has the vector e_k. */
function rowsOf(after: readonly Tensor[], axes: readonly number[], S: number): Tensor[] {
  const rows = eye(S, S, (after[0] as Tensor).dtype);
  let end = 0;
  return after.map((s, i) => {
    const axis = axes[i] as number;
    const rest = s.shape.filter((_, k) => k !== axis);
    end += s.size / S;
    return moveAxis(reshape(slice(rows, 1, end - s.size / S, end), [S, ...rest]), 0, axis);
  });
}
