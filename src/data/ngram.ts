/** Interpolated n-gram models, the baseline for sequence models. */

import { checkArrayLike, checkOptions } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";

export interface NgramOptions {
  /** Number of symbols including the predicted one: 1 for unigrams, 3 for trigrams. */
  readonly order: number;
  /** Number of different symbols. */
  readonly vocabSize: number;
}

/** Counts of each context of k symbols, alone and with its next symbol. */
interface Counts {
  readonly contexts: Map<number, number>;
  readonly grams: Map<number, number>;
}

/**
 * p(c | h) = λ₀/V + Σ_k λ_k · count(h_k c) / count(h_k), with h_k the last k − 1 symbols, k = 1 … order: maximum-likelihood
 * estimates of every order mixed with the uniform distribution. An order whose context was never seen
 * passes its weight to the others in proportion.
 *
 * The weights start equal; `tune` fits them to held-out symbols by expectation maximisation, which never lowers
 * their likelihood.
 *
 * @see F. Jelinek & R. L. Mercer (1980), Interpolated estimation of Markov source parameters from sparse data.
 * @example
 * const trigram = new NgramModel(train, { order: 3, vocabSize });
 * trigram.tune(valid);
 * trigram.bitsPerSymbol(test);
 */
export class NgramModel {
  readonly order: number;
  readonly vocabSize: number;
  /** λ₀ … λ_order; they sum to 1. */
  weights: readonly number[];
  readonly #counts: Counts[];

  constructor(ids: ArrayLike<number>, options: NgramOptions) {
    checkArrayLike("NgramModel", "ids", ids);
    checkOptions("NgramModel", options, ["order", "vocabSize"]);
    const { order, vocabSize } = options;
    if (!(Number.isInteger(order) && order >= 1 && vocabSize ** order <= Number.MAX_SAFE_INTEGER)) {
      throw new ArgumentError(`NgramModel: expected an order of at least 1 with vocabSize^order below 2^53, got ${order} for ${vocabSize}`);
    }
    this.order = order;
    this.vocabSize = vocabSize;
    this.weights = new Array<number>(order + 1).fill(1 / (order + 1));
    checkIds(ids, vocabSize);
    this.#counts = Array.from({ length: order }, (_, k) => count(ids, k, vocabSize));
  }

  /** The estimate of each order for the symbol at `at`; null where the context is missing or unseen. */
  #estimates(ids: ArrayLike<number>, at: number): (number | null)[] {
    const estimates: (number | null)[] = [1 / this.vocabSize];
    const symbol = ids[at] as number;
    let context = 0;
    for (let k = 0, place = 1; k < this.order; k++) {
      if (k > at) estimates.push(null);
      else {
        const { contexts, grams } = this.#counts[k] as Counts;
        const total = contexts.get(context);
        estimates.push(total === undefined ? null : (grams.get(context * this.vocabSize + symbol) ?? 0) / total);
        context += place * ((ids[at - k - 1] as number | undefined) ?? 0);
        place *= this.vocabSize;
      }
    }
    return estimates;
  }

  /** The probability of the symbol at position `at`, given those before it. */
  probability(ids: ArrayLike<number>, at: number): number {
    const { total, available } = weigh(this.weights, this.#estimates(ids, at));
    return total / available;
  }

  /** Mean of −log₂ p over the positions `from` … end. */
  bitsPerSymbol(ids: ArrayLike<number>, from = 0): number {
    checkIds(ids, this.vocabSize);
    if (!(ids.length > from)) throw new ArgumentError(`bitsPerSymbol: expected more than ${from} symbols, got ${ids.length}`);
    let bits = 0;
    for (let at = from; at < ids.length; at++) bits -= Math.log2(this.probability(ids, at));
    return bits / (ids.length - from);
  }

  /** Fits the weights to symbols that were not counted, until no weight moves by more than `tolerance`. */
  tune(heldOut: ArrayLike<number>, options: { readonly maxIterations?: number; readonly tolerance?: number } = {}): void {
    checkOptions("tune", options, ["maxIterations", "tolerance"]);
    const { maxIterations = 100, tolerance = 1e-5 } = options;
    checkIds(heldOut, this.vocabSize);
    if (heldOut.length === 0) throw new ArgumentError("tune: expected held-out symbols, got none");
    const estimates = Array.from({ length: heldOut.length }, (_, at) => this.#estimates(heldOut, at));
    for (let i = 0; i < maxIterations; i++) {
      const next = expectedShares(this.weights, estimates);
      const change = Math.max(...next.map((w, k) => Math.abs(w - (this.weights[k] as number))));
      this.weights = next;
      if (change <= tolerance) return;
    }
  }
}

function checkIds(ids: ArrayLike<number>, vocabSize: number): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (!(Number.isInteger(id) && id >= 0 && id < vocabSize)) {
      throw new ArgumentError(`NgramModel: expected ids in [0, ${vocabSize - 1}], got ${id} at ${i}`);
    }
  }
}

/** Contexts of k symbols as numbers in base V, with the nearest symbol as the lowest digit. */
function count(ids: ArrayLike<number>, k: number, vocabSize: number): Counts {
  const contexts = new Map<number, number>();
  const grams = new Map<number, number>();
  const span = vocabSize ** k;
  let context = 0;
  for (let at = 0; at < ids.length; at++) {
    const symbol = ids[at] as number;
    if (at >= k) {
      const gram = context * vocabSize + symbol;
      contexts.set(context, (contexts.get(context) ?? 0) + 1);
      grams.set(gram, (grams.get(gram) ?? 0) + 1);
    }
    context = (context * vocabSize + symbol) % span;
  }
  return { contexts, grams };
}

/** The weighted sum of existing estimates, and their total weight. */
function weigh(weights: readonly number[], estimates: readonly (number | null)[]): { total: number; available: number } {
  let total = 0;
  let available = 0;
  estimates.forEach((p, k) => {
    if (p === null) return;
    total += (weights[k] as number) * p;
    available += weights[k] as number;
  });
  return { total, available };
}

/**
 * One round of expectation maximisation. The model draws orders until one has an estimate, and that one gives the symbol;
 * so the expected number of draws is λ_k·p_k / total for an order with an estimate, and λ_k / available for one without.
 */
function expectedShares(weights: readonly number[], estimates: readonly (readonly (number | null)[])[]): number[] {
  const shares = new Array<number>(weights.length).fill(0);
  for (const row of estimates) {
    const { total, available } = weigh(weights, row);
    row.forEach((p, k) => {
      shares[k] = (shares[k] as number) + (weights[k] as number) * (p === null ? 1 / available : p / total);
    });
  }
  const sum = shares.reduce((a, b) => a + b);
  return shares.map((s) => s / sum);
}
