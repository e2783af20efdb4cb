/** Modules: objects that own parameters, named as PyTorch names them. */

import { checkMap, optionsOf } from "../base/checks.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { isPlain, list, quote, shorten } from "../base/quote.ts";
import { heldTensors } from "../tensor/parts.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { assign, checkTensor, keep, refuseForeign, requireGrad, Tensor } from "../tensor/tensor.ts";

/** A trained tensor: a leaf that needs its gradient and outlives every scope. */
export class Parameter extends Tensor {
  constructor(value: Tensor) {
    checkTensor("Parameter", value);
    if (!value.isContiguous) throw new ShapeError(`Parameter: expected a contiguous tensor, got strides ${show(value.strides)}`);
    super(value.storage, value.dtype, value.shape, value.strides, value.offset);
    requireGrad(this);
    keep(this);
  }
}

/**
 * `weightIhL0` → `weight_ih_l0`, `myLSTM` → `my_lstm`, `LSTM2` → `lstm2`: fields are camelCase, state dicts speak PyTorch.
 * What has an underscore within (`weight_ih_l0`, `W_h`) is written so already.
 */
function stateName(field: string): string {
  if (/[^_]_/.test(field)) return field;
  return field
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .replace(/([^A-Z_])([A-Z])/g, "$1_$2")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export interface LoadOptions {
  /** Whether every name must occur on both sides (default true). A tied parameter has several names, of which one is enough. */
  readonly strict?: boolean;
}

type Part = Tensor | Module;

/**
 * Base of everything with parameters. Fields that hold parameters, buffers (plain tensors) or modules, or arrays, Maps, Sets and
 * plain objects of these (of any depth), are found automatically. Their state-dict names are the field's name in snake_case,
 * then the keys as they are, joined by dots: `layers.0.weight`. Private (`#`) fields and getters cannot be seen: what only
 * they hold is given to `register`. Fields are read each time, so parts may be replaced, or be null.
 * @throws ArgumentError where two parts would have one name, from everything that walks over the parts
 * @example
 * class Regressor extends Module {
 *   readonly rnn = new LSTM({ inputSize: 4, hiddenSize: 16 });
 *   readonly head = new Linear(16, 1);
 *   forward(xs: Tensor): Tensor { return this.head.forward(this.rnn.forward(xs).output); }
 * }
 */
export abstract class Module {
  /** Whether dropout and its like are active. */
  training = true;
  readonly #registered = new Map<string, Part>();

  /**
   * Registers a parameter, buffer or module under a name that is no field of the class, as one in a private field.
   * @throws ArgumentError for a name that is registered already
   * @example readonly #cell = this.register("cell", new GRUCell({ inputSize: 4, hiddenSize: 8 }));
   */
  protected register<T extends Tensor | Module>(name: string, part: T): T {
    if (this.#registered.has(name)) throw new ArgumentError(`register: expected a new name, got ${quote(name)} twice`);
    if (!isPart(part)) throw new DTypeError(`register: expected a tensor or a module under ${quote(name)}, got ${quote(part)}`);
    this.#registered.set(name, part);
    return part;
  }

  /** What a scope that returns this module keeps besides what its fields show. */
  [heldTensors](): Iterable<Part> {
    return this.#registered.values();
  }

  /** This module's own parts by state-dict name. */
  #parts(): Map<string, Part> {
    const parts = new Map(this.#registered);
    const seen = new Set<object>();
    for (const field of Object.keys(this)) {
      const value = this[field as keyof this];
      if (isObject(value)) addParts(parts, stateName(field), value, seen);
    }
    return parts;
  }

  /**
   * Adds every tensor of the state dict, parameters and buffers, under all its names.
   * @param above the modules that this one is a part of
   * @param circular modules from which parts lead back to a module above: one name is enough for each, there is no last one
   * @returns whether this is one of them
   */
  #addNamed(named: Map<string, Tensor>, prefix: string, above: Set<Module>, circular: Set<Module>): boolean {
    let leadsBack = false;
    above.add(this);
    for (const [name, part] of this.#parts()) {
      if (part instanceof Tensor) add(named, prefix + name, part);
      else if (above.has(part) || circular.has(part)) leadsBack = true;
      else if (part.#addNamed(named, `${prefix}${name}.`, above, circular)) leadsBack = true;
    }
    above.delete(this);
    if (leadsBack) circular.add(this);
    return leadsBack;
  }

  /** Parameters with their names, each once: of a tied one's names the first. */
  *namedParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Tensor>();
    for (const [name, t] of this.stateDict()) {
      if (!(t instanceof Parameter) || seen.has(t)) continue;
      seen.add(t);
      yield [name, t];
    }
  }

  /** Parameters, each once, frozen ones (`requiresGrad = false`) among them. */
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, p]) => p);
  }

  /** This module and every module below it, each once. */
  *modules(): Generator<Module> {
    for (const [, module] of this.namedModules()) yield module;
  }

  /** The same with the first name of each, as in the state dict: "" for this module, then `layers.0`. */
  *namedModules(): Generator<[string, Module]> {
    const seen = new Set<Module>();
    const stack: [string, Module][] = [["", this]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [path, module] = next;
      if (seen.has(module)) continue;
      seen.add(module);
      yield next;
      const below: [string, Module][] = [];
      for (const [name, part] of module.#parts()) if (part instanceof Module) below.push([path === "" ? name : `${path}.${name}`, part]);
      stack.push(...below.reverse());
    }
  }

  /**
   * Parameters and buffers by name; the tensors themselves, not copies. As in PyTorch, what has several names is listed under
   * each; only where modules name each other in a circle, under one.
   */
  stateDict(): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    this.#addNamed(named, "", new Set(), new Set());
    return named;
  }

  /**
   * Copies values in by name, rounded to the dtype that is there. Everything is checked before anything is changed, and one error names all
   * that is missing, unknown or misshapen.
   * @throws FormatError for missing or unknown names (unless `strict` is false), and for two names of a tied parameter with values
   *   that differ
   * @throws ShapeError for shapes that do not fit, where all names do
   * @throws DTypeError for what is no tensor, and for numbers that the dtype cannot hold (floats for integers or masks)
   * @throws StateError for a tensor that was released, on either side
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): void {
    const { strict = true } = optionsOf("loadStateDict", options, ["strict"]);
    checkMap("loadStateDict", "the state", state);
    const own = this.stateDict();
    const pairs = Array.from(own, ([name, target]) => ({ name, target, source: state.get(name) })).filter((p) => p.source !== undefined);
    checkFit(own, state, pairs as readonly Pair[], strict);
    const sources = new Map<Tensor, { readonly name: string; readonly source: Tensor }>();
    for (const { name, target, source } of pairs) {
      checkSource(name, target, source);
      const first = sources.get(target) ?? { name, source };
      if (!sameValues(first.source, source)) {
        throw new FormatError(`loadStateDict: expected one value for ${shorten(first.name)} and ${shorten(name)}, which are tied, got two`);
      }
      sources.set(target, first);
    }
    const written = new Set(Array.from(sources.keys(), (target) => target.storage));
    // What lies in memory that is written itself is read first.
    const values = Array.from(sources, ([target, { source }]) => [target, written.has(source.storage) ? source.data() : source] as const);
    for (const [target, value] of values) assign(target, value);
  }

  /** Switches this module and all below it to training. */
  train(on = true): this {
    for (const m of [...this.modules()]) m.training = on;
    return this;
  }

  /** Switches this module and all below it to evaluation. */
  eval(): this {
    return this.train(false);
  }

  zeroGrad(): void {
    for (const p of this.parameters()) {
      p.grad?.dispose();
      p.grad = null;
    }
  }
}

/** A module, of this copy of the library. @throws DTypeError, StateError */
export function checkModule(op: string, value: unknown): asserts value is Module {
  if (value instanceof Module) return;
  isPart(value);
  throw new DTypeError(`${op}: expected a module, got ${quote(value)}`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isPart(value: unknown): value is Part {
  if (value instanceof Tensor || value instanceof Module) return true;
  refuseForeign("Module", value);
  if (isObject(value) && "namedParameters" in value) for (const p of (value as Module).parameters()) refuseForeign("Module", p);
  return false;
}

/** Puts a part under a name. @throws ArgumentError where another has it */
function add<T extends Part>(parts: Map<string, T>, name: string, part: T): void {
  const other = parts.get(name);
  if (other !== undefined && other !== part) {
    throw new ArgumentError(`Module: expected parts of different names in the state dict, got two that are both ${shorten(name)}`);
  }
  parts.set(name, part);
}

/** Adds what a field holds, itself or in containers; a container that was seen is not walked again, nor one that holds itself. */
function addParts(parts: Map<string, Part>, field: string, value: object, seen: Set<object>): void {
  const stack: [name: string, value: object][] = [[field, value]];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [name, held] = next;
    if (isPart(held)) add(parts, name, held);
    else if (!seen.has(held)) {
      seen.add(held);
      const first = stack.length;
      for (const [key, inner] of entriesOf(held)) if (isObject(inner)) stack.push([`${name}.${key}`, inner]);
      reverseFrom(stack, first);
    }
  }
}

/** What a container holds, by key; of a Set, and of a Map's keys that are objects, by place. Nothing for any other object. */
function* entriesOf(container: object): Iterable<[key: unknown, value: unknown]> {
  if (Array.isArray(container)) yield* container.entries();
  else if (container instanceof Set) yield* Array.from(container).entries();
  else if (container instanceof Map) {
    let place = 0;
    for (const [key, value] of container) {
      yield [isObject(key) || typeof key === "symbol" ? place : key, value];
      place++;
    }
  } else if (isPlain(container)) yield* Object.entries(container);
}

function reverseFrom(stack: unknown[], first: number): void {
  for (let i = first, j = stack.length - 1; i < j; i++, j--) [stack[i], stack[j]] = [stack[j], stack[i]];
}

/** A tensor of the module and what a state has under its name. */
interface Pair {
  readonly name: string;
  readonly target: Tensor;
  readonly source: Tensor;
}

/** Names that must be on both sides (of several names of one tensor, one is enough), and shapes that must be equal. */
function checkFit(own: ReadonlyMap<string, Tensor>, given: ReadonlyMap<string, Tensor>, pairs: readonly Pair[], strict: boolean): void {
  const loaded = new Set(pairs.map(({ target }) => target));
  const missing = strict ? [...own].flatMap(([name, target]) => (loaded.has(target) ? [] : [name])) : [];
  const unknown = strict ? [...given.keys()].filter((name) => !own.has(name)) : [];
  const misshapen = pairs.filter(({ target, source }) => source instanceof Tensor && !sameShape(source.shape, target.shape));
  const shapes = misshapen.map(
    ({ name, target, source }) => [shorten(name), shorten(show(target.shape)), shorten(show(source.shape))] as const,
  );
  if (missing.length + unknown.length > 0) {
    const more = shapes.length > 0 ? `; misshapen: ${list(shapes.map(([name, right, wrong]) => `${name} ${wrong} for ${right}`))}` : "";
    throw new FormatError(
      `loadStateDict: expected the module's own names, got missing: ${list(missing)}; unknown: ${list(unknown)}${more}`,
    );
  }
  if (shapes.length === 0) return;
  const told = shapes.slice(0, 8).map(([name, right, wrong]) => `${name} of shape ${right}, got ${wrong}`);
  throw new ShapeError(`loadStateDict: expected ${told.join("; ")}${shapes.length > 8 ? "; …" : ""}`);
}

/** Numbers that one dtype can take from another. */
function fits(from: DType, to: DType): boolean {
  return from === to || isFloat(to) || (from === "bool" && to === "int32");
}

function checkSource(name: string, target: Tensor, source: unknown): asserts source is Tensor {
  const called = shorten(name);
  refuseForeign("loadStateDict", source);
  if (!(source instanceof Tensor)) throw new DTypeError(`loadStateDict: expected a tensor for ${called}, got ${quote(source)}`);
  if (!fits(source.dtype, target.dtype)) {
    throw new DTypeError(`loadStateDict: expected ${called} of dtype ${target.dtype}, got ${source.dtype}`);
  }
  if (source.storage.released) throw new StateError(`loadStateDict: expected a live tensor for ${called}, got one that was released`);
  if (target.storage.released) throw new StateError(`loadStateDict: expected ${called} of the module to live, got one that was released`);
  if (!target.isContiguous) {
    throw new ShapeError(`loadStateDict: expected ${called} of the module to be contiguous, got strides ${show(target.strides)}`);
  }
}

function sameValues(a: Tensor, b: Tensor): boolean {
  if (a === b) return true;
  const other = b.data();
  return a.data().every((v, i) => v === other[i] || (Number.isNaN(v) && Number.isNaN(other[i])));
}
