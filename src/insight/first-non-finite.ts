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
  /** The model that `fn` runs; without it, modules and steps have no names. */
  readonly model?: Module;
  /** "nan" ignores infinities, such as the −∞ of masks (default "non-finite"). */
  readonly kind?: "non-finite" | "nan";
}

/** The origin of a NaN or infinity. */
export interface NonFinite extends Place {
  /** NaN, +∞ or −∞. */
  readonly value: number;
  /** The operation that returned it, or received it. */
  readonly operation: string;
  /** "forward", or "backward" if it arose in a gradient. */
  readonly pass: "forward" | "backward";
  /** For a gradient, the operation whose derivative it is. */
  readonly of: string | null;
  /** "result" if it arose from finite numbers; "input" if it came from outside: data, a parameter. */
  readonly origin: "result" | "input";
  /** The name of the parameter that held it, or null. */
  readonly parameter: string | null;
  /** Its index in the tensor, and the tensor's shape. */
  readonly index: readonly number[];
  readonly shape: readonly number[];
  /** All of this in a sentence. */
  readonly message: string;
}

/** Thrown to end the run at the first one found. */
class Found extends Error {
  readonly what: NonFinite;

  constructor(what: NonFinite) {
    super(what.message);
    this.what = what;
  }
}

/** Operations that only move elements. A sequence's padding passes only through these, until it is dropped. */
const MOVES: ReadonlySet<string> = new Set([
  ...["contiguous", "permute", "slice", "embed", "select", "unstack", "stack", "split", "cat", "flip", "roll", "diagonal"],
  ...["reshape", "broadcastTo", "gather", "indexSelect", "cast", "where"],
]);

/** Row-major index of the first NaN or infinite element; −1 if there is none. */
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
  /** The place where each node was recorded. */
  readonly #places = new WeakMap<Node, Place>();
  /** The node whose rule is running. */
  #pulled: Node | null = null;
  /** The first one from outside that has only been moved so far. */
  #moved: NonFinite | null = null;

  constructor(watch: Watch, nanOnly: boolean, model: Module | undefined) {
    this.#watch = watch;
    this.#nanOnly = nanOnly;
    this.#names = new Map(Array.from(model?.namedParameters() ?? [], ([name, p]) => [p, name]));
  }

  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[]): void {
    const { node } = outputs[0] as Tensor;
    if (this.#pulled === null && node !== null && !this.#places.has(node)) this.#places.set(node, this.#watch.place);
    // Check outputs first: they are nearly always finite, and then inputs need no check.
    for (const y of outputs) {
      if (placeOf(y, this.#nanOnly) < 0) continue;
      const given = inputs.find((x) => placeOf(x, this.#nanOnly) >= 0);
      const found = this.#report(primitive.name, given ?? y, given === undefined ? "result" : "input");
      const isMove = found.origin === "input" && found.parameter === null && MOVES.has(primitive.name);
      if (!isMove) throw new Found(found);
      this.#moved ??= found;
    }
  }

  /** Called at the end, for a value that was moved all the way into the result. */
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
 * Runs `fn` operation by operation and finds the first NaN or infinity: the operation that made it from finite numbers, or received it from
 * outside, with the module, the step of the sequence and the element; null if all is finite. If `fn` returns a scalar with a gradient,
 * its backward pass is searched as well, as is any `backward` that `fn` itself calls.
 *
 * Values that are only moved (reshaped, sliced, selected) count only once something is computed with them: padding that `lengths` excludes may hold anything.
 *
 * Meanwhile fused kernels run as basic operations, and captured scans and layers step by step, so it takes many times as long as
 * the original run; values agree up to rounding. Random numbers and running statistics are restored afterwards, but gradients
 * that `fn` writes are not. The run ends at the first finding.
 * @param fn a loss, or anything made of operations; synchronous
 * @throws StateError for a function that returns a promise; any error of `fn`
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

/** Runs `fn`, then restores the random numbers that it drew and the buffers that it wrote to. */
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
