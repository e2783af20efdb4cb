/** Reads ONNX files, as far as recurrent nodes need it: fields of protocol buffers by number. */

import { ArgumentError } from "../../src/base/errors.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

type Field = number | Uint8Array;

/** A variable-length integer and where the next field begins. */
function varint(bytes: Uint8Array, start: number): [value: number, next: number] {
  let value = 0;
  for (let at = start, scale = 1; ; at++, scale *= 128) {
    const byte = bytes[at] as number;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at + 1];
  }
}

/** The fields of a message by number; nested messages, texts and packed numbers as bytes. */
function fieldsOf(bytes: Uint8Array): Map<number, Field[]> {
  const fields = new Map<number, Field[]>();
  for (let at = 0; at < bytes.length; ) {
    const [key, start] = varint(bytes, at);
    const [value, next] = readField(bytes, start, key & 7);
    const number = Math.floor(key / 8);
    fields.set(number, [...(fields.get(number) ?? []), value]);
    at = next;
  }
  return fields;
}

function readField(bytes: Uint8Array, start: number, kind: number): [value: Field, next: number] {
  if (kind === 0) return varint(bytes, start);
  if (kind === 1) return [bytes.subarray(start, start + 8), start + 8];
  if (kind === 5) return [bytes.subarray(start, start + 4), start + 4];
  if (kind !== 2) throw new ArgumentError(`onnx: expected a wire type of 0, 1, 2 or 5, got ${kind}`);
  const [length, begin] = varint(bytes, start);
  return [bytes.subarray(begin, begin + length), begin + length];
}

const text = (field: Field | undefined): string => new TextDecoder().decode(field as Uint8Array | undefined);

/** A repeated integer field, packed or not. */
function integers(fields: readonly Field[] = []): number[] {
  return fields.flatMap((field) => {
    if (typeof field === "number") return [field];
    const values: number[] = [];
    for (let at = 0; at < field.length; ) {
      const [value, next] = varint(field, at);
      values.push(value);
      at = next;
    }
    return values;
  });
}

/** A TensorProto of floats (type 1) or 64-bit integers (type 7) with raw or typed data. */
export function readTensor(bytes: Uint8Array): { name: string; value: Tensor } {
  const fields = fieldsOf(bytes);
  const [type] = fields.get(2) as [number];
  const raw = (fields.get(9) ?? fields.get(4) ?? fields.get(7))?.[0] as Uint8Array;
  const data = new Uint8Array(raw).buffer; // a copy: slices of Buffers share memory
  const values = type === 1 ? new Float32Array(data) : Int32Array.from(new BigInt64Array(data), Number);
  return { name: text(fields.get(8)?.[0]), value: tensor(values, { shape: integers(fields.get(1)) }) };
}

export interface Node {
  readonly op: string;
  /** "" where one is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integers, texts and lists of texts; others are empty lists. */
  readonly attributes: ReadonlyMap<string, number | string | readonly string[]>;
}

export interface Graph {
  readonly nodes: readonly Node[];
  readonly constants: ReadonlyMap<string, Tensor>;
}

function readNode(bytes: Uint8Array): Node {
  const fields = fieldsOf(bytes);
  const attributes = (fields.get(5) ?? []).map((field) => {
    const attribute = fieldsOf(field as Uint8Array);
    const number = attribute.get(3)?.[0] as number | undefined;
    const string = attribute.get(4)?.[0];
    return [text(attribute.get(1)?.[0]), number ?? (string ? text(string) : (attribute.get(9) ?? []).map(text))] as const;
  });
  return {
    op: text(fields.get(4)?.[0]),
    inputs: (fields.get(1) ?? []).map(text),
    outputs: (fields.get(2) ?? []).map(text),
    attributes: new Map(attributes),
  };
}

/** The graph of a ModelProto. */
export function readGraph(bytes: Uint8Array): Graph {
  const graph = fieldsOf(fieldsOf(bytes).get(7)?.[0] as Uint8Array);
  const constants = (graph.get(5) ?? []).map((field) => readTensor(field as Uint8Array));
  return {
    nodes: (graph.get(1) ?? []).map((field) => readNode(field as Uint8Array)),
    constants: new Map(constants.map(({ name, value }) => [name, value])),
  };
}
