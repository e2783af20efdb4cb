/**
 * From probabilities to stretches of speech, as they come.
 *
 * Speech begins with the first frame of at least `threshold` and ends with the first one below `negativeThreshold` of a silence that lasts.
 * @see Silero VAD, silero_vad/utils_vad.py, get_speech_timestamps, whose defaults these are; without its limit to the length of speech
 */

/** Samples from the first one to the one behind the last. */
export interface Segment {
  readonly start: number;
  readonly end: number;
}

export interface SegmentOptions {
  /** Samples of a frame. */
  readonly frame: number;
  /** Samples a second; default 16000. */
  readonly rate?: number;
  /** From this probability on somebody speaks; default 0.5. */
  readonly threshold?: number;
  /** Below this one nobody does any more; default threshold - 0.15, but at least 0.01. */
  readonly negativeThreshold?: number;
  /** Shorter speech is dropped; default 250 ms. */
  readonly minSpeechMs?: number;
  /** Shorter silence does not end speech; default 100 ms. */
  readonly minSilenceMs?: number;
  /** Added on both sides; two segments share what lies between them where that is less than twice as much. Default 30 ms. */
  readonly padMs?: number;
}

export class Segmenter {
  readonly #frame: number;
  readonly #threshold: number;
  readonly #negative: number;
  readonly #minSpeech: number;
  readonly #minSilence: number;
  readonly #pad: number;
  #frames = 0;
  /** Where present speech began; null in silence. */
  #start: number | null = null;
  /** Where a silence within it began. */
  #quiet: number | null = null;
  /** The segment before, whose end may yet be moved by the next one's start. */
  #last: Segment | null = null;

  constructor(options: SegmentOptions) {
    const { frame, rate = 16000, threshold = 0.5, minSpeechMs = 250, minSilenceMs = 100, padMs = 30 } = options;
    const samples = (ms: number): number => (rate * ms) / 1000;
    this.#frame = frame;
    this.#threshold = threshold;
    this.#negative = options.negativeThreshold ?? Math.max(threshold - 0.15, 0.01);
    this.#minSpeech = samples(minSpeechMs);
    this.#minSilence = samples(minSilenceMs);
    this.#pad = samples(padMs);
  }

  /** Takes the next frame's probability; gives the segments that are now certain. */
  push(probability: number): Segment[] {
    const at = this.#frame * this.#frames++;
    const closed = this.#listen(probability, at);
    const done = closed === null ? [] : this.#accept(closed);
    return [...done, ...this.#release(at)];
  }

  /** Ends the sound. */
  end(length: number): Segment[] {
    const start = this.#start;
    const done = start === null ? [] : this.#accept({ start, end: length });
    const last = this.#last;
    this.#start = null;
    this.#last = null;
    return last === null ? done : [...done, { start: last.start, end: Math.min(length, this.#after(last.end)) }];
  }

  /** Speech that ends with this frame. */
  #listen(probability: number, at: number): Segment | null {
    if (probability >= this.#threshold) {
      this.#start ??= at;
      this.#quiet = null;
      return null;
    }
    const start = this.#start;
    if (start === null || !(probability < this.#negative)) return null;
    const end = this.#quiet ?? at;
    this.#quiet = end;
    if (at - end < this.#minSilence) return null;
    this.#start = null;
    this.#quiet = null;
    return { start, end };
  }

  #after(end: number): number {
    return Math.trunc(end + this.#pad);
  }

  /** Pads the start, and with it the end of the segment before, which is given. Speech that is too short is dropped. */
  #accept({ start, end }: Segment): Segment[] {
    if (!(end - start > this.#minSpeech)) return [];
    const last = this.#last;
    const between = last === null ? Number.POSITIVE_INFINITY : start - last.end;
    const shared = between < 2 * this.#pad ? Math.floor(between / 2) : null;
    this.#last = { start: Math.trunc(Math.max(0, start - (shared ?? this.#pad))), end };
    return last === null ? [] : [{ start: last.start, end: shared === null ? this.#after(last.end) : last.end + shared }];
  }

  /** The last segment, once no later one can reach it. */
  #release(at: number): Segment[] {
    const last = this.#last;
    if (last === null || this.#start !== null || at + this.#frame - last.end < 2 * this.#pad) return [];
    this.#last = null;
    return [{ start: last.start, end: this.#after(last.end) }];
  }
}

/** The segments of a whole sound. */
export function segmentsOf(probabilities: readonly number[], length: number, options: SegmentOptions): Segment[] {
  const segmenter = new Segmenter(options);
  return [...probabilities.flatMap((p) => segmenter.push(p)), ...segmenter.end(length)];
}
