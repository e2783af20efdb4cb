/** Modules: objects that own parameters, named as PyTorch names them. */

import { checkMap, optionsOf } from "../base/checks.ts";
import { type DType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { isPlain, list, quote, shorten } from "../base/quote.ts";
import { heldTensors } from "../tensor/parts.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { assign, checkTensor, keep, refuseForeign, requireGrad, showAsText, Tensor, whatToDo } from "../tensor/tensor.ts";

/** A trainable tensor: a leaf that needs a gradient and outlives every scope. */
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
 * `weightIhL0` → `weight_ih_l0`, `myLSTM` → `my_lstm`, `LSTM2` → `lstm2`: camelCase fields, PyTorch's names in state dicts.
 * Leaves names with an underscore inside (`weight_ih_l0`, `W_h`) as they are.
 */
function stateName(field: string): string {
  if (/[^_]_/.test(field)) return field;
  return field
    .replace(/([A-Z]+)([A-Z][a-z])/g, "$1_$2")
    .replace(/([^A-Z_])([A-Z])/g, "$1_$2")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

export interface LoadOptions {
  /** Whether every name must occur on both sides (default true). For a tied parameter, one of its names is enough. */
  readonly strict?: boolean;
}

type Part = Tensor | Module;

/**
 * Base class of everything with parameters. It finds fields that hold parameters, buffers (plain tensors) or modules, and arrays, Maps, Sets
 * and plain objects of these at any depth. In the state dict, their names are the field's name in snake_case,
 * then the keys unchanged, joined by dots: `layers.0.weight`. It cannot see private (`#`) fields and getters: pass what only
 * they hold to `register`. Fields are read anew each time, so parts may be replaced, or be null.
 * @throws ArgumentError if two parts have the same name, from every method that walks over the parts
 * @example
 * class Regressor extends Module {
 *   readonly rnn = new LSTM({ inputSize: 4, hiddenSize: 16 });
 *   readonly head = new Linear(16, 1);
 *   forward(xs: Tensor): Tensor { return this.head.forward(this.rnn.forward(xs).output); }
 * }
 */
export abstract class Module {
  /** Whether dropout and the like are active. */
  training = true;
  readonly #registered = new Map<string, Part>();

  /**
   * Registers a parameter, buffer or module that no public field holds, for instance one in a private field.
   * @throws ArgumentError for a name that is already registered
   * @example readonly #cell = this.register("cell", new GRUCell({ inputSize: 4, hiddenSize: 8 }));
   */
  protected register<T extends Tensor | Module>(name: string, part: T): T {
    if (this.#registered.has(name)) throw new ArgumentError(`register: expected a new name, got ${quote(name)} twice`);
    if (!isPart(part)) throw new DTypeError(`register: expected a tensor or a module under ${quote(name)}, got ${quote(part)}`);
    this.#registered.set(name, part);
    return part;
  }

  /** Puts another part under a registered name. @internal */
  protected replaceRegistered(name: string, part: Part): void {
    this.#registered.set(name, part);
  }

  /** What a scope that returns this module keeps in addition to its fields. */
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
   * Adds every parameter and buffer, under all its names.
   * @param above the modules that this one is a part of
   * @param circular modules that lead back to a module above them; each is listed under one name, since it has no last one
   * @returns whether this module is circular
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

  /** Parameters with their names, each once; a tied one by its first name. */
  *namedParameters(): Generator<[string, Parameter]> {
    const seen = new Set<Tensor>();
    for (const [name, t] of this.stateDict()) {
      if (!(t instanceof Parameter) || seen.has(t)) continue;
      seen.add(t);
      yield [name, t];
    }
  }

  /** Parameters, each once, including frozen ones (`requiresGrad = false`). */
  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, p]) => p);
  }

  /** This module and every module below it, each once. */
  *modules(): Generator<Module> {
    for (const [, module] of this.namedModules()) yield module;
  }

  /** The same, each with its first name as in the state dict: "" for this module, then `layers.0`. */
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
   * Parameters and buffers by name: the tensors themselves, not copies. As in PyTorch, a tensor with several names is listed under
   * each of them, but under one only where modules refer to each other in a circle.
   */
  stateDict(): Map<string, Tensor> {
    const named = new Map<string, Tensor>();
    this.#addNamed(named, "", new Set(), new Set());
    return named;
  }

  /**
   * Copies values in by name, converted to the present dtype. Checks everything before it changes anything; one error names all
   * tensors that are missing, unknown or misshapen.
   * @throws FormatError for missing or unknown names (unless `strict` is false), and if two names of a tied parameter have values
   *   that differ
   * @throws ShapeError for shapes that do not fit, if all names do
   * @throws DTypeError for anything but a tensor, and for numbers that the dtype cannot hold (floats for integers or masks)
   * @throws StateError for a released tensor on either side
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
    // Sources that share memory with targets are read first.
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

  /** The tree of its parts, with the shapes of tensors: what `console.log` shows in Node, Bun and Deno. */
  toString(): string {
    return this.#tree("\n", []);
  }

  #tree(newLine: string, above: readonly Module[]): string {
    if (above.includes(this)) return `${this.constructor.name}, which is above`;
    const below = `${newLine}  `;
    const lines = Array.from(this.#parts(), ([name, part]) => {
      const what = part instanceof Tensor ? `${part.dtype}${show(part.shape)}` : part.#tree(below, [...above, this]);
      return `${below}${name}: ${what}`;
    });
    return this.constructor.name + lines.join("");
  }
}

showAsText(Module.prototype);

/** Requires a module of this copy of the library. @throws DTypeError, StateError */
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

/** Adds a part under a name. @throws ArgumentError if another part has that name */
function add<T extends Part>(parts: Map<string, T>, name: string, part: T): void {
  const other = parts.get(name);
  if (other !== undefined && other !== part) {
    throw new ArgumentError(`Module: expected parts of different names in the state dict, got two that are both ${shorten(name)}`);
  }
  parts.set(name, part);
}

/** Adds what a field holds, directly or in containers. Walks over each container once, even one that contains itself. */
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

/** The contents of a container by key; by position for a Set and for a Map's keys that are objects. Empty for any other object. */
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

/** A tensor of the module, and the given one with its name. */
interface Pair {
  readonly name: string;
  readonly target: Tensor;
  readonly source: Tensor;
}

/** Checks that both sides have the same names (of several names of one tensor, one is enough) and the same shapes. */
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

/** Which dtypes each dtype can take numbers from. */
function fits(from: DType, to: DType): boolean {
  return from === to || isFloat(to) || (from === "bool" && to === "int32");
}

function checkSource(name: string, target: Tensor, source: unknown): asserts source is Tensor {
  const called = shorten(name);
  refuseForeign("loadStateDict", source);
  if (!(source instanceof Tensor))
    throw new DTypeError(`loadStateDict: expected a tensor for ${called}, got ${quote(source)}${whatToDo(source)}`);
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
