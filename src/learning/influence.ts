/** The influence: what an algorithm that works forward in time carries from step to step, beside the state. */

import { type FloatDType, isFloat } from "../base/dtype.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { cat } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { type State, stateTensors } from "../recurrence/state.ts";
import { eye, zeros } from "../tensor/create.ts";
import type { Generator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { joined, type Stretch } from "./stretch.ts";

/** The setting of an influence: one sequence of a recurrence. */
export interface Setting {
  /** The algorithm's name, for error messages. */
  readonly name: string;
  readonly recurrence: Recurrence;
  /** The trained parameters. */
  readonly parameters: readonly Parameter[];
  /** Number of elements of all parameters, and of a state's float tensors. */
  readonly P: number;
  readonly S: number;
  readonly dtype: FloatDType;
  /** The state before the first step, for a batch of one. */
  readonly state: State;
  /**
   * Number of elements whose gradients are wanted: the P parameters, followed by the elements of the first state if its gradient is wanted too.
   */
  readonly columns: number;
  /** ∂s₀/∂columns [S, columns]; null if the first state depends on none of them. */
  readonly start: Tensor | null;
}

/** How an algorithm carries what it knows of one sequence's past. */
export interface Influence<G extends State = State> {
  /** The influence before the first step. */
  readonly initial: G;
  /**
   * The gradient [columns] of the errors of a block of steps.
   * @param influence the influence before the block
   * @param dys ∂E/∂ of the block's outputs [h,1,O]
   * @param dNext ∂E/∂ of the state after the block [S]
   */
  gradient(block: Stretch<State>, influence: G, dys: Tensor | null, dNext: Tensor | null): Tensor;
  /** The influence after the block. */
  next(block: Stretch<State>, influence: G): G;
  /** The generator that `next` draws from, if it does; a learner's state includes its place. */
  readonly generator?: Generator;
}

/** Makes an algorithm's influence for a setting. @throws ArgumentError if it is not defined there */
export type InfluenceFor = (setting: Setting) => Influence;

/** For influences of parameters only. @throws ArgumentError if the first state is trained, or its gradient wanted */
export function refuseStart({ name, start }: Setting): void {
  if (start === null) return;
  throw new ArgumentError(`${name}: expected a first state that is data, got one that depends on trained tensors`);
}

export const floatsOf = (tensors: readonly Tensor[]): Tensor[] => tensors.filter((t) => isFloat(t.dtype));
export const sizeOfAll = (tensors: readonly Tensor[]): number => tensors.reduce((n, t) => n + t.size, 0);

/** The setting of a sequence that starts from a state, whose gradient may be wanted as well. */
export function settingOf(
  name: string,
  recurrence: Recurrence,
  parameters: readonly Parameter[],
  state: State,
  start: "fixed" | "wanted",
): Setting {
  const floats = floatsOf(stateTensors(state));
  const dtype = ((parameters[0] ?? floats[0])?.dtype ?? "float32") as FloatDType;
  const [P, S] = [sizeOfAll(parameters), sizeOfAll(floats)];
  const wanted = start === "wanted";
  return {
    ...{ name, recurrence, parameters, P, S, dtype, state },
    columns: wanted ? P + S : P,
    start: wanted ? cat([zeros([S, P], dtype), eye(S, S, dtype)], 1) : null,
  };
}

/** Tolerance for sums in another order, such as a scan in pieces against one scan. */
export const ROUNDING = { float32: 1e-3, float64: 1e-9 };

/** @throws StateError unless steps follow each other in time and depend on nothing else, as the influence assumes */
export function checkSameOutputs(name: string, got: Tensor, expected: Tensor): void {
  const tolerance = ROUNDING[expected.dtype as FloatDType];
  const [a, b] = [got.data(), expected.data()];
  for (let i = 0; i < b.length; i++) {
    const [y, whole] = [a[i] as number, b[i] as number];
    if (Object.is(y, whole) || Math.abs(y - whole) <= tolerance * Math.max(1, Math.abs(whole))) continue;
    throw new StateError(
      `${name}: expected a recurrence whose steps follow each other in time, each sequence for itself and without random numbers, ` +
        `got one that puts out ${y} step by step where its scan gave ${whole}`,
    );
  }
}

/** Cotangents of a state's tensors as a vector [S]; null if there are none. */
export function cotangentOf(cotangents: readonly (Tensor | null)[], like: readonly Tensor[]): Tensor | null {
  if (cotangents.every((d) => d === null)) return null;
  const differentiable = like.map((s) => isFloat(s.dtype));
  return joined(
    cotangents.filter((_, i) => differentiable[i]),
    floatsOf(like),
  );
}
