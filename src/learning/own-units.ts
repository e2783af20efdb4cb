/** Derivatives of a step within units: of each unit's values by its own previous values, without the full Jacobian. */

import { track } from "../autodiff/alias.ts";
import { observing } from "../autodiff/observer.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, type Node } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { mul } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { cat, diagonal, slice } from "../ops/shape.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { full, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { floatsOf, ROUNDING, type Setting } from "./influence.ts";
import { type Reach, trySteps } from "./reach.ts";
import { stateJacobian } from "./step-derivatives.ts";
import type { Stretch } from "./stretch.ts";

/** Units of a state whose float tensors hold one value per unit: element u of every tensor belongs to unit u. */
export interface Units {
  readonly units: number;
  /** Number of float tensors of the state. */
  readonly tensors: number;
}

/** Operations that do not mix units: they leave every element at its place, or move whole tensors. */
const UNITWISE: ReadonlySet<string> = new Set(
  (
    "alias accumulate cast add sub mul div neg square maximum minimum exp expm1 log log1p sqrt rsqrt reciprocal abs sign sin cos erf pow tanh " +
    "sigmoid relu gate leakyRelu elu softplus silu gelu hardTanh where clamp contiguous slice select unstack stack split cat reshape broadcastTo " +
    "linearScan complexScan"
  ).split(" "),
);

/** Runs recorded operations as basic ones. */
const basic = { ran() {}, pulls() {} };

/** One step on a tape of basic operations. */
class UnitTape {
  readonly #units: number;
  readonly #before: readonly Tensor[];
  readonly #after: readonly Tensor[];
  /** What cotangents have reached through a product. */
  readonly #behind = new Set<Node | Tensor>();
  /** Whether units were mixed by anything but one product. */
  isMixed = false;

  constructor({ recurrence, xs, start }: Stretch<State>, units: number) {
    this.#units = units;
    const tracked = stateTensors(start).map((s) => (isFloat(s.dtype) ? track(s.detach()) : s));
    const [, last] = observing(basic, () => enableGrad(() => recurrence.scan(xs, restoreState(start, tracked))));
    this.#before = tracked.filter((s) => isFloat(s.dtype));
    this.#after = floatsOf(stateTensors(mapState((_, t) => t as Tensor, start, last)));
  }

  /** ∂(tensor m after)/∂(each tensor before) within units, each [units], by one sweep from all units together. */
  sweep(m: number): Tensor[] {
    const after = this.#after[m] as Tensor;
    const cotangent = full(after.shape, 1, after.dtype);
    const found = gradients([after], this.#before, [cotangent], { rule: (node, cotangents) => this.#rule(node, cotangents) });
    return found.map((g) => (g === null ? zeros([this.#units], after.dtype) : reshape(g, [this.#units])));
  }

  #rule(node: Node, [g]: readonly (Tensor | null)[]): (Tensor | null)[] | null {
    const isProduct = node.primitive.name === "linear";
    const isBehind = this.#behind.has(node);
    if (isProduct || isBehind) for (const x of node.inputs) this.#behind.add(x.node ?? x);
    const own = isProduct && !isBehind && g ? this.#throughOwnWeights(node, g) : null;
    if (own === null) this.isMixed ||= isProduct || !UNITWISE.has(node.primitive.name);
    return own && [own, null, null];
  }

  /** What the weights of a product x·Wᵀ send back from each unit to itself; null if units cannot be identified. */
  #throughOwnWeights({ inputs }: Node, g: Tensor): Tensor | null {
    const [x, w] = inputs as [Tensor, Tensor];
    const n = this.#units;
    const [M, K] = w.shape as [number, number];
    if (M % n !== 0 || g.size !== M) return null;
    const rows = reshape(g, [M / n, n]);
    const sizes = partsOf(x, n);
    if (sizes === null) return null;
    let end = 0;
    const parts = sizes.map((size) => {
      end += size;
      if (size !== n) return zeros([size], g.dtype);
      const blocks = reshape(slice(w, 1, end - n, end), [M / n, n, n]);
      return sum(mul(rows, diagonal(blocks, 0, 1, 2)), { axis: 0 });
    });
    return end === K ? reshape(cat(parts), x.shape) : null;
  }
}

/** Sizes of the parts of a product's inputs; those of size `units` hold one value per unit. Parts are tensors side by side, or lines of them. */
function partsOf(x: Tensor, units: number): readonly number[] | null {
  const { node } = x;
  if (node?.primitive.name === "cat" && node.params === x.rank - 1) return node.inputs.map((part) => part.dim(-1));
  return x.dim(-1) % units === 0 ? new Array<number>(x.dim(-1) / units).fill(units) : null;
}

/**
 * Derivatives within units [tensors·units·tensors]: of unit u's value in tensor i after the step by its value in tensor j before at
 * (i·units + u)·tensors + j. Takes one sweep per tensor, O(P) operations in all.
 * @returns null if units see each other through more than one product, since derivatives within units then also go through other units
 */
export function ownDerivatives(step: Stretch<State>, { units, tensors }: Units): Float64Array | null {
  const tape = new UnitTape(step, units);
  const out = new Float64Array(tensors * units * tensors);
  for (let i = 0; i < tensors; i++) {
    for (const [j, values] of tape.sweep(i).entries()) {
      values.data().forEach((v, u) => {
        out[(i * units + u) * tensors + j] = v;
      });
    }
    if (tape.isMixed) return null;
  }
  return out;
}

const known = new WeakMap<Reach, Units | null>();

/**
 * The units of a recurrence if each weight reaches only one unit and `ownDerivatives` gives the derivatives within units, which is tested
 * against the full Jacobian; else null.
 */
export function unitsOf(setting: Setting, reach: Reach): Units | null {
  const before = known.get(reach);
  if (before !== undefined) return before;
  const found = search(setting, reach);
  known.set(reach, found);
  return found;
}

function search(setting: Setting, reach: Reach): Units | null {
  const floats = floatsOf(stateTensors(setting.state));
  const units = floats[0]?.size ?? 0;
  if (units === 0 || floats.some((s) => s.size !== units) || !reachesOneUnit(setting, reach, units)) return null;
  const found = { units, tensors: floats.length };
  let isRight = true;
  trySteps(setting, 6, (step) => {
    isRight = agrees(setting, step, found);
    return isRight;
  });
  return isRight ? found : null;
}

/** Whether no parameter reaches two units in one step. */
function reachesOneUnit({ P }: Setting, { direct: { starts, rows } }: Reach, units: number): boolean {
  for (let p = 0; p < P; p++) {
    const reached = rows.subarray(starts[p], starts[p + 1]);
    if (reached.some((row) => row % units !== (reached[0] as number) % units)) return false;
  }
  return true;
}

function agrees({ S, dtype }: Setting, step: Stretch<State>, of: Units): boolean {
  const own = ownDerivatives(step, of);
  if (own === null) return false;
  const J = stateJacobian(step).data();
  return own.every((value, at) => {
    const [row, j] = [Math.floor(at / of.tensors), at % of.tensors];
    const expected = J[row * S + j * of.units + (row % of.units)] as number;
    return Object.is(value, expected) || Math.abs(value - expected) <= ROUNDING[dtype] * Math.max(1, Math.abs(expected));
  });
}
