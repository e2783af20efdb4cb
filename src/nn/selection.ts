/** Parameters of a model chosen by their names: counted, frozen, put into groups. */

import { checkList, checkObject, checkOptions } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkModule, type Module, type Parameter } from "./module.ts";

/** Names in a state dict: a beginning up to a dot, such as "encoder" or "layers.0", or a regular expression that some part of the name matches. */
export type NamePattern = string | RegExp;

function checkPattern(op: string, pattern: unknown): asserts pattern is NamePattern {
  if (typeof pattern === "string" || pattern instanceof RegExp) return;
  throw new DTypeError(`${op}: expected a name or a regular expression, got ${quote(pattern)}`);
}

function matches(name: string, pattern: NamePattern): boolean {
  if (typeof pattern === "string") return name === pattern || name.startsWith(`${pattern}.`);
  // A global expression remembers its place.
  pattern.lastIndex = 0;
  return pattern.test(name);
}

/**
 * The parameters whose names fit, by name; all without a pattern.
 * @throws ArgumentError for a pattern that fits none
 */
function chosen(op: string, model: Module, pattern: NamePattern | undefined): Parameter[] {
  checkModule(op, model);
  if (pattern === undefined) return model.parameters();
  checkPattern(op, pattern);
  const found = Array.from(model.namedParameters()).filter(([name]) => matches(name, pattern));
  if (found.length > 0) return found.map(([, p]) => p);
  const names = Array.from(model.namedParameters(), ([name]) => name).slice(0, 5);
  throw new ArgumentError(`${op}: expected a pattern that some parameter fits, such as ${names.join(", ")}, got ${String(pattern)}`);
}

export interface CountOptions {
  /** Counts those that are trained alone (default false). */
  readonly trainable?: boolean;
}

/**
 * How many numbers a model's parameters hold, each counted once; of those that are trained with `trainable`.
 * @example count(new Linear(4, 3)) // 15
 */
export function count(model: Module, options: CountOptions = {}): number {
  checkOptions("count", options, ["trainable"]);
  checkModule("count", model);
  const counted = options.trainable === true ? model.parameters().filter((p) => p.requiresGrad) : model.parameters();
  return counted.reduce((sum, p) => sum + p.size, 0);
}

/**
 * Stops the training of a model, or of the parameters whose names fit a pattern: they get no gradients, and optimisers leave them alone.
 * @returns the parameters
 * @throws ArgumentError for a pattern that no parameter fits
 * @example freeze(tagger, "encoder")
 */
export function freeze(model: Module, pattern?: NamePattern): Parameter[] {
  return setTrained("freeze", model, pattern, false);
}

/** Undoes `freeze`. @example unfreeze(tagger, /norm/) */
export function unfreeze(model: Module, pattern?: NamePattern): Parameter[] {
  return setTrained("unfreeze", model, pattern, true);
}

function setTrained(op: string, model: Module, pattern: NamePattern | undefined, trained: boolean): Parameter[] {
  const parameters = chosen(op, model, pattern);
  for (const p of parameters) p.requiresGrad = trained;
  return parameters;
}

/** Options for the parameters whose names fit a pattern. */
export type PatternOptions<O extends object = object> = O & { readonly match: NamePattern };

/**
 * Groups of parameters for an optimiser, each with options of its own. A parameter belongs to the first pattern that its name fits; the others are a
 * group without options, the last one.
 * @throws ArgumentError for a pattern that no parameter fits, or none that an earlier pattern has left
 * @example new AdamW(groupsOf(model, [{ match: /bias|norm/, weightDecay: 0 }, { match: "head", lr: 1e-2 }]), { lr: 1e-3 });
 */
export function groupsOf<O extends object>(
  model: Module,
  patterns: readonly PatternOptions<O>[],
): (O & { readonly params: Parameter[] })[] {
  const op = "groupsOf";
  checkModule(op, model);
  checkList(op, "patterns", patterns);
  const left = new Map(Array.from(model.namedParameters(), ([name, p]) => [p, name]));
  const groups = patterns.map((pattern): O & { readonly params: Parameter[] } => {
    checkObject(op, "a pattern", pattern);
    const { match, ...options } = pattern;
    checkPattern(op, match);
    const params = chosen(op, model, match).filter((p) => left.has(p));
    if (params.length === 0)
      throw new ArgumentError(`${op}: expected parameters that fit ${String(match)} and no pattern before it, got none`);
    for (const p of params) left.delete(p);
    return { ...(options as unknown as O), params };
  });
  return left.size === 0 ? groups : [...groups, { params: [...left.keys()] } as unknown as O & { readonly params: Parameter[] }];
}
