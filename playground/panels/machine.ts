/** A neural Turing machine learns to copy, and shows what it does with its memory. */

import {
  Adam,
  bceWithLogits,
  decodeCheckpoint,
  fit,
  Generator,
  Module,
  noGrad,
  scope,
  select,
  slice,
  type Tensor,
  type Training,
} from "tapeloop";
import { NTM, type NTMState } from "tapeloop/memory";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { answers, bitsToCopy, type Transduction, wrongBits } from "../../reproduce/tasks/transduction.ts";
import { watch } from "../../reproduce/watch.ts";
import { SLICE, type Work } from "../work.ts";
import { Curve, type CurveData } from "./curve.ts";

const BITS = 4;
const BATCH = 16;
const ROWS = 20;
/** Words that it learns to copy have 1 to so many items, and those that it is shown then. */
const LEARNED = 6;
const SHOWN = 10;
/** Milliseconds between two looks at the memory. */
const INTERVAL = 500;

/** Rows of numbers, a column for each step. */
type Picture = readonly (readonly number[])[];

export interface MachineShown {
  readonly step: number;
  /** The loss in bits a bit. */
  readonly loss: CurveData;
  /** One word: what goes in, what is to come out, what comes out, as probabilities. */
  readonly input: Picture;
  readonly target: Picture;
  readonly output: Picture;
  /** Where the heads stand: rows of the memory. */
  readonly writing: Picture;
  readonly reading: Picture;
  /** Wrong bits of 40 in words of ten items, longer than any it learned. */
  readonly wrong: number;
}

class Machine extends Module {
  readonly ntm = new NTM({
    inputSize: BITS + 1,
    outputSize: BITS,
    hiddenSize: 48,
    memorySize: ROWS,
    wordSize: 10,
    controller: "feedforward",
    generator: new Generator(3),
  });
}

/** Endless words to copy. */
function* words(seed: number): Iterable<Transduction> {
  const dice = new Dice(seed);
  while (true) yield bitsToCopy(dice, { batch: BATCH, bits: BITS, length: dice.between(1, LEARNED) });
}

class Copier implements Work<MachineShown> {
  readonly #machine = new Machine();
  readonly #training: Training<Machine, Transduction>;
  readonly #loss: Curve;
  /** The word that is shown is always the same. */
  readonly #word = bitsToCopy(new Dice(1000), { batch: 1, bits: BITS, length: SHOWN });
  readonly #test = bitsToCopy(new Dice(1001), { batch: 20, bits: BITS, length: SHOWN });
  #look: Omit<MachineShown, "step" | "loss">;
  #lookedAt = performance.now();

  constructor(loss: Curve = new Curve(), resume?: Uint8Array) {
    this.#loss = loss;
    const steps = resume === undefined ? 0 : scope(() => decodeCheckpoint(resume).step);
    this.#training = fit(this.#machine, words(7 + steps), {
      optimizer: new Adam(this.#machine.parameters(), { lr: 4e-3 }),
      loss: ({ ntm }, task) => bceWithLogits(answers(ntm.scan(task.xs)[0], task), task.targets),
      maxSteps: 1e9,
      clipNorm: 10,
      ...(resume && { resume }),
    });
    this.#look = this.#lookInside();
  }

  async advance(): Promise<boolean> {
    const end = performance.now() + SLICE;
    for await (const { loss } of this.#training) {
      this.#loss.add(loss / Math.LN2);
      if (performance.now() > end) break;
    }
    if (performance.now() - this.#lookedAt > INTERVAL) this.#look = this.#lookInside();
    return true;
  }

  shown(): MachineShown {
    return { step: this.#training.step, loss: this.#loss.data, ...this.#look };
  }

  input(): boolean {
    return false;
  }

  save(): Uint8Array<ArrayBuffer> {
    return this.#training.checkpoint({ loss: this.#loss.data as never });
  }

  #lookInside(): Omit<MachineShown, "step" | "loss"> {
    this.#lookedAt = performance.now();
    const { ntm } = this.#machine;
    const head = (k: number) => watch(ntm, this.#word.xs, ({ weightings }: NTMState) => select(select(weightings, 1, k), 0, 0));
    return scope(() =>
      noGrad(() => {
        const said = answers(ntm.scan(this.#word.xs)[0], this.#word);
        const wrong = wrongBits(answers(ntm.scan(this.#test.xs)[0], this.#test), this.#test);
        return {
          input: rowsOf(this.#word.xs),
          target: rowsOf(this.#word.targets),
          output: rowsOf(said, (logit) => 1 / (1 + Math.exp(-logit))),
          writing: head(1),
          reading: head(0),
          wrong,
        };
      }),
    );
  }
}

/** The first sequence of [T,B,N] as N rows of T numbers. */
function rowsOf(x: Tensor, of: (value: number) => number = (value) => value): number[][] {
  const [T, , N] = x.shape as [number, number, number];
  const values = slice(x, 1, 0, 1).data();
  return Array.from({ length: N }, (_, n) => Array.from({ length: T }, (_, t) => of(values[t * N + n] as number)));
}

export function openMachine(saved?: Uint8Array): Work<MachineShown> {
  if (saved === undefined) return new Copier();
  const { loss } = scope(() => decodeCheckpoint(saved).extra) as unknown as { loss: CurveData };
  return new Copier(new Curve(loss), saved);
}
