/** Lets tools watch operations as they run, to explain a computation. */

import { finished } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Inputs, Primitive } from "./primitive.ts";
import type { Node } from "./tape.ts";

/** Is called as operations run. Meanwhile, fused operations run as basic ones and captured scans run step by step. */
export interface Observer {
  /** Called after an operation. */
  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[], params: unknown): void;
  /** Called after what has no derivative and is no primitive: comparisons, logic, indices. */
  found?(name: string, inputs: Inputs, output: Tensor, params: unknown): void;
  /** Called before a sweep runs a node's rule, whose own operations follow. */
  pulls(node: Node): void;
}

/** The current observer. */
export let observer: Observer | null = null;

/** Runs `fn` under an observer, or under none. @throws StateError when `fn` is asynchronous or a generator */
export function observing<R>(by: Observer | null, fn: () => R): R {
  const before = observer;
  observer = by;
  try {
    return finished("observing", fn());
  } finally {
    observer = before;
  }
}
