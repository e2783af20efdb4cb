/** Forecasts for a tree of series, where each child's network is pulled towards its parent's. */

import { noGrad } from "../autodiff/tape.ts";
import { checkArrayLike, checkList, checkNumber, checkObject, checkOptions, checkSizes, checkText, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { LAYER, type LayerOptions, Linear } from "../nn/layers.ts";
import { mseLoss } from "../nn/losses.ts";
import { Module } from "../nn/module.ts";
import { add, mul, square, sub } from "../ops/arithmetic.ts";
import { sum } from "../ops/broadcast.ts";
import { exp } from "../ops/math.ts";
import { select } from "../ops/shape.ts";
import { GRU } from "../recurrence/rnn.ts";
import { scalar } from "../tensor/create.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";

/** One series of the tree. */
export interface SeriesNode {
  readonly name: string;
  /** Name of the series one level up; the root has none. */
  readonly parent?: string;
  /** C, Pearson's correlation with the parent's series; see `correlation`. */
  readonly correlation?: number;
}

export interface HRNNOptions extends LayerOptions {
  /** The series, in any order; exactly one without a parent. */
  readonly tree: readonly SeriesNode[];
  /** Hidden size of each series' GRU (default 10). */
  readonly hiddenSize?: number;
  /** Number of layers of each series' GRU (default 2). */
  readonly numLayers?: number;
  /** α: strength of the prior (default 1.5). */
  readonly alpha?: number;
}

/** A GRU with a linear head, which predicts the next value of a series from its last ones. */
export class SeriesForecaster extends Module {
  readonly gru: GRU;
  readonly head: Linear;

  constructor(hiddenSize: number, numLayers: number, options: LayerOptions) {
    super();
    checkOptions("SeriesForecaster", options, LAYER);
    this.gru = new GRU({ ...options, inputSize: 1, hiddenSize, numLayers });
    this.head = new Linear(hiddenSize, 1, options);
  }

  /** Windows [T,B,1] to the values after them [B,1]. */
  forward(windows: Tensor): Tensor {
    const { output } = this.gru.forward(windows);
    return this.head.forward(select(output, 0, windows.dim(0) - 1));
  }
}

/**
 * Hierarchical recurrent network for inflation components: a tree of series, each with a GRU θ_n whose prior is centred at its parent's.
 *
 *   θ_n ~ N(θ_parent(n), 1/τ_n)    τ_n = exp(α + C_n)    loss_n = MSE_n + τ_n Σ (θ_n − θ_parent(n))²
 *
 * The root has no prior. Train in the `order` of the tree from the top, each series with `loss(name, …)` on `forecaster(name)`'s
 * parameters, after `inherit(name)`: parents stay fixed, and no gradient reaches them.
 * @throws ArgumentError for duplicate names, unknown parents, no root or several, cycles, children without a correlation
 * @see Barkan, Benchimol, Caspi, Cohen, Hammer and Koenigstein, "Forecasting CPI inflation components with hierarchical recurrent neural
 * networks", International Journal of Forecasting 39(3), 2023, section 4
 * Deviates: none.
 * @example const model = new HRNN({ tree: [{ name: "all" }, { name: "food", parent: "all", correlation: 0.6 }] });
 */
export class HRNN extends Module {
  /** All series, parents before their children. */
  readonly order: readonly string[];
  readonly alpha: number;
  readonly #nodes: ReadonlyMap<string, SeriesNode>;
  readonly #forecasters: ReadonlyMap<string, SeriesForecaster>;

  constructor(options: HRNNOptions) {
    super();
    const {
      tree,
      hiddenSize = 10,
      numLayers = 2,
      alpha = 1.5,
      ...layer
    } = optionsOf("HRNN", options, ["tree", "hiddenSize", "numLayers", "alpha", ...LAYER]);
    checkSizes("HRNN", { hiddenSize, numLayers });
    checkNumber("HRNN", "alpha", alpha);
    checkList("HRNN", "tree", tree);
    this.alpha = alpha;
    this.#nodes = new Map(tree.map((node) => [node.name, node]));
    this.order = topDown(tree);
    this.#forecasters = new Map(
      this.order.map((name) => [name, this.register(name, new SeriesForecaster(hiddenSize, numLayers, layer))] as const),
    );
  }

  forecaster(name: string): SeriesForecaster {
    const found = this.#forecasters.get(name);
    if (found === undefined) throw new ArgumentError(`HRNN: expected a series of the tree, got ${quote(name)}`);
    return found;
  }

  /** The forecaster of the series one level up; null for the root. */
  parent(name: string): SeriesForecaster | null {
    const parent = this.#nodes.get(name)?.parent;
    return parent === undefined ? null : this.forecaster(parent);
  }

  /** τ = exp(α + C) of a series; 0 for the root. */
  precision(name: string): number {
    const { parent, correlation } = this.#nodes.get(name) ?? {};
    if (parent === undefined) return 0;
    return scope(() => exp(scalar(this.alpha + (correlation as number), "float64")).item());
  }

  /** Initialises a series with its parent's parameters, the prior's mean. */
  inherit(name: string): void {
    const parent = this.parent(name);
    if (parent !== null) this.forecaster(name).loadStateDict(parent.stateDict());
  }

  /** τ Σ (θ − θ_parent)², or null for the root. */
  penalty(name: string): Tensor | null {
    const parent = this.parent(name);
    if (parent === null) return null;
    const above = parent.parameters();
    const distances = this.forecaster(name)
      .parameters()
      .map((p, i) => sum(square(sub(p, (above[i] as Tensor).detach()))));
    return mul(
      distances.reduce((a, b) => add(a, b)),
      this.precision(name),
    );
  }

  /** Mean squared error of forecasts from windows [T,B,1] for the values [B,1] after them, plus the prior. */
  loss(name: string, windows: Tensor, next: Tensor): Tensor {
    const error = mseLoss(this.forecaster(name).forward(windows), next);
    const penalty = this.penalty(name);
    return penalty === null ? error : add(error, penalty);
  }

  /** Forecasts [B,1] of a series from windows [T,B,1]. */
  forecast(name: string, windows: Tensor): Tensor {
    return noGrad(() => this.forecaster(name).forward(windows));
  }
}

/** Names from the root down. */
function topDown(tree: readonly SeriesNode[]): string[] {
  for (const node of tree) {
    checkObject("HRNN", "a series", node);
    checkText("HRNN", "a series' name", node.name);
  }
  const names = new Set(tree.map(({ name }) => name));
  if (names.size < tree.length) throw new ArgumentError("HRNN: expected names that differ, got one twice");
  const roots = tree.filter(({ parent }) => parent === undefined);
  if (roots.length !== 1) throw new ArgumentError(`HRNN: expected one series without a parent, got ${roots.length}`);
  for (const { name, parent, correlation } of tree) {
    if (parent !== undefined && !names.has(parent))
      throw new ArgumentError(`HRNN: expected the parent of ${quote(name)} in the tree, got ${quote(parent)}`);
    if (parent !== undefined && !(Math.abs(correlation ?? 2) <= 1)) {
      throw new ArgumentError(`HRNN: expected the correlation of ${quote(name)} with its parent in [-1, 1], got ${correlation}`);
    }
  }
  const order = roots.map(({ name }) => name);
  for (const above of order) order.push(...tree.filter(({ parent }) => parent === above).map(({ name }) => name));
  if (order.length < tree.length) throw new ArgumentError("HRNN: expected a tree, got a cycle");
  return order;
}

/**
 * Pearson's correlation of two series over their common time; uses the last values of the longer one.
 * @throws ArgumentError for less than two values
 */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  checkArrayLike("correlation", "a", a);
  checkArrayLike("correlation", "b", b);
  const n = Math.min(a.length, b.length);
  if (n < 2) throw new ArgumentError(`correlation: expected at least two values of each series, got ${a.length} and ${b.length}`);
  const centred = (values: ArrayLike<number>) => {
    const last = Array.from(values).slice(-n);
    const mean = last.reduce((s, v) => s + v, 0) / n;
    return last.map((v) => v - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  const dot = (u: readonly number[], v: readonly number[]) => u.reduce((s, value, i) => s + value * (v[i] as number), 0);
  const size = Math.sqrt(dot(x, x) * dot(y, y));
  return size === 0 ? 0 : dot(x, y) / size;
}
