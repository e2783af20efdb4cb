/**
 * Gradient algorithms: rules for the derivative of a scan.
 *
 * Every scan uses backpropagation through time by default. The algorithms of this folder give a scan
 * another rule, exact or approximate, and leave its values alone; so everything around a recurrence (heads,
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
  /** As errors and figures name it: "rtrl", "bptt". */
  readonly name: string;
  /**
   * The scan of a recurrence, with this algorithm's derivative.
   * @throws ArgumentError where the algorithm has no meaning for the recurrence, or for what is asked of it
   */
  scan<S extends State>(recurrence: Recurrence<S>, xs: Tensor, state?: S, options?: ScanOptions): [ys: Tensor, last: S];
  /**
   * Learning sample by sample, in constant memory: of algorithms that work forward in time, and of those whose errors go back a fixed number of steps.
   * @param batch sequences that are advanced together
   * @throws ArgumentError where the algorithm has no meaning for the recurrence; StateError for one that cannot run step by step
   */
  begin?<S extends State>(recurrence: Recurrence<S>, batch?: number): Learner<S>;
  /** Whether its gradient is also that of steps taken one by one: of backpropagation through time alone. */
  readonly coversSteps?: boolean;
}

/** A recurrence that learns while it runs. It carries its state, and what the algorithm knows of the past, from step to step. */
export interface Learner<S extends State = State> {
  /** The state now; copies. */
  readonly state: S;
  /**
   * One step x [B,I] → y [B,O].
   * @param error is told y and gives ∂E_t/∂y_t of its shape, or null where there is no target. Gradients add up in the parameters' `.grad`
   * @returns y, without a tape
   * @throws ShapeError for another x; StateError for a step that draws random numbers. Nothing has moved then
   */
  step(x: Tensor, error?: (y: Tensor) => Tensor | null): Tensor;
  /** The first half of a step, for what stands between its output and the error. Call it, and use its result, within one `scope`. */
  take(x: Tensor): TakenStep<S>;
  /**
   * Gradients of the errors that still wait, in the order of `parameters()`, as if the sequence ended here; none where every error is learned from
   * at once.
   */
  remaining(): readonly (Tensor | null)[];
  /** The end of a sequence: adds the remaining gradients to `.grad`, then as `reset`. */
  finish(): void;
  /** Back to the first state, with nothing known of any past. Call it when the recurrence's first state was trained or replaced, too. */
  reset(): void;
  /** All that goes from step to step. The tensors are the learner's own, not copies. */
  memory: State;
  /** The same as bytes: versioned, with a checksum. */
  toBytes(): Uint8Array<ArrayBuffer>;
  /** Continues from bytes. @throws FormatError, and nothing changes */
  fromBytes(bytes: Uint8Array): void;
}

/** A step that was computed but has not moved the learner yet. */
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
   * Of algorithms whose errors wait: gradients that fall due with this step, once for all, after any `pull`. What `pull` takes waits, too, or is among them.
   */
  late?(): readonly (Tensor | null)[];
  /** Computes what the learner will carry, with the weights as they are now. @returns what moves the learner there; it cannot fail */
  settle(): () => void;
}

/** The values of one scan, and the cotangents of its results. */
export interface ScanCotangents {
  /** [T,B,I] */
  readonly xs: Tensor;
  /** The tensors of the state before the first step, in order of structure. */
  readonly state: readonly Tensor[];
  /** The outputs [T,B,O] as the recurrence's own scan gave them. */
  readonly ys: Tensor;
  /** The tensors of the state after the last step. */
  readonly last: readonly Tensor[];
  /** ∂E/∂ys [T,B,O]; null where no output is used. */
  readonly dys: Tensor | null;
  /** ∂E/∂ of each tensor of the last state. */
  readonly dLast: readonly (Tensor | null)[];
  /** Whether the gradient of the first state is wanted. */
  readonly wantsState: boolean;
  /** Whether the gradient of xs is wanted. */
  readonly wantsInputs: boolean;
}

/** Gradients of a scan's parameters and of its first state; null where there is none. */
export interface ScanGradients {
  readonly xs: Tensor | null;
  readonly state: readonly (Tensor | null)[];
  readonly parameters: readonly (Tensor | null)[];
}

/** The derivative of one scan: all that an algorithm of this folder must define. */
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

/** A scan as a primitive: inputs are xs, the state's tensors and the parameters; outputs ys and the last state's tensors. */
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
 * Runs a recurrence's own scan for the values, and `rule` for the derivative.
 * @param forward what gives the values instead, where the rule wants to see them made
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
  // Frozen ones are inputs, too: nobody may write to them before the rule has read them.
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

/** What a module is at the moment beside its parameters' values: modes, options, parts; and buffers, as running statistics. */
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

/** Something that runs a function with a module as it is now, and then leaves the module as it found it. */
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

/** A scan that is no steps in time, or not in pieces: in both directions, backwards, with cuts, with one mask for a whole sequence. @throws ArgumentError */
export function refuseOtherScans(name: string, recurrence: Module): void {
  for (const module of recurrence.modules()) {
    const { bidirectional, variational } = module as { bidirectional?: unknown; variational?: unknown };
    const masks = variational === true && module.training;
    const refused = [DetachEvery, Reversed, Bidirectional].some((kind) => module instanceof kind);
    if (!refused && bidirectional !== true && !masks) continue;
    throw new ArgumentError(`${name}: expected a recurrence whose steps follow each other in time, got ${module.constructor.name}`);
  }
}

/** A scan whose algorithm knows nothing of what its inputs depend on. */
export function refuseInputGradient(name: string, xs: Tensor): void {
  if (xs.node === null && !xs.requiresGrad) return;
  throw new ArgumentError(
    `${name}: expected inputs that are data, got ones that depend on trained tensors: make what computes them part of the recurrence`,
  );
}
