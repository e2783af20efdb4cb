/**
 * Guards the tensors that the tape keeps for derivatives. They are the tensors themselves, not copies, so a rule that reads
 * one that was written to since would give wrong gradients.
 *
 * Writes are counted, and a node knows the count when it was recorded. If there were more since, the storages concerned
 * are withheld while the node's rule runs, so reading one fails. A rule that reads none of them still works.
 */

import { StateError } from "../base/errors.ts";
import { show } from "../tensor/shape.ts";
import type { Storage } from "../tensor/storage.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { Node } from "./tape.ts";

/** Depth at which a primitive's parameters hold tensors: directly, or in an object among them. */
const PARAMS_DEPTH = 2;

function visitTensors(value: unknown, depth: number, visit: (t: Tensor) => void): void {
  if (value instanceof Tensor) visit(value);
  else if (depth > 0 && typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const part of Object.values(value)) visitTensors(part, depth - 1, visit);
  }
}

function modified({ primitive }: Node, t: Tensor): StateError {
  return new StateError(
    `backward: expected the tensors that ${primitive.name} was computed with as they were, got a ${t.dtype} ${show(t.shape)} written to since: ` +
      "one of the variables needed for gradient computation has been modified by an inplace operation",
  );
}

/** Runs the node's rule and withholds from it what was written to since the node was recorded. @throws StateError if the rule reads that */
export function pullBackGuarded(node: Node, cotangents: readonly (Tensor | null)[]): (Tensor | null)[] {
  const withheld: Storage[] = [];
  const check = (t: Tensor): void => {
    const { storage } = t;
    if (storage.lastWrite <= node.writes || storage.released || withheld.includes(storage)) return;
    // The caller's cotangent may share the memory; its present values are the right ones.
    if (cotangents.some((g) => g?.storage === storage)) return;
    storage.withhold(() => modified(node, t));
    withheld.push(storage);
  };
  try {
    node.inputs.forEach(check);
    node.outputs.forEach(check);
    visitTensors(node.params, PARAMS_DEPTH, check);
    return node.primitive.vjp(cotangents, node);
  } finally {
    for (const storage of withheld) storage.giveBack();
  }
}
