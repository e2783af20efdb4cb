/** Words as whole numbers: a vocabulary of tokens, with places for what is unknown, for padding and for the ends of a text. */

import { checkFunction, checkIterable, checkList, checkOptions, checkText, checkWhole, withDefaults } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";

/** Tokens that no text contains; null for those that are not wanted. */
export interface SpecialTokens {
  /** Fills short sequences up (default "<pad>", id 0). */
  readonly padding?: string | null;
  /** Stands for every token outside the vocabulary (default "<unk>"); without it such a token is an error. */
  readonly unknown?: string | null;
  /** Begins a sequence (default null). */
  readonly start?: string | null;
  /** Ends a sequence (default null). */
  readonly end?: string | null;
}

const SPECIALS = ["padding", "unknown", "start", "end"] as const;
const DEFAULTS: Required<SpecialTokens> = { padding: "<pad>", unknown: "<unk>", start: null, end: null };

export interface TokenBuildOptions extends SpecialTokens {
  /** Tokens that occur less often are left out (default 1: none is). */
  readonly minCount?: number;
  /** At most so many tokens, the most frequent ones, besides the special ones. */
  readonly maxSize?: number;
  /** Cuts a text into tokens (default `tokenize`). */
  readonly tokenize?: (text: string) => readonly string[];
}

export interface EncodeOptions {
  /** Puts the start token before and the end token after, where the vocabulary has them (default true). */
  readonly boundaries?: boolean;
}

/**
 * Runs of letters, digits and apostrophes within them, and every other visible character by itself.
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
  /** The ids of special tokens; null for those that there are not. */
  readonly paddingId: number | null;
  readonly unknownId: number | null;
  readonly startId: number | null;
  readonly endId: number | null;
  readonly #ids = new Map<string, number>();
  readonly #tokenize: (text: string) => readonly string[];

  /**
   * @param tokens without the special ones; to read a vocabulary again, keep these and the options
   * @throws ArgumentError for a token that occurs twice; DTypeError for what is no text
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
   * The tokens of some texts, the most frequent first, equally frequent ones in the order of their code units.
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
    // A text may hold special tokens, which have their places.
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
   * @throws ArgumentError for an unknown token where nothing stands for it
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

/** The special tokens there are, in the order of their ids. */
function specialTokens(options: SpecialTokens): string[] {
  const { padding, unknown, start, end } = withDefaults(DEFAULTS, options);
  return [padding, unknown, start, end].filter((token) => token !== null);
}

function tokensOf(op: string, text: string | readonly string[], cut: (text: string) => readonly string[]): readonly string[] {
  if (typeof text === "string") return cut(text);
  if (Array.isArray(text)) return text;
  throw new DTypeError(`TokenVocabulary.${op}: expected a text or a list of tokens, got ${quote(text)}`);
}
