/** JSON that comes from a file: bounded, and without keys that say two things. */

import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";

/** As deep as the reference reader of safetensors goes. */
const DEEPEST = 127;

/**
 * Reads JSON text.
 * @param what the text is: "a header", "the run"
 * @throws FormatError for what is no JSON, what nests deeper than 127, and for a key that an object holds twice, of which
 *   `JSON.parse` would keep the last one in silence
 */
export function parseJson(op: string, what: string, text: string): unknown {
  let value: unknown;
  try {
    checkStructure(op, text);
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`${op}: expected ${what} in JSON, got ${shorten((cause as Error).message)}`, { cause });
  }
  return value;
}

const [QUOTE, COMMA, OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x22, 0x2c, 0x5b, 0x5d, 0x7b, 0x7d];

/** Walks over the text, which need not be JSON, without building anything. */
function checkStructure(op: string, text: string): void {
  /** The keys so far of each object that is open; arrays have none. */
  const open: (Set<string> | null)[] = [];
  const colon = /\s*:/y;
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      if (open.length === DEEPEST) throw new FormatError(`${op}: expected JSON nested at most ${DEEPEST} deep, got more`);
      open.push(null);
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) open.pop();
    if (c !== QUOTE) continue;
    const start = at;
    at = endOfString(text, start);
    if (at === -1) return;
    colon.lastIndex = at + 1;
    if (open.length === 0 || !colon.test(text)) continue;
    const keys = open[open.length - 1] ?? new Set();
    open[open.length - 1] = keys;
    const key = keyOf(text.slice(start, at + 1));
    if (keys.has(key)) throw new FormatError(`${op}: expected unique names, got ${quote(key)} twice`);
    keys.add(key);
  }
}

function keyOf(literal: string): string {
  return literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
}

/** Where the string ends that begins at `start`; -1 where it does not end. */
function endOfString(text: string, start: number): number {
  let end = start;
  do {
    end = text.indexOf('"', end + 1);
  } while (end !== -1 && isEscaped(text, end));
  return end;
}

/** Whether an odd number of backslashes stands before a place. */
function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text[before - 1] === "\\") before--;
  return (at - before) % 2 === 1;
}

const SPACE = /[ \t\n\r]*/y;

/** The first place from `at` on that is no space. */
function skip(text: string, at: number): number {
  SPACE.lastIndex = at;
  SPACE.test(text);
  return SPACE.lastIndex;
}

/** Where the value ends that begins at `start`, if it is one. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === QUOTE) {
      at = endOfString(text, at);
      if (at === -1) return text.length;
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) depth++;
    else if (depth === 0 && (c === COMMA || c === CLOSE_OBJECT)) return at;
    else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) depth--;
  }
  return text.length;
}

/**
 * The members of a JSON object one after another, each value as text. Nothing is built, so that an enormous object is
 * refused at the first member that its reader does not like.
 * @throws FormatError where the text goes on in another way than such an object
 */
export function* membersOf(op: string, what: string, text: string): Generator<[key: string, value: string]> {
  const expect = (characters: string, at: number): string => {
    const c = text.charAt(at);
    if (c !== "" && characters.includes(c)) return c;
    throw new FormatError(`${op}: expected ${what} in JSON, got ${quote(text.slice(at, at + 16))} at character ${at}`);
  };
  let at = skip(text, 0);
  expect("{", at);
  at = skip(text, at + 1);
  for (let c = expect('"}', at); c !== "}"; ) {
    const end = endOfString(text, at);
    const colon = end === -1 ? text.length : skip(text, end + 1);
    expect(":", colon);
    const start = skip(text, colon + 1);
    const stop = endOfValue(text, start);
    yield [parseJson(op, "a name", text.slice(at, end + 1)) as string, text.slice(start, stop)];
    at = stop;
    c = expect(",}", at);
    if (c === "}") break;
    at = skip(text, at + 1);
    expect('"', at);
  }
  if (skip(text, at + 1) !== text.length) expect("", skip(text, at + 1));
}
