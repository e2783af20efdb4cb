/** Lets tools watch operations as they run, to explain a computation. */

import { finished } from "../base/checks.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Inputs, Primitive } from "./primitive.ts";
import type { Node } from "./tape.ts";

/** A layer that runs whole sequences in one operation, in one direction. */
export interface ObservedLayer {
  /** As at the end of its parameters' names: "l0", "l1_reverse". */
  readonly name: string;
  /** Whether it walks from each sequence's last step to its first. */
  readonly reverse: boolean;
  /** Real steps of each sequence; all of them if undefined. */
  readonly lengths: readonly number[] | undefined;
  /** Unpacks rows [N,O], the steps one after the other, to [T,B,O]. */
  readonly unpack: (rows: Tensor) => Tensor;
}

/** Is called as operations run. Meanwhile, fused operations run as basic ones and captured scans run step by step. */
export interface Observer {
  /** Called after an operation. */
  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[], params: unknown): void;
  /** Called after what has no derivative and is no primitive: comparisons, logic, indices. */
  found?(name: string, inputs: Inputs, output: Tensor, params: unknown): void;
  /** Called with a value to which a step gives a name by `gate`. */
  named?(name: string, value: Tensor): void;
  /** Called with a layer's run over a whole sequence; makes the run and returns its result. */
  layer?<R>(layer: ObservedLayer, run: () => R): R;
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

/**
 * Gives a value of a cell's step a name, under which `gateTrace` of `tapeloop/insight` shows it over time. Returns the value, and does nothing else.
 * @param value [B,…]
 * @example const f = gate("f", sigmoid(this.forget.forward(cat([x, h], 1))));
 */
export function gate(name: string, value: Tensor): Tensor {
  observer?.named?.(name, value);
  return value;
}
