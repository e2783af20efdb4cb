/**
 * Algorithms that work forward in time: they carry what they know of the past from step to step, beside the state.
 *
 * Each defines what it carries for one sequence (its influence), how a step changes that, and the gradient from it and an error. This file
 * makes from that both a scan under the algorithm and a learner that goes from sample to sample.
 */

import { optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Parameter } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { slice } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateFromVector, stateTensors } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { DetachEvery } from "../wrappers/truncated.ts";
import { type GradientAlgorithm, refuseInputGradient, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { Blocks } from "./blocks.ts";
import { checkSameOutputs, cotangentOf, floatsOf, type InfluenceFor, settingOf } from "./influence.ts";
import { WindowLearner } from "./late-learner.ts";
import { ForwardLearner } from "./learner.ts";
import { overSequences } from "./sequences.ts";
import { Stretch } from "./stretch.ts";

export interface ForwardOptions {
  /** Steps per block (default 1); inside a block, errors are swept back. */
  readonly block?: number;
  /**
   * Returns the recurrence to differentiate instead of the given one, with the same parameters, states and outputs.
   * @throws ArgumentError if the algorithm is not defined for it
   */
  readonly as?: (recurrence: Recurrence) => Recurrence;
}

/** The algorithm for a kind of influence. Sample by sample, the errors of a block wait for its end. */
export function forwardAlgorithm(name: string, influence: InfluenceFor, options: ForwardOptions = {}): GradientAlgorithm {
  const { block = 1, as = (r: Recurrence) => r } = optionsOf("forwardAlgorithm", options, ["block", "as"]);
  const seen = (recurrence: unknown): Recurrence => {
    refuseCuts(name, recurrence as Recurrence);
    return as(recurrence as Recurrence);
  };
  const rule = overSequences<State>((r, p, like, c) => sequenceRule({ name, influence, block }, seen(r), p, like, c), { alone: true });
  return {
    name,
    scan(recurrence, xs, state, options) {
      refuseInputGradient(name, xs);
      seen(recurrence);
      return scanByRule(name, rule as never, recurrence, xs, state, options);
    },
    begin<S extends State>(recurrence: Recurrence<S>, batch = 1) {
      const own = seen(recurrence) as unknown as Recurrence<S>;
      if (block === 1) return new ForwardLearner<S>(name, influence, own, batch);
      return new WindowLearner(name, new Blocks(name, influence, block, own, batch), own, batch);
    },
  };
}

/** Refuses cuts between steps: they belong to neither step, so single steps would carry the influence across them. */
function refuseCuts(name: string, recurrence: Recurrence): void {
  for (const module of recurrence.modules()) {
    if (!(module instanceof DetachEvery)) continue;
    throw new ArgumentError(`${name}: expected steps that follow each other, got DetachEvery, whose scan cuts the state off between them`);
  }
}

interface Method {
  readonly name: string;
  readonly influence: InfluenceFor;
  readonly block: number;
}

/** Copies that outlive the tape of their block. */
function detached<S extends State>(state: S): S {
  return mapState((s) => s.detach(), state);
}

/** The derivative of a scan of one sequence, computed forwards. */
function sequenceRule(
  { name, influence: of, block: h }: Method,
  recurrence: Recurrence,
  parameters: readonly Parameter[],
  like: State,
  { xs, ys, state, dys, dLast, wantsState }: ScanCotangents,
): ScanGradients {
  const T = xs.dim(0);
  const setting = settingOf(name, recurrence, parameters, restoreState(like, state), wantsState ? "wanted" : "fixed");
  const { P, dtype, columns } = setting;
  const rule = of(setting);
  const ends = cotangentOf(dLast, state);
  const reached = new Set<Tensor>();
  let border = { state: setting.state, influence: rule.initial, gradient: zeros([columns], dtype) };
  for (let t = 0; t < T; t += h) {
    const end = Math.min(t + h, T);
    const piece = (x: Tensor): Tensor => slice(x, 0, t, end);
    const { state: before, influence, gradient } = border;
    border = scope(() => {
      const block = new Stretch(recurrence, parameters, piece(xs), before);
      checkSameOutputs(name, block.ys, piece(ys));
      const own = rule.gradient(block, influence, dys && piece(dys), end === T ? ends : null);
      // The influence on the last state is not needed.
      const next = end === T ? influence : rule.next(block, influence);
      for (const tensor of block.reached) reached.add(tensor);
      return { state: detached(block.next), influence: next, gradient: add(gradient, own) };
    });
    if (border.influence !== influence) for (const g of stateTensors(influence)) g.dispose();
    gradient.dispose();
  }
  const found = stateFromVector(slice(border.gradient, 0, 0, P), parameters);
  return {
    xs: null,
    state: wantsState ? startGradients(slice(border.gradient, 0, P, columns), state, reached) : state.map(() => null),
    parameters: found.map((g, i) => (reached.has(parameters[i] as Parameter) ? g : null)),
  };
}

/** The gradient of the first state, by tensor; null for those not reached. */
function startGradients(vector: Tensor, state: readonly Tensor[], reached: ReadonlySet<Tensor>): (Tensor | null)[] {
  const parts = stateFromVector(vector, floatsOf(state));
  return state
    .map((s) => (isFloat(s.dtype) ? (parts.shift() as Tensor) : null))
    .map((g, i) => (reached.has(state[i] as Tensor) ? g : null));
}
