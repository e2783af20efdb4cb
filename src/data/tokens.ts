/** Words as whole numbers: a vocabulary of tokens, with special tokens for unknown words, padding and the ends of a text. */

import { checkFunction, checkIterable, checkList, checkOptions, checkText, checkWhole, withDefaults } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** Special tokens; null to omit one. */
export interface SpecialTokens {
  /** Padding of short sequences (default "<pad>", id 0). */
  readonly padding?: string | null;
  /** Replaces all tokens outside the vocabulary (default "<unk>"); without it they are errors. */
  readonly unknown?: string | null;
  /** Begins a sequence (default null). */
  readonly start?: string | null;
  /** Ends a sequence (default null). */
  readonly end?: string | null;
}

const SPECIALS = ["padding", "unknown", "start", "end"] as const;
const DEFAULTS: Required<SpecialTokens> = { padding: "<pad>", unknown: "<unk>", start: null, end: null };

export interface TokenBuildOptions extends SpecialTokens {
  /** Excludes tokens that occur less often (default 1: none). */
  readonly minCount?: number;
  /** Largest number of tokens besides the special ones; keeps the most frequent. */
  readonly maxSize?: number;
  /** Splits a text into tokens (default `tokenize`). */
  readonly tokenize?: (text: string) => readonly string[];
}

export interface EncodeOptions {
  /** Whether to add the start and end tokens, if the vocabulary has them (default true). */
  readonly boundaries?: boolean;
}

/**
 * Splits into runs of letters and digits, with apostrophes inside them, and every other visible character.
 * @example tokenize("It's 5 o'clock, sir!") // ["It's", "5", "o'clock", ",", "sir", "!"]
 */
export function tokenize(text: string): string[] {
  checkText("tokenize", "a text", text);
  return text.match(/[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*|[^\s\p{L}\p{M}\p{N}]/gu) ?? [];
}

/**
 * Tokens numbered 0 … size − 1, the special ones first.
 * @example
 * const vocabulary = TokenVocabulary.fromTexts(["the cat sat", "the dog"], { end: "</s>" });
 * vocabulary.encode("the bird");                        // the, <unk>, </s>
 * vocabulary.decode(vocabulary.encode("the cat")).join(" "); // "the cat"
 */
export class TokenVocabulary {
  /** The token of each id. */
  readonly tokens: readonly string[];
  /** The ids of special tokens; null for missing ones. */
  readonly paddingId: number | null;
  readonly unknownId: number | null;
  readonly startId: number | null;
  readonly endId: number | null;
  readonly #ids = new Map<string, number>();
  readonly #tokenize: (text: string) => readonly string[];

  /**
   * @param tokens the tokens without the special ones; store these and the options to restore a vocabulary
   * @throws ArgumentError for a token that occurs twice; DTypeError for anything but text
   */
  constructor(tokens: readonly string[], options: SpecialTokens & Pick<TokenBuildOptions, "tokenize"> = {}) {
    const op = "TokenVocabulary";
    checkOptions(op, options, [...SPECIALS, "tokenize"]);
    checkList(op, "tokens", tokens);
    const { padding, unknown, start, end, tokenize: cut = tokenize } = withDefaults(DEFAULTS, options);
    checkFunction(op, "tokenize", cut);
    this.tokens = [...specialTokens(options), ...(tokens as readonly string[])];
    for (const [id, token] of this.tokens.entries()) {
      checkText(op, `token ${id}`, token);
      if (this.#ids.has(token)) throw new ArgumentError(`${op}: expected each token once, got ${quote(token)} twice`);
      this.#ids.set(token, id);
    }
    if (this.tokens.length === 0) throw new ArgumentError(`${op}: expected at least one token, got none`);
    const idOf = (token: string | null) => (token === null ? null : (this.#ids.get(token) as number));
    [this.paddingId, this.unknownId, this.startId, this.endId] = [idOf(padding), idOf(unknown), idOf(start), idOf(end)];
    this.#tokenize = cut;
  }

  /**
   * The tokens of texts, most frequent first; equally frequent ones in order of code units.
   * @param texts texts, or lists of tokens
   */
  static fromTexts(texts: Iterable<string | readonly string[]>, options: TokenBuildOptions = {}): TokenVocabulary {
    checkOptions("fromTexts", options, [...SPECIALS, "minCount", "maxSize", "tokenize"]);
    const { minCount = 1, maxSize = Number.MAX_SAFE_INTEGER, ...own } = options;
    checkIterable("fromTexts", "texts", texts);
    checkWhole("fromTexts", "minCount", minCount, { least: 1 });
    checkWhole("fromTexts", "maxSize", maxSize, { least: 1 });
    const { tokenize: cut = tokenize } = own;
    checkFunction("fromTexts", "tokenize", cut);
    const counts = new Map<string, number>();
    for (const text of texts) for (const token of tokensOf("fromTexts", text, cut)) counts.set(token, (counts.get(token) ?? 0) + 1);
    // A text may contain special tokens, which already have ids.
    for (const token of specialTokens(own)) counts.delete(token);
    const frequent = [...counts].filter(([, count]) => count >= minCount);
    frequent.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return new TokenVocabulary(
      frequent.slice(0, maxSize).map(([token]) => token),
      own,
    );
  }

  get size(): number {
    return this.tokens.length;
  }

  /** The id of one token. @throws ArgumentError when it has none and there is no unknown token */
  idOf(token: string): number {
    const id = this.#ids.get(token) ?? this.unknownId;
    if (id === null) throw new ArgumentError(`TokenVocabulary: expected one of its ${this.size} tokens, got ${quote(token)}`);
    return id;
  }

  /** The token of one id. @throws ArgumentError outside 0 … size − 1 */
  tokenOf(id: number): string {
    const token = typeof id === "number" ? this.tokens[id] : undefined;
    if (token === undefined) throw new ArgumentError(`TokenVocabulary: expected an id in [0, ${this.size - 1}], got ${quote(id)}`);
    return token;
  }

  /**
   * The ids of a text or of a list of tokens.
   * @throws ArgumentError for an unknown token, if the vocabulary has no token for those
   */
  encode(text: string | readonly string[], options: EncodeOptions = {}): Int32Array<ArrayBuffer> {
    checkOptions("encode", options, ["boundaries"]);
    const ids = tokensOf("encode", text, this.#tokenize).map((token) => this.idOf(token));
    if (options.boundaries ?? true) {
      if (this.startId !== null) ids.unshift(this.startId);
      if (this.endId !== null) ids.push(this.endId);
    }
    return Int32Array.from(ids);
  }

  /** The tokens of ids, up to the end token if there is one, without start and padding. */
  decode(ids: Iterable<number>): string[] {
    checkIterable("decode", "ids", ids);
    const tokens: string[] = [];
    for (const id of ids) {
      if (id === this.endId) break;
      const token = this.tokenOf(id);
      if (id !== this.startId && id !== this.paddingId) tokens.push(token);
    }
    return tokens;
  }
}

/** The existing special tokens, in order of ids. */
function specialTokens(options: SpecialTokens): string[] {
  const { padding, unknown, start, end } = withDefaults(DEFAULTS, options);
  return [padding, unknown, start, end].filter((token) => token !== null);
}

function tokensOf(op: string, text: string | readonly string[], cut: (text: string) => readonly string[]): readonly string[] {
  if (typeof text === "string") return cut(text);
  if (Array.isArray(text)) return text;
  throw new DTypeError(`TokenVocabulary.${op}: expected a text or a list of tokens, got ${quote(text)}`);
}
