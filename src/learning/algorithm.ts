/**
 * What a gradient algorithm is: another rule for the derivative of a scan.
 *
 * Backpropagation through time is the rule that every scan has by itself. The algorithms of this folder give a scan
 * another one, exact or approximate, and leave its values as they are; so whatever stands around a recurrence (heads,
 * losses, metrics, the training loop) stays as it is.
 */

import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled, noGrad } from "../autodiff/tape.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { type Recurrence, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import { restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { Shadow } from "../tensor/shadow.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A rule for the derivative of a scan. */
export interface GradientAlgorithm {
  /** As errors and figures name it: "rtrl", "bptt". */
  readonly name: string;
  /**
   * The scan of a recurrence, with this algorithm's derivative.
   * @throws ArgumentError where the algorithm has no meaning for the recurrence, or for what is asked of it
   */
  scan<S extends State>(recurrence: Recurrence<S>, xs: Tensor, state?: S, options?: ScanOptions): [ys: Tensor, last: S];
}

/** The values of one scan, and the cotangents that have come back to it. */
export interface ScanCotangents {
  /** [T,B,I] */
  readonly xs: Tensor;
  /** The tensors of the state before the first step, in order of structure. */
  readonly state: readonly Tensor[];
  /** The outputs [T,B,O] as the recurrence's own scan gave them. */
  readonly ys: Tensor;
  /** ∂E/∂ys [T,B,O]; null where no output is used. */
  readonly dys: Tensor | null;
  /** ∂E/∂ of each tensor of the last state. */
  readonly dLast: readonly (Tensor | null)[];
}

/** Gradients of a scan's parameters and of its first state; null where there is none. */
export interface ScanGradients {
  readonly xs: Tensor | null;
  readonly state: readonly (Tensor | null)[];
  readonly parameters: readonly (Tensor | null)[];
}

/** The derivative of one scan: everything that an algorithm of this folder has to write. */
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
  vjp([dys = null, ...dLast], { inputs: [xs, ...rest], outputs: [ys], params: { name, rule, carried } }: Evaluation<ScanParams>) {
    if (isGradEnabled()) throw new StateError(`${name}: expected to be differentiated once, got a gradient of a gradient`);
    const state = rest.slice(0, carried);
    const found = rule({ xs: xs as Tensor, state, ys: ys as Tensor, dys, dLast });
    return [found.xs, ...found.state, ...found.parameters];
  },
  jvp(_tangents, { params: { name } }) {
    throw new StateError(`${name}: expected to be differentiated in reverse mode, got tangents: use jvp without this algorithm`);
  },
};

/** Runs a recurrence's own scan for the values, and `rule` for the derivative. */
export function scanByRule<S extends State>(
  name: string,
  rule: ScanRule<S>,
  recurrence: Recurrence<S>,
  xs: Tensor,
  state?: S,
  options: ScanOptions = {},
): [ys: Tensor, last: S] {
  const start = startOf(recurrence, xs, state);
  const carry = stateTensors(start);
  const parameters = recurrence.parameters().filter((p) => p.requiresGrad);
  const run = (x: Tensor, tensors: readonly Tensor[]): Tensor[] => {
    const [ys, last] = recurrence.scan(x, restoreState(start, tensors), options);
    return [ys, ...stateTensors(last)];
  };
  const params: ScanParams = {
    name,
    run,
    rule: (cotangents) => withoutTraces(recurrence, () => rule(recurrence, parameters, start, cotangents, options)),
    carried: carry.length,
  };
  const [ys, ...last] = applyAll(ruledScan, [xs, ...carry, ...parameters], params);
  return [ys as Tensor, restoreState(start, last)];
}

/** Runs what takes the steps of a scan a second time, and puts back the buffers that they wrote to, as running statistics. */
function withoutTraces<R>(recurrence: Module, again: () => R): R {
  const shadow = new Shadow();
  shadow.take([...recurrence.stateDict().values()].filter((t) => !(t instanceof Parameter)));
  try {
    return again();
  } finally {
    shadow.putBack();
  }
}

/** A scan whose algorithm knows nothing of what its inputs depend on. */
export function refuseInputGradient(name: string, xs: Tensor): void {
  if (xs.node === null && !xs.requiresGrad) return;
  throw new ArgumentError(
    `${name}: expected inputs that are data, got ones that depend on trained tensors: make what computes them part of the recurrence`,
  );
}
