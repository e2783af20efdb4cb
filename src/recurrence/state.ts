/** The state of a recurrence, as a structure of tensors, as a list, or as one vector. */

import { checkFunction } from "../base/checks.ts";
import { DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { reshape } from "../ops/broadcast.ts";
import { cat, slice } from "../ops/shape.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { refuseForeign, Tensor } from "../tensor/tensor.ts";

/** The data carried from step to step: a tensor, or tensors in arrays and records. The batch is the first axis of each. */
export type State = Tensor | readonly State[] | { readonly [name: string]: State };

/** @throws DTypeError for anything that neither is a tensor nor holds any */
function checkPart(op: string, value: unknown): void {
  refuseForeign(op, value);
  if (typeof value === "object" && value !== null) return;
  throw new DTypeError(`${op}: expected a state of tensors in arrays and records, got ${quote(value)}`);
}

/** Applies `fn` to corresponding tensors of states of one structure. */
export function mapState<S extends State>(fn: (...tensors: Tensor[]) => Tensor, first: S, ...rest: S[]): S {
  checkFunction("mapState", "fn", fn);
  if (first instanceof Tensor) return fn(first, ...(rest as unknown as Tensor[])) as unknown as S;
  if (Array.isArray(first)) {
    return first.map((part, i) => mapState(fn, part, ...rest.map((r) => (r as unknown as State[])[i] as State))) as unknown as S;
  }
  checkPart("mapState", first);
  const record = first as { readonly [name: string]: State };
  return Object.fromEntries(
    Object.entries(record).map(([name, part]) => [
      name,
      mapState(fn, part, ...rest.map((r) => (r as { readonly [name: string]: State })[name] as State)),
    ]),
  ) as unknown as S;
}

/** Copies of a state's values, off the tape, so that a whole sequence of states is not kept alive for its last one. */
export function detachState<S extends State>(state: S): S {
  return mapState((s) => copyOf(s), state);
}

/** The tensors of a state, in order of structure. */
export function stateTensors(state: State): Tensor[] {
  if (state instanceof Tensor) return [state];
  checkPart("state", state);
  return Object.values(state).flatMap(stateTensors);
}

/** Puts tensors into the structure of `like`. */
export function restoreState<S extends State>(like: S, tensors: readonly Tensor[]): S {
  let i = 0;
  return mapState(() => tensors[i++] as Tensor, like);
}

/** All elements of a state as one vector [n], in order of structure. */
export function stateToVector(state: State): Tensor {
  return cat(
    stateTensors(state).map((s) => reshape(s, [s.size])),
    0,
  );
}

/** Restores the state from a vector that `stateToVector` made. @param like a state of the same structure and shapes */
export function stateFromVector<S extends State>(vector: Tensor, like: S): S {
  let end = 0;
  const parts = stateTensors(like).map((s) => {
    end += s.size;
    return reshape(slice(vector, 0, end - s.size, end), s.shape);
  });
  return restoreState(like, parts);
}

/** The tensors of a state, which must match another in structure, shapes and dtypes. @throws ShapeError, DTypeError */
export function tensorsLike(like: State, state: unknown, name = "state"): Tensor[] {
  if (like instanceof Tensor) {
    if (!(state instanceof Tensor)) throw new ShapeError(`state: expected a tensor as ${name}, got ${typeof state}`);
    checkForm("state", name, state, like);
    return [state];
  }
  const parts = Object.entries(like);
  const names = typeof state === "object" && state !== null ? Object.keys(state) : [];
  if (names.length !== parts.length || parts.some(([part]) => !names.includes(part))) {
    throw new ShapeError(`state: expected ${name} of ${parts.map(([part]) => part).join(", ")}, got ${names.join(", ") || typeof state}`);
  }
  return parts.flatMap(([part, of]) => tensorsLike(of, (state as Record<string, unknown>)[part], `${name}.${part}`));
}

/** Checks a tensor's dtype and shape. @throws DTypeError, ShapeError */
export function checkForm(op: string, name: string, got: Tensor, { shape, dtype }: Tensor): void {
  if (got.dtype !== dtype) throw new DTypeError(`${op}: expected ${name} of ${dtype}, got ${got.dtype}`);
  if (!sameShape(got.shape, shape)) throw new ShapeError(`${op}: expected ${name} ${show(shape)}, got ${show(got.shape)}`);
}
