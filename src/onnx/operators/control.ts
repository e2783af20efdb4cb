/** Operators whose bodies are graphs: If, Loop, and Scan (version 8, which has a batch axis, and the later ones, which have none). */

import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { axisOf, show } from "../../tensor/shape.ts";
import { type Storage, storageCount } from "../../tensor/storage.ts";
import { Tensor } from "../../tensor/tensor.ts";
import type { Node } from "../model.ts";
import { HostArray, int64s, listOf, numberOf, type Value } from "../values.ts";
import { entryOf, reshaped } from "./host.ts";
import { type Body, type Given, heavy, type Operators, type Reading } from "./operator.ts";
import { joined } from "./structure.ts";

const ifOperator = heavy(1, ({ attributes }, reading) => {
  const [yes, no] = [reading.body(attributes.graph("then_branch")), reading.body(attributes.graph("else_branch"))];
  return (inputs) => (numberOf(inputs[0] as Value, "cond") !== 0 ? yes : no).run([], inputs);
});

/** Values of one shape along a new axis. */
function stacked(values: readonly Value[], axis: number): Value {
  const [first] = values;
  // What a body that never ran would have given is not known.
  if (first === undefined) return new HostArray("int64", [0]);
  const at = axisOf("axis", axis, first.rank + 1);
  return joined(
    values.map((value) => reshaped(value, value.shape.toSpliced(at, 0, 1))),
    at,
  );
}

/** Collects what a body gives at each step, and releases the states that nobody holds any more. */
class Steps {
  states: readonly Value[];
  readonly collected: Value[][];
  readonly #body: Body;
  readonly #inputs: Given;
  readonly #held = new Set<Storage>();
  /** What is older was not made here. */
  readonly #before: number = storageCount;

  constructor(body: Body, inputs: Given, states: readonly Value[], outputs: number) {
    this.#body = body;
    this.#inputs = inputs;
    this.states = states;
    this.collected = Array.from({ length: outputs }, () => []);
  }

  /** Runs the body once: `lead` outputs, which are returned, then the states, then what is collected. */
  take(before: readonly Value[], after: readonly Value[], lead: number): Value[] {
    const outputs = this.#body.run([...before, ...this.states, ...after], this.#inputs);
    const old = this.states;
    this.states = outputs.slice(lead, lead + old.length);
    outputs.slice(lead + old.length).forEach((value, i) => {
      this.collected[i]?.push(value);
      if (value instanceof Tensor) this.#held.add(value.storage);
    });
    this.#release(old);
    return outputs.slice(0, lead);
  }

  #release(old: readonly Value[]): void {
    const now = new Set(this.states.map((value) => (value instanceof Tensor ? value.storage : null)));
    for (const value of old) {
      if (!(value instanceof Tensor)) continue;
      const { storage } = value;
      if (storage.serial > this.#before && !storage.pinned && !now.has(storage) && !this.#held.has(storage)) storage.release();
    }
  }
}

const loop = heavy(0, ({ attributes }, reading) => {
  const body = reading.body(attributes.graph("body"));
  return (inputs) => {
    const [count, condition, ...states] = inputs.slice(0, body.inputs) as [Value | null, Value | null, ...Value[]];
    const most = count ? numberOf(count, "M") : Number.POSITIVE_INFINITY;
    const steps = new Steps(body, inputs, states, body.outputs - 1 - states.length);
    let goesOn = condition === null || numberOf(condition, "cond") !== 0;
    for (let i = 0; goesOn && i < most; i++) {
      const [next] = steps.take([int64s([i], []), new HostArray("bool", [], [1])], [], 1);
      goesOn = numberOf(next as Value, "the body's condition") !== 0;
    }
    return [...steps.states, ...steps.collected.map((values) => stacked(values, 0))];
  };
});

/** How a Scan walks: along which axes, and which way. */
interface Walk {
  readonly inputAxes: readonly number[];
  readonly outputAxes: readonly number[];
  readonly inputsBack: readonly boolean[];
  readonly outputsBack: readonly boolean[];
}

/** One number for each of some sequences; zeros where left out. */
function oneEach({ attributes }: Node, name: string, length: number): number[] {
  const list = attributes.ints(name) ?? new Array<number>(length).fill(0);
  if (list.length !== length) throw new ArgumentError(`expected ${length} ${name}, got ${list.length}`);
  return list;
}

/** Which of some sequences are walked backwards. */
function backwards(node: Node, name: string, length: number): boolean[] {
  return oneEach(node, name, length).map((d) => d === 1);
}

function scanned(body: Body, inputs: Given, states: readonly Value[], sequences: readonly Value[], walk: Walk): Value[] {
  const axes = sequences.map((xs, i) => axisOf("scan_input_axes", walk.inputAxes[i] as number, xs.rank));
  const lengths = sequences.map((xs, i) => xs.shape[axes[i] as number] as number);
  const [T = 0] = lengths;
  if (lengths.some((n) => n !== T)) throw new ShapeError(`expected sequences of one length, got ${show(lengths)}`);
  const run = new Steps(body, inputs, states, body.outputs - states.length);
  for (let t = 0; t < T; t++) {
    const now = sequences.map((xs, i) => entryOf(xs, axes[i] as number, walk.inputsBack[i] ? T - 1 - t : t));
    run.take([], now, 0);
  }
  const outputs = run.collected.map((values, i) =>
    stacked(walk.outputsBack[i] ? values.toReversed() : values, walk.outputAxes[i] as number),
  );
  return [...run.states, ...outputs];
}

const scan = heavy(0, (node, reading) => (node.version < 9 ? batchedScan(node, reading) : plainScan(node, reading)));

function plainScan(node: Node, reading: Reading) {
  const body = reading.body(node.attributes.graph("body"));
  const m = node.attributes.int("num_scan_inputs", 1);
  const states = body.inputs - m;
  const outputs = body.outputs - states;
  const walk = {
    inputAxes: oneEach(node, "scan_input_axes", m),
    outputAxes: oneEach(node, "scan_output_axes", outputs),
    inputsBack: backwards(node, "scan_input_directions", m),
    outputsBack: backwards(node, "scan_output_directions", outputs),
  };
  return (inputs: Given) => {
    const own = inputs.slice(0, body.inputs) as Value[];
    return scanned(body, inputs, own.slice(0, states), own.slice(states), walk);
  };
}

/** Version 8: everything has a batch axis in front, sequences a time axis after it; lengths come first. */
function batchedScan(node: Node, reading: Reading) {
  const body = reading.body(node.attributes.graph("body"));
  const m = node.attributes.int("num_scan_inputs", 1);
  const states = body.inputs - m;
  const inputsBack = backwards(node, "directions", m);
  const outputs = body.outputs - states;
  const zeros = new Array<number>(Math.max(m, outputs)).fill(0);
  const walk = { inputAxes: zeros, outputAxes: zeros, inputsBack, outputsBack: zeros.map(() => false) };
  return (inputs: Given) => {
    const [lengths, ...own] = inputs.slice(0, 1 + body.inputs) as [Value | null, ...Value[]];
    const [first] = own as [Value];
    const ends = lengths ? listOf(lengths, "sequence_lens") : null;
    if (ends?.some((n) => n !== own[states]?.shape[1]))
      throw new ShapeError(`expected sequence_lens of whole sequences, got ${show(ends)}`);
    const rows = Array.from({ length: first.shape[0] as number }, (_, b) => {
      const row = own.map((value) => entryOf(value, 0, b));
      return scanned(body, inputs, row.slice(0, states), row.slice(states), walk);
    });
    return Array.from({ length: body.outputs }, (_, i) =>
      stacked(
        rows.map((row) => row[i] as Value),
        0,
      ),
    );
  };
}

export const control: Operators = { If: ifOperator, Loop: loop, Scan: scan };
