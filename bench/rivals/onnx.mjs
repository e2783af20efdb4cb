// Small ONNX models, written as protocol buffers by hand. Field numbers are those of onnx.proto3 (github.com/onnx/onnx).

/** Codes of types: of elements, and of attributes. */
const TYPES = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, double: 11 };
const ATTRIBUTES = { float: 1, int: 2, text: 3, tensor: 4, graph: 5, floats: 6, ints: 7, texts: 8 };
const ATTRIBUTE_FIELDS = { float: 2, int: 3, text: 4, tensor: 5, graph: 6, floats: 7, ints: 8, texts: 9 };

function varint(value) {
  const bytes = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    if (rest < 128n) return [...bytes, Number(rest)];
    bytes.push(Number(rest & 127n) | 128);
  }
}

/** A whole number as field `id`. */
export const int = (id, value) => Uint8Array.from([...varint(8 * id), ...varint(value)]);

const float = (id, value) => joined([Uint8Array.from(varint(8 * id + 5)), new Uint8Array(Float32Array.of(value).buffer)]);

/** Bytes, a text or a message as field `id`. */
export function bytes(id, content) {
  const body = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return joined([Uint8Array.from([...varint(8 * id + 2), ...varint(body.length)]), body]);
}

export function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const WRITERS = {
  float: (id, value) => float(id, value),
  int: (id, value) => int(id, value),
  text: (id, value) => bytes(id, value),
  tensor: (id, value) => bytes(id, value),
  graph: (id, value) => bytes(id, value),
  floats: (id, values) => joined(values.map((value) => float(id, value))),
  ints: (id, values) => joined(values.map((value) => int(id, value))),
  texts: (id, values) => joined(values.map((value) => bytes(id, value))),
};

/** Attributes by name: a whole number, or `{ float }`, `{ text }`, `{ ints }` and so on. */
function attribute(name, value) {
  const [kind, content] = typeof value === "number" ? ["int", value] : Object.entries(value)[0];
  return bytes(5, joined([bytes(1, name), WRITERS[kind](ATTRIBUTE_FIELDS[kind], content), int(20, ATTRIBUTES[kind])]));
}

export function node(type, inputs, outputs, attributes = {}, domain = "") {
  return joined([
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, type),
    ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    ...(domain === "" ? [] : [bytes(7, domain)]),
  ]);
}

/** A TensorProto of a typed array's bytes. */
export function initializer(name, shape, values, type = "float") {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return joined([...shape.map((d) => int(1, d)), int(2, TYPES[type]), bytes(8, name), bytes(9, raw)]);
}

/** Of float unless the entry says `{ type, shape }`, of no type for null; a text in a shape names a length. */
function valueInfo(name, info) {
  if (info === null) return bytes(1, name);
  const { type = "float", shape } = Array.isArray(info) ? { shape: info } : info;
  const dims = shape && joined(shape.map((d) => bytes(1, typeof d === "string" ? bytes(2, d) : int(1, d))));
  const tensor = joined([int(1, TYPES[type]), ...(dims ? [bytes(2, dims)] : [])]);
  return joined([bytes(1, name), bytes(2, bytes(1, tensor))]);
}

/** A GraphProto. */
export function graph({ nodes, initializers = [], inputs, outputs }) {
  return joined([
    ...nodes.map((n) => bytes(1, n)),
    bytes(2, "graph"),
    ...initializers.map((t) => bytes(5, t)),
    ...Object.entries(inputs).map(([name, shape]) => bytes(11, valueInfo(name, shape))),
    ...Object.entries(outputs).map(([name, shape]) => bytes(12, valueInfo(name, shape))),
  ]);
}

/** A ModelProto of that graph, in a version of the format. */
export function model({ opset = 14, format = 8, ...parts }) {
  const opsets = [bytes(8, joined([bytes(1, ""), int(2, opset)])), bytes(8, joined([bytes(1, "com.microsoft"), int(2, 1)]))];
  return joined([int(1, format), bytes(7, graph(parts)), ...opsets]);
}

/** C = A·B for n × n matrices. */
export function matmulModel(n) {
  return model({ nodes: [node("MatMul", ["A", "B"], ["C"])], inputs: { A: [n, n], B: [n, n] }, outputs: { C: [n, n] } });
}

/** X [T,B,I], h and c [1,B,H] to Y [T,1,B,H] and the last h and c; weights with ONNX's gates in the order i o f c, B [8H]. */
export function lstmModel({ T, B, I, H, W, R, bias }) {
  const state = [1, B, H];
  return model({
    nodes: [node("LSTM", ["X", "W", "R", "bias", "", "h", "c"], ["Y", "Yh", "Yc"], { hidden_size: H })],
    initializers: [initializer("W", [1, 4 * H, I], W), initializer("R", [1, 4 * H, H], R), initializer("bias", [1, 8 * H], bias)],
    inputs: { X: [T, B, I], h: state, c: state },
    outputs: { Y: [T, 1, B, H], Yh: state, Yc: state },
  });
}
