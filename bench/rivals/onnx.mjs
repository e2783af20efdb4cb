// Small ONNX models, written as protocol buffers by hand. Field numbers are those of onnx.proto3 (github.com/onnx/onnx).

const FLOAT = 1;
const INT_ATTRIBUTE = 2;

function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 128);
  }
}

/** A whole number as field `id`. */
const int = (id, value) => Uint8Array.from([...varint(8 * id), ...varint(value)]);

/** Bytes, a text or a message as field `id`. */
function bytes(id, content) {
  const body = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return joined([Uint8Array.from([...varint(8 * id + 2), ...varint(body.length)]), body]);
}

function joined(parts) {
  const out = new Uint8Array(parts.reduce((sum, p) => sum + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function node(type, inputs, outputs, attributes = {}) {
  const attribute = ([name, value]) => bytes(5, joined([bytes(1, name), int(3, value), int(20, INT_ATTRIBUTE)]));
  return joined([
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, type),
    ...Object.entries(attributes).map(attribute),
  ]);
}

function initializer(name, shape, values) {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return joined([...shape.map((d) => int(1, d)), int(2, FLOAT), bytes(8, name), bytes(9, raw)]);
}

function valueInfo(name, shape) {
  const dims = joined(shape.map((d) => bytes(1, int(1, d))));
  return joined([bytes(1, name), bytes(2, bytes(1, joined([int(1, FLOAT), bytes(2, dims)])))]);
}

/** @param {{ nodes: Uint8Array[], initializers?: Uint8Array[], inputs: Record<string, number[]>, outputs: Record<string, number[]> }} graph */
function model({ nodes, initializers = [], inputs, outputs }) {
  const graph = joined([
    ...nodes.map((n) => bytes(1, n)),
    bytes(2, "graph"),
    ...initializers.map((t) => bytes(5, t)),
    ...Object.entries(inputs).map(([name, shape]) => bytes(11, valueInfo(name, shape))),
    ...Object.entries(outputs).map(([name, shape]) => bytes(12, valueInfo(name, shape))),
  ]);
  return joined([int(1, 8), bytes(7, graph), bytes(8, joined([bytes(1, ""), int(2, 14)]))]);
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
