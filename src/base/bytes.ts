/** Reads bytes in every form in which hosts hand them out. */

import { DTypeError } from "./errors.ts";
import { quote } from "./quote.ts";

/**
 * The bytes of an ArrayBuffer, a SharedArrayBuffer or any view of one (a typed array, a DataView, Node's Buffer), without a copy.
 * @throws DTypeError for anything else
 */
export function asBytes(op: string, source: unknown): Uint8Array {
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (isBuffer(source)) return new Uint8Array(source);
  throw new DTypeError(`${op}: expected bytes (a Uint8Array or an ArrayBuffer), got ${quote(source)}`);
}

/** Asks for the tag, since buffers of another realm fail `instanceof`. */
function isBuffer(source: unknown): source is ArrayBuffer {
  const tag = Object.prototype.toString.call(source);
  return tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]";
}

/** Bytes one after another, in an array of their own. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

let utf8: TextDecoder | undefined;

/** The text of UTF-8 bytes; invalid ones become replacement characters. */
export function textOf(bytes: Uint8Array): string {
  // Made on first use, since importing needs nothing of the host.
  utf8 ??= new TextDecoder();
  // Decoders refuse shared memory.
  return utf8.decode(isShared(bytes.buffer) ? new Uint8Array(bytes) : bytes);
}

function isShared(buffer: ArrayBufferLike): boolean {
  return Object.prototype.toString.call(buffer) === "[object SharedArrayBuffer]";
}
