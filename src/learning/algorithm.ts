/**
 * What a gradient algorithm is: another rule for the derivative of a scan.
 *
 * Backpropagation through time is the rule that every scan has by itself. The algorithms of this folder give a scan
 * another one, exact or approximate, and leave its values as they are; so whatever stands around a recurrence (heads,
 * losses, metrics, the training loop) stays as it is.
 */

import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { isGradEnabled, noGrad } from "../autodiff/tape.ts";
import { finished } from "../base/checks.ts";
import { ArgumentError, StateError } from "../base/errors.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { type Recurrence, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import { restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";

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
  const buffers = [...new Set(recurrence.stateDict().values())].filter((t) => !(t instanceof Parameter));
  const before = buffers.map((t) => t.data());
  try {
    return again();
  } finally {
    buffers.forEach((t, i) => {
      const values = before[i] as ArrayLike<number>;
      if (t.data().some((v, k) => !Object.is(v, values[k]))) assign(t, values);
    });
  }
}

/** A scan whose algorithm knows nothing of what its inputs depend on. */
export function refuseInputGradient(name: string, xs: Tensor): void {
  if (xs.node === null && !xs.requiresGrad) return;
  throw new ArgumentError(
    `${name}: expected inputs that are data, got ones that depend on trained tensors: make what computes them part of the recurrence`,
  );
}

function isRecurrence(module: Module): module is Recurrence {
  return "scan" in module && "step" in module && "initialState" in module;
}

/** The recurrences of a model that are no part of another one. */
export function outermostRecurrences(model: Module): Recurrence[] {
  const inner = new Set<Module>();
  const found: Recurrence[] = [];
  for (const module of model.modules()) {
    if (inner.has(module) || !isRecurrence(module)) continue;
    found.push(module);
    for (const part of module.modules()) if (part !== module) inner.add(part);
  }
  return found.filter((module) => !inner.has(module));
}

/**
 * Runs `fn` with the outermost recurrences of a model scanning by an algorithm: what `fit(…, { gradients })` does with a loss.
 * @throws ArgumentError for a model without a recurrence
 * @example
 * const loss = usingGradients(rtrl(), model, () => mseLoss(model.forward(xs), ys));
 * backward(loss);
 */
export function usingGradients<R>(algorithm: GradientAlgorithm, model: Module, fn: () => R): R {
  const recurrences = outermostRecurrences(model);
  if (recurrences.length === 0) throw new ArgumentError(`${algorithm.name}: expected a model with a recurrence, got none`);
  const restore = recurrences.map((recurrence) => replaceScan(recurrence, algorithm));
  try {
    return finished("usingGradients", fn());
  } finally {
    for (const undo of restore) undo();
  }
}

/** Puts the algorithm's scan in the place of a recurrence's own, which the algorithm finds again while it runs. */
function replaceScan(recurrence: Recurrence, algorithm: GradientAlgorithm): () => void {
  let running = false;
  const scan = (xs: Tensor, state?: State, options?: ScanOptions): [ys: Tensor, last: State] => {
    if (running) return own.call(recurrence, xs, state, options);
    running = true;
    try {
      return algorithm.scan(recurrence, xs, state, options);
    } finally {
      running = false;
    }
  };
  const own = recurrence.scan;
  const before = Object.getOwnPropertyDescriptor(recurrence, "scan");
  Object.defineProperty(recurrence, "scan", { value: scan, configurable: true, enumerable: false, writable: true });
  return () => {
    if (before === undefined) delete (recurrence as { scan?: unknown }).scan;
    else Object.defineProperty(recurrence, "scan", before);
  };
}
