/** Progress display during training. */

const BAR = 24;
/** Columns of a terminal that does not say how many it has, or says 0. */
const UNKNOWN_WIDTH = 80;
/** Time between two lines if the output cannot be redrawn. */
const PLAIN_INTERVAL = 10_000;
const REDRAW_INTERVAL = 100;
/** Least weight of the newest loss in the displayed running mean. */
const SMOOTHING = 0.02;

/** 75 → 1:15. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function thousands(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A bar for a completed share, 0 to 1. */
export function progressBar(done: number): string {
  const filled = Math.floor(BAR * done);
  return "█".repeat(filled) + "░".repeat(BAR - filled);
}

export interface ProgressOptions {
  /** Total number of steps. */
  readonly total: number;
  /** Number of steps done before. */
  readonly done: number;
  /** Seconds that training may take; it may end before `total` steps. */
  readonly seconds: number;
  readonly now: () => number;
}

/** A bar that is redrawn on a terminal; elsewhere an occasional line. */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #options: ProgressOptions;
  readonly #start: number;
  #bits = Number.NaN;
  #updates = 0;
  #characters = 0;
  #shown: number;

  constructor(out: NodeJS.WriteStream, options: ProgressOptions) {
    this.#out = out;
    this.#options = options;
    this.#start = options.now();
    this.#shown = this.#start;
  }

  /** Call it after each step with its loss in bits per character and its number of characters. */
  update(step: number, bits: number, characters: number): void {
    this.#updates++;
    const weight = Math.max(SMOOTHING, 2 / (this.#updates + 1));
    this.#bits = weight === 1 ? bits : this.#bits + weight * (bits - this.#bits);
    this.#characters += characters;
    const now = this.#options.now();
    if (now - this.#shown < (this.#out.isTTY ? REDRAW_INTERVAL : PLAIN_INTERVAL)) return;
    this.#shown = now;
    this.#draw(this.#line(step, now));
  }

  /** Writes a separate line. */
  note(line: string): void {
    this.#out.write(this.#out.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
  }

  /** Shows the final state and keeps it. */
  finish(step: number): void {
    if (this.#updates > 0) this.note(this.#line(step, this.#options.now()));
  }

  #line(step: number, now: number): string {
    const { total, done, seconds } = this.#options;
    const elapsed = (now - this.#start) / 1000;
    const left = Math.min(((total - step) * elapsed) / Math.max(1, step - done), Math.max(0, seconds - elapsed));
    const rate = thousands(this.#characters / Math.max(elapsed, 1e-3));
    return `${progressBar(step / total)} step ${step}/${total}  ${this.#bits.toFixed(3)} bits/char  ${rate} chars/s  ${clock(left)} left`;
  }

  #draw(line: string): void {
    if (!this.#out.isTTY) this.#out.write(`${line}\n`);
    else this.#out.write(`\r\x1b[K${line.slice(0, (this.#out.columns || UNKNOWN_WIDTH) - 1)}`);
  }
}
