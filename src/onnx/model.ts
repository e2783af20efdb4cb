/**
 * ONNX models as plain graphs: nodes with their attributes, constants, and what goes in and out.
 * @see ONNX, "Open Neural Network Exchange Intermediate Representation", onnx.proto (field numbers and codes from memory)
 */

import { asBytes } from "../base/bytes.ts";
import { type FloatDType, isFloat } from "../base/dtype.ts";
import { bfloatToNumber, halfToNumber } from "../base/half.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { checkShape, type Shape, show, sizeOf } from "../tensor/shape.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { fail, Message } from "./protobuf.ts";
import { type ElementType, HostArray, type Value } from "./values.ts";

/** How elements of a type are written as raw bytes, and in which field of a TensorProto otherwise. */
interface Format {
  readonly name: string;
  readonly type: ElementType;
  readonly bytes: number;
  readonly read: (data: DataView, at: number) => number;
  readonly field: 4 | 5 | 7 | 10 | 11;
}

const FORMATS: Readonly<Record<number, Format>> = {
  1: { name: "FLOAT", type: "float32", bytes: 4, read: (d, at) => d.getFloat32(at, true), field: 4 },
  2: { name: "UINT8", type: "uint8", bytes: 1, read: (d, at) => d.getUint8(at), field: 5 },
  3: { name: "INT8", type: "int8", bytes: 1, read: (d, at) => d.getInt8(at), field: 5 },
  4: { name: "UINT16", type: "uint16", bytes: 2, read: (d, at) => d.getUint16(at, true), field: 5 },
  5: { name: "INT16", type: "int16", bytes: 2, read: (d, at) => d.getInt16(at, true), field: 5 },
  6: { name: "INT32", type: "int32", bytes: 4, read: (d, at) => d.getInt32(at, true), field: 5 },
  7: { name: "INT64", type: "int64", bytes: 8, read: (d, at) => Number(d.getBigInt64(at, true)), field: 7 },
  9: { name: "BOOL", type: "bool", bytes: 1, read: (d, at) => Number(d.getUint8(at) !== 0), field: 5 },
  10: { name: "FLOAT16", type: "float32", bytes: 2, read: (d, at) => halfToNumber(d.getUint16(at, true)), field: 5 },
  11: { name: "DOUBLE", type: "float64", bytes: 8, read: (d, at) => d.getFloat64(at, true), field: 10 },
  12: { name: "UINT32", type: "uint32", bytes: 4, read: (d, at) => d.getUint32(at, true), field: 11 },
  13: { name: "UINT64", type: "uint64", bytes: 8, read: (d, at) => Number(d.getBigUint64(at, true)), field: 11 },
  16: { name: "BFLOAT16", type: "float32", bytes: 2, read: (d, at) => bfloatToNumber(d.getUint16(at, true)), field: 5 },
};

function formatOf(code: number, where: string): Format {
  const names = (): string[] => Object.values(FORMATS).map(({ name }) => name);
  return FORMATS[code] ?? fail(where, `elements of ${names().join(", ")}`, `type ${code}`);
}

/** The type that a code of the format stands for here: half floats are float32. @throws FormatError for types that are not supported */
export function elementType(code: number, where: string): ElementType {
  return formatOf(code, where).type;
}

// ---- Tensors ----

/** Sizes as the format has them. */
function shapeOf(dims: readonly number[], where: string): Shape {
  if (!dims.every((d) => Number.isSafeInteger(d) && d >= 0)) fail(where, "whole sizes", show(dims));
  if (!(sizeOf(dims) <= 2 ** 29)) fail(where, "at most 2^29 elements", show(dims));
  checkShape("onnx", dims);
  return dims;
}

/** A float16 or bfloat16 in a field of integers is its bits. */
function fromBits({ bytes, read }: Format, bits: number): number {
  const data = new DataView(new ArrayBuffer(4));
  data.setUint32(0, bits, true);
  return bytes === 2 ? read(data, 0) : bits;
}

function rawElements(raw: Uint8Array, { bytes, read }: Format, size: number, where: string): Float64Array {
  if (raw.length !== size * bytes) fail(where, `${size * bytes} bytes of data`, `${raw.length}`);
  const data = new DataView(raw.buffer, raw.byteOffset, raw.length);
  return Float64Array.from({ length: size }, (_, i) => read(data, bytes * i));
}

function typedElements(message: Message, format: Format, size: number, where: string): number[] {
  const { field, type } = format;
  const values = field === 4 || field === 10 ? message.floats(field, field === 4 ? 4 : 8) : message.integers(field);
  if (values.length !== size) fail(where, `${size} elements`, `${values.length}`);
  return field === 5 && isFloat(type as FloatDType) ? values.map((bits) => fromBits(format, bits)) : values;
}

/** Floats of the kernels' own width are copied as they are. */
function floatTensor(raw: Uint8Array | undefined, dtype: FloatDType, width: number, shape: Shape, values: () => ArrayLike<number>): Tensor {
  const same = raw !== undefined && width === (dtype === "float32" ? 4 : 8) && raw.length === width * sizeOf(shape);
  if (!same) return tensor(values() as number[], { shape, dtype });
  const { buffer } = new Uint8Array(raw);
  return tensor(dtype === "float32" ? new Float32Array(buffer) : new Float64Array(buffer), { shape });
}

/** The value of a TensorProto. @throws FormatError */
function readTensor(message: Message, where: string): Value {
  const format = formatOf(message.integer(2), where);
  if (message.integer(14) !== 0) fail(where, "data inside the file", "data in another file");
  const shape = shapeOf(message.integers(1), where);
  const size = sizeOf(shape);
  const raw = message.bytes(9);
  const values = () => (raw ? rawElements(raw, format, size, where) : typedElements(message, format, size, where));
  const { type, bytes } = format;
  if (type === "float32" || type === "float64") return floatTensor(raw, type, bytes, shape, () => Float64Array.from(values()));
  return new HostArray(type, shape, values());
}

/** A TensorProto on its own, as reference data are stored. @throws FormatError for bytes that are none */
export function parseTensor(source: Uint8Array | ArrayBufferLike | ArrayBufferView): { readonly name: string; readonly value: Value } {
  const message = new Message(asBytes("onnx", source), "a tensor");
  const name = message.text(8);
  return { name, value: readTensor(message, `tensor ${quote(name)}`) };
}

// ---- Graphs ----

/** An axis of an input: its length, a name for any length, or null. */
export type Dimension = number | string | null;

/** What goes in or out of a graph; a shape of null is any. */
export interface ValueInfo {
  readonly name: string;
  readonly type: ElementType | null;
  readonly shape: readonly Dimension[] | null;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly constants: ReadonlyMap<string, Value>;
  /** A constant of an input's name is what the input is unless a run gives another value. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

export interface Node {
  /** How errors call it: `node "name" (Op)`. */
  readonly label: string;
  readonly op: string;
  /** "" for ONNX's own operators. */
  readonly domain: string;
  /** The version of its domain that the model asks for. */
  readonly version: number;
  /** "" where one is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

type Reader<T> = (message: Message, where: string) => T;

/** The kinds of an attribute: the code that its type has, and the field of an AttributeProto that holds its value. */
const KINDS = { float: 1, int: 2, text: 3, tensor: 4, graph: 5, floats: 6, ints: 7, texts: 8 } as const;
const FIELDS = { float: 2, int: 3, text: 4, tensor: 5, graph: 6, floats: 7, ints: 8, texts: 9 } as const;
type Kind = keyof typeof KINDS;

/** A node's attributes, by name. Those that nobody asked for are found, since they might change what the node means. */
export class Attributes {
  readonly #messages: ReadonlyMap<string, Message>;
  readonly #where: string;
  readonly #graph: Reader<Graph>;
  readonly #asked = new Set<string>();

  constructor(messages: ReadonlyMap<string, Message>, where: string, graph: Reader<Graph>) {
    this.#messages = messages;
    this.#where = where;
    this.#graph = graph;
  }

  /** Whether there is one; to ask is to know of it. */
  has(name: string): boolean {
    this.#asked.add(name);
    return this.#messages.has(name);
  }

  /** The names that nobody has asked for. */
  get unread(): string[] {
    return [...this.#messages.keys()].filter((name) => !this.#asked.has(name));
  }

  #find(name: string, kind: Kind): Message | undefined {
    this.#asked.add(name);
    const message = this.#messages.get(name);
    if (message === undefined) return undefined;
    const where = `attribute ${name} of ${this.#where}`;
    if (message.has(21)) fail(where, "a value", "a reference to a function's attribute");
    const code = message.integer(20);
    if (code !== KINDS[kind] && code !== 0) fail(where, `type ${KINDS[kind]} (${kind})`, `${code}`);
    return message;
  }

  float<T extends number | undefined>(name: string, otherwise: T): number | T {
    return this.#find(name, "float")?.floats(FIELDS.float)[0] ?? otherwise;
  }

  int<T extends number | undefined>(name: string, otherwise: T): number | T {
    return this.#find(name, "int")?.integer(FIELDS.int) ?? otherwise;
  }

  flag(name: string, otherwise = false): boolean {
    return this.int(name, Number(otherwise)) !== 0;
  }

  text(name: string, otherwise: string): string {
    return this.#find(name, "text")?.text(FIELDS.text) ?? otherwise;
  }

  /** A text out of some. @throws FormatError */
  oneOf<T extends string>(name: string, choices: readonly T[], otherwise: T): T {
    const text = this.text(name, otherwise) as T;
    return choices.includes(text) ? text : fail(`attribute ${name} of ${this.#where}`, list(choices), quote(text));
  }

  floats(name: string): number[] | undefined {
    return this.#find(name, "floats")?.floats(FIELDS.floats);
  }

  ints(name: string): number[] | undefined {
    return this.#find(name, "ints")?.integers(FIELDS.ints);
  }

  texts(name: string): string[] | undefined {
    return this.#find(name, "texts")?.texts(FIELDS.texts);
  }

  tensor(name: string): Value | undefined {
    const where = `attribute ${name} of ${this.#where}`;
    const message = this.#find(name, "tensor")?.message(FIELDS.tensor, where);
    return message && readTensor(message, where);
  }

  graph(name: string): Graph {
    const where = `attribute ${name} of ${this.#where}`;
    const message = this.#find(name, "graph")?.message(FIELDS.graph, where);
    return this.#graph(message ?? fail(this.#where, `a graph as attribute ${name}`, "none"), where);
  }

  /** All that are graphs, by name: the bodies of a node that has some. */
  get graphs(): Map<string, Graph> {
    const names = [...this.#messages].filter(([, message]) => message.has(FIELDS.graph)).map(([name]) => name);
    return new Map(names.map((name) => [name, this.graph(name)]));
  }
}

/** The versions of the domains that a model, or a function, uses. */
type Versions = ReadonlyMap<string, number>;

/** The newest version of ONNX's own operators that is read. */
const NEWEST = 23;
/** Calls of functions within each other, and nodes that come of them in all. */
const DEEPEST_CALL = 32;
const MOST_INLINED = 100_000;

/** What the nodes of a graph are read with. A function's are read anew for each call, which they take the place of. */
interface Reading {
  readonly versions: Versions;
  /** By domain and name. */
  readonly functions: ReadonlyMap<string, Message>;
  /** What a value is called in the model. */
  readonly rename: (name: string) => string;
  /** The attributes of a function's call; null outside of functions. */
  readonly call: ReadonlyMap<string, Message> | null;
  readonly depth: number;
  readonly inlined: { calls: number; nodes: number };
}

const ownDomain = (domain: string): string => (domain === "ai.onnx" ? "" : domain);
const functionKey = (domain: string, name: string): string => `${ownDomain(domain)}:${name}`;

/** A node's attributes, with those that refer to a function's in their place. */
function attributesOf(message: Message, label: string, { call }: Reading): Map<string, Message> {
  const found = new Map<string, Message>();
  for (const attribute of message.messages(5, label)) {
    const referred = attribute.has(21) && call !== null;
    const value = referred ? call.get(attribute.text(21)) : attribute;
    if (value !== undefined) found.set(attribute.text(1), value);
  }
  return found;
}

/** A node, or those of the function that it calls. */
function readNodes(message: Message, reading: Reading, at: number): Node[] {
  const [op, domain, name] = [message.text(4), message.text(7), message.text(3)];
  const label = `node ${name === "" ? at : quote(name)} (${shorten(domain === "" ? op : `${domain}.${op}`)})`;
  const attributes = attributesOf(message, label, reading);
  const [inputs, outputs] = [1, 2].map((field) => message.texts(field).map(reading.rename)) as [string[], string[]];
  const body = reading.functions.get(functionKey(domain, op));
  if (body !== undefined) return readCall(body, label, { inputs, outputs, attributes }, reading);
  const graph: Reader<Graph> = (inner, where) => readGraph(inner, where, reading);
  const own = ownDomain(domain);
  const version = reading.versions.get(own) ?? 1;
  return [{ label, op, domain: own, version, inputs, outputs, attributes: new Attributes(attributes, label, graph) }];
}

interface FunctionCall {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Message>;
}

/** The nodes of a function, with the call's names for its inputs and outputs, and names of their own for what is between. */
function readCall(body: Message, label: string, call: FunctionCall, reading: Reading): Node[] {
  const { depth, inlined } = reading;
  if (depth === DEEPEST_CALL) fail(label, `functions at most ${DEEPEST_CALL} deep`, "a deeper one");
  const names = new Map<string, string>();
  for (const [i, name] of body.texts(4).entries()) names.set(name, call.inputs[i] ?? "");
  for (const [i, name] of body.texts(5).entries()) if (call.outputs[i]) names.set(name, call.outputs[i]);
  const prefix = `${inlined.calls++}/`;
  const defaults = body.messages(11, label).map((attribute) => [attribute.text(1), attribute] as const);
  const nodes = body.messages(7, label);
  inlined.nodes += nodes.length;
  if (inlined.nodes > MOST_INLINED) fail(label, `functions of at most ${MOST_INLINED} nodes in all`, "more");
  const inner: Reading = {
    ...reading,
    versions: versionsOf(body.messages(9, label)),
    rename: (name) => (name === "" ? "" : (names.get(name) ?? prefix + name)),
    call: new Map([...defaults, ...call.attributes]),
    depth: depth + 1,
  };
  return nodes.flatMap((node, i) => readNodes(node, inner, i));
}

function readDimension(message: Message): Dimension {
  if (message.has(1)) return message.integer(1);
  return message.has(2) ? message.text(2) : null;
}

/** Fields of a type that is no tensor's. */
const OTHER_KINDS = [
  [4, "a sequence"],
  [5, "a map"],
  [8, "a sparse tensor"],
  [9, "an optional value"],
] as const;

function readValueInfo(message: Message, where: string): ValueInfo {
  const name = message.text(1);
  const type = message.message(2, `the type of ${quote(name)}`);
  const held = type?.message(1, `the type of ${quote(name)}`);
  // A type that says nothing, as some exporters write it for outputs of branches, is a tensor's.
  const other = type === undefined || held !== undefined ? undefined : OTHER_KINDS.find(([number]) => type.has(number))?.[1];
  if (other !== undefined) fail(where, "tensors", `${quote(name)}, ${other}`);
  const shape = held?.message(2, `the shape of ${quote(name)}`);
  const code = held?.integer(1) ?? 0;
  return {
    name,
    type: code === 0 ? null : elementType(code, `the type of ${quote(name)}`),
    shape: shape ? shape.messages(1, `the shape of ${quote(name)}`).map(readDimension) : null,
  };
}

function readGraph(message: Message, where: string, reading: Reading): Graph {
  if (message.has(15)) fail(where, "dense constants", "sparse ones");
  const { rename } = reading;
  const constants = message.messages(5, "a constant").map((constant) => {
    const name = constant.text(8);
    return [rename(name), readTensor(constant, `constant ${quote(name)}`)] as const;
  });
  const infos = (field: number, what: string): ValueInfo[] =>
    message.messages(field, what).map((value) => {
      const info = readValueInfo(value, where);
      return { ...info, name: rename(info.name) };
    });
  return {
    nodes: message.messages(1, "a node").flatMap((node, i) => readNodes(node, reading, i)),
    constants: new Map(constants),
    inputs: infos(11, "an input"),
    outputs: infos(12, "an output"),
  };
}

function versionsOf(opsets: readonly Message[]): Versions {
  const versions = opsets.map((entry) => [ownDomain(entry.text(1)), entry.integer(2)] as const);
  for (const [domain, version] of versions) {
    if (domain === "" && !(version >= 1 && version <= NEWEST)) fail("the model", `an opset of at most ${NEWEST}`, `${version}`);
  }
  return new Map(versions);
}

/** The graph of a ModelProto, with the nodes of its functions in place of their calls. @throws FormatError for bytes that are none */
export function parseModel(source: Uint8Array | ArrayBufferLike | ArrayBufferView): Graph {
  const message = new Message(asBytes("onnx", source), "a model");
  const versions = versionsOf(message.messages(8, "an opset"));
  const graph = message.message(7, "the graph");
  if (graph === undefined) fail("the file", "a model with a graph", "none");
  if (!versions.has("")) fail("the model", "an opset of ONNX's own operators", "none");
  const functions = message.messages(25, "a function").map((body) => [functionKey(body.text(10), body.text(1)), body] as const);
  const rename = (name: string): string => name;
  const read = readGraph(graph, "the graph", {
    versions,
    functions: new Map(functions),
    rename,
    call: null,
    depth: 0,
    inlined: { calls: 0, nodes: 0 },
  });
  // Before version 4 of the format every constant had to be an input, too.
  const isOld = message.integer(1) < 4;
  return isOld ? { ...read, inputs: read.inputs.filter(({ name }) => !read.constants.has(name)) } : read;
}
