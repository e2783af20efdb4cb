/** Modules: objects that own parameters, named as PyTorch names them. */

import { ArgumentError, FormatError, ShapeError } from "../base/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { assign, keep, requireGrad, Tensor } from "../tensor/tensor.ts";

/** A tensor that is trained: a leaf that wants its gradient and outlives every scope. */
export class Parameter extends Tensor {
  constructor(value: Tensor) {
    if (!value.isContiguous) throw new ShapeError(`Parameter: expected a contiguous tensor, got strides ${show(value.strides)}`);
    super(value.storage, value.dtype, value.shape, value.strides, value.offset);
    keep(this);
    requireGrad(this);
  }
}

/** `weightIhL0` → `weight_ih_l0`: fields are camelCase, state dicts speak PyTorch. */
function stateName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export interface LoadOptions {
  /** Whether every name must occur on both sides (default true). */
  readonly strict?: boolean;
}

/**
 * Base of everything with parameters. Fields that hold parameters, buffers (plain tensors), modules, or arrays
 * of these are found by themselves; their state-dict names are the field names in snake_case joined by dots.
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
  readonly #registered = new Map<string, Tensor | Module>();

  /** Registers a parameter or module under a name that is no field of the class. */
  protected register<T extends Tensor | Module>(name: string, part: T): T {
    if (this.#registered.has(name)) throw new ArgumentError(`register: expected a new name, got "${name}" twice`);
    this.#registered.set(name, part);
    return part;
  }

  /** This module's own parts by state-dict name. */
  *#parts(): Generator<[string, Tensor | Module]> {
    yield* this.#registered;
    for (const [field, value] of Object.entries(this)) yield* partsOf(stateName(field), value);
  }

  /** Every tensor of the state dict, parameters and buffers, each once. */
  *#named(prefix: string, seen: Set<unknown>): Generator<[string, Tensor]> {
    for (const [name, part] of this.#parts()) {
      if (seen.has(part)) continue;
      seen.add(part);
      if (part instanceof Tensor) yield [prefix + name, part];
      else yield* part.#named(`${prefix}${name}.`, seen);
    }
  }

  /** Parameters with their names. */
  *namedParameters(): Generator<[string, Parameter]> {
    for (const [name, t] of this.#named("", new Set())) if (t instanceof Parameter) yield [name, t];
  }

  parameters(): Parameter[] {
    return Array.from(this.namedParameters(), ([, p]) => p);
  }

  /** This module and every module below it. */
  *modules(): Generator<Module> {
    yield this;
    for (const [, part] of this.#parts()) if (part instanceof Module) yield* part.modules();
  }

  /** Parameters and buffers by name; the tensors themselves, not copies. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#named("", new Set()));
  }

  /**
   * Copies values in by name. Everything is checked before anything is changed.
   * @throws FormatError for missing or unknown names (unless `strict` is false)
   * @throws ShapeError for a shape that does not fit
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): void {
    const own = this.stateDict();
    if (options.strict ?? true) checkNames(own, state);
    const pairs: [Tensor, Tensor][] = [];
    for (const [name, target] of own) {
      const source = state.get(name);
      if (source === undefined) continue;
      if (!sameShape(source.shape, target.shape)) {
        throw new ShapeError(`loadStateDict: expected ${name} of shape ${show(target.shape)}, got ${show(source.shape)}`);
      }
      pairs.push([target, source]);
    }
    for (const [target, source] of pairs) assign(target, source);
  }

  /** Switches this module and all below it to training. */
  train(on = true): this {
    for (const m of this.modules()) m.training = on;
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

function* partsOf(name: string, value: unknown): Generator<[string, Tensor | Module]> {
  if (value instanceof Tensor || value instanceof Module) yield [name, value];
  else if (Array.isArray(value)) for (const [i, part] of value.entries()) yield* partsOf(`${name}.${i}`, part);
}

function checkNames(own: ReadonlyMap<string, Tensor>, given: ReadonlyMap<string, Tensor>): void {
  const missing = [...own.keys()].filter((name) => !given.has(name));
  const unknown = [...given.keys()].filter((name) => !own.has(name));
  if (missing.length + unknown.length === 0) return;
  const list = (names: string[]) => (names.length === 0 ? "none" : names.slice(0, 8).join(", ") + (names.length > 8 ? ", …" : ""));
  throw new FormatError(`loadStateDict: expected the module's own names, got missing: ${list(missing)}; unknown: ${list(unknown)}`);
}
