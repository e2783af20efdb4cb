/** A character model learns from a text and writes. */

import {
  Adam,
  decodeCheckpoint,
  fit,
  type SymbolWindow,
  scope,
  type Tensor,
  type Training,
  tensor,
  Vocabulary,
  WindowBatches,
} from "tapeloop";
import { gateTrace } from "tapeloop/insight";
import { CharModel, type CharState, CharStream } from "tapeloop/models";
import { SLICE, type Work } from "../work.ts";
import { Curve, type CurveData } from "./curve.ts";

const HIDDEN = 96;
const [BATCH, WINDOW] = [8, 32];
const LR = 0.02;
/** A text must fill one window of every stream. */
export const LEAST_TEXT = BATCH * WINDOW + 1;
const SAMPLE = 200;
/** Units and characters in the picture of states. */
const [UNITS, CHARACTERS] = [24, 48];
/** Hidden states, and the gates that forget, write and put out. */
export const GATES = ["h", "f", "i", "o"] as const;
export type GateName = (typeof GATES)[number];
const NO_GATES: WriterShown["gates"] = { h: [], f: [], i: [], o: [] };
/** Milliseconds between two samples. */
const INTERVAL = 500;

export interface WriterShown {
  /** What it learns from; empty before there is any. */
  readonly text: string;
  readonly step: number;
  readonly bits: CurveData;
  /** What the model writes now. */
  readonly sample: string;
  /** What the first units did while it wrote the sample's end, by the names of `GATES`: a row for each unit. */
  readonly gates: Readonly<Record<GateName, readonly (readonly number[])[]>>;
  /** The characters that belong to the columns. */
  readonly characters: string;
}

/** What a checkpoint tells besides weights. */
interface Told {
  readonly text: string;
  readonly bits: CurveData;
}

class Writer implements Work<WriterShown> {
  readonly #text: string;
  readonly #vocabulary: Vocabulary;
  readonly #model: CharModel;
  readonly #training: Training<CharModel, SymbolWindow, CharState>;
  readonly #bits: Curve;
  #sample: Pick<WriterShown, "sample" | "gates" | "characters"> = { sample: "", gates: NO_GATES, characters: "" };
  #sampledAt = Number.NEGATIVE_INFINITY;

  constructor(text: string, bits: Curve = new Curve(), resume?: Uint8Array) {
    if (text.length < LEAST_TEXT) throw new Error(`Paste at least ${LEAST_TEXT} characters; there are ${text.length}.`);
    this.#text = text;
    this.#bits = bits;
    this.#vocabulary = Vocabulary.fromText(text);
    this.#model = new CharModel({ vocabSize: this.#vocabulary.size, hidden: HIDDEN, seed: 1 });
    const windows = new WindowBatches(this.#vocabulary.encode(text), { batch: BATCH, window: WINDOW, dropLast: true });
    this.#training = fit(this.#model, windows, {
      optimizer: new Adam(this.#model.parameters(), { lr: LR }),
      loss: (model, window, state: CharState | undefined) => model.loss(window, state),
      maxSteps: 1e9,
      clipNorm: 1,
      ...(resume && { resume }),
    });
    this.#write();
  }

  async advance(): Promise<boolean> {
    const end = performance.now() + SLICE;
    for await (const { loss } of this.#training) {
      this.#bits.add(loss / Math.LN2);
      if (performance.now() > end) break;
    }
    if (performance.now() - this.#sampledAt > INTERVAL) this.#write();
    return true;
  }

  shown(): WriterShown {
    return { text: this.#text, step: this.#training.step, bits: this.#bits.data, ...this.#sample };
  }

  input(): boolean {
    return false;
  }

  save(): Uint8Array<ArrayBuffer> {
    return this.#training.checkpoint({ text: this.#text, bits: this.#bits.data as never });
  }

  /** Writes on from the text's first character. */
  #write(): void {
    this.#sampledAt = performance.now();
    const stream = new CharStream(this.#model, this.#vocabulary);
    stream.start(this.#training.step);
    const first = this.#vocabulary.symbolOf(this.#vocabulary.encode(this.#text)[0] as number);
    stream.read(first);
    const sample = first + stream.write(SAMPLE, 0.6);
    this.#sample = { sample, ...scope(() => this.#gatesWhile(sample)) };
  }

  #gatesWhile(sample: string): Pick<WriterShown, "gates" | "characters"> {
    const ids = this.#vocabulary.encode(sample);
    const { lstm } = this.#model;
    const [trace] = gateTrace(lstm, () => lstm.scan(tensor(ids, { shape: [ids.length, 1] })));
    const from = Math.max(0, ids.length - CHARACTERS);
    const rows = (name: GateName) => rowsOf(trace?.gates[name] as Tensor, from);
    const characters = Array.from(ids.subarray(from), (id) => this.#vocabulary.symbolOf(id)).join("");
    return { gates: { h: rows("h"), f: rows("f"), i: rows("i"), o: rows("o") }, characters };
  }
}

/** The first units of [T,1,H], from a step on. */
function rowsOf(values: Tensor, from: number): number[][] {
  const all = values.data();
  return Array.from({ length: UNITS }, (_, unit) =>
    Array.from({ length: values.dim(0) - from }, (_, t) => all[(from + t) * HIDDEN + unit] as number),
  );
}

/** Before a text is there. */
class Waiting implements Work<WriterShown> {
  #writer: Writer | null;

  constructor(writer: Writer | null = null) {
    this.#writer = writer;
  }

  async advance(): Promise<boolean> {
    if (this.#writer === null) throw new Error("Paste a text first.");
    return this.#writer.advance();
  }

  shown(): WriterShown {
    return this.#writer?.shown() ?? { text: "", step: 0, bits: new Curve().data, sample: "", gates: NO_GATES, characters: "" };
  }

  /** A text: a new model learns it. */
  input(_: string, text: unknown): boolean {
    this.#writer = new Writer(String(text));
    return true;
  }

  save(): Uint8Array<ArrayBuffer> {
    return this.#writer?.save() ?? new Uint8Array();
  }
}

/** Takes the text as the input "text". */
export function openWriter(saved?: Uint8Array): Work<WriterShown> {
  if (saved === undefined || saved.length === 0) return new Waiting();
  const { text, bits } = scope(() => decodeCheckpoint(saved).extra) as unknown as Told;
  return new Waiting(new Writer(text, new Curve(bits), saved));
}
