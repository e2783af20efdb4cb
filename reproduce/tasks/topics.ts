/** Sentences on one of two topics, with words that belong to both. */

import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";

const OF_TOPIC = 20;
const AMBIGUOUS = 10;
const LENGTH = 8;
/** Characters of a word as it is read: begin, 3 to 6 letters, end, and what fills it up. */
export const WORD_LENGTH = 8;
const LETTERS = 26;
const [FILL, BEGIN, END] = [LETTERS, LETTERS + 1, LETTERS + 2];
export const CHARACTERS = LETTERS + 3;

export interface Sentences {
  /** Which word stands at each step of each sentence, int32 [8,B]; the last ten of the vocabulary are ambiguous. */
  readonly words: Tensor;
  /** 0 or 1, of each sentence. */
  readonly topics: readonly number[];
}

/** Two topics with 20 words each, and 10 words that both have: 3 to 6 letters at random. */
export class TopicLanguage {
  readonly vocabSize: number = 2 * OF_TOPIC + AMBIGUOUS;
  /** The words as they are written, int32 [V, 8]. */
  readonly spelling: Tensor;

  constructor(dice: Dice) {
    const words = new Set<string>();
    while (words.size < this.vocabSize) words.add(Array.from({ length: dice.between(3, 6) }, () => dice.below(LETTERS)).join(" "));
    const codes = [...words].flatMap((word) => {
      const letters = [BEGIN, ...word.split(" ").map(Number), END];
      return [...letters, ...new Array<number>(WORD_LENGTH - letters.length).fill(FILL)];
    });
    this.spelling = tensor(codes, { shape: [this.vocabSize, WORD_LENGTH], dtype: "int32" });
  }

  /** Each sentence has a topic; each of its 8 words is ambiguous with probability 0.3. */
  sentences(dice: Dice, count: number): Sentences {
    const topics = Array.from({ length: count }, () => dice.below(2));
    const draw = (topic: number) => (dice.chance(0.3) ? 2 * OF_TOPIC + dice.below(AMBIGUOUS) : topic * OF_TOPIC + dice.below(OF_TOPIC));
    const words = Array.from({ length: LENGTH }, () => topics.map(draw)).flat();
    return { words: tensor(words, { shape: [LENGTH, count], dtype: "int32" }), topics };
  }

  /** A word in letters. */
  text(word: number): string {
    const codes = this.spelling.data().slice(word * WORD_LENGTH, (word + 1) * WORD_LENGTH);
    return Array.from(codes, (c) => (c < LETTERS ? "abcdefghijklmnopqrstuvwxyz"[c] : "")).join("");
  }

  isAmbiguous(word: number): boolean {
    return word >= 2 * OF_TOPIC;
  }
}
