/**
 * Evaluates the expressions the operation cases are given as: the part of Python's grammar that tensor formulas use.
 * Names are tensors first, then functions by their dotted path; `x.f(…)` is the method `f` with x as first argument.
 */

import type { Tensor } from "../../src/tensor/tensor.ts";

export interface Slice {
  readonly kind: "slice";
  readonly start: number | null;
  readonly stop: number | null;
  readonly step: number | null;
}

export type Value = Tensor | number | boolean | string | null | Slice | readonly Value[];

/** Arguments as written: by position and by name. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** What the names and operators of an expression stand for. */
export interface Language {
  readonly variables: ReadonlyMap<string, Value>;
  /** Runs a function by its path, `torch.tanh` or `.reshape` for a method. */
  call(path: string, args: Arguments): Value;
  operate(operator: string, a: Value, b: Value): Value;
  negate(a: Value): Value;
  subscript(a: Value, subscripts: readonly Value[]): Value;
}

const TOKEN = /\s*(\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|[A-Za-z_]\w*|'[^']*'|\*\*|[-+*/@()[\],:=.])/y;

function tokenize(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (found === null) throw new SyntaxError(`expression: expected a token at "${text.slice(at)}"`);
    tokens.push(found[1] as string);
  }
  return tokens;
}

const LITERALS: Readonly<Record<string, Value>> = { True: true, False: false, None: null, inf: Number.POSITIVE_INFINITY };

/** A dotted name that is no variable: a function, once called. */
class Path {
  readonly name: string;
  /** The tensor a method belongs to. */
  readonly self: readonly Value[];
  constructor(name: string, self: readonly Value[] = []) {
    this.name = name;
    this.self = self;
  }
}

class Evaluator {
  readonly #tokens: readonly string[];
  readonly #language: Language;
  #at = 0;

  constructor(tokens: readonly string[], language: Language) {
    this.#tokens = tokens;
    this.#language = language;
  }

  run(): Value {
    const value = this.#expression();
    if (this.#at < this.#tokens.length) throw new SyntaxError(`expression: expected its end, got "${this.#peek()}"`);
    return value;
  }

  #peek(ahead = 0): string {
    return this.#tokens[this.#at + ahead] ?? "";
  }

  #take(token: string): boolean {
    if (this.#peek() !== token) return false;
    this.#at++;
    return true;
  }

  #next(): string {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw new SyntaxError(`expression: expected "${token}", got "${this.#peek()}"`);
  }

  /** Left-associative operators of one precedence. */
  #chain(operators: string, operand: () => Value): Value {
    let value = operand();
    while (this.#peek() !== "" && operators.includes(this.#peek())) value = this.#language.operate(this.#next(), value, operand());
    return value;
  }

  #expression(): Value {
    return this.#chain("+-", () => this.#chain("*/@", () => this.#unary()));
  }

  #unary(): Value {
    return this.#take("-") ? this.#language.negate(this.#unary()) : this.#power();
  }

  #power(): Value {
    const base = this.#postfix();
    return this.#take("**") ? this.#language.operate("**", base, this.#unary()) : base;
  }

  #postfix(): Value {
    let value = this.#atom();
    for (;;) {
      if (this.#take("."))
        value = value instanceof Path ? new Path(`${value.name}.${this.#next()}`) : new Path(`.${this.#next()}`, [value]);
      else if (this.#take("(")) value = this.#call(value);
      else if (this.#take("["))
        value = this.#language.subscript(
          noPath(value),
          this.#until("]", () => this.#subscript()),
        );
      else return noPath(value);
    }
  }

  #atom(): Value | Path {
    const token = this.#next();
    if (token === "(") return this.#parenthesis();
    if (token === "[") return this.#until("]", () => this.#expression());
    if (token.startsWith("'")) return token.slice(1, -1);
    if (/^[\d.]/.test(token)) return Number(token);
    return this.#language.variables.get(token) ?? (token in LITERALS ? (LITERALS[token] as Value) : new Path(token));
  }

  /** `(x)` is x, `(x, y)` and `(x,)` are tuples. */
  #parenthesis(): Value {
    const parts = this.#until(")", () => this.#expression());
    const isTuple = parts.length !== 1 || this.#peek(-2) === ",";
    return isTuple ? parts : (parts[0] as Value);
  }

  #until<T>(close: string, part: () => T): T[] {
    const parts: T[] = [];
    while (!this.#take(close)) {
      parts.push(part());
      if (!this.#take(",") && this.#peek() !== close)
        throw new SyntaxError(`expression: expected "," or "${close}", got "${this.#peek()}"`);
    }
    return parts;
  }

  #call(callee: Value | Path): Value {
    if (!(callee instanceof Path)) throw new SyntaxError("expression: expected a function before the parenthesis");
    const positional: Value[] = [...callee.self];
    const named = new Map<string, Value>();
    this.#until(")", () => {
      if (this.#peek(1) !== "=") return positional.push(this.#expression());
      const name = this.#next();
      this.#expect("=");
      return named.set(name, this.#expression());
    });
    return this.#language.call(callee.name, { positional, named });
  }

  /** An index, or start:stop:step with any part left out. */
  #subscript(): Value {
    const bound = () => (":,]".includes(this.#peek()) ? null : this.#expression());
    const start = bound();
    if (!this.#take(":")) return start;
    const stop = bound();
    const step = this.#take(":") ? bound() : null;
    return { kind: "slice", start, stop, step } as Slice;
  }
}

function noPath(value: Value | Path): Value {
  if (value instanceof Path) throw new SyntaxError(`expression: expected a value, got the name "${value.name}"`);
  return value;
}

/** The value of a Python expression. @throws SyntaxError for anything outside the grammar above */
export function evaluate(text: string, language: Language): Value {
  return new Evaluator(tokenize(text), language).run();
}
