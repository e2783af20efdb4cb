/** Forward mode with respect to the parameters of a module. */

import { track } from "../autodiff/alias.ts";
import { unbox, withLevel } from "../autodiff/forward.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { checkFunction, checkObject, finished } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { reshape } from "../ops/broadcast.ts";
import { zeros } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, Tensor } from "../tensor/tensor.ts";
import { checkModule, type Module, type Parameter } from "./module.ts";

interface Tangents {
  /** [K, …shape] each. */
  readonly byParameter: ReadonlyMap<Parameter, Tensor>;
  readonly K: number;
  /** Whether there are K directions along a first axis, rather than one without an axis. */
  readonly stacked: boolean;
}

function readTangents(module: Module, tangents: Readonly<Record<string, Tensor>>): Tangents {
  const named = module.stateDict();
  const trained = new Set<Tensor>(module.parameters());
  const byParameter = new Map<Parameter, Tensor>();
  let lead: readonly number[] | null = null;
  for (const [name, t] of Object.entries(tangents)) {
    const p = named.get(name) as Parameter | undefined;
    if (p === undefined || !trained.has(p)) {
      throw new ArgumentError(`withTangents: expected names of the module's parameters, got ${shorten(name)}`);
    }
    if (byParameter.has(p)) throw new ArgumentError(`withTangents: expected one tangent a parameter, got two of ${shorten(name)}`);
    checkTensor("withTangents", t);
    if (t.dtype !== p.dtype) throw new DTypeError(`withTangents: expected a tangent of ${shorten(name)} of ${p.dtype}, got ${t.dtype}`);
    const own: readonly number[] = t.shape.slice(0, Math.max(0, t.rank - p.rank));
    const front: readonly number[] = lead ?? own;
    if (front.length > 1 || !sameShape(t.shape, [...front, ...p.shape])) {
      const wanted = lead === null ? `${show(p.shape)} or [K, …] of it` : show([...front, ...p.shape]);
      throw new ShapeError(`withTangents: expected a tangent of ${shorten(name)} of shape ${wanted}, got ${show(t.shape)}`);
    }
    lead = front;
    byParameter.set(p, front.length === 0 ? reshape(t, [1, ...t.shape]) : t);
  }
  if (lead === null) throw new ArgumentError("withTangents: expected at least one tangent, got none");
  return { byParameter, K: lead[0] ?? 1, stacked: lead.length === 1 };
}

/**
 * The value of `fn` and its derivative along directions in a module's parameters, by forward mode in one run, without a tape. While `fn` runs, each
 * parameter carries its tangent; those without one are constant.
 *
 *   ẏ = Σ_p (∂y/∂p)·ṗ
 *
 * Takes the time of K + 1 runs and K + 1 times the live memory of one run, independent of the length of a sequence. Levels nest, with each other
 * and with `jvp`; if recorded on the tape, `grad` can differentiate the result again.
 * @param tangents by the parameters' state-dict names, each of its parameter's shape, or all of [K, …shape] for K directions at once
 * @param fn something that runs the module, a whole loss for example
 * @returns y and ẏ, of y's shape or [K, …shape]
 * @throws ArgumentError for unknown names, ShapeError and DTypeError for tangents unlike their parameters, StateError if `fn` is
 *   asynchronous; the module is then unchanged
 * @see Wengert, "A simple automatic derivative evaluation program", 1964; Pearlmutter, "Fast exact multiplication by the Hessian", 1994
 * @example
 * const [loss, slope] = withTangents(model, { "head.weight": direction }, () => mseLoss(model.forward(xs), ys));
 */
export function withTangents(module: Module, tangents: Readonly<Record<string, Tensor>>, fn: () => Tensor): [y: Tensor, tangent: Tensor] {
  checkModule("withTangents", module);
  checkObject("withTangents", "tangents", tangents);
  const { byParameter, K, stacked } = readTangents(module, tangents);
  checkFunction("withTangents", "fn", fn);
  return withLevel((level) => {
    const undo = Array.from(byParameter, ([p, tangent]) => carry(level, p, tangent));
    try {
      const y: unknown = finished("withTangents", fn());
      if (!(y instanceof Tensor)) throw new ArgumentError(`withTangents: expected fn to return a tensor, got ${quote(y)}`);
      const { primal, tangent } = unbox(level, y);
      const pushed = tangent ?? zeros([K, ...primal.shape], primal.dtype);
      return [primal, stacked ? pushed : reshape(pushed, primal.shape)];
    } finally {
      for (const restore of undo) restore();
    }
  });
}

/** Makes a parameter carry a tangent. Computation uses an alias meanwhile, so that reverse mode still finds the parameter. */
function carry(level: number, p: Parameter, tangent: Tensor): () => void {
  const before = p.dual;
  const primal = p.requiresGrad ? enableGrad(() => track(p)) : aliasOf(p);
  p.dual = { level, primal, tangent };
  return () => {
    p.dual = before;
  };
}

/** A frozen parameter's values, with the tangents of outer levels. */
function aliasOf(p: Parameter): Tensor {
  const alias = p.detach();
  alias.dual = p.dual;
  return alias;
}
