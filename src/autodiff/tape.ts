/**
 * The tape: every operation recorded is a node that names its inputs.
 *
 * Nodes are numbered in order of execution, which is a topological order: the sweep (sweep.ts) needs no other.
 */

import { checkFunction, finished } from "../base/checks.ts";
import { writeCount } from "../tensor/storage.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Evaluation, Inputs, Primitive } from "./primitive.ts";

let count = 0;
let gradEnabled = true;

export class Node implements Evaluation {
  /** The number the next node will get. */
  static get next(): number {
    return count + 1;
  }

  readonly id: number;
  readonly primitive: Primitive;
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly params: unknown;
  readonly needs: readonly boolean[];
  /** How many writes to existing tensors there had been: later ones may have changed what the rules read. */
  readonly writes: number = writeCount;
  /** Number of the last walk over the tape that met this node. */
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

/** Whether operations are recorded on the tape at the moment. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

/** Runs `fn` with recording on the tape switched on or off. @throws StateError when `fn` is asynchronous or a generator */
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

/** Runs `fn` recording, even inside `noGrad`. @throws StateError when `fn` is asynchronous or a generator */
export function enableGrad<R>(fn: () => R): R {
  checkFunction("enableGrad", "fn", fn);
  return withGradMode(true, fn);
}
