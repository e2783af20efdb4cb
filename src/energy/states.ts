/** States and patterns as they come from callers: tensors, checked and read into plain arrays. */

import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";

/** What units can be: −1 and 1, 0 and 1, −1, 0 and 1, or any finite number. */
export type UnitValues = "spins" | "bits" | "ternary" | "numbers";

interface Kind {
  readonly words: string;
  allows(value: number): boolean;
}

const KINDS: Readonly<Record<UnitValues, Kind>> = {
  spins: { words: "-1 and 1", allows: (v) => v === 1 || v === -1 },
  bits: { words: "0 and 1", allows: (v) => v === 0 || v === 1 },
  ternary: { words: "-1, 0 and 1", allows: (v) => v === 0 || v === 1 || v === -1 },
  numbers: { words: "finite numbers", allows: Number.isFinite },
};

/** The numbers of a tensor, if every one is of its kind. @throws ArgumentError */
export function readValues(op: string, name: string, t: Tensor, values: UnitValues): Float64Array {
  const { words, allows } = KINDS[values];
  const read = Float64Array.from(t.data() as ArrayLike<number>);
  const wrong = read.findIndex((v) => !allows(v));
  if (wrong >= 0) throw new ArgumentError(`${op}: expected ${name} to hold ${words}, got ${read[wrong]} at position ${wrong}`);
  return read;
}

/** One state of N units. @throws DTypeError, ShapeError, ArgumentError */
export function readState(op: string, name: string, t: Tensor, N: number, values: UnitValues): Float64Array {
  checkTensor(op, t);
  if (t.rank !== 1 || t.shape[0] !== N) throw new ShapeError(`${op}: expected ${name} of shape [${N}], got ${show(t.shape)}`);
  return readValues(op, name, t, values);
}

/** One pattern [N] or several [P,N], as a list. @throws DTypeError, ShapeError, ArgumentError */
export function readPatterns(op: string, name: string, t: Tensor, N: number, values: UnitValues): Float64Array[] {
  checkTensor(op, t);
  if (t.rank < 1 || t.rank > 2 || t.shape.at(-1) !== N) {
    throw new ShapeError(`${op}: expected ${name} of shape [P,${N}] or [${N}], got ${show(t.shape)}`);
  }
  const all = readValues(op, name, t, values);
  return Array.from({ length: t.size / N }, (_, p) => all.subarray(p * N, (p + 1) * N));
}

/** A matrix of finite numbers [M,N]. @throws DTypeError, ShapeError, ArgumentError */
export function readMatrix(op: string, name: string, t: Tensor, M: number, N: number): Float64Array {
  checkTensor(op, t);
  if (t.rank !== 2 || t.shape[0] !== M || t.shape[1] !== N) {
    throw new ShapeError(`${op}: expected ${name} of shape [${M},${N}], got ${show(t.shape)}`);
  }
  return readValues(op, name, t, "numbers");
}

/** The dtype of the states that a cue leads to: its own, or float32 where that does not hold what units can be. */
export function stateDType(cue: Tensor, values: UnitValues): DType {
  return isFloat(cue.dtype) || (cue.dtype === "int32" && values !== "numbers") ? cue.dtype : "float32";
}

/** Whether two states are the same. */
export function sameState(a: Float64Array, b: Float64Array): boolean {
  return a.every((v, i) => v === b[i]);
}

/**
 * How far a state agrees with each pattern: m = ξᵀs / N, 1 for the pattern itself and −1 for its opposite.
 * @throws DTypeError for what is no tensor; ShapeError unless the state is [N] and the patterns [P,N]
 * @example overlaps(patterns, memory.recall(cue).state) // Float64Array(3) [0.12, 1, -0.04]
 */
export function overlaps(patterns: Tensor, state: Tensor): Float64Array {
  checkTensor("overlaps", patterns);
  const N = patterns.shape.at(-1) ?? 0;
  const s = readState("overlaps", "the state", state, N, "numbers");
  return Float64Array.from(readPatterns("overlaps", "patterns", patterns, N, "numbers"), (p) => dot(p, s) / N);
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
