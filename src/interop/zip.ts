/**
 * Zip archives whose entries are stored as they are, as PyTorch writes them.
 *
 * At the end stands a record that says where the directory is; the directory says where the entries are; before the bytes of an entry is a header.
 * @see PKWARE, .ZIP file format specification, 6.3.10, sections 4.3.7 to 4.5.3
 */

import { textOf } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

const END = 0x06054b50;
const END_BYTES = 22;
const LONGEST_COMMENT = 65_535;
const LOCATOR64 = 0x07064b50;
const LOCATOR64_BYTES = 20;
const END64 = 0x06064b50;
const END64_BYTES = 56;
const DIRECTORY_ENTRY = 0x02014b50;
const DIRECTORY_ENTRY_BYTES = 46;
const HEADER = 0x04034b50;
const HEADER_BYTES = 30;
/** Stands where a number did not fit: it is in the extra field of this id, 64 bits wide. */
const SEE_EXTRA = 0xffffffff;
const EXTRA64 = 1;

interface Entry {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

function fail(op: string, expected: string, got: string): never {
  throw new FormatError(`${op}: expected ${expected}, got ${got}`);
}

/** Whether bytes begin as an archive does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0, true) === HEADER;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * The entries of an archive by name, as views of its bytes.
 * @throws FormatError for what is no whole archive, for entries that are compressed or encrypted, lie over each other or have one name
 */
export function storedEntries(op: string, bytes: Uint8Array): Map<string, Uint8Array> {
  const data = viewOf(bytes);
  const entries = directoryOf(op, data, bytes);
  const byPlace = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  byPlace.forEach(({ name, begin }, i) => {
    const before = byPlace[i - 1];
    if (before !== undefined && begin < before.end) fail(op, "entries side by side", `${quote(name)} over ${quote(before.name)}`);
  });
  const found = new Map<string, Uint8Array>();
  for (const { name, begin, end } of entries) {
    if (found.has(name)) fail(op, "unique names in the archive", `${quote(name)} twice`);
    found.set(name, bytes.subarray(begin, end));
  }
  return found;
}

function directoryOf(op: string, data: DataView, bytes: Uint8Array): Entry[] {
  const { count, begin, end } = placeOfDirectory(op, data);
  const entries: Entry[] = [];
  let at = begin;
  for (let i = 0; i < count; i++) {
    if (at + DIRECTORY_ENTRY_BYTES > end || data.getUint32(at, true) !== DIRECTORY_ENTRY)
      fail(op, `${count} entries in the directory`, `${i}`);
    const names = at + DIRECTORY_ENTRY_BYTES;
    const extra = names + data.getUint16(at + 28, true);
    const next = extra + data.getUint16(at + 30, true) + data.getUint16(at + 32, true);
    if (next > end) fail(op, `${count} entries in the directory`, `entry ${i} beyond its end`);
    const name = textOf(bytes.subarray(names, extra));
    entries.push(readEntry(op, data, at, name, extra));
    at = next;
  }
  return entries;
}

/** @throws FormatError where no end of an archive is found, or one that lies */
function placeOfDirectory(op: string, data: DataView): { readonly count: number; readonly begin: number; readonly end: number } {
  const last = data.byteLength - END_BYTES;
  let at = last;
  while (at >= Math.max(0, last - LONGEST_COMMENT) && !(data.getUint32(at, true) === END && data.getUint16(at + 20, true) === last - at))
    at--;
  if (at < Math.max(0, last - LONGEST_COMMENT)) fail(op, "a whole zip archive", "one without its end");
  const place = longPlace(op, data, at - LOCATOR64_BYTES) ?? {
    count: data.getUint16(at + 10, true),
    bytes: data.getUint32(at + 12, true),
    begin: data.getUint32(at + 16, true),
  };
  const end = place.begin + place.bytes;
  if (end > at) fail(op, `a directory before byte ${at}`, `one from ${place.begin} to ${end}`);
  return { count: place.count, begin: place.begin, end };
}

/** The numbers of a large archive, which has a longer end before the end. */
function longPlace(op: string, data: DataView, locator: number): { count: number; bytes: number; begin: number } | undefined {
  if (locator < 0 || data.getUint32(locator, true) !== LOCATOR64) return undefined;
  const at = long(data, locator + 8);
  if (!(at + END64_BYTES <= locator) || data.getUint32(at, true) !== END64) fail(op, "the end of a large archive", `none at byte ${at}`);
  return { count: long(data, at + 32), bytes: long(data, at + 40), begin: long(data, at + 48) };
}

function long(data: DataView, at: number): number {
  return Number(data.getBigUint64(at, true));
}

function readEntry(op: string, data: DataView, at: number, name: string, extra: number): Entry {
  const [flags, method] = [data.getUint16(at + 8, true), data.getUint16(at + 10, true)];
  if ((flags & 1) !== 0) fail(op, "entries that are not encrypted", quote(name));
  if (method !== 0) fail(op, "entries that are stored without compression", `${quote(name)} compressed by method ${method}`);
  const [packed, size, start] = wideNumbers(op, data, at, name, extra);
  if (packed !== size) fail(op, `${size} stored bytes for ${quote(name)}`, `${packed}`);
  if (!(start + HEADER_BYTES <= data.byteLength) || data.getUint32(start, true) !== HEADER)
    fail(op, `the header of ${quote(name)} at byte ${start}`, "none");
  const begin = start + HEADER_BYTES + data.getUint16(start + 26, true) + data.getUint16(start + 28, true);
  const end = begin + size;
  if (!(end <= data.byteLength)) fail(op, `${quote(name)} within ${data.byteLength} bytes`, `an end at ${end}`);
  return { name, begin, end };
}

/** Stored size, size and place of an entry; those that are too wide for their fields stand in the extra one, in the order of size, stored size, place. */
function wideNumbers(op: string, data: DataView, at: number, name: string, extra: number): [number, number, number] {
  const narrow = [data.getUint32(at + 24, true), data.getUint32(at + 20, true), data.getUint32(at + 42, true)];
  const end = extra + data.getUint16(at + 30, true);
  let wide = narrow.includes(SEE_EXTRA) ? extraPlace(data, extra, end) : end;
  const [size, packed, start] = narrow.map((value) => {
    if (value !== SEE_EXTRA) return value;
    if (wide + 8 > end) fail(op, `the sizes of ${quote(name)} in 64 bits`, "none");
    wide += 8;
    return long(data, wide - 8);
  }) as [number, number, number];
  return [packed, size, start];
}

function extraPlace(data: DataView, from: number, end: number): number {
  let at = from;
  while (at + 4 <= end && data.getUint16(at, true) !== EXTRA64) at += 4 + data.getUint16(at + 2, true);
  return at + 4;
}
