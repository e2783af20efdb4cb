/** Makes modules to fit existing tensors. */

import { checkMap, checkText, withDefaults } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { show } from "../tensor/shape.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import type { Module } from "./module.ts";

/** Tensors by name, or a file of them, as returned by `parseSafetensors`, `load` and `parseTorch`. */
export type StateSource =
  | ReadonlyMap<string, Tensor>
  | {
      readonly tensors: ReadonlyMap<string, Tensor>;
      readonly unreadable?: ReadonlyMap<string, string>;
      readonly metadata?: Readonly<Record<string, string>>;
    };

export interface FromStateDictOptions {
  /** Prefix of the module's names, with or without the last dot: "encoder.rnn". Ignores tensors with other names. */
  readonly prefix?: string;
}

/** The module's own tensors, by its own names. */
export type OwnTensors = ReadonlyMap<string, Tensor>;

/**
 * Makes a module with sizes from its tensors and fills it.
 * @param make makes a module of the right sizes, from `shapeOf`; `loadStateDict` reports any other fault
 * @throws FormatError, ShapeError, DTypeError as `loadStateDict` does; leaves nothing allocated
 */
export function fromTensors<M extends Module>(
  op: string,
  source: StateSource,
  { prefix = "" }: FromStateDictOptions,
  make: (own: OwnTensors) => M,
): M {
  checkText(op, "prefix", prefix);
  const own = tensorsUnder(op, source, prefix === "" || prefix.endsWith(".") ? prefix : `${prefix}.`);
  return scope(() => {
    const module = make(own);
    try {
      module.loadStateDict(own);
    } catch (error) {
      // Parameters outlive scopes.
      for (const p of module.stateDict().values()) p.dispose();
      throw error;
    }
    return module;
  });
}

/** @throws FormatError if there are none, or one cannot be read */
function tensorsUnder(op: string, source: StateSource, prefix: string): Map<string, Tensor> {
  const file = isFile(source) ? source : { tensors: source };
  checkMap(op, "the tensors", file.tensors);
  for (const [name, reason] of file.unreadable ?? []) {
    if (name.startsWith(prefix)) throw new FormatError(`${op}: ${shorten(name)} cannot be read: ${reason}`);
  }
  const own = new Map<string, Tensor>();
  for (const [name, t] of file.tensors) if (name.startsWith(prefix)) own.set(name.slice(prefix.length), t);
  // The metadata of files that keep only one name of a tied tensor says which one.
  for (const [name, kept] of Object.entries(file.metadata ?? {})) {
    const t = file.tensors.has(kept) ? file.tensors.get(kept) : undefined;
    if (t !== undefined && name.startsWith(prefix) && !file.tensors.has(name)) own.set(name.slice(prefix.length), t);
  }
  if (own.size > 0) return own;
  throw new FormatError(`${op}: expected tensors under prefix ${quote(prefix)}, got names ${list([...file.tensors.keys()])}`);
}

function isFile(source: StateSource): source is Extract<StateSource, { readonly tensors: unknown }> {
  return typeof source === "object" && source !== null && "tensors" in source;
}

/**
 * The shape of a tensor that determines a module's sizes.
 * @param dimensions names of its axes, for the message
 * @throws FormatError unless there is one with this many axes, each of at least 1
 */
export function shapeOf(op: string, own: OwnTensors, name: string, dimensions: readonly string[]): number[] {
  const t = own.get(name);
  const { shape } = t instanceof Tensor ? t : { shape: [] };
  if (shape.length === dimensions.length && shape.every((size) => size > 0)) return [...shape];
  const got = t instanceof Tensor ? show(shape) : t === undefined ? `names ${list([...own.keys()])}` : quote(t);
  throw new FormatError(`${op}: expected ${shorten(name)} [${dimensions.join(", ")}], got ${got}`);
}

/** The dtype in which a module holds a tensor without rounding it. */
export function floatOf(own: OwnTensors, name: string): FloatDType {
  return own.get(name)?.dtype === "float64" ? "float64" : "float32";
}

/** The given options that the module's constructor takes. */
export function ownOptions<O extends FromStateDictOptions>({ prefix: _, ...options }: O): Omit<O, "prefix"> {
  return withDefaults({}, options);
}
