/**
 * Reverse mode.
 *
 * Every recorded operation is a node numbered in order of execution; that order is a topological order,
 * so the sweep walks the reachable nodes by falling number. No recursion: sequences are thousands of steps long.
 */

import { isFloat } from "../tensor/dtype.ts";
import { DTypeError, ShapeError, StateError } from "../tensor/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { accumulate, addInPlace } from "./accumulate.ts";
import type { Evaluation, Inputs, Primitive } from "./primitive.ts";

let count = 0;
let recording = true;

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

  constructor(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[], params: unknown, needs: readonly boolean[]) {
    this.id = ++count;
    this.primitive = primitive;
    this.inputs = inputs;
    this.outputs = outputs;
    this.params = params;
    this.needs = needs;
  }
}

export function isRecording(): boolean {
  return recording;
}

function withRecording<R>(on: boolean, fn: () => R): R {
  const before = recording;
  recording = on;
  try {
    return fn();
  } finally {
    recording = before;
  }
}

/** Runs `fn` without recording: inference, in-place updates, evaluation. */
export function noGrad<R>(fn: () => R): R {
  return withRecording(false, fn);
}

/** Runs `fn` recording, even inside `noGrad`. */
export function enableGrad<R>(fn: () => R): R {
  return withRecording(true, fn);
}

export interface SweepOptions {
  /** Records the sweep itself, so that its results can be differentiated again. */
  readonly createGraph?: boolean;
  /** For some leaves: tensors their gradients are added to, in place and in the order of the sweep. */
  readonly accumulators?: ReadonlyMap<Tensor, Tensor>;
}

/** A cotangent and whether the sweep made it, so that it may be added to in place. */
interface Slot {
  value: Tensor;
  owned: boolean;
}

/** Cotangents, by leaf or by node and output. */
class Cotangents {
  readonly #slots = new Map<Tensor | Node, (Slot | undefined)[]>();
  readonly #inPlace: boolean;

  constructor(inPlace: boolean, accumulators?: ReadonlyMap<Tensor, Tensor>) {
    this.#inPlace = inPlace;
    accumulators?.forEach((value, leaf) => {
      this.#slots.set(leaf, [{ value, owned: true }]);
    });
  }

  add(x: Tensor, g: Tensor): void {
    if (!sameShape(g.shape, x.shape)) throw new ShapeError(`backward: expected a gradient of shape ${show(x.shape)}, got ${show(g.shape)}`);
    const key = x.node ?? x;
    const slots = this.#slots.get(key);
    if (slots === undefined) {
      const made: Slot[] = [];
      made[x.outputIndex] = { value: g, owned: false };
      this.#slots.set(key, made);
      return;
    }
    const slot = slots[x.outputIndex];
    if (slot === undefined) slots[x.outputIndex] = { value: g, owned: false };
    else if (slot.owned && this.#inPlace && g.dual === null && slot.value.dual === null) addInPlace(slot.value, g);
    else slots[x.outputIndex] = { value: accumulate(slot.value, g), owned: true };
  }

  of(x: Tensor): Tensor | null {
    return this.#slots.get(x.node ?? x)?.[x.outputIndex]?.value ?? null;
  }

  /** The cotangents of a node's outputs; null when none arrived. */
  take(node: Node): (Tensor | null)[] | null {
    const slots = this.#slots.get(node);
    if (slots === undefined) return null;
    return node.outputs.map((_, i) => slots[i]?.value ?? null);
  }

  /** Forgets a node's cotangents once they are used. */
  drop(node: Node): void {
    this.#slots.delete(node);
  }
}

/** The nodes between the roots and the targets, latest first. With no targets: down to every leaf. */
function reachable(roots: readonly Tensor[], targets: ReadonlySet<Tensor> | null): Node[] {
  const seen = new Set<Node>();
  const stack: Node[] = [];
  for (const { node } of roots) if (node !== null) stack.push(node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    for (const x of node.inputs) if (x.node !== null && !seen.has(x.node)) stack.push(x.node);
  }
  const order = [...seen].sort((a, b) => a.id - b.id);
  if (targets === null) return order.reverse();
  const useful = new Set<Node>();
  const targetSlots = new Set<Node>();
  for (const t of targets) if (t.node !== null) targetSlots.add(t.node);
  for (const node of order) {
    const leads = node.inputs.some((x) => (x.node === null ? targets.has(x) : targetSlots.has(x.node) || useful.has(x.node)));
    if (leads) useful.add(node);
  }
  return order.filter((n) => useful.has(n)).reverse();
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
  { createGraph = false, accumulators }: SweepOptions,
): Cotangents {
  const found = new Cotangents(!createGraph, accumulators);
  const kept = new Set<Node>();
  if (targets !== null) for (const t of targets) if (t.node !== null) kept.add(t.node);
  withRecording(createGraph, () => {
    roots.forEach((y, i) => {
      checkRoot("grad", y, cotangents[i] as Tensor);
      found.add(y, cotangents[i] as Tensor);
    });
    for (const node of reachable(roots, targets)) {
      const incoming = found.take(node);
      if (incoming === null) continue;
      const outgoing = node.primitive.vjp(incoming, node);
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
 * Gradients of several outputs with respect to tensors they were computed from; null where there is no path.
 * @param cotangents one for each output, of its shape
 */
export function gradients(
  outputs: readonly Tensor[],
  inputs: readonly Tensor[],
  cotangents: readonly Tensor[],
  options: SweepOptions = {},
): (Tensor | null)[] {
  const found = sweep(outputs, cotangents, new Set(inputs), options);
  return inputs.map((x) => found.of(x));
}

/** Runs a sweep down to the leaves that want gradients and hands each its gradient. */
export function sweepLeaves(
  output: Tensor,
  cotangent: Tensor,
  visit: (leaf: Tensor, gradient: Tensor) => void,
  options: SweepOptions = {},
): void {
  if (output.node === null && !output.requiresGrad) {
    throw new StateError("backward: expected an output that depends on a tensor with requiresGrad, got one that does not");
  }
  const leaves = new Set<Tensor>();
  if (output.node === null) leaves.add(output);
  for (const node of reachable([output], null)) {
    for (const x of node.inputs) if (x.node === null && x.requiresGrad) leaves.add(x);
  }
  const found = sweep([output], [cotangent], null, options);
  for (const leaf of leaves) {
    const g = found.of(leaf);
    if (g !== null) visit(leaf, g);
  }
}
