/**
 * A recurrent state as bytes, for a service to store between two requests.
 *
 * Layout: "TLST", version, number of tensors; for each tensor its dtype, rank and dimensions (all uint32, little-endian)
 * the elements in order; a 32-bit FNV-1a checksum of everything before it.
 */

import { asBytes } from "../base/bytes.ts";
import { checksum } from "../base/checksum.ts";
import { BYTES, type DType } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { sameShape, show, sizeOf } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { bytesOf, empty, scope, type Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { mapState, type State, stateTensors } from "./state.ts";

const MAGIC = 0x54534c54; // "TLST"
const VERSION = 1;
const DTYPES: readonly DType[] = ["float32", "float64", "int32", "bool"];

/** The bytes of a state, identical on every host. */
export function stateToBytes(state: State): Uint8Array<ArrayBuffer> {
  const tensors = stateTensors(state).map(dense);
  const header = [MAGIC, VERSION, tensors.length, ...tensors.flatMap((t) => [DTYPES.indexOf(t.dtype), t.rank, ...t.shape])];
  const parts = tensors.map(bytesOf);
  const size = 4 * header.length + parts.reduce((n, p) => n + p.length, 0);
  const bytes = new Uint8Array(size + 4);
  const view = new DataView(bytes.buffer);
  header.forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  let at = 4 * header.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  view.setUint32(size, checksum(bytes.subarray(0, size)), true);
  return bytes;
}

/**
 * Reads a state that `stateToBytes` wrote.
 * @param like a state of the expected structure, for instance `recurrence.initialState(1)`
 * @throws FormatError for anything but the bytes of such a state; leaves nothing allocated
 */
export function stateFromBytes<S extends State>(source: Uint8Array | ArrayBufferLike | ArrayBufferView, like: S): S {
  const bytes = asBytes("stateFromBytes", source);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const word = (what: string): number => {
    if (at + 4 > bytes.length) throw new FormatError(`stateFromBytes: expected ${what}, got the end after ${bytes.length} bytes`);
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const expect = (what: string, expected: number): void => {
    const got = word(what);
    if (got !== expected) throw new FormatError(`stateFromBytes: expected ${what} ${expected}, got ${got}`);
  };
  expect("magic number", MAGIC);
  expect("version", VERSION);
  const tensors = stateTensors(like);
  expect("number of tensors", tensors.length);
  for (const t of tensors) {
    expect("dtype code", DTYPES.indexOf(t.dtype));
    expect("rank", t.rank);
    const shape = t.shape.map(() => word("a dimension"));
    if (!sameShape(shape, t.shape))
      throw new FormatError(`stateFromBytes: expected a tensor of shape ${show(t.shape)}, got ${show(shape)}`);
  }
  const size = at + tensors.reduce((n, t) => n + sizeOf(t.shape) * BYTES[t.dtype], 0);
  if (bytes.length !== size + 4) throw new FormatError(`stateFromBytes: expected ${size + 4} bytes, got ${bytes.length}`);
  if (checksum(bytes.subarray(0, size)) !== view.getUint32(size, true)) {
    throw new FormatError("stateFromBytes: expected the checksum to fit, got changed bytes");
  }
  return scope(() =>
    mapState((t) => {
      const start = at;
      at += t.size * BYTES[t.dtype];
      return tensorOf(bytes.subarray(start, at), t);
    }, like),
  );
}

function tensorOf(bytes: Uint8Array, { dtype, shape }: Tensor): Tensor {
  const wrong = dtype === "bool" ? bytes.find((b) => b > 1) : undefined;
  if (wrong !== undefined) throw new FormatError(`stateFromBytes: expected 0 or 1 in a mask, got ${wrong}`);
  const t = empty(shape, dtype);
  view("bool", t.ptr, bytes.length).set(bytes);
  return t;
}
