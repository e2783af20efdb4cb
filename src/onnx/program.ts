/** Graphs as lists of calls: names become numbered slots, what does not depend on inputs is computed once, and what is used up is released. */

import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { type Storage, storageCount } from "../tensor/storage.ts";
import { keep, scope, Tensor } from "../tensor/tensor.ts";
import { host } from "../wasm/host.ts";
import type { Graph, Node } from "./model.ts";
import type { Body, Given, Operator, Reading, Run } from "./operators/operator.ts";
import { operatorOf } from "./operators/table.ts";
import { type Value, withMostElements } from "./values.ts";

interface Call {
  readonly label: string;
  readonly run: Run;
  /** Slots; -1 where one is left out. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** Elements that may be read and written to compute constants while a model is read, beside some passes over those it holds. */
const FOLDED_ELEMENTS = 2 ** 22;
const PASSES = 4;
/** Elements of one array of the host, and bytes that the memory may grow by. */
const MOST_FOLDED = 2 ** 20;
const FOLDED_BYTES = 2 ** 25;

/** What the graphs of one model share while they are compiled. */
interface Shared {
  /** Elements that may still be read and written. */
  left: number;
  readonly unsupported: Node[];
  /** The graph's program and those of its subgraphs. */
  readonly programs: Program[];
  /** What nodes derived from constants. */
  readonly derived: Tensor[];
}

/** Runs `fn` with the memory that is there and so many bytes more. */
function withMemoryFor<R>(bytes: number, fn: () => R): R {
  const { heap } = host();
  const before = heap.limit;
  heap.limit = Math.min(before, heap.end + bytes);
  try {
    return fn();
  } finally {
    heap.limit = before;
  }
}

/** Puts a node in front of what went wrong in it. */
function inNode(error: unknown, label: string): unknown {
  if (isOurs(error) && !error.message.includes(label)) error.message = `onnx: ${label}: ${error.message.replace(/^onnx: /, "")}`;
  return error;
}

/** Whether it is one of the library's errors. */
function isOurs(error: unknown): error is Error {
  return error instanceof Error && "code" in error;
}

/** Elements that were read and written for new values; what only looks at memory that was there is free. */
function work(inputs: Given, outputs: readonly (Value | null)[]): number {
  const storages = new Set(inputs.map((value) => (value instanceof Tensor ? value.storage : null)));
  const made = outputs.filter((value) => value !== null && !(value instanceof Tensor && storages.has(value.storage)));
  return made.length === 0 ? 0 : [...inputs, ...made].reduce((sum, value) => sum + (value?.size ?? 0), 0);
}

/** A node's outputs as a list. */
function outputsOf(result: ReturnType<Run>): readonly (Value | null)[] {
  return Array.isArray(result) ? (result as readonly (Value | null)[]) : [result as Value];
}

class Compiler {
  readonly #outer: Compiler | null;
  readonly #shared: Shared;
  readonly #slots = new Map<string, number>();
  readonly #known = new Map<number, Value>();
  /** Outer slots by the own ones that take their values. */
  readonly #captured = new Map<number, number>();
  readonly #calls: Call[] = [];
  /** All names that nodes of this graph make, those to come among them. */
  #made: ReadonlySet<string> = new Set();
  #count = 0;

  constructor(shared: Shared, outer: Compiler | null) {
    this.#shared = shared;
    this.#outer = outer;
  }

  #define(name: string, where: string): number {
    if (this.#slots.has(name)) throw new FormatError(`onnx: expected one source for each value, got ${quote(name)} again in ${where}`);
    this.#slots.set(name, this.#count);
    return this.#count++;
  }

  /** The slot of a name, of this graph or of one around it. */
  #find(name: string): number | undefined {
    const own = this.#slots.get(name);
    if (own !== undefined) return own;
    const around = this.#outer;
    const outer = around === null ? undefined : around.#find(name);
    if (around === null || outer === undefined) return undefined;
    const slot = this.#define(name, "a subgraph");
    const known = around.#known.get(outer);
    if (known !== undefined) this.#known.set(slot, known);
    else this.#captured.set(slot, outer);
    return slot;
  }

  #read(name: string, where: string): number {
    if (name === "") return -1;
    const slot = this.#find(name);
    if (slot !== undefined) return slot;
    if (this.#makes(name))
      throw new FormatError(
        `onnx: expected nodes in order, those that make the inputs of ${where} before it (a cycle?), got ${quote(name)} later`,
      );
    throw new FormatError(
      `onnx: expected the inputs of ${where} to be made by nodes, given or constant, got ${quote(name)}, which is none of it`,
    );
  }

  /** Whether a node of this graph, or of one around it, makes this value. */
  #makes(name: string): boolean {
    const own = this.#made.has(name);
    return own || this.#outer === null ? own : this.#outer.#makes(name);
  }

  compile(graph: Graph): Program {
    this.#made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
    for (const value of graph.constants.values()) this.#shared.left += PASSES * value.size;
    for (const [name, value] of graph.constants) this.#known.set(this.#define(name, "the constants"), value);
    const inputs = graph.inputs.filter(({ name }) => !graph.constants.has(name)).map(({ name }) => this.#define(name, "the inputs"));
    for (const node of graph.nodes) this.#add(node);
    const outputs = graph.outputs.map(({ name }) => this.#read(name, "the outputs"));
    if (outputs.includes(-1)) throw new FormatError('onnx: expected outputs with names, got ""');
    const program = new Program(this.#count, this.#known, this.#captured, this.#calls, inputs, outputs);
    this.#shared.programs.push(program);
    return program;
  }

  #add(node: Node): void {
    const { label } = node;
    const operator = operatorOf(node);
    const own = node.inputs.map((name) => this.#read(name, label));
    const captured: number[] = [];
    const body = (graph: Graph): Body => {
      const program = new Compiler(this.#shared, this).compile(graph);
      const from = own.length + captured.length;
      captured.push(...program.captured.values());
      return program.asBody(from);
    };
    if (operator === undefined) this.#shared.unsupported.push(node);
    const reading: Reading = { body, known: (i) => this.#known.get(own[i] ?? -1), keep: (t) => this.#derive(t) };
    const run = operator === undefined ? () => [] : this.#readNode(node, operator, reading);
    const inputs = [...own, ...captured];
    const outputs = node.outputs.map((name) => (name === "" ? -1 : this.#define(name, label)));
    const values = operator === undefined || operator.heavy ? null : this.#folded(run, inputs);
    if (values === null) this.#calls.push({ label, run, inputs, outputs });
    else this.#know(outputs, values);
  }

  #derive(t: Tensor): Tensor {
    this.#shared.derived.push(t);
    return keep(t);
  }

  #know(slots: readonly number[], values: readonly (Value | null)[]): void {
    slots.forEach((slot, i) => {
      const value = values[i];
      if (slot >= 0 && value) this.#known.set(slot, value);
    });
  }

  #readNode(node: Node, operator: Operator, reading: Reading): Run {
    const { label, inputs, attributes } = node;
    const missing = Array.from({ length: operator.least }, (_, i) => inputs[i] ?? "").indexOf("");
    if (missing >= 0) throw new FormatError(`onnx: expected ${operator.least} inputs of ${label}, got none as input ${missing}`);
    try {
      const run = operator.read(node, reading);
      const [unread] = attributes.unread;
      if (unread !== undefined) throw new FormatError(`onnx: expected no attribute ${shorten(unread)} of ${label}, got one`);
      return run;
    } catch (error) {
      const named = inNode(error, label);
      throw isOurs(named) && !(named instanceof FormatError) ? new FormatError(named.message, { cause: error }) : named;
    }
  }

  /** The outputs of a node all of whose inputs are known; null where they are not, or where they would be large. */
  #folded(run: Run, inputs: readonly number[]): readonly (Value | null)[] | null {
    const given = inputs.map((slot) => (slot < 0 ? null : this.#known.get(slot)));
    // What has no inputs holds its value already.
    if ((inputs.length > 0 && this.#shared.left <= 0) || given.includes(undefined)) return null;
    try {
      if (inputs.length === 0) return outputsOf(run([]));
      const values = outputsOf(withMemoryFor(FOLDED_BYTES, () => withMostElements(MOST_FOLDED, () => scope(() => run(given as Given)))));
      this.#shared.left -= work(given as Given, values);
      return values;
    } catch (error) {
      // What is wrong with it shows where it is run, if it ever is.
      if (isOurs(error)) return null;
      throw error;
    }
  }
}

/** A graph that can be run. */
export class Program {
  /** Slots whose values come from around the graph, and the slots there. */
  readonly captured: ReadonlyMap<number, number>;
  readonly #size: number;
  readonly #known: ReadonlyMap<number, Value>;
  readonly #calls: readonly Call[];
  readonly #inputs: readonly number[];
  readonly #outputs: readonly number[];
  /** By call: the slots that nobody reads after it. */
  readonly #last: readonly (readonly number[])[];

  constructor(
    size: number,
    known: ReadonlyMap<number, Value>,
    captured: ReadonlyMap<number, number>,
    calls: readonly Call[],
    inputs: readonly number[],
    outputs: readonly number[],
  ) {
    this.#size = size;
    this.captured = captured;
    this.#calls = calls;
    this.#inputs = inputs;
    this.#outputs = outputs;
    const read = new Set([...outputs, ...calls.flatMap((call) => call.inputs)]);
    this.#known = new Map([...known].filter(([slot]) => read.has(slot)));
    this.#last = this.#lastUses();
  }

  #lastUses(): number[][] {
    const seen = new Set<number>(this.#outputs);
    const backwards = this.#calls.toReversed().map(({ inputs, outputs }) => {
      const last = [...new Set([...inputs, ...outputs])].filter((slot) => slot >= 0 && !seen.has(slot));
      for (const slot of last) seen.add(slot);
      return last;
    });
    return backwards.reverse();
  }

  /** The constants that calls read. */
  get constants(): Iterable<Value> {
    return this.#known.values();
  }

  asBody(from: number): Body {
    const { size } = this.captured;
    return {
      inputs: this.#inputs.length,
      outputs: this.#outputs.length,
      run: (inputs, given) => this.run(inputs, given.slice(from, from + size) as Value[]),
    };
  }

  /** Runs all calls in order. */
  run(inputs: readonly Value[], outer: readonly Value[] = []): Value[] {
    const slots = new Slots(this.#size);
    for (const [slot, value] of this.#known) slots.set(slot, value);
    this.#inputs.forEach((slot, i) => {
      slots.set(slot, inputs[i] as Value);
    });
    [...this.captured.keys()].forEach((slot, i) => {
      slots.set(slot, outer[i] as Value);
    });
    this.#calls.forEach((call, i) => {
      runCall(call, slots);
      for (const slot of this.#last[i] as readonly number[]) slots.drop(slot);
    });
    return this.#outputs.map((slot) => slots.get(slot) as Value);
  }
}

function runCall({ label, run, inputs, outputs }: Call, slots: Slots): void {
  try {
    const result = scope(() => run(inputs.map((slot) => (slot < 0 ? null : slots.get(slot)))));
    const values = outputsOf(result);
    outputs.forEach((slot, i) => {
      if (slot < 0) return;
      const value = values[i];
      if (!value) throw new FormatError(`onnx: expected at most ${values.length} outputs of ${label}, got ${outputs.length}`);
      slots.set(slot, value);
    });
  } catch (error) {
    throw inNode(error, label);
  }
}

/** The values of a run. Memory that the run made is released with the last slot that holds it. */
class Slots {
  readonly #values: (Value | null)[];
  readonly #holders = new Map<Storage, number>();
  readonly #before: number = storageCount;

  constructor(size: number) {
    this.#values = new Array<Value | null>(size).fill(null);
  }

  get(slot: number): Value | null {
    return this.#values[slot] as Value | null;
  }

  #isOwn({ serial, pinned }: Storage): boolean {
    return serial > this.#before && !pinned;
  }

  set(slot: number, value: Value): void {
    this.#values[slot] = value;
    if (!(value instanceof Tensor) || !this.#isOwn(value.storage)) return;
    this.#holders.set(value.storage, (this.#holders.get(value.storage) ?? 0) + 1);
  }

  drop(slot: number): void {
    const value = this.#values[slot];
    this.#values[slot] = null;
    if (!(value instanceof Tensor) || !this.#isOwn(value.storage)) return;
    const left = (this.#holders.get(value.storage) ?? 0) - 1;
    this.#holders.set(value.storage, left);
    if (left === 0) value.storage.release();
  }
}

/** A graph ready to be run. */
export interface Compiled {
  readonly program: Program;
  /** All tensors that outlive a run; nodes derive some of them in their first run. */
  constants(): readonly Tensor[];
}

/**
 * The calls of a graph, with constants that outlive every scope.
 * @throws FormatError for operators that are not supported, all of them named, and for what is no graph
 */
export function compile(graph: Graph): Compiled {
  const shared: Shared = { left: FOLDED_ELEMENTS, unsupported: [], programs: [], derived: [] };
  const program = new Compiler(shared, null).compile(graph);
  if (shared.unsupported.length === 0) {
    const constants = new Set(shared.programs.flatMap((each) => [...each.constants].filter((value) => value instanceof Tensor)));
    for (const t of constants) keep(t);
    return { program, constants: () => [...constants, ...shared.derived] };
  }
  const named = shared.unsupported.map(({ label, domain }) => `${label} of domain ${shorten(domain === "" ? "ai.onnx" : domain)}`);
  const some = named.slice(0, 8).join(", ") + (named.length > 8 ? ", …" : "");
  throw new FormatError(`onnx: expected operators that are supported, got ${named.length} that are not: ${some}`);
}
