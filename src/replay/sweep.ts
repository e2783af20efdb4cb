/** Traces the sweep back over a traced step, from the tape of the forward step, for compilation into a program. */

import { gradients } from "../autodiff/sweep.ts";
import type { Node } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { shorten } from "../base/quote.ts";
import { zeros } from "../tensor/create.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { refersTo } from "../wasm/calls.ts";
import type { Block, Recording } from "../wasm/recorder.ts";
import { type CapturedBackward, compileCalls, type Derivative, type WholeTrace } from "./capture.ts";
import { addedProducts, placedProduct } from "./deferred.ts";
import { outlineOf } from "./outline.ts";
import type { Address } from "./program.ts";
import { dependenceOf, reachOf } from "./reach.ts";
import { LASTING } from "./regions.ts";
import { type BackwardTrace, type ForwardTrace, Obstacle, type StepResult, type StepSpec } from "./trace.ts";

/** The leaves in which the tape may end: the step's arguments. A replay cannot follow any other. */
function checkTape({ y, carry }: StepResult, given: ReadonlySet<Tensor>, firstNode: number): void {
  const seen = new Set<Node>();
  const stack = [y, ...carry].map((t) => t.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node === null || seen.has(node)) continue;
    seen.add(node);
    if (node.id < firstNode) throw new Obstacle("uses a tensor computed outside the step");
    for (const x of node.inputs) {
      if (x.node !== null) stack.push(x.node);
      else if (x.requiresGrad && !given.has(x)) throw new Obstacle("uses a trained tensor that is not a parameter of the module");
    }
  }
}

const alike = (t: Tensor): Tensor => empty(t.shape, t.dtype);

/**
 * If y is one of the next state's tensors, its cotangent begins as dy and the following step's contributions are
 * added to it, as in an eager sweep. So the cotangent of that state tensor starts from dy of the step before.
 */
function traceSweep(recording: Recording, { fixed }: StepSpec, { inputs, carry, returned, firstNode }: ForwardTrace): BackwardTrace {
  const trained = fixed.filter((p) => p.requiresGrad);
  checkTape(returned, new Set([...inputs, ...carry, ...trained]), firstNode);
  const tie = returned.carry.indexOf(returned.y);
  const tied = tie < 0 ? null : tie;
  // Made while recording: a rule that reads their values on the host is noticed.
  const places = recording.during(() => ({
    dy: alike(returned.y),
    dyBefore: alike(returned.y),
    dNext: carry.map(alike),
    dInputs: inputs.map(alike),
    totals: fixed.map((p) => (p.requiresGrad ? alike(p) : null)),
  }));
  const { dy, dyBefore, dNext, dInputs, totals } = places;
  const given = recording.blocks.length;
  const reached = inputs.map(() => false);
  recordRules(recording, () => {
    const accumulators = new Map<Tensor, Tensor>();
    fixed.forEach((p, i) => {
      if (totals[i]) accumulators.set(p, totals[i]);
    });
    if (tied !== null) accumulators.set(carry[tied] as Tensor, copyOf(dyBefore));
    const roots = returned.carry.map((c, i) => [c, dNext[i] as Tensor] as const).filter(([c]) => isFloat(c.dtype));
    if (tied === null) roots.unshift([returned.y, dy]);
    const found = gradients(
      roots.map(([root]) => root),
      [...inputs, ...carry, ...trained],
      roots.map(([, g]) => g),
      { accumulators },
    );
    inputs.forEach((x, i) => {
      const g = found[i];
      if (!g || !x.requiresGrad) return;
      reached[i] = true;
      copyInto(dInputs[i] as Tensor, g);
    });
    replaceAll(dNext, found.slice(inputs.length, inputs.length + carry.length));
  });
  const { calls, blocks, constants } = recording;
  return { ...places, calls, blocks: blocks.slice(given), constants, reached, tied };
}

/**
 * Records a sweep. Whatever stops it is an obstacle only: an eager scan calls the rules when there is a gradient to compute, and
 * with values that they can read.
 */
function recordRules(recording: Recording, sweep: () => void): void {
  try {
    recording.during(sweep);
  } catch (error) {
    if (error instanceof Obstacle) throw error;
    throw new Obstacle(`a rule of its gradient fails: ${shorten(String((error as Error | null)?.message))}`);
  }
  // A rule may have caught the error by which the recording ended.
  if (recording.obstacle !== null) throw new Obstacle(recording.obstacle);
}

/** Overwrites every target with its new value (zeros for null), even if new values are views of other targets. */
function replaceAll(targets: readonly Tensor[], values: readonly (Tensor | null)[]): void {
  const blocks = new Set<Block>(targets.map((t) => t.storage));
  const settled = values.map((v, i) => {
    const target = targets[i] as Tensor;
    if (v === null) return zeros(target.shape, target.dtype);
    return !blocks.has(v.storage) || isSame(v, target) ? v : copyOf(v);
  });
  settled.forEach((v, i) => {
    const target = targets[i] as Tensor;
    if (!isSame(v, target)) copyInto(target, v);
  });
}

/** Whether two tensors of one shape share their elements. */
function isSame(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset === b.offset && a.strides.every((s, i) => s === b.strides[i] || a.shape[i] === 1);
}

function compileBackward(trace: WholeTrace, back: BackwardTrace): CapturedBackward {
  const summed = back.totals.map((total) => total !== null && isAddedTo(back, total));
  const deferred = addedProducts(back.calls, {
    blockAt: (ptr) => trace.blockAt(ptr),
    isTotal: (ptr) => trace.kindAt(ptr) === "fixedGradient" && trace.startsAt(ptr),
    lasts: (ptr) => LASTING.has(trace.kindAt(ptr) ?? "scratch"),
  }).filter(({ a, b }) => [a.at, b.at].every((ptr) => !isConstantAt(trace, ptr)));
  const left = new Set(deferred.flatMap(({ calls }) => calls));
  const history = new Set(deferred.flatMap(({ a, b }) => [trace.blockAt(a.at), trace.blockAt(b.at)]));
  const kept = { calls: back.calls.filter((c) => !left.has(c)), blocks: back.blocks };
  const compiled = compileCalls(trace, kept, {
    prepared: "packedBack",
    kindOf: (block) => (history.has(block) ? "history" : "scratch"),
  });
  const locate = (ptr: number) => trace.locate(ptr) as Address;
  return {
    ...compiled,
    deferred: deferred.map((p) => placedProduct(p, locate)),
    tied: back.tied,
    reach: reachOf(trace.spec, trace.forward, back, summed),
    dependence: dependenceOf(trace.spec, trace.forward),
    inputs: back.reached,
    fixed: summed,
  };
}

/** Whether a sweep adds to a total; false for one without elements, which has no address to look for. */
function isAddedTo({ calls }: BackwardTrace, total: Tensor): boolean {
  return total.size === 0 || calls.some((c) => refersTo(c, (ptr) => ptr === total.ptr));
}

function isConstantAt(trace: WholeTrace, ptr: number): boolean {
  const block = trace.blockAt(ptr);
  return block !== null && trace.isConstant(block);
}

/** Captures the gradients of a step. */
export const derivative: Derivative = { outline: outlineOf, trace: traceSweep, compile: compileBackward };
