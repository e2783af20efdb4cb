/** A character model that reads and writes one character after another, with a state that can be stored as bytes. */

import { checkArrayLike } from "../base/checks.ts";
import { checksum } from "../base/checksum.ts";
import { ArgumentError, FormatError, StateError } from "../base/errors.ts";
import { checkVocabulary, type Vocabulary } from "../data/text.ts";
import { checkModule } from "../nn/module.ts";
import { div } from "../ops/arithmetic.ts";
import { softmax } from "../ops/softmax.ts";
import { stateFromBytes, stateToBytes } from "../recurrence/state-bytes.ts";
import { Stream } from "../recurrence/stream.ts";
import { zeros } from "../tensor/create.ts";
import { Generator } from "../tensor/random.ts";
import { bytesOf, scope, tensor } from "../tensor/tensor.ts";
import type { CharModel, CharState } from "./char-model.ts";

/**
 * Draws the next character's id from its logits: softmax(logits / temperature), without the unknown symbol.
 * Draws one value from the generator.
 */
export function drawCharacter(logits: ArrayLike<number>, vocabulary: Vocabulary, temperature: number, generator: Generator): number {
  checkArrayLike("drawCharacter", "logits", logits);
  checkVocabulary("drawCharacter", vocabulary);
  const excluded = vocabulary.unknown === null ? -1 : vocabulary.idOf(vocabulary.unknown);
  return scope(() => {
    const values = tensor(logits as Float32Array, { shape: [logits.length] });
    const probabilities = softmax(div(values, Math.max(temperature, 1e-3)), -1).data();
    return pick(probabilities, generator.uniform([1]).item(), excluded);
  });
}

/** The id at the fraction u of the cumulative probabilities, excluding one id. */
function pick(probabilities: ArrayLike<number>, u: number, excluded: number): number {
  const weight = (id: number) => (id === excluded ? 0 : (probabilities[id] as number));
  let total = 0;
  for (let id = 0; id < probabilities.length; id++) total += weight(id);
  let left = u * total;
  let last = 0;
  for (let id = 0; id < probabilities.length; id++) {
    if (weight(id) === 0) continue;
    last = id;
    left -= weight(id);
    if (left < 0) break;
  }
  return last;
}

/** A number that identifies a vocabulary, from its symbols in order and the one for unknown characters. */
function fingerprint({ symbols, unknown }: Vocabulary): number {
  const points = Int32Array.from([...symbols, unknown ?? ""], (symbol) => symbol.codePointAt(0) ?? -1);
  return checksum(new Uint8Array(points.buffer)) | 0;
}

/** Marks that no character has been read. */
const NOTHING = -1;

/**
 * Reads text and writes its continuation. Its place in a text (hidden state, last character, random numbers) can be stored as bytes,
 * so one stream serves many texts in turn, each continuing where it stopped.
 * @example
 * const stream = new CharStream(model, vocabulary);
 * stream.start(7);
 * stream.read("It was ");
 * const text = stream.write(200, 0.7);
 * const place = stream.toBytes(); // and later, on any host: stream.fromBytes(place)
 */
export class CharStream {
  readonly vocabulary: Vocabulary;
  readonly #stream: Stream<CharState>;
  readonly #input: Float32Array;
  #last = NOTHING;
  #generator = new Generator();

  constructor(model: CharModel, vocabulary: Vocabulary) {
    checkModule("CharStream", model);
    checkVocabulary("CharStream", vocabulary);
    if (model.inputSize !== vocabulary.size) {
      throw new ArgumentError(`CharStream: expected a vocabulary of ${model.inputSize} symbols, got ${vocabulary.size}`);
    }
    this.vocabulary = vocabulary;
    this.#stream = new Stream(model);
    this.#input = new Float32Array(vocabulary.size);
  }

  /** Starts a new text, with a seed for the random numbers. */
  start(seed = 0): void {
    this.#generator = new Generator(seed);
    this.#last = NOTHING;
    this.#stream.reset();
  }

  /** @throws ArgumentError for a character outside the vocabulary, before anything is read */
  read(text: string): void {
    for (const id of this.vocabulary.encode(text)) {
      if (this.#last !== NOTHING) this.#advance();
      this.#last = id;
    }
  }

  /** Writes `length` characters. @throws StateError before anything was read */
  write(length: number, temperature: number): string {
    if (this.#last === NOTHING) throw new StateError("write: expected at least one character to have been read, got none");
    let text = "";
    for (let i = 0; i < length; i++) {
      this.#last = drawCharacter(this.#advance(), this.vocabulary, temperature, this.#generator);
      text += this.vocabulary.symbolOf(this.#last);
    }
    return text;
  }

  /** Reads the last character and returns the logits of the next. */
  #advance(): ArrayLike<number> {
    this.#input.fill(0)[this.#last] = 1;
    return this.#stream.step(this.#input);
  }

  /** The place in the text as bytes, with a version and a checksum. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return scope(() => {
      const { h, c } = this.#stream.state;
      const last = tensor([this.#last], { dtype: "int32" });
      const generator = tensor(new Int32Array(this.#generator.toBytes().buffer));
      const vocabulary = tensor([fingerprint(this.vocabulary)], { dtype: "int32" });
      return stateToBytes({ h, c, last, generator, vocabulary });
    });
  }

  /** Continues from bytes. @throws FormatError for bytes that `toBytes` cannot have written with this vocabulary; leaves the place unchanged */
  fromBytes(bytes: Uint8Array): void {
    scope(() => {
      const one = zeros([1], "int32");
      const like = { ...this.#stream.state, last: one, generator: zeros([6], "int32"), vocabulary: one };
      const { last, generator, vocabulary, h, c } = stateFromBytes(bytes, like);
      if (vocabulary.item() !== fingerprint(this.vocabulary)) {
        throw new FormatError("CharStream: expected a place in a text of this vocabulary, got one of another");
      }
      const id = last.item();
      if (!(id >= NOTHING && id < this.vocabulary.size)) {
        throw new FormatError(`CharStream: expected a last character below ${this.vocabulary.size}, got ${id}`);
      }
      this.#generator = Generator.fromBytes(bytesOf(generator).slice());
      this.#last = id;
      this.#stream.state = { h, c };
    });
  }
}
