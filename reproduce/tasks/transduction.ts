/** Sequences that are shown, and then have to be said again: bits to be copied, symbols to be copied or reversed. */

import { slice } from "../../src/ops/shape.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Dice } from "./dice.ts";
import { oneHot } from "./one-hot.ts";

export interface Transduction {
  /** [T,B,·]: L items, perhaps a mark that they are over, and L steps more. */
  readonly xs: Tensor;
  /** What is to be said in the last L steps. */
  readonly targets: Tensor;
  /** L. */
  readonly length: number;
}

/** The outputs at the steps that are asked for, [L,B,·]. */
export function answers(ys: Tensor, { length }: Pick<Transduction, "length">): Tensor {
  return slice(ys, 0, ys.dim(0) - length);
}

/**
 * Words of `bits` fair bits; targets are the same words [L,B,bits], and xs has one channel more, for the mark.
 * @see Graves, Wayne and Danihelka, "Neural Turing machines", 2014, section 4.1
 */
export function bitsToCopy(dice: Dice, { batch, bits, length }: { batch: number; bits: number; length: number }): Transduction {
  const words = Float32Array.from({ length: length * batch * bits }, () => dice.below(2));
  const xs = new Float32Array((2 * length + 1) * batch * (bits + 1));
  for (let row = 0; row < length * batch; row++) xs.set(words.subarray(row * bits, (row + 1) * bits), row * (bits + 1));
  for (let b = 0; b < batch; b++) xs[(length * batch + b) * (bits + 1) + bits] = 1;
  return {
    xs: tensor(xs, { shape: [2 * length + 1, batch, bits + 1] }),
    targets: tensor(words, { shape: [length, batch, bits] }),
    length,
  };
}

/**
 * Different words of `bits` bits with a mark beside each, and then one of them, not the last, with a mark of another kind; to be said is the word that
 * came after it. xs [items+2,B,bits+2] ends with a step of zeros, in which the answer [1,B,bits] is due.
 * @see Graves, Wayne and Danihelka, "Neural Turing machines", 2014, section 4.3; items are of three words there, and marks stand between them
 */
export function itemsToRecall(dice: Dice, { batch, bits, items }: { batch: number; bits: number; items: number }): Transduction {
  const I = bits + 2;
  const xs = new Float32Array((items + 2) * batch * I);
  const targets = new Float32Array(batch * bits);
  const all = Array.from({ length: 2 ** bits }, (_, word) => word);
  const bitsOf = (word: number) => Array.from({ length: bits }, (_, k) => (word >> k) & 1);
  for (let b = 0; b < batch; b++) {
    const words = dice.shuffle(all).slice(0, items);
    const asked = dice.below(items - 1);
    for (const [t, word] of [...words, words[asked] as number].entries()) {
      xs.set([...bitsOf(word), Number(t < items), Number(t === items)], (t * batch + b) * I);
    }
    targets.set(bitsOf(words[asked + 1] as number), b * bits);
  }
  return { xs: tensor(xs, { shape: [items + 2, batch, I] }), targets: tensor(targets, { shape: [1, batch, bits] }), length: 1 };
}

/**
 * Symbols 0 … K − 1 as unit vectors, and then as long as something is to be said K for the order in which they came, K + 1 for the reverse. Targets are
 * class numbers [L,B].
 * @see Grefenstette, Hermann, Suleyman and Blunsom, "Learning to transduce with unbounded memory", 2015, section 4.1
 */
export function symbolsToSay(
  dice: Dice,
  { batch, symbols, length, reverse }: { batch: number; symbols: number; length: number; reverse: boolean },
): Transduction {
  const shown = Int32Array.from({ length: length * batch }, () => dice.below(symbols));
  const codes = new Int32Array(2 * length * batch).fill(reverse ? symbols + 1 : symbols);
  codes.set(shown);
  const said = shown.map((_, i) => shown[reverse ? (length - 1 - Math.floor(i / batch)) * batch + (i % batch) : i] as number);
  return {
    xs: oneHot(codes, [2 * length, batch], symbols + 2),
    targets: tensor(said, { shape: [length, batch], dtype: "int32" }),
    length,
  };
}

/** Wrong bits a sequence: logits [L,B,bits] whose signs are not what the targets say. */
export function wrongBits(logits: Tensor, { targets, length }: Transduction): number {
  const wanted = targets.data();
  const wrong = Array.from(logits.data()).filter((logit, i) => logit > 0 !== (wanted[i] as number) > 0.5).length;
  return wrong / (targets.size / (length * targets.dim(2)));
}
