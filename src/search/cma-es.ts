/** Covariance matrix adaptation: an evolution strategy whose mutations follow the landscape, with a full or diagonal matrix, and restarts. */

import { checkFlag, checkNumber, checkOptions, checkWhole, withDefaults } from "../base/checks.ts";
import { symmetricEigen } from "../numerics/eigenvalues.ts";
import { exp, log } from "../numerics/scalar.ts";
import { power } from "../optim/optimizer.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { orderOf } from "./ranks.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";

export interface CMAESOptions extends VectorSearchOptions {
  /** Initial standard deviation, about a quarter of the range where the optimum is expected. */
  readonly sigma: number;
  /** λ, candidates per generation (default 4 + ⌊3 ln n⌋). */
  readonly population?: number;
  /** Whether the covariance matrix is diagonal, which takes O(n) instead of O(n²) per candidate; for n above a few hundred (default false). */
  readonly diagonal?: boolean;
  /** Number of restarts, each with twice the λ, after convergence (default 0). */
  readonly restarts?: number;
  /** Converged if recent costs lie within this (default 1e-11). */
  readonly tolFun?: number;
  /** Converged if steps are below this times the initial sigma (default 1e-11). */
  readonly tolX?: number;
}

/** The constants of the method for n numbers and λ candidates. */
export interface Strategy {
  /** Weights of the best μ candidates, which sum to 1. */
  readonly weights: Float64Array;
  readonly muEff: number;
  readonly cSigma: number;
  readonly dSigma: number;
  readonly cC: number;
  readonly c1: number;
  readonly cMu: number;
  /** The mean length of a vector of n normal numbers. */
  readonly chi: number;
}

/** Largest condition number of the covariance matrix. */
const WORST_CONDITION = 1e14;
/** Number of generations whose costs are kept. */
const MOST_HISTORY = 20_000;

/** The tutorial's default constants, eqs. 49 to 58, without negative weights; a diagonal matrix learns (n + 2)/3 times as fast. */
export function strategyOf(n: number, lambda: number, diagonal = false): Strategy {
  const mu = Math.floor(lambda / 2);
  const raw = Float64Array.from({ length: mu }, (_, i) => log((lambda + 1) / 2) - log(i + 1));
  const sum = raw.reduce((a, b) => a + b, 0);
  const weights = raw.map((w) => w / sum);
  const muEff = 1 / weights.reduce((s, w) => s + w * w, 0);
  const cSigma = (muEff + 2) / (n + muEff + 5);
  const dSigma = 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (n + 1)) - 1) + cSigma;
  const cC = (4 + muEff / n) / (n + 4 + (2 * muEff) / n);
  const faster = diagonal ? (n + 2) / 3 : 1;
  const c1 = Math.min(1, (faster * 2) / ((n + 1.3) * (n + 1.3) + muEff));
  const cMu = Math.min(1 - c1, (faster * 2 * (muEff - 2 + 1 / muEff)) / ((n + 2) * (n + 2) + muEff));
  const chi = Math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  return { weights, muEff, cSigma, dSigma, cC, c1, cMu, chi };
}

/** A covariance matrix as the method uses it: products with its root and the root's inverse, and updates. */
interface Covariance {
  /** C^½ z */
  spread(z: Float64Array): Float64Array;
  /** C^−½ y */
  whiten(y: Float64Array): Float64Array;
  /** C ← keep·C + Σ w_k y_k y_kᵀ */
  learn(keep: number, terms: readonly (readonly [weight: number, y: Float64Array])[]): void;
  /** Variances of the coordinates. */
  readonly variances: Float64Array;
  /** Greatest over least eigenvalue. */
  readonly condition: number;
  /** Its elements, and those of the root, which may be older. */
  save(): Float64Array[];
}

/** A full matrix. The root is recomputed only every `gap` generations. */
class FullCovariance implements Covariance {
  readonly #n: number;
  readonly #gap: number;
  readonly #c: Float64Array;
  /** C^½ and C^−½ as of their last computation, in row-major order. */
  #root: Float64Array;
  #inverse: Float64Array;
  #condition: number;
  #age: number;

  constructor(n: number, { c1, cMu }: Strategy, saved?: readonly Float64Array[]) {
    this.#n = n;
    this.#gap = Math.max(1, Math.floor(1 / ((c1 + cMu) * n * 10)));
    const identity = Float64Array.from({ length: n * n }, (_, k) => (Math.floor(k / n) === k % n ? 1 : 0));
    const [c, root, inverse, rest] = saved ?? [identity, identity.slice(), identity.slice(), Float64Array.of(1, 0)];
    this.#c = (c as Float64Array).slice();
    this.#root = root as Float64Array;
    this.#inverse = inverse as Float64Array;
    [this.#condition, this.#age] = rest as unknown as [number, number];
  }

  spread(z: Float64Array): Float64Array {
    return times(this.#root, z);
  }

  whiten(y: Float64Array): Float64Array {
    return times(this.#inverse, y);
  }

  learn(keep: number, terms: readonly (readonly [number, Float64Array])[]): void {
    const [n, c] = [this.#n, this.#c];
    for (let i = 0; i < n; i++) {
      // Use the same sum on both sides of the diagonal, so that C is symmetric to the bit.
      for (let j = 0; j <= i; j++) {
        let sum = keep * (c[i * n + j] as number);
        for (const [w, y] of terms) sum += w * ((y[i] as number) * (y[j] as number));
        c[i * n + j] = sum;
        c[j * n + i] = sum;
      }
    }
    if (++this.#age >= this.#gap) this.#decompose();
  }

  get variances(): Float64Array {
    return Float64Array.from({ length: this.#n }, (_, i) => this.#c[i * this.#n + i] as number);
  }

  get condition(): number {
    return this.#condition;
  }

  save(): Float64Array[] {
    return [this.#c, this.#root, this.#inverse, Float64Array.of(this.#condition, this.#age)];
  }

  #decompose(): void {
    this.#age = 0;
    const n = this.#n;
    if (!this.#c.every(Number.isFinite)) {
      this.#condition = Number.MAX_VALUE;
      return;
    }
    const { values, vectors } = symmetricEigen(Array.from({ length: n }, (_, i) => [...this.#c.subarray(i * n, (i + 1) * n)]));
    const [greatest, least] = [values[0] as number, values[n - 1] as number];
    this.#condition = least > 0 ? Math.min(Number.MAX_VALUE, greatest / least) : Number.MAX_VALUE;
    // Beyond this condition number the search stops, with the root that it has.
    if (!(this.#condition <= WORST_CONDITION)) return;
    this.#root = symmetricFrom(values.map(Math.sqrt), vectors);
    this.#inverse = symmetricFrom(
      values.map((v) => 1 / Math.sqrt(v)),
      vectors,
    );
  }
}

/** Σ_k λ_k v_k v_kᵀ, in row-major order. */
function symmetricFrom(values: readonly number[], vectors: readonly (readonly number[])[]): Float64Array {
  const n = values.length;
  const out = new Float64Array(n * n);
  for (const [k, v] of vectors.entries()) {
    for (let i = 0; i < n; i++) {
      const scaled = (values[k] as number) * (v[i] as number);
      for (let j = 0; j < n; j++) out[i * n + j] = (out[i * n + j] as number) + scaled * (v[j] as number);
    }
  }
  return out;
}

function times(matrix: Float64Array, v: Float64Array): Float64Array {
  const n = v.length;
  return v.map((_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += (matrix[i * n + j] as number) * (v[j] as number);
    return sum;
  });
}

/** A diagonal matrix. */
class DiagonalCovariance implements Covariance {
  readonly variances: Float64Array;

  constructor(n: number, saved?: readonly Float64Array[]) {
    this.variances = saved?.[0]?.slice() ?? new Float64Array(n).fill(1);
  }

  spread(z: Float64Array): Float64Array {
    return z.map((value, i) => value * Math.sqrt(this.variances[i] as number));
  }

  whiten(y: Float64Array): Float64Array {
    return y.map((value, i) => value / Math.sqrt(this.variances[i] as number));
  }

  learn(keep: number, terms: readonly (readonly [number, Float64Array])[]): void {
    this.variances.forEach((variance, i) => {
      let sum = keep * variance;
      for (const [w, y] of terms) sum += w * ((y[i] as number) * (y[i] as number));
      this.variances[i] = sum;
    });
  }

  get condition(): number {
    const condition = this.variances.reduce((a, b) => Math.max(a, b)) / this.variances.reduce((a, b) => Math.min(a, b));
    return Number.isNaN(condition) ? Number.MAX_VALUE : condition;
  }

  save(): Float64Array[] {
    return [this.variances];
  }
}

const lengthOf = (v: Float64Array): number => Math.sqrt(v.reduce((sum, value) => sum + value * value, 0));

/** The median; the greater of two middle values. */
function middle(values: readonly number[]): number {
  return [...orderOf(values)].map((i) => values[i] as number)[values.length >> 1] as number;
}

/**
 * CMA-ES: λ candidates x = m + σ C^½ z around the mean m. The best μ move the mean, their steps y = (x − m)/σ shape C, and the path of the mean tells
 * whether σ is too small or too large.
 *
 *     m ← m + σ ȳ, ȳ = Σ w_i y_i:λ
 *     p_σ ← (1 − c_σ) p_σ + √(c_σ (2 − c_σ) μ_eff) C^−½ ȳ      σ ← σ exp((c_σ/d_σ)(|p_σ|/χ − 1))
 *     p_c ← (1 − c_c) p_c + h √(c_c (2 − c_c) μ_eff) ȳ
 *     C ← (1 − c₁ − c_μ) C + c₁ (p_c p_cᵀ + (1 − h) c_c (2 − c_c) C) + c_μ Σ w_i y_i:λ y_i:λᵀ
 *
 * Only the order of costs matters. It has converged when recent costs lie within `tolFun` (reason "tolFun"), steps are below
 * `tolX` ("tolX"), the condition number of C exceeds 1e14 ("condition"), or medians have not fallen for long ("stagnation"). Then it stops, or
 * restarts from `start` with twice the λ. O(n²) per candidate, and O(n³) now and then; with `diagonal` O(n). On the ellipsoid of condition 1e6 in ten
 * dimensions the median of five runs is within a quarter of the evaluations that Hansen's program purecma prints, 6,510 for a cost of 3e-13.
 * @throws ArgumentError for options out of their range
 * @see Hansen, "The CMA evolution strategy: a tutorial", arXiv 1604.00772, 2016; diagonal: Ros and Hansen, "A simple modification in CMA-ES achieving
 *   linear time and space complexity", 2008; restarts: Auger and Hansen, "A restart CMA evolution strategy with increasing population size", 2005
 * Deviates: candidates come from the symmetric root of C, so they do not depend on an eigenvector's sign; no negative weights; restarts begin at `start`.
 * @example new CMAES({ start: flatten(model), sigma: 0.5, maxEvaluations: 20_000 })
 */
export class CMAES extends VectorSearch {
  readonly #options: Required<Omit<CMAESOptions, keyof VectorSearchOptions>>;
  #lambda: number;
  #strategy: Strategy;
  #covariance: Covariance;
  #mean: Float64Array;
  #sigma: number;
  #pathSigma: Float64Array;
  #pathC: Float64Array;
  /** Number of generations since the last start. */
  #generation = 0;
  #restarted = 0;
  /** Best and median costs of the generations since the last start, newest last. */
  #bests: number[] = [];
  #medians: number[] = [];
  /** Least and greatest cost of the last generation. */
  #extremes: readonly [number, number] = [0, Number.POSITIVE_INFINITY];

  constructor(options: CMAESOptions) {
    checkOptions("CMAES", options, ["sigma", "population", "diagonal", "restarts", "tolFun", "tolX", ...VECTOR_SEARCH]);
    const n = options.start?.length ?? 1;
    const defaults = { population: 4 + Math.floor(3 * log(Math.max(1, n))), diagonal: false, restarts: 0, tolFun: 1e-11, tolX: 1e-11 };
    const { sigma, population, diagonal, restarts, tolFun, tolX } = withDefaults(defaults, options);
    const own = { sigma, population, diagonal, restarts, tolFun, tolX };
    checkNumber("CMAES", "sigma", sigma, { above: 0 });
    checkWhole("CMAES", "population", population, { least: 2 });
    checkFlag("CMAES", "diagonal", diagonal);
    checkWhole("CMAES", "restarts", restarts);
    checkNumber("CMAES", "tolFun", tolFun, { least: 0 });
    checkNumber("CMAES", "tolX", tolX, { least: 0 });
    super("CMAES", options, own);
    this.#options = own;
    this.#lambda = population;
    this.#strategy = strategyOf(n, population, diagonal);
    this.#covariance = this.#covarianceOf();
    this.#mean = this.start;
    this.#sigma = sigma;
    this.#pathSigma = new Float64Array(n);
    this.#pathC = new Float64Array(n);
  }

  /** The mean of the distribution from which candidates are drawn. */
  get mean(): Float64Array {
    return this.#mean.slice();
  }

  get sigma(): number {
    return this.#sigma;
  }

  /** The present λ. */
  get population(): number {
    return this.#lambda;
  }

  /** Number of restarts so far. */
  get restarts(): number {
    return this.#restarted;
  }

  /** Draws the normal numbers of a candidate. */
  protected normals(): Float64Array {
    return this.draws.normals(this.size);
  }

  protected override propose(): Float64Array[] {
    if (this.#generation > 0 && this.#restarted < this.#options.restarts && this.#converged() !== null) this.#restart();
    return Array.from({ length: this.#lambda }, () => this.#candidate());
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    return [[slot, this.#candidate()]];
  }

  protected override digest(candidates: readonly Float64Array[], costs: Float64Array): void {
    const { weights, muEff, cSigma, dSigma, cC, c1, cMu, chi } = this.#strategy;
    const order = orderOf(costs);
    const steps = Array.from(weights, (_, i) => {
      const x = candidates[order[i] as number] as Float64Array;
      return x.map((value, d) => (value - (this.#mean[d] as number)) / this.#sigma);
    });
    const step = this.#mean.map((_, d) => steps.reduce((sum, y, i) => sum + (weights[i] as number) * (y[d] as number), 0));
    const white = this.#covariance.whiten(step);
    this.#generation++;
    this.#mean = this.#mean.map((m, d) => m + this.#sigma * (step[d] as number));
    const alongSigma = Math.sqrt(cSigma * (2 - cSigma) * muEff);
    this.#pathSigma = this.#pathSigma.map((p, d) => (1 - cSigma) * p + alongSigma * (white[d] as number));
    const length = lengthOf(this.#pathSigma);
    const usual = Math.sqrt(1 - power(1 - cSigma, 2 * this.#generation));
    const h = length / usual < (1.4 + 2 / (this.size + 1)) * chi ? 1 : 0;
    const alongC = h * Math.sqrt(cC * (2 - cC) * muEff);
    this.#pathC = this.#pathC.map((p, d) => (1 - cC) * p + alongC * (step[d] as number));
    const keep = 1 - c1 - cMu + c1 * (1 - h) * cC * (2 - cC);
    this.#covariance.learn(keep, [[c1, this.#pathC], ...steps.map((y, i) => [cMu * (weights[i] as number), y] as const)]);
    this.#sigma *= exp((cSigma / dSigma) * (length / chi - 1));
    this.#remember(order.map((i) => costs[i] as number));
  }

  protected override reason(): StopReason | null {
    if (this.#generation === 0 || this.#restarted < this.#options.restarts) return null;
    return this.#converged();
  }

  #candidate(): Float64Array {
    const y = this.#covariance.spread(this.normals());
    return this.#mean.map((m, d) => m + this.#sigma * (y[d] as number));
  }

  #covarianceOf(saved?: readonly Float64Array[]): Covariance {
    if (this.#options.diagonal) return new DiagonalCovariance(this.size, saved);
    return new FullCovariance(this.size, this.#strategy, saved);
  }

  #restart(): void {
    this.#restarted++;
    this.#lambda *= 2;
    this.#strategy = strategyOf(this.size, this.#lambda, this.#options.diagonal);
    this.#covariance = this.#covarianceOf();
    this.#mean = this.start;
    this.#sigma = this.#options.sigma;
    this.#pathSigma = new Float64Array(this.size);
    this.#pathC = new Float64Array(this.size);
    this.#generation = 0;
    this.#bests = [];
    this.#medians = [];
  }

  /** Records a generation's costs, in order. */
  #remember(costs: readonly number[]): void {
    this.#bests.push(costs[0] as number);
    this.#medians.push(costs[costs.length >> 1] as number);
    this.#extremes = [costs[0] as number, costs[costs.length - 1] as number];
    const most = Math.min(MOST_HISTORY, this.#patience + Math.floor(this.#generation / 5));
    if (this.#bests.length > most) {
      this.#bests.shift();
      this.#medians.shift();
    }
  }

  /** Number of generations before a run may count as stagnant. */
  get #patience(): number {
    return Math.ceil(120 + (30 * this.size) / this.#lambda);
  }

  #converged(): StopReason | null {
    const { tolFun, tolX, sigma } = this.#options;
    const recent = 10 + Math.ceil((30 * this.size) / this.#lambda);
    if (this.#bests.length >= recent) {
      const all = [...this.#bests.slice(-recent), ...this.#extremes];
      const range = Math.max(...all) - Math.min(...all);
      if (range < tolFun || (range === 0 && tolFun === 0)) return { reason: "tolFun", value: range };
    }
    const { variances, condition } = this.#covariance;
    const widest = variances.reduce((most, v, d) => Math.max(most, Math.sqrt(v), Math.abs(this.#pathC[d] as number)), 0) * this.#sigma;
    if (widest < tolX * sigma) return { reason: "tolX", value: widest };
    if (!(condition <= WORST_CONDITION)) return { reason: "condition", value: condition };
    return this.#stagnant() ? { reason: "stagnation", value: this.#generation } : null;
  }

  /** Whether the last third is better than the first neither in best nor in median costs. */
  #stagnant(): boolean {
    if (this.#bests.length < this.#patience) return false;
    const part = Math.floor(0.3 * this.#bests.length);
    return [this.#bests, this.#medians].every((costs) => middle(costs.slice(-part)) >= middle(costs.slice(0, part)));
  }

  protected override fields(): Fields {
    return {
      mean: this.#mean,
      sigma: this.#sigma,
      pathSigma: this.#pathSigma,
      pathC: this.#pathC,
      covariance: this.#covariance.save(),
      generation: this.#generation,
      restarted: this.#restarted,
      bests: Float64Array.from(this.#bests),
      medians: Float64Array.from(this.#medians),
      extremes: Float64Array.from(this.#extremes),
    };
  }

  protected override adopt(fields: FieldReader): () => void {
    const n = this.size;
    const { diagonal, restarts, population } = this.#options;
    const mean = fields.vector("mean", n);
    const sigma = fields.number("sigma", { least: 0 });
    const [pathSigma, pathC] = [fields.vector("pathSigma", n), fields.vector("pathC", n)];
    const covariance = fields.list("covariance", { count: diagonal ? 1 : 4 });
    covariance.forEach((part, i) => {
      const expected = diagonal ? n : i < 3 ? n * n : 2;
      if (part.length !== expected) fields.refuse("covariance", `${expected} numbers`, part.length);
    });
    const [c] = covariance as [Float64Array];
    if (!diagonal && !c.every((value, k) => value === c[(k % n) * n + Math.floor(k / n)]))
      fields.refuse("covariance", "a symmetric matrix", c);
    const generation = fields.number("generation", { least: 0, whole: true });
    const restarted = fields.number("restarted", { least: 0, most: restarts, whole: true });
    const bests = fields.vector("bests", undefined, { infinite: true });
    const medians = fields.vector("medians", bests.length, { infinite: true });
    const extremes = fields.vector("extremes", 2, { infinite: true });
    return () => {
      this.#restarted = restarted;
      this.#lambda = population * power(2, restarted);
      this.#strategy = strategyOf(n, this.#lambda, diagonal);
      this.#covariance = this.#covarianceOf(covariance);
      this.#mean = mean;
      this.#sigma = sigma;
      this.#pathSigma = pathSigma;
      this.#pathC = pathC;
      this.#generation = generation;
      this.#bests = [...bests];
      this.#medians = [...medians];
      this.#extremes = [extremes[0] as number, extremes[1] as number];
    };
  }
}
