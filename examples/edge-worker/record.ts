/**
 * What is written to a store: SHA-256 of everything after it, SHA-256 of the model file it belongs to, the content.
 * A record that was damaged, or belongs to another model, is found out before any of it is used.
 */

import { FormatError } from "tapeloop";
import { sameBytes } from "./store.ts";

const DIGEST_BYTES = 32;

export async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function seal(model: Uint8Array, content: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const record = new Uint8Array(2 * DIGEST_BYTES + content.length);
  record.set(model, DIGEST_BYTES);
  record.set(content, 2 * DIGEST_BYTES);
  record.set(await digestOf(record.slice(DIGEST_BYTES)));
  return record;
}

/** The content of a record. @throws FormatError */
export async function unseal(model: Uint8Array, record: Uint8Array): Promise<Uint8Array> {
  if (record.length < 2 * DIGEST_BYTES) {
    throw new FormatError(`record: expected at least ${2 * DIGEST_BYTES} bytes, got ${record.length}`);
  }
  const digest = await digestOf(record.slice(DIGEST_BYTES));
  if (!sameBytes(digest, record.subarray(0, DIGEST_BYTES)))
    throw new FormatError("record: expected its checksum to fit, got changed bytes");
  const owner = record.subarray(DIGEST_BYTES, 2 * DIGEST_BYTES);
  if (!sameBytes(owner, model)) {
    throw new FormatError(`record: expected one of model ${hexOf(model)}, got one of model ${hexOf(owner)}`);
  }
  return record.subarray(2 * DIGEST_BYTES);
}
