/**
 * Random numbers from a seed and a counter alone: the same bits on every host, with a state of 24 bytes.
 *
 * The words are Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
 * The key is the seed; the 128-bit counter is a 64-bit block number and a 64-bit stream number.
 * Every draw starts at a fresh block of four words and moves the counter past the blocks that it used:
 * one word per value (two for float64), and for whole numbers one more for each rejected word.
 */

import { checkNumber, checkWhole } from "../base/checks.ts";
import { type DType, type FloatDType, isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { call, checkComputable, isDry, view } from "../wasm/host.ts";
import { philox, wordsToBernoulli, wordsToNormal, wordsToUniform } from "../wasm/kernels.gen.ts";
import { type Shape, show } from "./shape.ts";
import { empty, scope, type Tensor } from "./tensor.ts";

const WORDS_PER_BLOCK = 4;
/** Words drawn at a time when rejection makes the total unknown. */
const CHUNK = 1024;
const STATE_BYTES = 24;

/** The state of a generator. */
export interface GeneratorState {
  readonly seed: bigint;
  readonly stream: bigint;
  /** Number of the next block. */
  readonly counter: number;
}

/**
 * A seeded counter-based generator.
 * @example
 * const g = new Generator(42);
 * const w = g.normal([3, 4], 0, 0.1);
 * const saved = g.toBytes(); // and later: Generator.fromBytes(saved)
 */
export class Generator {
  #seed: bigint;
  #stream = 0n;
  #counter = 0;

  /** @param seed any whole number; its low 64 bits count */
  constructor(seed: number | bigint = 0) {
    if (typeof seed !== "number" && typeof seed !== "bigint") throw new DTypeError(`Generator: expected a whole seed, got ${quote(seed)}`);
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) throw new ArgumentError(`Generator: expected a whole seed, got ${seed}`);
    this.#seed = BigInt.asUintN(64, BigInt(seed));
    watch?.made.add(this);
  }

  /** Uniform values in [low, high). */
  uniform(shape: Shape, low = 0, high = 1, dtype: FloatDType = "float32"): Tensor {
    return this.fillUniform(emptyFloat("uniform", shape, dtype), low, high);
  }

  /** Normal values with the given mean and standard deviation. */
  normal(shape: Shape, mean = 0, std = 1, dtype: FloatDType = "float32"): Tensor {
    return this.fillNormal(emptyFloat("normal", shape, dtype), mean, std);
  }

  /**
   * 1 with probability p (to within 2^-32), else 0.
   * @param value replaces 1 in float tensors: an inverted dropout mask uses 1/(keep probability)
   */
  bernoulli(shape: Shape, p: number, dtype: DType = "float32", value = 1): Tensor {
    checkNumber("bernoulli", "a probability", p, { least: 0, most: 1 });
    checkComputable("bernoulli", dtype);
    const t = empty(shape, dtype);
    const chosen = Math.ceil(p * 2 ** 32); // words below this give 1
    if (!isFloat(dtype)) return this.#fillWhole(t, (next) => (next() < chosen ? 1 : 0));
    this.#fillWords(t);
    call(wordsToBernoulli, dtype, t.size, Math.max(0, chosen - 1), chosen > 0 ? value : 0, t.ptr);
    return t;
  }

  /** Uniform whole numbers in [low, high) (int32). */
  integers(shape: Shape, low: number, high: number): Tensor {
    if (!(Number.isInteger(low) && Number.isInteger(high) && low < high && low >= -(2 ** 31) && high <= 2 ** 31)) {
      throw new ArgumentError(`integers: expected 32-bit whole numbers low < high, got ${low} and ${high}`);
    }
    return this.#fillWhole(empty(shape, "int32"), (next) => low + below(high - low, next));
  }

  /** A random permutation of 0 … n − 1, uniform over all of them (int32). Fisher and Yates; Durstenfeld, 1964. */
  permutation(n: number): Tensor {
    checkWhole("permutation", "n", n);
    const t = empty([n], "int32");
    const order = Int32Array.from({ length: n }, (_, i) => i);
    this.#draw((next) => {
      for (let i = n - 1; i > 0; i--) {
        const j = below(i + 1, next);
        const swapped = order[i] as number;
        order[i] = order[j] as number;
        order[j] = swapped;
      }
    });
    view("int32", t.ptr, n).set(order);
    return t;
  }

  /** Overwrites a contiguous float tensor with values in [low, high). */
  fillUniform(t: Tensor, low = 0, high = 1): Tensor {
    const dtype = checkFillable("uniform", t);
    if (!(low < high && Number.isFinite(high - low))) {
      throw new ArgumentError(`uniform: expected finite bounds low < high, got ${low} and ${high}`);
    }
    const first = roundUp(low, dtype);
    const last = roundDown(high, dtype);
    if (!(first <= last)) throw new ArgumentError(`uniform: expected a ${dtype} number in [${low}, ${high}), got none`);
    this.#fillWords(t);
    call(wordsToUniform, dtype, t.size, low, high - low, first, last, t.ptr);
    return t;
  }

  /** Overwrites a contiguous float tensor with normal values. */
  fillNormal(t: Tensor, mean = 0, std = 1): Tensor {
    const dtype = checkFillable("normal", t);
    if (!(Number.isFinite(mean) && std >= 0 && Number.isFinite(std))) {
      throw new ArgumentError(`normal: expected a finite mean and a standard deviation of at least 0, got ${mean} and ${std}`);
    }
    this.#fillWords(t);
    call(wordsToNormal, dtype, t.size, mean, std, t.ptr);
    return t;
  }

  /** A generator that is independent of this one and of its other children: one block of this one gives its seed and stream. */
  split(): Generator {
    const child = new Generator();
    this.#draw((next) => {
      child.#seed = wide(next(), next());
      child.#stream = wide(next(), next());
    });
    return child;
  }

  /** A generator in the same state, which continues with the same values. */
  clone(): Generator {
    return Generator.fromState(this.state);
  }

  get state(): GeneratorState {
    return { seed: this.#seed, stream: this.#stream, counter: this.#counter };
  }

  /** Continues from a saved state. */
  set state({ seed, stream, counter }: GeneratorState) {
    checkWhole("Generator", "counter", counter);
    this.#tellWatch();
    this.#seed = BigInt.asUintN(64, seed);
    this.#stream = BigInt.asUintN(64, stream);
    this.#counter = counter;
  }

  static fromState(state: GeneratorState): Generator {
    const g = new Generator();
    g.state = state;
    return g;
  }

  /** Seed, stream and counter, each 8 bytes, little-endian. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const out = new DataView(new ArrayBuffer(STATE_BYTES));
    [this.#seed, this.#stream, BigInt(this.#counter)].forEach((part, i) => {
      out.setBigUint64(8 * i, part, true);
    });
    return new Uint8Array(out.buffer);
  }

  /** @throws FormatError for bytes that `toBytes` cannot have written */
  static fromBytes(bytes: Uint8Array): Generator {
    if (bytes.length !== STATE_BYTES) throw new FormatError(`Generator.fromBytes: expected ${STATE_BYTES} bytes, got ${bytes.length}`);
    const data = new DataView(bytes.buffer, bytes.byteOffset, STATE_BYTES);
    const counter = data.getBigUint64(16, true);
    if (counter > BigInt(Number.MAX_SAFE_INTEGER))
      throw new FormatError(`Generator.fromBytes: expected a counter below 2^53, got ${counter}`);
    return Generator.fromState({ seed: data.getBigUint64(0, true), stream: data.getBigUint64(8, true), counter: Number(counter) });
  }

  /** Writes words over a float tensor's bytes and moves past them. */
  #fillWords(t: Tensor): void {
    const words = t.dtype === "float64" ? 2 * t.size : t.size;
    this.#words(words, t.ptr, this.#counter);
    this.#move(words);
  }

  /** Moves the counter, except in a dry run, whose values nobody keeps. */
  #move(words: number): void {
    if (isDry()) return;
    this.#tellWatch();
    this.#counter += Math.ceil(words / WORDS_PER_BLOCK);
  }

  #tellWatch(): void {
    if (watch !== null && !watch.made.has(this) && !watch.moved.has(this)) watch.moved.set(this, this.state);
  }

  #words(n: number, ptr: number, block: number): void {
    const [s, t] = [this.#seed, this.#stream];
    call(philox, "int32", n, low32(s), low32(s >> 32n), low32(t), low32(t >> 32n), block, ptr);
  }

  /** Fills an int32 or bool tensor from single words. */
  #fillWhole(t: Tensor, value: (next: () => number) => number): Tensor {
    const values = new Int32Array(t.size);
    this.#draw((next) => {
      for (let i = 0; i < values.length; i++) values[i] = value(next);
    });
    view(t.dtype, t.ptr, t.size).set(values);
    return t;
  }

  /** Gives `use` a source of unsigned words and then moves past the blocks that it used. */
  #draw(use: (next: () => number) => void): void {
    let used = 0;
    let words = new Uint32Array(0);
    use(() => {
      if (used % CHUNK === 0) words = this.#chunk(this.#counter + used / WORDS_PER_BLOCK);
      return words[used++ % CHUNK] as number;
    });
    this.#move(used);
  }

  #chunk(block: number): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(CHUNK);
    scope(() => {
      const t = empty([CHUNK], "int32");
      this.#words(CHUNK, t.ptr, block);
      words.set(view("int32", t.ptr, CHUNK));
    });
    return words;
  }
}

interface Watch {
  /** The state of each generator before its first draw. */
  readonly moved: Map<Generator, GeneratorState>;
  /** Generators made meanwhile. Repeating the function makes them again, so their state is not kept. */
  readonly made: WeakSet<Generator>;
}

let watch: Watch | null = null;

/** Runs `fn` and notes in `moved` the earlier state of every existing generator that it draws from, so that `fn` can be undone or repeated. */
export function watchGenerators<R>(moved: Map<Generator, GeneratorState>, fn: () => R): R {
  const outer = watch;
  watch = { moved, made: new WeakSet() };
  try {
    return fn();
  } finally {
    watch = outer;
    if (outer !== null) for (const [g, state] of moved) if (!outer.made.has(g) && !outer.moved.has(g)) outer.moved.set(g, state);
  }
}

/** A uniform whole number in [0, n). Rejects words beyond the last full multiple of n. */
function below(n: number, next: () => number): number {
  const limit = 2 ** 32 - (2 ** 32 % n);
  let word = next();
  while (word >= limit) word = next();
  return word % n;
}

function low32(x: bigint): number {
  return Number(BigInt.asIntN(32, x));
}

function wide(low: number, high: number): bigint {
  return BigInt(low) | (BigInt(high) << 32n);
}

function emptyFloat(op: string, shape: Shape, dtype: DType): Tensor {
  if (!isFloat(dtype)) throw new DTypeError(`${op}: expected a float dtype, got ${dtype}`);
  checkComputable(op, dtype);
  return empty(shape, dtype);
}

function checkFillable(op: string, t: Tensor): FloatDType {
  if (!isFloat(t.dtype)) throw new DTypeError(`${op}: expected a float tensor, got ${t.dtype}`);
  if (!t.isContiguous) throw new ShapeError(`${op}: expected a contiguous tensor, got ${show(t.shape)} with strides ${show(t.strides)}`);
  return t.dtype;
}

/** The next representable number towards +∞ (1) or −∞ (−1). */
function neighbour(x: number, dtype: FloatDType, direction: 1 | -1): number {
  const data = new DataView(new ArrayBuffer(8));
  if (x === 0) return direction * (dtype === "float32" ? 2 ** -149 : Number.MIN_VALUE);
  const away = x > 0 === direction > 0 ? 1 : -1;
  if (dtype === "float64") {
    data.setFloat64(0, x);
    data.setBigInt64(0, data.getBigInt64(0) + BigInt(away));
    return data.getFloat64(0);
  }
  data.setFloat32(0, x);
  data.setInt32(0, data.getInt32(0) + away);
  return data.getFloat32(0);
}

/** The smallest representable number that is at least x. */
function roundUp(x: number, dtype: FloatDType): number {
  const rounded = dtype === "float32" ? Math.fround(x) : x;
  return rounded < x ? neighbour(rounded, dtype, 1) : rounded;
}

/** The largest representable number below x. */
function roundDown(x: number, dtype: FloatDType): number {
  const rounded = dtype === "float32" ? Math.fround(x) : x;
  return rounded < x ? rounded : neighbour(rounded, dtype, -1);
}

let common: Generator | null = null;

/** The default generator, used if none is given; its seed is 0 until `manualSeed`. */
export function defaultGenerator(): Generator {
  common ??= new Generator(0);
  return common;
}

/** Checks for a generator or undefined. @throws DTypeError @internal */
export function checkGenerator(op: string, generator: unknown): void {
  if (generator === undefined || generator instanceof Generator) return;
  throw new DTypeError(`${op}: expected generator to be a Generator, got ${quote(generator)}`);
}

/** Seeds the default generator. */
export function manualSeed(seed: number | bigint): Generator {
  defaultGenerator().state = new Generator(seed).state;
  return defaultGenerator();
}
