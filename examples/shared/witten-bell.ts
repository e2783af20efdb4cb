/** n-grams over many sequences, the baseline of a model that predicts the next event. */

interface Context {
  total: number;
  readonly counts: Map<number, number>;
}

/**
 * p(w | h) = (count(h w) + kinds(h)·p(w | shorter h)) / (count(h) + kinds(h)), where kinds(h) is how many different symbols followed h; the
 * shortest context is followed by the uniform distribution. Contexts do not reach over the start of a sequence, which is a symbol of its own.
 * @see Witten, Bell, "The zero-frequency problem", 1991, method C; interpolated as in Chen, Goodman, "An empirical study of smoothing
 *   techniques for language modeling", 1998, section 2.5
 */
export class WittenBell {
  readonly order: number;
  readonly symbols: number;
  readonly #contexts = new Map<string, Context>();

  constructor(sequences: readonly (readonly number[])[], { order, symbols }: { readonly order: number; readonly symbols: number }) {
    this.order = order;
    this.symbols = symbols;
    for (const sequence of sequences) for (const [t, symbol] of sequence.entries()) this.#count(sequence.slice(0, t), symbol);
  }

  /** The probability of each symbol after these. */
  distribution(history: readonly number[]): number[] {
    let p = new Array<number>(this.symbols).fill(1 / this.symbols);
    for (const key of this.#keys(history)) {
      const context = this.#contexts.get(key);
      if (context === undefined) break;
      const { total, counts } = context;
      p = p.map((shorter, symbol) => ((counts.get(symbol) ?? 0) + counts.size * shorter) / (total + counts.size));
    }
    return p;
  }

  #count(history: readonly number[], symbol: number): void {
    for (const key of this.#keys(history)) {
      const context = this.#contexts.get(key) ?? { total: 0, counts: new Map() };
      context.total++;
      context.counts.set(symbol, (context.counts.get(symbol) ?? 0) + 1);
      this.#contexts.set(key, context);
    }
  }

  /** The last 0, 1, … order − 1 symbols. */
  #keys(history: readonly number[]): string[] {
    const padded = [...new Array<number>(this.order - 1).fill(-1), ...history];
    return Array.from({ length: this.order }, (_, k) => padded.slice(padded.length - k).join());
  }
}
