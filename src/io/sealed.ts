/**
 * Safetensors that know whether they are whole: the first entry of the metadata, "checksum", holds the FNV-1a hash of all other bytes of the
 * file, as 8 hexadecimal digits. Other readers of the format see a text among the metadata.
 */

import { asBytes } from "../base/bytes.ts";
import { checksum } from "../base/checksum.ts";
import { FormatError } from "../base/errors.ts";
import { list } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { serialize } from "./safetensors.ts";

const DIGITS = 8;
/** What comes before the digits: behind the length of the header, metadata are first. */
const OPENING = '{"__metadata__":{"checksum":"';
const PLACE = 8 + OPENING.length;

function digitsOf(bytes: Uint8Array): string {
  return checksum(bytes.subarray(0, PLACE), bytes.subarray(PLACE + DIGITS))
    .toString(16)
    .padStart(DIGITS, "0");
}

/** Writes a safetensors file with its checksum. */
export function serializeSealed(tensors: ReadonlyMap<string, Tensor>, metadata: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const bytes = serialize(tensors, { checksum: "0".repeat(DIGITS), ...metadata });
  bytes.set(new TextEncoder().encode(digitsOf(bytes)), PLACE);
  return bytes;
}

/**
 * Whether a file that was parsed is as it was written. One without checksum is from before there were any: it has the metadata `known` and no
 * others, so that a damaged word "checksum" is not taken for none.
 * @throws FormatError
 */
export function checkSeal(
  op: string,
  source: Uint8Array,
  { checksum: written, ...others }: Readonly<Record<string, string>>,
  known: readonly string[],
): void {
  const unknown = Object.keys(others).filter((key) => !known.includes(key));
  if (unknown.length > 0) throw new FormatError(`${op}: expected the metadata ${list(known)}, got ${list(unknown)}`);
  if (written === undefined) return;
  const bytes = asBytes(op, source);
  const placed = Array.from(OPENING).every((c, i) => bytes[8 + i] === c.charCodeAt(0));
  if (!placed || written !== digitsOf(bytes)) throw new FormatError(`${op}: expected the checksum to fit, got changed bytes`);
}
