/**
 * Protocol buffers, read: the fields of a message by number. What they mean is for the caller to say.
 *
 * Every length is checked against the bytes that are there, and messages nest only so deep.
 * @see Google, "Protocol Buffers: Encoding" (from memory)
 */

import { textOf } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";

/** A varint, or the bytes of any other field. */
type Field = number | Uint8Array;

const DEEPEST = 100;
/** Groups of seven bits in the two lower words of a varint. */
const GROUPS = 4;

/** Refuses what the bytes say. @throws FormatError */
export function fail(where: string, expected: string, got: string): never {
  throw new FormatError(`onnx: expected ${expected} in ${where}, got ${got}`);
}

/** Reads integers and stretches of bytes one after the other. */
class Cursor {
  readonly #bytes: Uint8Array;
  readonly #where: string;
  #at = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#where = where;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** An integer of 64 bits with its sign; exact up to 2^53, rounded beyond. */
  varint(): number {
    const words: [number, number, number] = [0, 0, 0];
    for (let i = 0; ; i++) {
      if (i === 10) fail(this.#where, "integers of at most ten bytes", "a longer one");
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) fail(this.#where, "whole integers", "the end of the bytes");
      const word = Math.floor(i / GROUPS) as 0 | 1 | 2;
      words[word] |= (byte & 127) << (7 * (i % GROUPS));
      if (byte < 128) break;
    }
    const [low, middle, high] = words;
    return ((((high & 255) << 24) >> 24) * 2 ** 28 + middle) * 2 ** 28 + low;
  }

  stretch(length: number): Uint8Array {
    const left = this.#bytes.length - this.#at;
    if (!(length >= 0 && length <= left)) fail(this.#where, `fields of at most the ${left} bytes that are left`, `${length}`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** A field without its key. */
  field(kind: number): Field {
    if (kind === 0) return this.varint();
    if (kind === 1) return this.stretch(8);
    if (kind === 2) return this.stretch(this.varint());
    if (kind === 5) return this.stretch(4);
    return fail(this.#where, "wire types 0, 1, 2 and 5", `${kind}`);
  }
}

/** A message whose fields are read by number; a field that occurs more than once counts as the last of them, or as a list. */
export class Message {
  readonly #fields: ReadonlyMap<number, readonly Field[]>;
  readonly #where: string;
  readonly #depth: number;

  /** @param where what the message is called in errors @throws FormatError */
  constructor(bytes: Uint8Array, where: string, depth = 0) {
    if (depth > DEEPEST) fail(where, `messages at most ${DEEPEST} deep`, "a deeper one");
    const fields = new Map<number, Field[]>();
    const cursor = new Cursor(bytes, where);
    while (!cursor.done) {
      const key = cursor.varint();
      const number = Math.floor(key / 8);
      const field = cursor.field(key & 7);
      const known = fields.get(number);
      if (known) known.push(field);
      else fields.set(number, [field]);
    }
    this.#fields = fields;
    this.#where = where;
    this.#depth = depth;
  }

  has(number: number): boolean {
    return this.#fields.has(number);
  }

  #all(number: number): readonly Field[] {
    return this.#fields.get(number) ?? [];
  }

  #asBytes(field: Field, number: number): Uint8Array {
    return typeof field === "number" ? fail(this.#where, `bytes as field ${number}`, "an integer") : field;
  }

  /** The bytes of a field; none if it is absent. */
  bytes(number: number): Uint8Array | undefined {
    const field = this.#all(number).at(-1);
    return field === undefined ? undefined : this.#asBytes(field, number);
  }

  texts(number: number): string[] {
    return this.#all(number).map((field) => textOf(this.#asBytes(field, number)));
  }

  text(number: number): string {
    return this.texts(number).at(-1) ?? "";
  }

  /** A repeated integer, packed or not. */
  integers(number: number): number[] {
    const values: number[] = [];
    for (const field of this.#all(number)) {
      if (typeof field === "number") {
        values.push(field);
        continue;
      }
      const cursor = new Cursor(field, this.#where);
      while (!cursor.done) values.push(cursor.varint());
    }
    return values;
  }

  integer(number: number): number {
    const field = this.#all(number).at(-1) ?? 0;
    return typeof field === "number" ? field : fail(this.#where, `an integer as field ${number}`, "bytes");
  }

  /** A repeated float of 4 or 8 bytes, packed or not. */
  floats(number: number, width: 4 | 8 = 4): number[] {
    return this.#all(number).flatMap((field) => {
      const bytes = this.#asBytes(field, number);
      if (bytes.length % width !== 0) fail(this.#where, `floats of ${width} bytes as field ${number}`, `${bytes.length} bytes`);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      return Array.from({ length: bytes.length / width }, (_, i) =>
        width === 4 ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true),
      );
    });
  }

  messages(number: number, where: string): Message[] {
    return this.#all(number).map((field) => new Message(this.#asBytes(field, number), where, this.#depth + 1));
  }

  message(number: number, where: string): Message | undefined {
    const bytes = this.bytes(number);
    return bytes && new Message(bytes, where, this.#depth + 1);
  }
}
