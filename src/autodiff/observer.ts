/** Looking on while operations run: what tools that explain a computation are made of. */

import { finished } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Inputs, Primitive } from "./primitive.ts";
import type { Node } from "./tape.ts";

/** Is told what runs. While there is one, fused operations run as their basic ones and captured scans step by step. */
export interface Observer {
  /** After an operation. */
  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[]): void;
  /** Before a sweep runs the rule of a node, whose own operations follow. */
  pulls(node: Node): void;
}

/** Who looks on at the moment. */
export let observer: Observer | null = null;

/** Runs `fn` under an observer. @throws StateError when `fn` is asynchronous or a generator */
export function observing<R>(by: Observer, fn: () => R): R {
  const before = observer;
  observer = by;
  try {
    return finished("observing", fn());
  } finally {
    observer = before;
  }
}
