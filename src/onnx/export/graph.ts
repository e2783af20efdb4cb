/** A graph of ONNX's operators as it grows: values have names, and open lengths are worked out where they are needed. */

import { arrayOf, type DType } from "../../base/dtype.ts";
import { ArgumentError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { type Dimension, isConstant } from "./dimensions.ts";
import { type Attributes, attribute, graphMessage, nodeMessage, tensorMessage } from "./messages.ts";

/** Where an open length can be read: an axis of an input. */
export interface Axis {
  readonly input: string;
  readonly axis: number;
}

const int64 = (values: readonly number[]): Uint8Array => new Uint8Array(BigInt64Array.from(values, BigInt).buffer);

/** The elements of a tensor as a file has them. */
function rawOf(t: Tensor): Uint8Array {
  const values = t.data();
  return t.dtype === "bool" ? Uint8Array.from(values) : new Uint8Array(values.slice().buffer);
}

/** Names, constants and open lengths of a whole model. */
export class Model {
  readonly constants: Uint8Array[] = [];
  readonly root: Graph = new Graph(this);
  readonly #axes: ReadonlyMap<string, Axis>;
  /** The names of what is written once, however often it is asked for, by kind and value. */
  readonly #once = new Map<string, string>();
  readonly #taken: Set<string>;

  constructor(axes: ReadonlyMap<string, Axis>, names: Iterable<string>) {
    this.#axes = axes;
    this.#taken = new Set(names);
  }

  /** A name that nothing has. */
  name(wish: string): string {
    let name = wish;
    for (let k = 1; this.#taken.has(name); k++) name = `${wish}_${k}`;
    this.#taken.add(name);
    return name;
  }

  tensor(wish: string, t: Tensor): string {
    return this.#constant(wish, t.dtype, t.shape, rawOf(t));
  }

  #constant(wish: string, type: DType | "int64", shape: readonly number[], raw: Uint8Array): string {
    const name = this.name(wish);
    this.constants.push(tensorMessage(name, type, shape, raw));
    return name;
  }

  /** What `write` wrote for a key. */
  #written(key: string, write: () => string): string {
    const known = this.#once.get(key);
    if (known !== undefined) return known;
    const name = write();
    this.#once.set(key, name);
    return name;
  }

  /** A number of a dtype, without axes. */
  number(value: number, dtype: DType): string {
    return this.#written(`${dtype} ${Object.is(value, -0) ? "-0" : value}`, () => {
      const raw = arrayOf(dtype, 1).fill(value);
      return this.#constant("number", dtype, [], new Uint8Array(raw.buffer));
    });
  }

  /** Whole numbers as operators take them: a constant int64. */
  list(values: readonly number[], shape: readonly number[] = [values.length]): string {
    return this.#written(`[${values.join()}] ${shape.join()}`, () => this.#constant("list", "int64", shape, int64(values)));
  }

  /** The same, some of them open lengths. */
  dimensions(dims: readonly Dimension[]): string {
    if (dims.every(isConstant)) return this.list(dims.map(({ offset }) => offset));
    return this.root.add(
      "Concat",
      dims.map((d) => this.#dimension(d)),
      { axis: attribute.int(0) },
    );
  }

  /** One number, [1]. */
  #dimension({ factor, lengths, offset }: Dimension): string {
    if (lengths.length === 0) return this.list([offset]);
    const product = lengths.map((name) => this.#length(name)).reduce((a, b) => this.root.add("Mul", [a, b]));
    const scaled = factor === 1 ? product : this.root.add("Mul", [product, this.list([factor])]);
    return offset === 0 ? scaled : this.root.add("Add", [scaled, this.list([offset])]);
  }

  #length(name: string): string {
    return this.#written(`length ${name}`, () => {
      const { input, axis } = this.#axes.get(name) as Axis;
      const shape = this.root.add("Shape", [input]);
      return this.root.add("Gather", [shape, this.list([axis])], { axis: attribute.int(0) });
    });
  }
}

/** The nodes of a model, or of a step within it. */
export class Graph {
  readonly model: Model;
  readonly #nodes: Uint8Array[] = [];
  readonly #values: Map<string, string>;

  constructor(model: Model, outer?: Graph) {
    this.model = model;
    this.#values = new Map(outer === undefined ? [] : outer.#values);
  }

  /** Adds a node with one output. @returns the output's name */
  add(op: string, inputs: readonly string[], attributes: Attributes = {}): string {
    return this.addAll(op, inputs, 1, attributes)[0] as string;
  }

  /** Adds a node with some outputs. */
  addAll(op: string, inputs: readonly string[], outputs: number, attributes: Attributes = {}): string[] {
    const names = Array.from({ length: outputs }, () => this.model.name(op));
    this.#nodes.push(nodeMessage(op, inputs, names, attributes));
    return names;
  }

  /** Gives a value the name that a graph's output has. */
  give(value: string, name: string): void {
    this.#nodes.push(nodeMessage("Identity", [value], [name], {}));
  }

  /** From now on a tensor has a name. */
  set(t: Tensor, name: string): void {
    this.#values.set(placeOf(t), name);
  }

  /** The name of a tensor, or of one with the same elements in the same place; undefined if it has none. */
  get(t: Tensor): string | undefined {
    return this.#values.get(placeOf(t));
  }

  message(
    name: string,
    inputs: readonly Uint8Array[],
    outputs: readonly Uint8Array[],
    constants: readonly Uint8Array[] = [],
  ): Uint8Array<ArrayBuffer> {
    return graphMessage({ name, nodes: this.#nodes, constants, inputs, outputs });
  }
}

/** Where the elements of a tensor lie: the same for a tensor and for what detaching made of it. */
export function placeOf({ storage, dtype, offset, shape, strides }: Tensor): string {
  return `${storage.serial} ${dtype} ${offset} ${shape.join()} ${strides.join()}`;
}

/** @throws ArgumentError: what a model does that no file of this kind can say */
export function cannot(what: string): never {
  throw new ArgumentError(`exportModel: expected what ONNX can hold, got ${what}`);
}
