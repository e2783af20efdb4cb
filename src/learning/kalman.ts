/** Training by extended Kalman filters: the weights are the state of a system observed through the network's outputs. */

import { gradients } from "../autodiff/sweep.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkFlag, checkMap, checkNumber, checkOneOf, checkOptions, optionsOf, withDefaults } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkInPlace } from "../nn/exchanged.ts";
import { checkModule, type Module, Parameter } from "../nn/module.ts";
import { solve } from "../numerics/matrix.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { indexSelect } from "../ops/gather.ts";
import { matmul } from "../ops/linear.ts";
import { transpose } from "../ops/shape.ts";
import { eye } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { assign, checkTensor, keep, scope, Tensor, tensor } from "../tensor/tensor.ts";

export interface KalmanFilterOptions {
  /**
   * Which weights share a covariance: all ("global", the default), those of a tensor, or those that lead to a node, that is a row of the weights
   * of one module ("node").
   */
  readonly groups?: "global" | "tensor" | "node";
  /** η: the observations' variance is R = I/η (default 1); more learns faster. */
  readonly lr?: number;
  /** ε: covariances start as I/ε (default 0.01). */
  readonly epsilon?: number;
  /** q: the process noise of the weights is Q = q·I (default 1e-4); it keeps the filter adapting. */
  readonly processNoise?: number;
  /** Whether to update covariances by Joseph's form, which keeps them positive definite in spite of rounding (default false). */
  readonly joseph?: boolean;
}

export interface KalmanUpdateOptions {
  /** Variances of the observations: the diagonal of R, of the outputs' shape, all positive; default 1/lr each. For probabilities use y(1 − y). */
  readonly variances?: Tensor;
}

interface Group {
  /** Positions of its weights in the vector of all weights [p], int32. */
  readonly places: Tensor;
  /** P [p,p], float64. */
  covariance: Tensor;
}

/**
 * Extended Kalman filter training, global or decoupled:
 *
 *   A = (R + Σ_g H_gᵀ P_g H_g)⁻¹        K_g = P_g H_g A        H_g = ∂y/∂w_g [p_g,o]
 *   w_g += K_g (d − y)        P_g' = P_g − K_g H_gᵀ P_g + Q
 *
 * with R = I/η, Q = q·I and initially P_g = I/ε. One group of all weights is the global filter; groups by node ignore covariances of weights of different
 * nodes. To train on several streams, put their outputs in one tensor: a single update suits them all
 * better than one after the other. Derivatives come from the tape behind the outputs: full, truncated, or of any algorithm under
 * `usingGradients`. You may change `lr` and `processNoise` between updates; usually η rises and q falls.
 *
 * One sweep per output, then O(o·Σp_g²) operations per update; O(Σp_g²) memory, in float64 for weights of any dtype.
 * @param model the model whose trained parameters to filter
 * @throws ArgumentError for options out of their range and a model without trained parameters
 * @see Singhal and Wu, "Training multilayer perceptrons with the extended Kalman algorithm", 1989; Puskorius and Feldkamp, "Neurocontrol of
 * nonlinear dynamical systems with Kalman filter trained recurrent networks", IEEE Transactions on Neural Networks 5, 1994, eq. 9-12;
 * Feldkamp and Puskorius, "Training controllers for robustness: multi-stream DEKF", 1994. The equations are those of a program of Haykin's course on the global filter (Xue and Yang, 2006), whose values these are, too:
 * ε = 0.01, q falling from 1e-2 to 1e-6; its rate beside the gain, and its threshold of the error, are left out. Groups: from memory
 * Deviates: covariances are made symmetric after each update.
 * @example
 * const filter = new KalmanFilter(model, { groups: "node", lr: 10 });
 * const [ys] = model.scan(xs, state);
 * filter.update(ys, targets);
 */
export class KalmanFilter {
  readonly parameters: readonly Parameter[];
  lr: number;
  processNoise: number;
  readonly joseph: boolean;
  readonly #groups: readonly Group[];

  constructor(model: Module, options: KalmanFilterOptions = {}) {
    checkModule("KalmanFilter", model);
    checkOptions("KalmanFilter", options, ["groups", "lr", "epsilon", "processNoise", "joseph"]);
    const given = withDefaults({ groups: "global" as const, lr: 1, epsilon: 0.01, processNoise: 1e-4, joseph: false }, options);
    checkOneOf("KalmanFilter", "groups", given.groups, ["global", "tensor", "node"]);
    checkNumber("KalmanFilter", "epsilon", given.epsilon, { above: 0 });
    checkFlag("KalmanFilter", "joseph", given.joseph);
    checkRates(given.lr, given.processNoise);
    const named = [...model.stateDict()].filter((entry): entry is [string, Parameter] => isTrained(entry[1]));
    const unique = named.filter(([, p], i) => named.findIndex(([, other]) => other === p) === i);
    if (unique.length === 0) throw new ArgumentError("KalmanFilter: expected a model with trained parameters, got none");
    this.parameters = unique.map(([, p]) => p);
    this.lr = given.lr;
    this.processNoise = given.processNoise;
    this.joseph = given.joseph;
    this.#groups = groupsOf(unique, given.groups).map((places) => ({
      places: keep(tensor(places, { dtype: "int32" })),
      covariance: keep(mul(eye(places.length, places.length, "float64"), 1 / given.epsilon)),
    }));
  }

  /** P_g of each group [p,p], float64: the filter's own, valid until the next update. */
  get covariances(): readonly Tensor[] {
    return this.#groups.map((g) => g.covariance);
  }

  /**
   * One update of weights and covariances.
   * @param outputs y, of any shape, on the tape @param targets d, of the same shape
   * @returns the mean of (d − y)² before the update
   * @throws ShapeError for shapes that differ; ArgumentError for variances that are not above 0; StateError for numbers that are not finite,
   *   outputs without a tape, and averages in the parameters' place. All leave everything unchanged
   */
  update(outputs: Tensor, targets: Tensor, options: KalmanUpdateOptions = {}): number {
    const { variances } = optionsOf("KalmanFilter", options, ["variances"]);
    checkRates(this.lr, this.processNoise);
    checkInPlace("KalmanFilter", this.parameters);
    checkTensor("KalmanFilter", outputs);
    for (const [name, t] of Object.entries({ targets, ...(variances !== undefined && { variances }) })) {
      checkTensor("KalmanFilter", t);
      if (!sameShape(t.shape, outputs.shape)) {
        throw new ShapeError(`KalmanFilter: expected ${name} of the outputs' shape ${show(outputs.shape)}, got ${show(t.shape)}`);
      }
    }
    for (const variance of variances?.data() ?? []) checkNumber("KalmanFilter", "variances", variance, { above: 0 });
    if (outputs.node === null)
      throw new StateError("KalmanFilter: expected outputs that depend on the parameters, got ones without a tape");
    return scope(() => noGrad(() => this.#update(outputs, targets, variances)));
  }

  #update(outputs: Tensor, targets: Tensor, variances: Tensor | undefined): number {
    const [y, d] = [outputs.data(), targets.data()];
    const error = Float64Array.from(y, (value, i) => (d[i] as number) - value);
    const R = variances === undefined ? error.map(() => 1 / this.lr) : Float64Array.from(variances.data());
    checkFinite("outputs and targets", error);
    const H = this.#derivatives(outputs);
    checkFinite("derivatives", H.data());
    const parts = this.#groups.map((group) => {
      const own = indexSelect(H, 1, group.places); // Hᵀ [o,p]
      return { group, own, PH: matmul(group.covariance, transpose(own)) };
    });
    const A = inverse(parts.reduce((total, { own, PH }) => add(total, matmul(own, PH)), diagonalOf(R)));
    const xi = tensor(error, { shape: [error.length, 1], dtype: "float64" });
    const weights = this.parameters.flatMap((p) => Array.from(p.data()));
    const found = parts.map(({ group, own, PH }) => {
      const K = matmul(PH, A);
      const step = matmul(K, xi).data();
      group.places.data().forEach((place, i) => {
        weights[place] = (weights[place] as number) + (step[i] as number);
      });
      return { group, covariance: this.#covariance(group.covariance, own, PH, K, R) };
    });
    checkFinite("new weights", weights);
    for (const { covariance } of found) checkFinite("covariances", covariance.data());
    let end = 0;
    for (const p of this.parameters) {
      end += p.size;
      assign(p, weights.slice(end - p.size, end));
    }
    for (const { group, covariance } of found) {
      group.covariance.dispose();
      group.covariance = keep(covariance);
    }
    return error.reduce((total, e) => total + e * e, 0) / error.length;
  }

  /** Hᵀ = ∂y/∂w [o,p], float64, with one sweep per output. */
  #derivatives(outputs: Tensor): Tensor {
    const size = this.parameters.reduce((n, p) => n + p.size, 0);
    const rows = new Float64Array(outputs.size * size);
    for (let k = 0; k < outputs.size; k++) {
      scope(() => {
        const seed = new Float64Array(outputs.size);
        seed[k] = 1;
        const found = gradients([outputs], this.parameters, [tensor(seed, { shape: outputs.shape, dtype: outputs.dtype })]);
        let at = k * size;
        this.parameters.forEach((p, i) => {
          const g = found[i];
          if (g) rows.set(g.data(), at);
          at += p.size;
        });
      });
    }
    return tensor(rows, { shape: [outputs.size, size], dtype: "float64" });
  }

  #covariance(P: Tensor, own: Tensor, PH: Tensor, K: Tensor, R: Float64Array): Tensor {
    const shrunk = sub(P, matmul(K, transpose(PH)));
    const next = this.joseph
      ? add(sub(shrunk, matmul(matmul(shrunk, transpose(own)), transpose(K))), matmul(matmul(K, diagonalOf(R)), transpose(K)))
      : shrunk;
    const symmetric = mul(add(next, transpose(next)), 0.5);
    return this.processNoise === 0 ? symmetric : add(symmetric, mul(eye(P.dim(0), P.dim(0), "float64"), this.processNoise));
  }

  /** Copies of the covariances by name, to store beside the model's tensors. */
  stateDict(): Map<string, Tensor> {
    return new Map(this.#groups.map((g, i) => [`covariance.${i}`, copyOf(g.covariance)]));
  }

  /**
   * Continues from stored covariances.
   * @throws FormatError for other groups, and for anything but a covariance: numbers that are not finite, a matrix that is not symmetric, a diagonal
   *   below 0. Leaves everything unchanged
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>): void {
    checkMap("KalmanFilter", "the state", state);
    const found = this.#groups.map(({ covariance }, i) => {
      const given = state.get(`covariance.${i}`);
      const what = covarianceFault(given, covariance);
      if (what === null) return (given as Tensor).data();
      throw new FormatError(`KalmanFilter: expected a finite, symmetric covariance.${i} ${show(covariance.shape)}, got ${what}`);
    });
    if (state.size !== found.length) throw new FormatError(`KalmanFilter: expected ${found.length} covariances, got ${state.size}`);
    this.#groups.forEach(({ covariance }, i) => {
      assign(covariance, found[i] as Float64Array);
    });
  }
}

/** The reason why a stored tensor is no covariance [n,n]; null if it is one. */
function covarianceFault(given: unknown, { shape }: Tensor): string | null {
  if (!(given instanceof Tensor)) return quote(given);
  if (!sameShape(given.shape, shape)) return show(given.shape);
  const [n, P] = [shape[0] as number, given.data()];
  for (let i = 0; i < P.length; i++) {
    const [row, column, value] = [Math.floor(i / n), i % n, P[i] as number];
    if (!Number.isFinite(value)) return `${value} at [${row},${column}]`;
    if (row === column && value < 0) return `a variance of ${value} at [${row},${row}]`;
    const other = P[column * n + row] as number;
    if (value !== other) return `${value} at [${row},${column}] and ${other} at [${column},${row}]`;
  }
  return null;
}

function isTrained(t: Tensor): t is Parameter {
  return t instanceof Parameter && t.requiresGrad && isFloat(t.dtype);
}

function checkRates(lr: number, processNoise: number): void {
  checkNumber("KalmanFilter", "lr", lr, { above: 0 });
  checkNumber("KalmanFilter", "processNoise", processNoise, { least: 0 });
}

function checkFinite(what: string, values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new StateError(`KalmanFilter: expected finite ${what}, got ${values[i]}`);
  }
}

function diagonalOf(values: Float64Array): Tensor {
  return mul(eye(values.length, values.length, "float64"), tensor(values, { dtype: "float64" }));
}

/** Inverts the covariance of the outputs, which is small. */
function inverse(matrix: Tensor): Tensor {
  const n = matrix.dim(0);
  const flat = Array.from(matrix.data());
  const rows = Array.from({ length: n }, (_, i) => flat.slice(i * n, (i + 1) * n));
  const columns = rows.map((_, k) =>
    solve(
      rows,
      rows.map((_row, i) => (i === k ? 1 : 0)),
    ),
  );
  if (columns.includes(null)) throw new StateError("KalmanFilter: expected outputs whose covariance has an inverse, got a singular one");
  return transpose(tensor(columns.flat() as number[], { shape: [n, n], dtype: "float64" }));
}

/** Positions in the vector of all weights, by group. */
function groupsOf(named: readonly (readonly [string, Parameter])[], kind: "global" | "tensor" | "node"): number[][] {
  const groups = new Map<string, number[]>();
  let place = 0;
  for (const [name, p] of named) {
    const module = name.slice(0, Math.max(0, name.lastIndexOf(".")));
    const rows = p.rank === 0 ? 1 : p.dim(0);
    for (let e = 0; e < p.size; e++) {
      const node = `${module} ${rows} ${Math.floor((e * rows) / p.size)}`;
      const key = { global: "", tensor: name, node }[kind];
      const group = groups.get(key) ?? [];
      groups.set(key, group);
      group.push(place++);
    }
  }
  return [...groups.values()];
}
