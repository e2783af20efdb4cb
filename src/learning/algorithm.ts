/**
 * Gradient algorithms: rules for the derivative of a scan.
 *
 * By default every scan uses backpropagation through time. The algorithms of this folder give a scan
 * another rule, exact or approximate, and leave its values alone. So everything around a recurrence (heads,
 * losses, metrics, the training loop) stays as it is.
 */

import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled, noGrad } from "../autodiff/tape.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { type Recurrence, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { FieldsBefore } from "../replay/fields.ts";
import { Shadow } from "../tensor/shadow.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Bidirectional } from "../wrappers/bidirectional.ts";
import { DetachEvery } from "../wrappers/truncated.ts";
import { Reversed } from "../wrappers/wrappers.ts";
import { byItself } from "./using-gradients.ts";

/** A rule for the derivative of a scan. */
export interface GradientAlgorithm {
  /** Its name in errors and figures: "rtrl", "bptt". */
  readonly name: string;
  /**
   * Scans a recurrence, with this algorithm's derivative.
   * @throws ArgumentError if the algorithm is not defined for the recurrence, or for the gradients that are wanted
   */
  scan<S extends State>(recurrence: Recurrence<S>, xs: Tensor, state?: S, options?: ScanOptions): [ys: Tensor, last: S];
  /**
   * Makes a learner that learns sample by sample in constant memory. Algorithms have it that work forward in time, or whose errors go back a fixed number of steps.
   * @param batch number of sequences that advance together
   * @throws ArgumentError if the algorithm is not defined for the recurrence; StateError if it cannot run step by step
   */
  begin?<S extends State>(recurrence: Recurrence<S>, batch?: number): Learner<S>;
  /** Whether its gradient is also that of single steps; true only for backpropagation through time. */
  readonly coversSteps?: boolean;
}

/** A recurrence that learns while it runs. From step to step it carries its state and what the algorithm knows of the past. */
export interface Learner<S extends State = State> {
  /** A copy of the present state. */
  readonly state: S;
  /**
   * One step x [B,I] → y [B,O].
   * @param error takes y and returns ∂E_t/∂y_t of its shape, or null without a target. Gradients add up in the parameters' `.grad`
   * @returns y, without a tape
   * @throws ShapeError for another x; StateError for a step that draws random numbers. Both leave the learner unchanged
   */
  step(x: Tensor, error?: (y: Tensor) => Tensor | null): Tensor;
  /** The first half of a step, for computing the error from its output. Call it, and use its result, within one `scope`. */
  take(x: Tensor): TakenStep<S>;
  /**
   * Gradients of waiting errors, in the order of `parameters()`, as if the sequence ended here; none if every error is learned from
   * immediately.
   */
  remaining(): readonly (Tensor | null)[];
  /** Ends a sequence: adds the remaining gradients to `.grad`, then resets. */
  finish(): void;
  /** Returns to the initial state and forgets the past. Call it also after the recurrence's initial state was trained or replaced. */
  reset(): void;
  /** Everything carried from step to step. The tensors are the learner's own, not copies. */
  memory: State;
  /** The same as bytes, with a version and a checksum. */
  toBytes(): Uint8Array<ArrayBuffer>;
  /** Continues from bytes. @throws FormatError; leaves everything unchanged */
  fromBytes(bytes: Uint8Array): void;
}

/** A step that was computed but has not yet moved the learner. */
export interface TakenStep<S extends State = State> {
  /** [B,O] */
  readonly y: Tensor;
  /** The state after the step. */
  readonly next: S;
  /**
   * Gradients of the trained parameters, in the order of `parameters()`.
   * @param dy ∂E_t/∂y_t, or null
   * @param dNext ∂E_t/∂ of each tensor of the state after the step
   */
  pull(dy: Tensor | null, dNext?: readonly (Tensor | null)[]): readonly (Tensor | null)[];
  /**
   * For algorithms whose errors wait: gradients that fall due at this step, called once, after any `pull`. Errors given to `pull` wait as well, or are included.
   */
  late?(): readonly (Tensor | null)[];
  /** Computes what the learner will carry, with the present weights. @returns a function that moves the learner there and cannot fail */
  settle(): () => void;
}

/** The values of one scan, and the cotangents of its results. */
export interface ScanCotangents {
  /** [T,B,I] */
  readonly xs: Tensor;
  /** The tensors of the state before the first step, in order of structure. */
  readonly state: readonly Tensor[];
  /** The outputs [T,B,O] of the recurrence's own scan. */
  readonly ys: Tensor;
  /** The tensors of the state after the last step. */
  readonly last: readonly Tensor[];
  /** ∂E/∂ys [T,B,O]; null if no output is used. */
  readonly dys: Tensor | null;
  /** ∂E/∂ of each tensor of the last state. */
  readonly dLast: readonly (Tensor | null)[];
  /** Whether the gradient of the first state is wanted. */
  readonly wantsState: boolean;
  /** Whether the gradient of xs is wanted. */
  readonly wantsInputs: boolean;
}

/** Gradients of a scan's parameters and of its first state; null if there is none. */
export interface ScanGradients {
  readonly xs: Tensor | null;
  readonly state: readonly (Tensor | null)[];
  readonly parameters: readonly (Tensor | null)[];
}

/** The derivative of one scan; an algorithm of this folder need define no more. */
export type ScanRule<S extends State> = (
  recurrence: Recurrence<S>,
  parameters: readonly Parameter[],
  like: S,
  cotangents: ScanCotangents,
  options: ScanOptions,
) => ScanGradients;

interface ScanParams {
  readonly name: string;
  readonly run: (xs: Tensor, state: readonly Tensor[]) => readonly Tensor[];
  readonly rule: (cotangents: ScanCotangents) => ScanGradients;
  readonly carried: number;
}

/** A scan as a primitive: its inputs are xs, the state's tensors and the parameters, its outputs ys and the last state's tensors. */
const ruledScan: Primitive<ScanParams> = {
  name: "ruledScan",
  forward: ([xs, ...rest], { run, carried }) => noGrad(() => run((xs as Tensor).detach(), rest.slice(0, carried))).map((y) => y.detach()),
  vjp([dys = null, ...dLast], { inputs: [xs, ...rest], outputs: [ys, ...last], params, needs }: Evaluation<ScanParams>) {
    const { name, rule, carried } = params;
    if (isGradEnabled()) throw new StateError(`${name}: expected to be differentiated once, got a gradient of a gradient`);
    const state = rest.slice(0, carried);
    const wantsState = needs.slice(1, 1 + carried).some((needed) => needed);
    const found = rule({ xs: xs as Tensor, state, ys: ys as Tensor, last, dys, dLast, wantsState, wantsInputs: needs[0] === true });
    return [found.xs, ...found.state, ...found.parameters];
  },
  jvp(_tangents, { params: { name } }) {
    throw new StateError(`${name}: expected to be differentiated in reverse mode, got tangents: use jvp without this algorithm`);
  },
};

/**
 * Runs a recurrence's own scan for the values, and uses `rule` for the derivative.
 * @param forward computes the values instead, for rules that need to watch the forward pass
 */
export function scanByRule<S extends State>(
  name: string,
  rule: ScanRule<S>,
  recurrence: Recurrence<S>,
  xs: Tensor,
  state?: S,
  options: ScanOptions = {},
  forward: (xs: Tensor, start: S) => [ys: Tensor, last: S] = (x, s) => recurrence.scan(x, s, options),
): [ys: Tensor, last: S] {
  const start = startOf(recurrence, xs, state);
  const carry = stateTensors(start);
  // Frozen ones are inputs too, since nobody may write to them before the rule has read them.
  const all = recurrence.parameters();
  const parameters = trainedOf(all);
  const frozen = all.filter((p) => !p.requiresGrad);
  const asNow = snapshot(recurrence);
  const run = (x: Tensor, tensors: readonly Tensor[]): Tensor[] => {
    const [ys, last] = forward(x, restoreState(start, tensors));
    return [ys, ...stateTensors(mapState((_, t) => t as Tensor, start, last))];
  };
  const params: ScanParams = {
    name,
    run,
    rule: (cotangents) => asNow(() => byItself(recurrence, () => rule(recurrence, parameters, start, cotangents, options))),
    carried: carry.length,
  };
  const [ys, ...last] = applyAll(ruledScan, [xs, ...carry, ...parameters, ...frozen], params);
  return [ys as Tensor, restoreState(start, last)];
}

/** The parameters that are trained. */
export const trainedOf = (parameters: readonly Parameter[]): Parameter[] => parameters.filter((p) => p.requiresGrad);

/** A module's present state apart from its parameters' values: modes, options, parts, and buffers such as running statistics. */
class Snapshot {
  readonly #fields: FieldsBefore;
  readonly #buffers = new Shadow();

  constructor(module: Module) {
    this.#fields = new FieldsBefore(module);
    this.#buffers.take([...module.stateDict().values()].filter((t) => !(t instanceof Parameter)));
  }

  putBack(): void {
    this.#fields.restore();
    this.#buffers.putBack();
  }
}

/** Returns a runner that runs functions with the module as it is now, and afterwards restores what it found. */
export function snapshot(module: Module): <R>(again: () => R) => R {
  const then = new Snapshot(module);
  return (again) => {
    const now = new Snapshot(module);
    then.putBack();
    try {
      return again();
    } finally {
      now.putBack();
    }
  };
}

/** Refuses recurrences whose scan is not a sequence of independent steps in time: bidirectional, reversed, with cuts, with one mask for a whole sequence. @throws ArgumentError */
export function refuseOtherScans(name: string, recurrence: Module): void {
  for (const module of recurrence.modules()) {
    const { bidirectional, variational } = module as { bidirectional?: unknown; variational?: unknown };
    const masks = variational === true && module.training;
    const refused = [DetachEvery, Reversed, Bidirectional].some((kind) => module instanceof kind);
    if (!refused && bidirectional !== true && !masks) continue;
    throw new ArgumentError(`${name}: expected a recurrence whose steps follow each other in time, got ${module.constructor.name}`);
  }
}

/** Refuses inputs that need a gradient, if the algorithm gives them none. */
export function refuseInputGradient(name: string, xs: Tensor): void {
  if (xs.node === null && !xs.requiresGrad) return;
  throw new ArgumentError(
    `${name}: expected inputs that are data, got ones that depend on trained tensors: make what computes them part of the recurrence`,
  );
}
