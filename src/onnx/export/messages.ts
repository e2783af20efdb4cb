/**
 * ONNX's messages, written as protocol buffers.
 *
 * @see Google, "Protocol Buffers: Encoding"; field numbers are those of onnx.proto3 (from memory)
 */

import { joinBytes } from "../../base/bytes.ts";
import type { DType } from "../../base/dtype.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** ONNX's numbers of element types. */
export const ELEMENT_TYPES: Readonly<Record<DType | "int64", number>> = { float32: 1, int32: 6, int64: 7, bool: 9, float64: 11 };

/** The kinds of an attribute. */
const [FLOAT, INT, STRING, GRAPH, INTS, STRINGS] = [1, 2, 3, 5, 7, 8] as const;

/** A whole number of 64 bits; negative ones take ten bytes. */
function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  return Uint8Array.from([...bytes, Number(rest)]);
}

const int = (field: number, value: number): Bytes => joinBytes([varint(8 * field), varint(value)]);

function float(field: number, value: number): Bytes {
  const body = new Uint8Array(4);
  new DataView(body.buffer).setFloat32(0, value, true);
  return joinBytes([varint(8 * field + 5), body]);
}

/** Bytes, a text or a message. */
function block(field: number, content: Uint8Array | string): Bytes {
  const body = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return joinBytes([varint(8 * field + 2), varint(body.length), body]);
}

/** An attribute without its name. */
export type Attribute = readonly Bytes[];

export const attribute = {
  float: (value: number): Attribute => [float(2, value), int(20, FLOAT)],
  int: (value: number): Attribute => [int(3, value), int(20, INT)],
  string: (value: string): Attribute => [block(4, value), int(20, STRING)],
  graph: (graph: Bytes): Attribute => [block(6, graph), int(20, GRAPH)],
  ints: (values: readonly number[]): Attribute => [...values.map((v) => int(8, v)), int(20, INTS)],
  strings: (values: readonly string[]): Attribute => [...values.map((v) => block(9, v)), int(20, STRINGS)],
};

export type Attributes = Readonly<Record<string, Attribute>>;

export function nodeMessage(op: string, inputs: readonly string[], outputs: readonly string[], attributes: Attributes): Bytes {
  return joinBytes([
    ...inputs.map((name) => block(1, name)),
    ...outputs.map((name) => block(2, name)),
    block(3, `${op}_${outputs[0]}`),
    block(4, op),
    ...Object.entries(attributes).map(([name, parts]) => block(5, joinBytes([block(1, name), ...parts]))),
  ]);
}

/** A constant tensor. @param raw its elements, little-endian */
export function tensorMessage(name: string, type: DType | "int64", shape: readonly number[], raw: Uint8Array): Bytes {
  return joinBytes([...shape.map((d) => int(1, d)), int(2, ELEMENT_TYPES[type]), block(8, name), block(9, raw)]);
}

/** A value that a graph takes or gives. @param shape lengths and names of lengths; null where it is open */
export function valueMessage(name: string, type: DType | "int64", shape: readonly (number | string)[] | null): Bytes {
  const dims = shape?.map((d) => block(1, typeof d === "number" ? int(1, d) : block(2, d)));
  const held = joinBytes([int(1, ELEMENT_TYPES[type]), ...(dims === undefined ? [] : [block(2, joinBytes(dims))])]);
  return joinBytes([block(1, name), block(2, block(1, held))]);
}

export interface GraphParts {
  readonly name: string;
  readonly nodes: readonly Uint8Array[];
  readonly constants: readonly Uint8Array[];
  readonly inputs: readonly Uint8Array[];
  readonly outputs: readonly Uint8Array[];
}

export function graphMessage({ name, nodes, constants, inputs, outputs }: GraphParts): Bytes {
  return joinBytes([
    ...nodes.map((part) => block(1, part)),
    block(2, name),
    ...constants.map((part) => block(5, part)),
    ...inputs.map((part) => block(11, part)),
    ...outputs.map((part) => block(12, part)),
  ]);
}

/** A whole file. @param opset the version of ONNX's own operators */
export function modelMessage(graph: Uint8Array, opset: number): Bytes {
  return joinBytes([int(1, 8), block(2, "tapeloop"), block(7, graph), block(8, joinBytes([block(1, ""), int(2, opset)]))]);
}
