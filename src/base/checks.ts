/**
 * Shared checks of arguments. Each has one wording: `op: expected …, got …`.
 *
 * Run them before anything changes. What only one function can know, that function checks itself.
 */

import { ArgumentError, DTypeError, ShapeError, StateError } from "./errors.ts";
import { isPlain, list, quote } from "./quote.ts";

/** Bounds of a number: `least` and `most` are inside the range, `above` and `below` are not. */
export interface Range {
  readonly least?: number;
  readonly above?: number;
  readonly below?: number;
  readonly most?: number;
}

/** How a message writes a range: `in [0, 1)`, `of at least 0`, `above 0`. */
function showRange({ least, above, below, most }: Range): string {
  const [low, high] = [least ?? above, most ?? below];
  if (low === undefined) return high === undefined ? "that is finite" : most === undefined ? `below ${below}` : `of at most ${most}`;
  if (high === undefined) return least === undefined ? `above ${above}` : `of at least ${least}`;
  return `in ${least === undefined ? "(" : "["}${low}, ${high}${most === undefined ? ")" : "]"}`;
}

function isWithin(value: number, { least, above, below, most }: Range): boolean {
  return (
    (least === undefined || value >= least) &&
    (above === undefined || value > above) &&
    (below === undefined || value < below) &&
    (most === undefined || value <= most)
  );
}

/** A finite number within a range. @throws ArgumentError */
export function checkNumber(op: string, name: string, value: number, range: Range = {}): void {
  if (Number.isFinite(value) && isWithin(value, range)) return;
  throw new ArgumentError(`${op}: expected ${name} ${showRange(range)}, got ${quote(value)}`);
}

/** A whole number within a range. @throws ArgumentError */
export function checkWhole(op: string, name: string, value: number, range: Range = { least: 0 }): void {
  if (Number.isSafeInteger(value) && isWithin(value, range)) return;
  throw new ArgumentError(`${op}: expected ${name} to be a whole number ${showRange(range)}, got ${quote(value)}`);
}

/** Whole sizes of at least 1, by name. @throws ArgumentError */
export function checkSizes(op: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) checkWhole(op, name, size, { least: 1 });
}

/**
 * An array of whole numbers within a range.
 * @throws DTypeError for anything but an array: typed arrays and tensors lack its methods
 * @throws ArgumentError for other numbers
 */
export function checkWholes(op: string, name: string, values: unknown, range: Range = { least: 0 }): asserts values is readonly number[] {
  if (!Array.isArray(values)) throw new DTypeError(`${op}: expected ${name} to be an array of whole numbers, got ${quote(values)}`);
  values.forEach((n, i) => {
    if (Number.isSafeInteger(n) && isWithin(n, range)) return;
    throw new ArgumentError(`${op}: expected ${name} to be whole numbers ${showRange(range)}, got ${quote(n)} at position ${i}`);
  });
}

/** The lengths of B sequences in a batch of T steps. @throws DTypeError, ArgumentError, ShapeError */
export function checkLengths(op: string, lengths: unknown, B: number, T: number): asserts lengths is readonly number[] {
  checkWholes(op, "lengths", lengths, { least: 0, most: T });
  if (lengths.length !== B) throw new ShapeError(`${op}: expected ${B} lengths, got ${lengths.length}`);
}

/** One of a few words. @throws ArgumentError */
export function checkOneOf<T extends string>(op: string, name: string, value: unknown, choices: readonly T[]): asserts value is T {
  if ((choices as readonly unknown[]).includes(value)) return;
  const words = choices.map((c) => JSON.stringify(c)).join(", ");
  throw new ArgumentError(`${op}: expected ${name} to be one of ${words}, got ${quote(value)}`);
}

/** A Map, or what can be read like one. @throws DTypeError */
export function checkMap(op: string, name: string, value: unknown): void {
  const { get, has, keys } = (value ?? {}) as Record<string, unknown>;
  if ([get, has, keys].every((method) => typeof method === "function")) return;
  throw new DTypeError(`${op}: expected ${name} to be a Map, got ${quote(value)}`);
}

/** true or false. @throws ArgumentError */
export function checkFlag(op: string, name: string, value: unknown): asserts value is boolean {
  if (typeof value !== "boolean") throw new ArgumentError(`${op}: expected ${name} to be true or false, got ${quote(value)}`);
}

/** An object read by its fields: an automaton, a tree, options whose names are checked elsewhere. @throws DTypeError */
export function checkObject(op: string, name: string, value: unknown): asserts value is object {
  if (typeof value === "object" && value !== null) return;
  throw new DTypeError(`${op}: expected ${name} as an object, got ${quote(value)}`);
}

/** Edit distance between two words: letters to change, insert or drop. Ignores case and underscores. */
function distance(a: string, b: string): number {
  const [x, y] = [a, b].map((word) => word.toLowerCase().replaceAll("_", "")) as [string, string];
  let row = Array.from({ length: y.length + 1 }, (_, j) => j);
  for (let i = 1; i <= x.length; i++) {
    const next = [i];
    for (let j = 1; j <= y.length; j++) {
      const same = x[i - 1] === y[j - 1] ? 0 : 1;
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + same));
    }
    row = next;
  }
  return row[y.length] as number;
}

/** What other libraries call some options. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  learningrate: "lr",
  units: "hiddenSize",
  inputdim: "inputSize",
  hiddendim: "hiddenSize",
};

/** The known name that was probably meant: nearly the same, its beginning, its continuation, or another library's. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const plain = (word: string) => word.toLowerCase().replaceAll("_", "");
  const near = known.filter((other) => distance(name, other) <= 2).sort((a, b) => distance(name, a) - distance(name, b))[0];
  const [own, foreign] = [plain(name), ELSEWHERE[plain(name)]];
  const begins = (a: string, b: string) => b.length > 2 && a.startsWith(b);
  const part = known.find((other) => begins(own, plain(other)) || begins(plain(other), own));
  return near ?? part ?? known.find((other) => other === foreign);
}

function unknownName(op: string, name: string, known: readonly string[]): Error {
  const near = nearest(name, known);
  const hint = near === undefined ? "" : `: did you mean ${near}?`;
  return new ArgumentError(`${op}: expected options among ${list(known)}, got ${quote(name)}${hint}`);
}

/** Options that are true or false wherever they occur, except where a caller of `checkOptions` says so. */
const FLAGS: ReadonlySet<string> = new Set([
  "amsgrad",
  "batchFirst",
  "bias",
  "bidirectional",
  "both",
  "boundaries",
  "bucketByLength",
  "causal",
  "centered",
  "centreCrossing",
  "createGraph",
  "dropLast",
  "dynamicSynapses",
  "elementwiseAffine",
  "errorIfNonfinite",
  "float16",
  "gateRecurrence",
  "inputFeeding",
  "inputGate",
  "joseph",
  "keepDim",
  "lattice",
  "logSpace",
  "logTarget",
  "maximize",
  "nesterov",
  "noop",
  "normalize",
  "outputGate",
  "peepholes",
  "recurrent",
  "requiresGrad",
  "resetAfter",
  "residual",
  "resume",
  "retryErrors",
  "reverse",
  "scaleGradByFreq",
  "shared",
  "shuffle",
  "skip",
  "smooth",
  "strict",
  "timed",
  "trace",
  "training",
  "transposed",
  "variational",
  "warmUp",
  "zeroInfinity",
]);

/** Checks what the name of an option alone says of its value. */
function checkKind(op: string, name: string, value: unknown): void {
  if (FLAGS.has(name)) checkFlag(op, name, value);
  else if (name === "generator" && typeof (value as { uniform?: unknown } | null)?.uniform !== "function") {
    throw new DTypeError(`${op}: expected generator to be a Generator, got ${quote(value)}`);
  }
}

/**
 * Refuses unknown names of options, except those set to `undefined`, and values of another kind than a name has everywhere.
 * @param own names whose values the caller checks, since they are of another kind there
 * @throws DTypeError for anything but a plain object, whose fields are its own: copies with `{ ...options }` lose others
 * @throws ArgumentError for an unknown name, with the most similar known name as a hint, and for a flag that is not true or false
 */
export function checkNames(op: string, options: object, known: readonly string[], own: readonly string[] = []): void {
  if (!isPlain(options)) throw new DTypeError(`${op}: expected options as a plain object, got ${quote(options)}`);
  for (const name in options) {
    const value: unknown = options[name as never];
    if (value === undefined) continue;
    if (!known.includes(name)) throw unknownName(op, name, known);
    if (!own.includes(name)) checkKind(op, name, value);
  }
}

/** The names of the options O, or of all members of a union. */
type NameOf<O> = O extends unknown ? keyof O & string : never;

/** Requires a list with every name: otherwise the type error shows the missing ones. */
type Complete<O, N extends readonly string[]> = [NameOf<O>] extends [N[number]] ? N : readonly ["missing", Exclude<NameOf<O>, N[number]>];

/**
 * An object of options with no unknown name. The class or function that the user calls checks; base classes and helpers that read only some options do not.
 * @throws as `checkNames` does
 */
export function checkOptions<O extends object, const N extends readonly NameOf<O>[]>(
  op: string,
  options: O,
  known: N & Complete<O, N>,
  own: readonly NameOf<O>[] = [],
): void {
  checkObject(op, "options", options);
  if (Symbol.iterator in options) throw new DTypeError(`${op}: expected options as an object, got ${quote(options)}`);
  checkNames(op, options, known, own);
}

/** Checks options and returns them, for destructuring: `const { size } = optionsOf("Cell", options, ["size"]);`. @throws as `checkNames` does */
export function optionsOf<O extends object, const N extends readonly NameOf<O>[]>(
  op: string,
  options: O,
  known: N & Complete<O, N>,
  own: readonly NameOf<O>[] = [],
): O {
  checkOptions<O, N>(op, options, known, own);
  return options;
}

/** Refuses arguments after the last one that there is. @throws ArgumentError */
export function checkNoMore(op: string, more: readonly unknown[]): void {
  if (more.length > 0) throw new ArgumentError(`${op}: expected no more arguments, got ${quote(more[0])}`);
}

/** A text. @throws DTypeError */
export function checkText(op: string, name: string, value: unknown): asserts value is string {
  if (typeof value !== "string") throw new DTypeError(`${op}: expected ${name} as text, got ${quote(value)}`);
}

/** An array of texts. @throws DTypeError */
export function checkTexts(op: string, name: string, values: unknown): asserts values is readonly string[] {
  checkList(op, name, values);
  const wrong = values.findIndex((value) => typeof value !== "string");
  if (wrong >= 0) throw new DTypeError(`${op}: expected ${name} as texts, got ${quote(values[wrong])} at position ${wrong}`);
}

/** A function. @throws DTypeError */
export function checkFunction(op: string, name: string, value: unknown): void {
  if (typeof value !== "function") throw new DTypeError(`${op}: expected ${name} to be a function, got ${quote(value)}`);
}

/** An object with these methods: a model, a recurrence, a vocabulary. @throws DTypeError */
export function checkMethods(op: string, name: string, value: unknown, methods: readonly string[]): void {
  const held = (value ?? {}) as Record<string, unknown>;
  if (methods.every((method) => typeof held[method] === "function")) return;
  throw new DTypeError(`${op}: expected ${name} with ${methods.join(", ")}, got ${quote(value)}`);
}

/** An array. @throws DTypeError */
export function checkList(op: string, name: string, value: unknown): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) throw new DTypeError(`${op}: expected ${name} to be an array, got ${quote(value)}`);
}

/** An array or a typed array. @throws DTypeError */
export function checkArrayLike(op: string, name: string, value: unknown): void {
  const { length } = (typeof value === "object" && value !== null ? value : {}) as { length?: unknown };
  if (typeof length !== "number") throw new DTypeError(`${op}: expected ${name} to be an array of numbers, got ${quote(value)}`);
}

/** Anything iterable but a text. @throws DTypeError */
export function checkIterable(op: string, name: string, value: unknown): void {
  const { [Symbol.iterator]: iterate } = (typeof value === "object" && value !== null ? value : {}) as { [Symbol.iterator]?: unknown };
  if (typeof iterate === "function") return;
  const asynchronous = typeof value === "object" && value !== null && Symbol.asyncIterator in value;
  const got = asynchronous ? "an asynchronous source: collect it first, by for await (const item of source) list.push(item)" : quote(value);
  throw new DTypeError(`${op}: expected ${name} that can be iterated, got ${got}`);
}

/** Options merged over their defaults. An option set to `undefined` keeps its default. */
export function withDefaults<D extends object, O extends object>(defaults: D, options: O): D & O {
  return { ...defaults, ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) } as D & O;
}

/** Whether a value from outside is an object and no array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Returns a callback's result, for functions that change something only while the callback runs: a scope, a mode, other values.
 * @throws StateError for a promise (anything with `then`) or a generator: its work would run after the change has ended
 */
export function finished<R>(op: string, result: R): R {
  if ((typeof result !== "object" && typeof result !== "function") || result === null) return result;
  const { then, [Symbol.toStringTag]: tag } = result as { then?: unknown; [Symbol.toStringTag]?: unknown };
  if (typeof then !== "function" && tag !== "Generator" && tag !== "AsyncGenerator") return result;
  // Nobody awaits this promise: keep it from ending the process as an unhandled rejection.
  if (result instanceof Promise) result.catch(() => undefined);
  throw new StateError(`${op}: expected a synchronous function, got ${typeof then === "function" ? "a promise" : "a generator"}`);
}
