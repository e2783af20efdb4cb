/** Text as whole numbers: a vocabulary of characters. */

import { checkList, checkMethods, checkOptions, checkWhole } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

export interface VocabularyOptions {
  /**
   * The symbol for all characters outside the vocabulary; with null (the default) they are errors.
   * It takes id 0.
   */
  readonly unknown?: string | null;
}

export interface BuildOptions extends VocabularyOptions {
  /** Excludes characters that occur less often (default 1: none). */
  readonly minCount?: number;
}

/** A vocabulary. @throws DTypeError */
export function checkVocabulary(op: string, value: unknown): void {
  checkMethods(op, "a vocabulary", value, ["idOf", "encode", "decode"]);
}

/** @throws DTypeError for anything but text */
function checkText(what: string, value: unknown): void {
  if (typeof value !== "string") throw new DTypeError(`Vocabulary: expected ${what} to be text, got ${quote(value)}`);
}

/** @throws DTypeError, ArgumentError for anything but one character, as `for (const symbol of text)` gives them */
function checkCharacter(what: string, value: unknown): asserts value is string {
  checkText(what, value);
  const [first] = value as string;
  if (first === undefined || first !== value)
    throw new ArgumentError(`Vocabulary: expected ${what} to be one character, got ${quote(value)}`);
}

/**
 * Characters (Unicode code points) numbered 0 … size − 1.
 * @example
 * const vocabulary = Vocabulary.fromText("hello");       // e h l o
 * vocabulary.decode(vocabulary.encode("hole"));          // "hole"
 */
export class Vocabulary {
  /** The symbol of each id. */
  readonly symbols: readonly string[];
  readonly unknown: string | null;
  readonly #ids = new Map<string, number>();

  /**
   * @param symbols one character for each id; with `unknown`, that character must be among them
   * @throws DTypeError for anything but a list of texts
   * @throws ArgumentError for no symbols, a symbol of another length than one character or one that occurs twice
   */
  constructor(symbols: readonly string[], options: VocabularyOptions = {}) {
    checkOptions("Vocabulary", options, ["unknown"]);
    checkList("Vocabulary", "symbols", symbols);
    if (symbols.length === 0) throw new ArgumentError("Vocabulary: expected at least one symbol, got none");
    this.symbols = [...symbols];
    this.unknown = options.unknown ?? null;
    for (const [id, symbol] of this.symbols.entries()) {
      checkCharacter(`symbol ${id}`, symbol);
      if (this.#ids.has(symbol)) throw new ArgumentError(`Vocabulary: expected each symbol once, got ${quote(symbol)} twice`);
      this.#ids.set(symbol, id);
    }
    if (this.unknown === null) return;
    checkCharacter("unknown", this.unknown);
    if (!this.#ids.has(this.unknown)) {
      throw new ArgumentError(`Vocabulary: expected unknown to be one of the symbols, got ${quote(this.unknown)}`);
    }
  }

  /** The characters of a text in code point order, so equal sets of characters give equal ids. */
  static fromText(text: string, options: BuildOptions = {}): Vocabulary {
    checkOptions("fromText", options, ["minCount", "unknown"]);
    const { unknown = null, minCount = 1 } = options;
    checkText("what it is made of", text);
    checkWhole("Vocabulary", "minCount", minCount);
    const counts = new Map<string, number>();
    for (const symbol of text) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
    const frequent = [...counts].filter(([symbol, count]) => count >= minCount && symbol !== unknown).map(([symbol]) => symbol);
    frequent.sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number));
    return new Vocabulary(unknown === null ? frequent : [unknown, ...frequent], { unknown });
  }

  get size(): number {
    return this.symbols.length;
  }

  /** The id of one character. @throws ArgumentError when it has none and there is no unknown symbol */
  idOf(symbol: string): number {
    const id = this.#ids.get(symbol) ?? (this.unknown === null ? undefined : this.#ids.get(this.unknown));
    if (id === undefined) throw new ArgumentError(`Vocabulary: expected one of its ${this.size} characters, got ${quote(symbol)}`);
    return id;
  }

  encode(text: string): Int32Array<ArrayBuffer> {
    checkText("what is encoded", text);
    return Int32Array.from(text, (symbol) => this.idOf(symbol));
  }

  /** The symbol of one id. @throws ArgumentError outside 0 … size − 1 */
  symbolOf(id: number): string {
    const symbol = typeof id === "number" ? this.symbols[id] : undefined;
    if (symbol === undefined) throw new ArgumentError(`Vocabulary: expected an id in [0, ${this.size - 1}], got ${quote(id)}`);
    return symbol;
  }

  decode(ids: Iterable<number>): string {
    return Array.from(ids, (id) => this.symbolOf(id)).join("");
  }
}
