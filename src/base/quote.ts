/** What came from outside as an error message writes it: short, whatever it is, and without looking at all of it. */

const LONGEST = 80;
/** Entries of an array or object that are looked at. */
const ENTRIES = 16;
const DEPTH = 3;

/** A text as it stands in a message: cut where it is long, on one line, without what a terminal would obey. */
export function shorten(text: string): string {
  const start = text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
  return start.replace(/\p{Cc}/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A value as a message writes it, nearly as JSON: `"text"`, `[1,2]`, `{"a":1}`, `undefined`. */
export function quote(value: unknown): string {
  try {
    return shorten(sketch(value, DEPTH));
  } catch {
    return `a ${typeof value}`;
  }
}

/** The several names of a message: the first few, each cut. */
export function list(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.slice(0, 8).map(shorten).join(", ") + (names.length > 8 ? ", …" : "");
}

function sketch(value: unknown, depth: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, LONGEST));
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return `${value}n`;
  if (value === null || typeof value !== "object") return String(value);
  if (depth === 0) return "…";
  if (Array.isArray(value)) {
    const parts = value.slice(0, ENTRIES).map((part) => sketch(part, depth - 1));
    return `[${parts.join(",")}${value.length > ENTRIES ? ",…" : ""}]`;
  }
  return isPlain(value) ? sketchObject(value, depth) : `a ${shorten(value.constructor.name)}`;
}

function sketchObject(value: object, depth: number): string {
  const parts: string[] = [];
  for (const key in value) {
    if (parts.length === ENTRIES) {
      parts.push("…");
      break;
    }
    parts.push(`${sketch(key, 0)}:${sketch(value[key as keyof typeof value], depth - 1)}`);
  }
  return `{${parts.join(",")}}`;
}

/** Whether a value is an object as literals and JSON make them, not an instance of a class. */
export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // The prototype of another realm's objects is another object, but like this one it has none.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
