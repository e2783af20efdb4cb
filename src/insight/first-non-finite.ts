/** Finds the first NaN or infinity of a computation. */

import type { Inputs, Primitive } from "../autodiff/primitive.ts";
import { sweepLeaves } from "../autodiff/sweep.ts";
import type { Node } from "../autodiff/tape.ts";
import { checkFunction, checkOneOf, checkOptions } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { type Module, Parameter } from "../nn/module.ts";
import { onesLike } from "../tensor/create.ts";
import { forEachPart } from "../tensor/parts.ts";
import { type Generator, type GeneratorState, watchGenerators } from "../tensor/random.ts";
import { Shadow } from "../tensor/shadow.ts";
import { show } from "../tensor/shape.ts";
import { scope, Tensor } from "../tensor/tensor.ts";
import { type Place, Watch } from "./watch.ts";

export interface NonFiniteOptions {
  /** What runs in `fn`: without it, modules and steps have no names. */
  readonly model?: Module;
  /** "nan" ignores infinities, such as the −∞ of masks (default "non-finite"). */
  readonly kind?: "non-finite" | "nan";
}

/** Where a NaN or infinity came from. */
export interface NonFinite extends Place {
  /** NaN, +∞ or −∞. */
  readonly value: number;
  /** The operation that put it out, or was given it. */
  readonly operation: string;
  /** "forward", or "backward" where it came up in a gradient. */
  readonly pass: "forward" | "backward";
  /** Of a gradient: the operation whose derivative it is. */
  readonly of: string | null;
  /** "result" of numbers that were finite; "input" where the operation was given it from outside: data, a parameter. */
  readonly origin: "result" | "input";
  /** The name of the parameter that held it, or null. */
  readonly parameter: string | null;
  /** Where it stands in the tensor, and the tensor's shape. */
  readonly index: readonly number[];
  readonly shape: readonly number[];
  /** All of it in a sentence. */
  readonly message: string;
}

/** Ends the run at the first one found. */
class Found extends Error {
  readonly what: NonFinite;

  constructor(what: NonFinite) {
    super(what.message);
    this.what = what;
  }
}

/** Operations that hand elements on as they are. What a sequence's padding holds goes through these alone, until it is left out. */
const MOVES: ReadonlySet<string> = new Set([
  ...["contiguous", "permute", "slice", "embed", "select", "unstack", "stack", "split", "cat", "flip", "roll", "diagonal"],
  ...["reshape", "broadcastTo", "gather", "indexSelect", "cast", "where"],
]);

/** The first NaN or infinite element, by its place in row-major order; −1 if there is none. */
function placeOf(t: Tensor, nanOnly: boolean): number {
  if (!isFloat(t.dtype)) return -1;
  const isWrong = nanOnly ? Number.isNaN : (v: number) => !Number.isFinite(v);
  return (t.data() as Float64Array).findIndex(isWrong);
}

/** The tensors of a result, at any depth. */
function tensorsWithin(result: unknown): Tensor[] {
  const found: Tensor[] = [];
  forEachPart(result, (part) => {
    if (!(part instanceof Tensor)) return true;
    found.push(part);
    return false;
  });
  return found;
}

function indexOf(place: number, shape: readonly number[]): number[] {
  let rest = place;
  const index = shape.toReversed().map((n) => {
    const i = rest % n;
    rest = Math.floor(rest / n);
    return i;
  });
  return index.reverse();
}

class Inspector {
  readonly #watch: Watch;
  readonly #nanOnly: boolean;
  readonly #names: ReadonlyMap<Tensor, string>;
  /** Where each node was recorded. */
  readonly #places = new WeakMap<Node, Place>();
  /** The node whose rule runs. */
  #pulled: Node | null = null;
  /** The first that was given from outside and has only been moved so far. */
  #moved: NonFinite | null = null;

  constructor(watch: Watch, nanOnly: boolean, model: Module | undefined) {
    this.#watch = watch;
    this.#nanOnly = nanOnly;
    this.#names = new Map(Array.from(model?.namedParameters() ?? [], ([name, p]) => [p, name]));
  }

  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[]): void {
    const { node } = outputs[0] as Tensor;
    if (this.#pulled === null && node !== null && !this.#places.has(node)) this.#places.set(node, this.#watch.place);
    // Outputs first: nearly always all of them are numbers, and then inputs need not be looked at.
    for (const y of outputs) {
      if (placeOf(y, this.#nanOnly) < 0) continue;
      const given = inputs.find((x) => placeOf(x, this.#nanOnly) >= 0);
      const found = this.#report(primitive.name, given ?? y, given === undefined ? "result" : "input");
      const isMove = found.origin === "input" && found.parameter === null && MOVES.has(primitive.name);
      if (!isMove) throw new Found(found);
      this.#moved ??= found;
    }
  }

  /** At the end: what was moved all the way into the result. */
  finish(result: unknown): void {
    if (this.#moved !== null && tensorsWithin(result).some((t) => placeOf(t, this.#nanOnly) >= 0)) throw new Found(this.#moved);
  }

  pulls(node: Node): void {
    this.#pulled = node;
  }

  #report(operation: string, t: Tensor, origin: "result" | "input"): NonFinite {
    const place = placeOf(t, this.#nanOnly);
    const value = t.data()[place] as number;
    const pulled = this.#pulled;
    const { module, step } = (pulled === null ? this.#watch.place : this.#places.get(pulled)) ?? { module: null, step: null };
    const parameter = t instanceof Parameter ? (this.#names.get(t) ?? null) : null;
    const found = {
      value,
      operation,
      pass: pulled === null ? "forward" : "backward",
      of: pulled?.primitive.name ?? null,
      origin,
      parameter,
      module,
      step,
      index: indexOf(place, t.shape),
      shape: t.shape,
    } as const;
    return { ...found, message: sentence(found) };
  }
}

function sentence({ value, operation, of, origin, parameter, module, step, index, shape }: Omit<NonFinite, "message">): string {
  const where = [
    module === null ? "" : module === "" ? " in the model itself" : ` in ${module}`,
    step === null ? "" : ` at step ${step}`,
    of === null ? "" : ` in the gradient of ${of}`,
  ].join("");
  const element = shape.length === 0 ? "" : `, element [${index}] of ${show(shape)}`;
  const source = parameter === null ? "an input from outside" : `the parameter ${parameter}`;
  return origin === "result"
    ? `${operation}${where} made ${value} of finite numbers${element}`
    : `${operation}${where} was given ${value} by ${source}${element}`;
}

/**
 * Runs `fn` operation by operation and finds the first NaN or infinity: the operation that made it of finite numbers, or was given it from
 * outside, with the module, the step of the sequence and the element; null where all is finite. Where `fn` returns a scalar with a gradient,
 * its backward pass is looked through as well; a `backward` that `fn` itself calls is in any case.
 *
 * What is only moved (reshaped, sliced, selected) is no fault before something is computed with it: padding that `lengths` leaves out may hold anything.
 *
 * Fused kernels run as their basic operations meanwhile, captured scans and layers step by step, so that this takes many times the time of
 * the run that went wrong; values agree with it up to rounding. Random numbers and running statistics are put back afterwards, gradients
 * that `fn` writes are not. The run ends where something is found.
 * @param fn a loss, or anything made of operations; synchronous
 * @throws StateError for a function that returns a promise; what `fn` throws
 * @example console.log(firstNonFinite(() => mseLoss(model.forward(xs), ys), { model })?.message);
 * // "log in rnn.cell at step 17 made NaN of finite numbers, element [3,2] of [4,8]"
 */
export function firstNonFinite(fn: () => unknown, options: NonFiniteOptions = {}): NonFinite | null {
  checkOptions("firstNonFinite", options, ["model", "kind"]);
  checkFunction("firstNonFinite", "fn", fn);
  const { model, kind = "non-finite" } = options;
  checkOneOf("firstNonFinite", "kind", kind, ["non-finite", "nan"]);
  const watch = new Watch();
  const inspector = new Inspector(watch, kind === "nan", model);
  return putBackAfter(model, () => {
    try {
      scope(() => {
        watch.run(model, inspector, () => {
          const result = fn();
          if (result instanceof Tensor && result.size === 1 && (result.node !== null || result.requiresGrad))
            sweepLeaves(result, onesLike(result), () => undefined);
          inspector.finish(result);
          return result;
        });
      });
      return null;
    } catch (e) {
      if (e instanceof Found) return e.what;
      throw e;
    }
  });
}

/** Runs `fn` and puts back the random numbers it drew and the buffers it wrote to. */
function putBackAfter<R>(model: Module | undefined, fn: () => R): R {
  const moved = new Map<Generator, GeneratorState>();
  const buffers = new Shadow();
  buffers.take([...(model?.stateDict().values() ?? [])].filter((t) => !(t instanceof Parameter)));
  try {
    return watchGenerators(moved, fn);
  } finally {
    for (const [generator, state] of moved) generator.state = state;
    buffers.putBack();
  }
}
