/** Computes which tensors gradients reach, so that a replay leaves the same ones without a gradient as an eager sweep. */

import type { Node } from "../autodiff/tape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { BackwardTrace, ForwardTrace, StepSpec } from "./trace.ts";

/** One flag per tensor of a kind: whether a gradient reaches it. */
export interface Reached {
  readonly inputs: readonly boolean[];
  readonly carry: readonly boolean[];
  readonly fixed: readonly boolean[];
}

/** What the cotangent of each of a step's results reaches. */
export interface Reach {
  readonly output: Reached;
  readonly next: readonly Reached[];
}

/** The leaves of a result's tape. */
function leavesOf(result: Tensor): Set<Tensor> {
  const leaves = new Set<Tensor>();
  const seen = new Set<Node>();
  const stack = [result];
  for (let t = stack.pop(); t !== undefined; t = stack.pop()) {
    const { node } = t;
    if (node === null) leaves.add(t);
    else if (!seen.has(node)) {
      seen.add(node);
      stack.push(...node.inputs.filter((_, i) => node.needs[i]));
    }
  }
  return leaves;
}

/** What gradients reach in a step. @param summed for each fixed tensor, whether the step adds to its gradient at all */
export function reachOf(spec: StepSpec, forward: ForwardTrace, { reached }: BackwardTrace, summed: readonly boolean[]): Reach {
  return reachThrough(spec, forward, { inputs: reached, fixed: summed });
}

/** What a step's results depend on by its tape, whether a rule passes a gradient on or not. */
export function dependenceOf(spec: StepSpec, forward: ForwardTrace): Reach {
  const needs = (t: Tensor) => t.requiresGrad;
  return reachThrough(spec, forward, { inputs: forward.inputs.map(needs), fixed: spec.fixed.map(needs) });
}

function reachThrough(
  { fixed }: StepSpec,
  { inputs, carry, returned }: ForwardTrace,
  taken: { readonly inputs: readonly boolean[]; readonly fixed: readonly boolean[] },
): Reach {
  const from = (result: Tensor): Reached => {
    const leaves = leavesOf(result);
    return {
      inputs: inputs.map((x, i) => taken.inputs[i] === true && leaves.has(x)),
      carry: carry.map((s) => s.requiresGrad && leaves.has(s)),
      fixed: fixed.map((p, i) => taken.fixed[i] === true && leaves.has(p)),
    };
  };
  return { output: from(returned.y), next: returned.carry.map(from) };
}

const either = (a: readonly boolean[], b: readonly boolean[]): boolean[] => a.map((flag, i) => flag || b[i] === true);
const same = (a: readonly boolean[], b: readonly boolean[]): boolean => a.every((flag, i) => flag === b[i]);

/**
 * What the gradients of T steps reach.
 * @param output whether the outputs have a cotangent
 * @param last whether each tensor of the last state has one
 * @returns flags for inputs and fixed tensors at any step, and for carried tensors before the first step
 */
export function reachedIn(T: number, { output, next }: Reach, hasOutput: boolean, last: readonly boolean[]): Reached {
  const none: Reached = { inputs: output.inputs.map(() => false), carry: last.map(() => false), fixed: output.fixed.map(() => false) };
  let all: Reached = { ...none, carry: last };
  for (let t = 0; t < T; t++) {
    const roots = next.filter((_, i) => all.carry[i]);
    const step = (hasOutput ? [output, ...roots] : roots).reduce(
      (a, b) => ({ inputs: either(a.inputs, b.inputs), carry: either(a.carry, b.carry), fixed: either(a.fixed, b.fixed) }),
      none,
    );
    const found = { inputs: either(all.inputs, step.inputs), carry: step.carry, fixed: either(all.fixed, step.fixed) };
    const settled = same(found.carry, all.carry);
    all = found;
    if (settled) break;
  }
  return all;
}
