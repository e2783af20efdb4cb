/**
 * An ONNX model whose weights are float16, with a Cast behind each: half the bytes to ship.
 *
 * Rewrites the protocol buffer and understands no more of it than this takes: nodes, constants and subgraphs.
 * @see onnx.proto3 for the numbers of fields
 */

/** A field: its number, its bytes as they stand, and its content if it has one of some length. */
interface Field {
  readonly id: number;
  readonly raw: Uint8Array;
  readonly body: Uint8Array | null;
}

const [FLOAT, FLOAT16] = [1, 10];
const text = new TextDecoder();
const utf8 = new TextEncoder();

function readVarint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let k = 0; ; k++) {
    const byte = bytes[at + k] as number;
    value += (byte & 127) * 2 ** (7 * k);
    if (byte < 128) return [value, at + k + 1];
  }
}

function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length; ) {
    const [key, start] = readVarint(message, at);
    const wire = key % 8;
    const [length, begin] = wire === 1 ? [8, start] : wire === 5 ? [4, start] : readVarint(message, start);
    const end = wire === 0 ? begin : begin + length;
    fields.push({ id: (key - wire) / 8, raw: message.subarray(at, end), body: wire === 2 ? message.subarray(begin, end) : null });
    at = end;
  }
  return fields;
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const int = (id: number, value: number): Uint8Array => Uint8Array.from([...varint(8 * id), ...varint(value)]);

function bytes(id: number, body: Uint8Array | string): Uint8Array {
  const content = typeof body === "string" ? utf8.encode(body) : body;
  return joined([Uint8Array.from([...varint(8 * id + 2), ...varint(content.length)]), content]);
}

/** The content of the first field of a number. */
function bodyOf(fields: readonly Field[], id: number): Uint8Array | undefined {
  return fields.find((field) => field.id === id)?.body ?? undefined;
}

/** The bits of the float16 next to x, the even one of two. */
export function halfBits(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.min(Math.abs(x), 2 ** 16);
  if (Number.isNaN(x)) return 0x7e00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const steps = size / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const rounded = floor + (steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 === 1) ? 1 : 0);
  // What is rounded up to the next power of two carries into the exponent by itself.
  return size === 0 ? sign : sign | Math.min((exponent + 14) * 1024 + rounded, 0x7c00);
}

/** A tensor of float32 as one of float16; null for any other. */
function halved(tensor: Uint8Array, name: string | null): Uint8Array | null {
  const fields = fieldsOf(tensor);
  const [type] = fields.filter(({ id }) => id === 2).map(({ raw }) => readVarint(raw, 1)[0]);
  const raw = bodyOf(fields, 9);
  if (type !== FLOAT || raw === undefined) return null;
  const floats = new DataView(raw.buffer, raw.byteOffset, raw.length);
  const halves = new DataView(new ArrayBuffer(raw.length / 2));
  for (let i = 0; i < raw.length / 4; i++) halves.setUint16(2 * i, halfBits(floats.getFloat32(4 * i, true)), true);
  const others = fields.filter(({ id }) => ![2, 8, 9].includes(id)).map((field) => field.raw);
  const label = name ?? text.decode(bodyOf(fields, 8) ?? new Uint8Array());
  return joined([...others, int(2, FLOAT16), bytes(8, label), bytes(9, new Uint8Array(halves.buffer))]);
}

const halfName = (name: string): string => `${name}/half`;

/** The node that widens a constant. */
function castOf(name: string): Uint8Array {
  const to = joined([bytes(1, "to"), int(3, FLOAT), int(20, 2)]);
  return bytes(1, joined([bytes(1, halfName(name)), bytes(2, name), bytes(4, "Cast"), bytes(5, to)]));
}

/** A node with its constants halved: one or two nodes, as fields of a graph. */
function nodesOf(node: Uint8Array): Uint8Array[] {
  const fields = fieldsOf(node);
  const output = text.decode(bodyOf(fields, 2));
  const constant = text.decode(bodyOf(fields, 4)) === "Constant";
  let widened = false;
  const parts = fields.map((field) => {
    if (field.id !== 5 || field.body === null) return field.raw;
    const attribute = fieldsOf(field.body).map((part) => {
      if (part.id === 6 && part.body !== null) return bytes(6, graphOf(part.body));
      const half = constant && part.id === 5 && part.body !== null ? halved(part.body, null) : null;
      widened ||= half !== null;
      return half === null ? part.raw : bytes(5, half);
    });
    return bytes(5, joined(attribute));
  });
  if (!widened) return [bytes(1, joined(parts))];
  const renamed = parts.map((part, i) => (fields[i]?.id === 2 ? bytes(2, halfName(output)) : part));
  return [bytes(1, joined(renamed)), castOf(output)];
}

function graphOf(graph: Uint8Array): Uint8Array {
  const casts: Uint8Array[] = [];
  const parts = fieldsOf(graph).flatMap(({ id, raw, body }) => {
    if (id === 1 && body !== null) return nodesOf(body);
    if (id !== 5 || body === null) return [raw];
    const name = text.decode(bodyOf(fieldsOf(body), 8));
    const half = halved(body, halfName(name));
    if (half !== null) casts.push(castOf(name));
    return [half === null ? raw : bytes(5, half)];
  });
  return joined([...casts, ...parts]);
}

/** The model with all its float32 constants as float16. */
export function withHalves(model: Uint8Array): Uint8Array<ArrayBuffer> {
  return joined(fieldsOf(model).map(({ id, raw, body }) => (id === 7 && body !== null ? bytes(7, graphOf(body)) : raw)));
}
