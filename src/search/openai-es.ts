/** An evolution strategy that estimates a gradient from random directions, for thousands of parameters. */

import { checkNumber, checkOneOf, checkOptions, checkWhole, withDefaults } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { Adam } from "../optim/adam.ts";
import { assign, keep, requireGrad, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { FieldReader, Fields } from "./fields.ts";
import { centredRanks } from "./ranks.ts";
import { type StopReason, VECTOR_SEARCH, VectorSearch, type VectorSearchOptions } from "./search.ts";

export interface OpenAIESOptions extends VectorSearchOptions {
  /** Standard deviation of the candidates around the parameters (default 0.1). */
  readonly sigma?: number;
  /** Candidates per generation, an even number (default 50): pairs θ ± σε. */
  readonly population?: number;
  /** Learning rate of Adam (default 0.02). */
  readonly lr?: number;
  /** L2 penalty of Adam (default 0.005). */
  readonly weightDecay?: number;
  /** Whether to use ranks of the costs, from −½ to ½, or the costs themselves (default "ranks"). */
  readonly shaping?: "ranks" | "costs";
}

/**
 * (1/(nσ)) Σ u_i ε_i. For costs u at θ + σε_i this estimates the gradient of the cost smoothed by a normal distribution of width σ.
 * @param weights u, one per candidate
 * @param directions ε, as many
 */
export function directionalGradient(weights: ArrayLike<number>, directions: readonly Float64Array[], sigma: number): Float64Array {
  const sum = new Float64Array(directions[0]?.length ?? 0);
  directions.forEach((direction, i) => {
    const u = weights[i] as number;
    for (let d = 0; d < sum.length; d++) sum[d] = (sum[d] as number) + u * (direction[d] as number);
  });
  return sum.map((value) => value / (directions.length * sigma));
}

/**
 * Evolution strategies with antithetic pairs θ + σε, θ − σε, centred ranks of the costs, and Adam:
 *
 *     g = (1/(nσ)) Σ u_i ε_i      θ ← Adam(θ, g)
 *
 * `result` has the best candidate, `mean` θ itself. O(n · parameters) per generation. If a cost is NaN, its pair is drawn again.
 * @throws ArgumentError for options out of their range; from `tell`, for infinite costs with `shaping: "costs"`
 * @see Salimans, Ho, Chen, Sidor and Sutskever, "Evolution strategies as a scalable alternative to reinforcement learning", arXiv 1703.03864, 2017
 * @example new OpenAIES({ start: flatten(model), sigma: 0.05, population: 200, lr: 0.01 })
 */
export class OpenAIES extends VectorSearch {
  readonly #sigma: number;
  readonly #count: number;
  readonly #shaping: "ranks" | "costs";
  readonly #theta: Tensor;
  readonly #adam: Adam;
  /** ε of each pair asked for. */
  #directions: Float64Array[] = [];
  #gradient: Float64Array;

  constructor(options: OpenAIESOptions) {
    checkOptions("OpenAIES", options, ["sigma", "population", "lr", "weightDecay", "shaping", ...VECTOR_SEARCH]);
    const defaults = { sigma: 0.1, population: 50, lr: 0.02, weightDecay: 0.005, shaping: "ranks" as "ranks" | "costs" };
    const { sigma, population, lr, weightDecay, shaping } = withDefaults(defaults, options);
    checkNumber("OpenAIES", "sigma", sigma, { above: 0 });
    checkWhole("OpenAIES", "population", population, { least: 2 });
    if (population % 2 !== 0) throw new ArgumentError(`OpenAIES: expected an even population, for pairs, got ${population}`);
    checkOneOf("OpenAIES", "shaping", shaping, ["ranks", "costs"]);
    for (const [name, value] of Object.entries({ lr, weightDecay })) checkNumber("OpenAIES", name, value, { least: 0 });
    super("OpenAIES", options, { sigma, population, lr, weightDecay, shaping });
    this.#sigma = sigma;
    this.#count = population;
    this.#shaping = shaping;
    this.#theta = keep(requireGrad(tensor(this.start, { dtype: "float64" })));
    this.#adam = new Adam([this.#theta], { lr, weightDecay });
    this.#gradient = new Float64Array(this.size);
  }

  /** θ, the centre of the candidates. */
  get mean(): Float64Array {
    return Float64Array.from(this.#theta.data());
  }

  /** The last generation's estimate g; initially zeros. */
  get gradient(): Float64Array {
    return this.#gradient.slice();
  }

  protected override checkCost(cost: number): void {
    if (this.#shaping === "costs" && !Number.isFinite(cost)) throw new ArgumentError(`tell: expected finite costs, got ${cost}`);
  }

  protected override propose(): Float64Array[] {
    this.#directions = [];
    return Array.from({ length: this.#count / 2 }, (_, pair) => this.#pair(pair)).flat();
  }

  protected override redraw(slot: number): [number, Float64Array][] {
    const pair = slot >> 1;
    const [plus, minus] = this.#pair(pair);
    return [
      [2 * pair, plus],
      [2 * pair + 1, minus],
    ];
  }

  protected override digest(_: readonly Float64Array[], costs: Float64Array): void {
    const weights = this.#shaping === "ranks" ? centredRanks(costs) : costs;
    this.#gradient = directionalGradient(
      weights,
      this.#directions.flatMap((e) => [e, e.map((value) => -value)]),
      this.#sigma,
    );
    scope(() => {
      this.#theta.grad = tensor(this.#gradient, { dtype: "float64" });
      this.#adam.step();
      this.#adam.zeroGrad();
    });
  }

  protected override reason(): StopReason | null {
    return null;
  }

  #pair(pair: number): [Float64Array, Float64Array] {
    const direction = this.draws.normals(this.size);
    this.#directions[pair] = direction;
    const theta = this.#theta.data();
    const at = (sign: number) => direction.map((e, d) => Number(theta[d]) + sign * this.#sigma * e);
    return [at(1), at(-1)];
  }

  protected override fields(): Fields {
    const { numbers, tensors } = this.#adam.stateDict();
    const moments = Object.values(tensors).map((t) => Float64Array.from(t.data()));
    return { theta: this.mean, directions: this.#directions, gradient: this.#gradient, moments, steps: numbers["0.step"] ?? 0 };
  }

  protected override adopt(fields: FieldReader): () => void {
    const theta = fields.vector("theta", this.size);
    const directions = fields.list("directions", { length: this.size });
    if (![0, this.#count / 2].includes(directions.length)) fields.refuse("directions", "those of all pairs or of none", directions.length);
    const gradient = fields.vector("gradient", this.size);
    const steps = fields.number("steps", { least: 0, whole: true });
    const moments = fields.list("moments", { count: steps === 0 ? 0 : 2, length: this.size });
    if (moments[1]?.some((square) => square < 0)) fields.refuse("moments", "squares of at least 0", moments[1]);
    return () => {
      const { kind, groups } = this.#adam.stateDict();
      scope(() => {
        const named = ["0.expAvg", "0.expAvgSq"].slice(0, moments.length);
        const tensors = Object.fromEntries(named.map((name, i) => [name, tensor(moments[i] as Float64Array, { dtype: "float64" })]));
        this.#adam.loadStateDict({ kind, groups, numbers: steps === 0 ? {} : { "0.step": steps }, tensors });
      });
      assign(this.#theta, theta);
      this.#directions = directions;
      this.#gradient = gradient;
    };
  }
}
