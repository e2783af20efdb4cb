/**
 * Reverse mode.
 *
 * Nodes were recorded in topological order,
 * so the sweep visits the reachable nodes by falling number. It does not recurse: sequences are thousands of steps long.
 */

import { checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { writeCount } from "../tensor/storage.ts";
import { checkTensors, type Tensor } from "../tensor/tensor.ts";
import { accumulate, addInPlace } from "./accumulate.ts";
import { observer } from "./observer.ts";
import { pullBackGuarded } from "./saved.ts";
import { Node, withGradMode } from "./tape.ts";

export interface SweepOptions {
  /** Whether to record the sweep itself, so that its results can be differentiated again. */
  readonly createGraph?: boolean;
  /** Tensors to which the gradients of some leaves are added, in place and in the order of the sweep. */
  readonly accumulators?: ReadonlyMap<Tensor, Tensor>;
  /** Replaces a node's own rule: cotangents of its inputs from those of its outputs, or null to keep the own rule. */
  readonly rule?: (node: Node, cotangents: readonly (Tensor | null)[]) => (Tensor | null)[] | null;
}

/** The cotangent of one output (or of a leaf), and whether the sweep made it and so may add to it in place. */
class Slot {
  readonly index: number;
  value: Tensor;
  owned: boolean;
  /** Slots of the same node's other outputs. */
  readonly next: Slot | undefined;

  constructor(index: number, value: Tensor, owned: boolean, next: Slot | undefined) {
    this.index = index;
    this.value = value;
    this.owned = owned;
    this.next = next;
  }
}

function slotOf(first: Slot | undefined, index: number): Slot | undefined {
  let slot = first;
  while (slot !== undefined && slot.index !== index) slot = slot.next;
  return slot;
}

/** Cotangents, by leaf or by node and output. */
class Cotangents {
  readonly #slots = new Map<Tensor | Node, Slot>();
  readonly #inPlace: boolean;

  constructor(inPlace: boolean, accumulators?: ReadonlyMap<Tensor, Tensor>) {
    this.#inPlace = inPlace;
    accumulators?.forEach((value, leaf) => {
      this.#slots.set(leaf, new Slot(leaf.outputIndex, value, true, undefined));
    });
  }

  add(x: Tensor, g: Tensor): void {
    if (!sameShape(g.shape, x.shape)) throw new ShapeError(`backward: expected a gradient of shape ${show(x.shape)}, got ${show(g.shape)}`);
    const key = x.node ?? x;
    const first = this.#slots.get(key);
    const slot = slotOf(first, x.outputIndex);
    if (slot === undefined) {
      this.#slots.set(key, new Slot(x.outputIndex, g, false, first));
    } else if (slot.owned && this.#inPlace && g.dual === null && slot.value.dual === null) {
      addInPlace(slot.value, g);
    } else {
      slot.value = accumulate(slot.value, g);
      slot.owned = true;
    }
  }

  of(x: Tensor): Tensor | null {
    return slotOf(this.#slots.get(x.node ?? x), x.outputIndex)?.value ?? null;
  }

  /** Visits every leaf that a cotangent has reached. */
  forEachLeaf(visit: (leaf: Tensor, cotangent: Tensor) => void): void {
    this.#slots.forEach((slot, key) => {
      if (!(key instanceof Node)) visit(key, slot.value);
    });
  }

  /** The cotangents of a node's outputs; null when none arrived. */
  take(node: Node): (Tensor | null)[] | null {
    const first = this.#slots.get(node);
    if (first === undefined) return null;
    const values = new Array<Tensor | null>(node.outputs.length).fill(null);
    for (let slot: Slot | undefined = first; slot !== undefined; slot = slot.next) values[slot.index] = slot.value;
    return values;
  }

  /** Drops a node's cotangents once they are used. */
  drop(node: Node): void {
    this.#slots.delete(node);
  }
}

let walks = 0;

/** The nodes between the roots and the targets, latest first; without targets, down to every leaf. */
function reachable(roots: readonly Tensor[], targets: ReadonlySet<Tensor> | null): Node[] {
  const walk = ++walks;
  const found: Node[] = [];
  const meet = ({ node }: Tensor): void => {
    if (node === null || node.walk === walk) return;
    node.walk = walk;
    found.push(node);
  };
  roots.forEach(meet);
  // The list grows while it is walked.
  for (let i = 0; i < found.length; i++) {
    const { inputs } = found[i] as Node;
    for (let k = 0; k < inputs.length; k++) meet(inputs[k] as Tensor);
  }
  // A plain chain of operations is in order already.
  if (found.some((node, i) => i > 0 && node.id > (found[i - 1] as Node).id)) found.sort((a, b) => b.id - a.id);
  if (targets === null) return found;
  const useful = new Set<Node>();
  const targetSlots = new Set<Node>();
  for (const t of targets) if (t.node !== null) targetSlots.add(t.node);
  for (let i = found.length - 1; i >= 0; i--) {
    const node = found[i] as Node;
    const leads = node.inputs.some((x) => (x.node === null ? targets.has(x) : targetSlots.has(x.node) || useful.has(x.node)));
    if (leads) useful.add(node);
  }
  return found.filter((n) => useful.has(n));
}

function checkRoot(op: string, y: Tensor, cotangent: Tensor): void {
  if (!isFloat(y.dtype)) throw new DTypeError(`${op}: expected a float output, got ${y.dtype}`);
  if (!sameShape(y.shape, cotangent.shape)) {
    throw new ShapeError(`${op}: expected a cotangent of the output's shape ${show(y.shape)}, got ${show(cotangent.shape)}`);
  }
}

/** Walks the tape from the roots; `visit` sees each node's inputs with their finished cotangents. */
function sweep(
  roots: readonly Tensor[],
  cotangents: readonly Tensor[],
  targets: ReadonlySet<Tensor> | null,
  { createGraph = false, accumulators, rule }: SweepOptions,
): Cotangents {
  const found = new Cotangents(!createGraph, accumulators);
  const kept = new Set<Node>();
  if (targets !== null) for (const t of targets) if (t.node !== null) kept.add(t.node);
  withGradMode(createGraph, () => {
    roots.forEach((y, i) => {
      checkRoot("grad", y, cotangents[i] as Tensor);
      found.add(y, cotangents[i] as Tensor);
    });
    for (const node of reachable(roots, targets)) {
      const incoming = found.take(node);
      if (incoming === null) continue;
      observer?.pulls(node);
      const outgoing =
        rule?.(node, incoming) ?? (node.writes === writeCount ? node.primitive.vjp(incoming, node) : pullBackGuarded(node, incoming));
      for (let i = 0; i < node.inputs.length; i++) {
        const g = outgoing[i];
        if (g && node.needs[i]) found.add(node.inputs[i] as Tensor, g);
      }
      if (!kept.has(node)) found.drop(node);
    }
  });
  return found;
}

/**
 * Gradients of several outputs with respect to the tensors `xs`; null where no path leads.
 * @param cotangents one per output, of its shape
 */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly Tensor[],
  options: SweepOptions = {},
): (Tensor | null)[] {
  checkOptions("gradients", options, ["createGraph", "accumulators", "rule"]);
  checkTensors("gradients", "outputs", outputs);
  checkTensors("gradients", "inputs", inputs);
  checkTensors("gradients", "cotangents", cotangents);
  const found = sweep(outputs, cotangents, new Set(inputs), options);
  return inputs.map((x) => found.of(x));
}

/** Sweeps down to the leaves that need gradients and passes each of them its gradient. */
export function sweepLeaves(
  output: Tensor,
  cotangent: Tensor,
  visit: (leaf: Tensor, gradient: Tensor) => void,
  options: SweepOptions = {},
): void {
  if (output.node === null && !output.requiresGrad) {
    throw new StateError("backward: expected an output that depends on a tensor with requiresGrad, got one that does not");
  }
  sweep([output], [cotangent], null, options).forEachLeaf((leaf, g) => {
    if (leaf.requiresGrad) visit(leaf, g);
  });
}
