/**
 * The outline of a traced step: its forward calls and its tape. Steps with equal outlines have equal sweeps, so the sweep need
 * not be traced again.
 *
 * This holds if every rule on the tape depends on its arguments alone (`Primitive.closed`) and the arguments can be compared: numbers, texts,
 * lists and plain objects of these, tensors by form and place. Any other step has no outline, and its sweep is traced each time.
 */

import type { Node } from "../autodiff/tape.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type Tell, tellForm, type WholeTrace } from "./capture.ts";
import { DIFFERS, type Listener } from "./signature.ts";

/** Longest list to compare; longer ones are data. */
const LONGEST = 1024;

const END = Symbol("end of an object");

/** @param trace of the forward step alone */
export function outlineOf(trace: WholeTrace): Tell {
  let tape: Tape | null = null;
  return (to) => {
    trace.tell(to);
    tape ??= tapeOf(trace);
    new Outline(trace, tape, to).tell();
  };
}

/** Numbers the nodes and tensors of a step's tape. */
interface Tape {
  /** In order of execution. */
  readonly nodes: ReadonlyMap<Node, number>;
  /** The step's arguments. */
  readonly leaves: ReadonlyMap<Tensor, number>;
}

class Outline {
  readonly #trace: WholeTrace;
  readonly #tape: Tape;
  readonly #to: Listener;

  constructor(trace: WholeTrace, tape: Tape, to: Listener) {
    this.#trace = trace;
    this.#tape = tape;
    this.#to = to;
  }

  tell(): void {
    const { y, carry } = this.#trace.forward.returned;
    let before: Node | null = null;
    for (const node of this.#tape.nodes.keys()) {
      // Writes to existing tensors during the step may withhold values from the sweep.
      if (before !== null && before.writes !== node.writes) throw DIFFERS;
      this.#node(node);
      before = node;
    }
    this.#tensor(y);
    for (const c of carry) this.#tensor(c);
    this.#to.say(carry.indexOf(y));
  }

  #node({ primitive, inputs, outputs, params, needs }: Node): void {
    if (primitive.closed !== true) throw DIFFERS;
    this.#to.say(primitive);
    this.#to.say(inputs.length);
    for (const x of inputs) this.#tensor(x);
    for (const y of outputs) this.#form(y);
    for (const need of needs) this.#to.say(need);
    this.#value(params);
  }

  #tensor(t: Tensor): void {
    if (t.dual !== null) throw DIFFERS;
    const { node, outputIndex } = t;
    if (node === null) this.#leaf(t);
    else {
      this.#to.say(this.#tape.nodes.get(node));
      this.#to.say(outputIndex);
      if (node.outputs[outputIndex] !== t) this.#form(t);
    }
  }

  #leaf(t: Tensor): void {
    const number = this.#tape.leaves.get(t) ?? null;
    if (t.requiresGrad && number === null) throw DIFFERS;
    this.#to.say(number);
    this.#to.say(t.requiresGrad);
    this.#form(t);
  }

  #form(t: Tensor): void {
    tellForm(t, this.#to);
    for (const stride of t.strides) this.#to.say(stride);
    if (t.size > 0 && !this.#trace.tellPlace(t.ptr, this.#to)) throw DIFFERS;
  }

  #value(value: unknown): void {
    if (value instanceof Tensor) this.#tensor(value);
    else if (Array.isArray(value)) this.#list(value);
    else if (typeof value === "object" && value !== null) this.#object(value);
    else if (typeof value === "function") throw DIFFERS;
    else this.#to.say(value);
  }

  #list(values: readonly unknown[]): void {
    if (values.length > LONGEST) throw DIFFERS;
    this.#to.say(values.length);
    for (const value of values) this.#value(value);
  }

  #object(value: object): void {
    if (Object.getPrototypeOf(value) !== Object.prototype) throw DIFFERS;
    for (const [name, part] of Object.entries(value)) {
      this.#to.say(name);
      this.#value(part);
    }
    this.#to.say(END);
  }
}

function tapeOf({ spec: { fixed }, forward: { inputs, carry, returned, firstNode } }: WholeTrace): Tape {
  const found = new Set<Node>();
  const meet = ({ node }: Tensor): void => {
    if (node === null) return;
    if (node.id < firstNode) throw DIFFERS;
    found.add(node);
  };
  meet(returned.y);
  returned.carry.forEach(meet);
  // The set grows while it is walked.
  for (const { inputs } of found) inputs.forEach(meet);
  return { nodes: numbered([...found].sort((a, b) => a.id - b.id)), leaves: numbered([...inputs, ...carry, ...fixed]) };
}

function numbered<K>(keys: readonly K[]): ReadonlyMap<K, number> {
  return new Map(keys.map((key, i) => [key, i]));
}
