/**
 * Silero's voice detector: from frames of sound to the probability that somebody speaks.
 *
 * A frame of versions 5 and 6 is 512 samples, but the model reads 576: the last 64 of the frame before come first. Without these it runs,
 * and detects nothing. The legacy version reads 1536 samples alone. One model serves any number of sounds, each of which has a state.
 */

import { loadModel, type ModelStream, type Session, tensor, zeros } from "tapeloop/onnx/inference";

/** Samples a second. */
export const RATE = 16000;

interface Kind {
  readonly frame: number;
  /** Samples of the frame before that come first. */
  readonly context: number;
  /** The outputs that go to the next frame, by the inputs that take them. */
  readonly links: Readonly<Record<string, string>>;
}

/** Versions 5 and 6, and the one before. */
const KINDS: readonly Kind[] = [
  { frame: 512, context: 64, links: { state: "stateN" } },
  { frame: 1536, context: 0, links: { h: "hn", c: "cn" } },
];

/** A model file, read once. */
export class VoiceModel {
  readonly session: Session;
  readonly kind: Kind;

  /** @throws FormatError for bytes that are no such model */
  constructor(bytes: Uint8Array | ArrayBuffer) {
    this.session = loadModel(bytes);
    const names = this.session.inputs.map(({ name }) => name);
    const kind = KINDS.find(({ links }) => Object.keys(links).every((input) => names.includes(input)));
    if (kind === undefined) throw new TypeError(`model: expected inputs input, sr and state, or h and c, got ${names.join(", ")}`);
    this.kind = kind;
  }

  get frame(): number {
    return this.kind.frame;
  }
}

/** Listens to one sound, in pieces of any length. */
export class VoiceDetector {
  readonly #model: VoiceModel;
  /** What the model reads: samples of the frame before, then the frame. */
  readonly #window: Float32Array<ArrayBuffer>;
  readonly #stream: ModelStream;
  /** Samples of the next frame that are there. */
  #filled = 0;
  /** Samples heard so far. */
  heard = 0;

  constructor(model: VoiceModel) {
    const { frame, context, links } = model.kind;
    this.#model = model;
    this.#window = new Float32Array(context + frame);
    this.#stream = model.session.stream(links, { input: zeros([1, context + frame]), sr: tensor(RATE, { dtype: "int32" }) });
  }

  /** The probabilities of the frames that these samples, in [-1, 1], complete. */
  push(samples: Float32Array): number[] {
    const { frame, context } = this.#model.kind;
    const probabilities: number[] = [];
    for (let at = 0; at < samples.length; ) {
      const piece = samples.subarray(at, at + frame - this.#filled);
      this.#window.set(piece, context + this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      if (this.#filled === frame) probabilities.push(this.#frame());
    }
    this.heard += samples.length;
    return probabilities;
  }

  /** Ends the sound: silence completes a last frame that was begun. */
  end(): number[] {
    if (this.#filled === 0) return [];
    const { frame, context } = this.#model.kind;
    this.#window.fill(0, context + this.#filled);
    this.#filled = frame;
    return [this.#frame()];
  }

  #frame(): number {
    const { output } = this.#stream.step({ input: this.#window });
    this.#window.copyWithin(0, this.#model.frame);
    this.#filled = 0;
    return output?.[0] as number;
  }
}

/** The probability of every frame of a sound. */
export function probabilitiesOf(model: VoiceModel, samples: Float32Array): number[] {
  const detector = new VoiceDetector(model);
  return [...detector.push(samples), ...detector.end()];
}
