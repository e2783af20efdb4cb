/**
 * The tape: each recorded operation is a node that refers to its inputs.
 *
 * Nodes are numbered in order of execution, which is the topological order that the sweep (sweep.ts) needs.
 */

import { checkFunction, finished } from "../base/checks.ts";
import { writeCount } from "../tensor/storage.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Evaluation, Inputs, Primitive } from "./primitive.ts";

let count = 0;
let gradEnabled = true;

export class Node implements Evaluation {
  /** The number of the next node. */
  static get next(): number {
    return count + 1;
  }

  readonly id: number;
  readonly primitive: Primitive;
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly params: unknown;
  readonly needs: readonly boolean[];
  /** The count of writes to existing tensors by then: later writes may have changed what the rules read. */
  readonly writes: number = writeCount;
  /** Number of the last walk over the tape that visited this node. */
  walk = 0;

  constructor(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[], params: unknown, needs: readonly boolean[]) {
    this.id = ++count;
    this.primitive = primitive;
    this.inputs = inputs;
    this.outputs = outputs;
    this.params = params;
    this.needs = needs;
  }
}

/** Whether the tape records operations now. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Runs `fn` with the tape switched on or off. @throws StateError when `fn` is asynchronous or a generator */
export function withGradMode<R>(on: boolean, fn: () => R): R {
  const before = gradEnabled;
  gradEnabled = on;
  try {
    return finished(on ? "enableGrad" : "noGrad", fn());
  } finally {
    gradEnabled = before;
  }
}

/** Runs `fn` without recording: inference, in-place updates, evaluation. @throws StateError when `fn` is asynchronous or a generator */
export function noGrad<R>(fn: () => R): R {
  checkFunction("noGrad", "fn", fn);
  return withGradMode(false, fn);
}

/** Runs `fn` with recording, even inside `noGrad`. @throws StateError when `fn` is asynchronous or a generator */
export function enableGrad<R>(fn: () => R): R {
  checkFunction("enableGrad", "fn", fn);
  return withGradMode(true, fn);
}
