/** Formats foreign values for error messages: always short, reading only part of a large value. */

const LONGEST = 80;
/** Most entries of an array or object that a message reads. */
const ENTRIES = 16;
const DEPTH = 3;

/** A text for a message: shortened, on one line, without control characters that a terminal would obey. */
export function shorten(text: string): string {
  const start = text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
  return start.replace(/\p{Cc}/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A value for a message, nearly as JSON: `"text"`, `[1,2]`, `{"a":1}`, `undefined`. */
export function quote(value: unknown): string {
  try {
    return value instanceof Promise ? "a promise: await it first" : shorten(sketch(value, DEPTH));
  } catch {
    return `a ${typeof value}`;
  }
}

/** A list of names for a message: the first few, each shortened. */
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
  return isPlain(value)
    ? sketchObject(value, depth)
    : withArticle(shorten(value.constructor?.name || Object.prototype.toString.call(value).slice(8, -1)));
}

/** "a Map", "an Int32Array". */
export function withArticle(name: string): string {
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
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

/** Whether an object is plain, as literals and JSON make them, and no instance of a class. */
export function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  // Another realm has another Object.prototype, but that one's prototype is null as well.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
