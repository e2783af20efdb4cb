/** What an operator is: how its node is read once, and what it then does with values. */

import { FormatError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Graph, Node } from "../model.ts";
import { listOf, type Value } from "../values.ts";

/** A node's inputs, null where one is left out. */
export type Given = readonly (Value | null)[];

/** What a node computes; null for an output that is not wanted. */
export type Run = (inputs: Given) => Value | readonly (Value | null)[];

/** A subgraph made ready: its body, and the names it reads from outside, whose values the node gets after its own inputs. */
export interface Body {
  readonly inputs: number;
  readonly outputs: number;
  /** @param given all inputs of the node, among them what the body reads from outside */
  run(inputs: readonly Value[], given: Given): Value[];
}

/** What a node may ask for when it is read. */
export interface Reading {
  /** Makes a subgraph ready. */
  body(graph: Graph): Body;
  /** An input that is the same at every run; undefined for others. */
  known(i: number): Value | undefined;
  /** Makes a tensor that a node derived from constants a constant of the model. */
  keep(t: Tensor): Tensor;
}

export interface Operator {
  /** Inputs that cannot be left out. */
  readonly least: number;
  /** Costs more than its inputs and outputs are long: not run when the model is read, whatever it gets. */
  readonly heavy: boolean;
  readonly read: (node: Node, reading: Reading) => Run;
}

export type Operators = Readonly<Record<string, Operator>>;

export function operator(least: number, read: Operator["read"]): Operator {
  return { least, heavy: false, read };
}

export function heavy(least: number, read: Operator["read"]): Operator {
  return { least, heavy: true, read };
}

/** An operator without attributes: a function of its inputs. */
export function plain(least: number, run: Run): Operator {
  return operator(least, () => run);
}

/** Refuses what a node asks for and nobody here does. */
export function unsupported(node: Node, what: string): never {
  throw new FormatError(`onnx: expected ${node.label} without ${what}, which is not supported`);
}

/** Whole numbers that were an attribute before version `since` and are input `i` from then on; undefined where left out. */
export function listInput(node: Node, name: string, since: number, i: number): (inputs: Given) => number[] | undefined {
  if (node.version < since) {
    const fixed = node.attributes.ints(name);
    return () => fixed;
  }
  return (inputs) => {
    const value = inputs[i];
    return value ? listOf(value, name) : undefined;
  };
}
