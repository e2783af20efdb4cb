/** A bar for work that tells which part of it is done. */

import { clock, progressBar } from "../src/cli/progress.ts";

const REDRAW = 200;
/** Between two lines where nothing can be redrawn. */
const PLAIN = 15_000;

export class Bar {
  readonly #out: NodeJS.WriteStream;
  readonly #start = Date.now();
  #shown: number = this.#start;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** `done` from 0 to 1, and what else there is to say. */
  update(done: number, note: string): void {
    const now = Date.now();
    if (now - this.#shown < (this.#out.isTTY ? REDRAW : PLAIN)) return;
    this.#shown = now;
    const elapsed = (now - this.#start) / 1000;
    const left = done > 0 ? `  ${clock((elapsed * (1 - done)) / done)} left` : "";
    const line = `  ${progressBar(done)} ${Math.floor(done * 100)} %  ${note}${left}`;
    this.#out.write(this.#out.isTTY ? `\r\x1b[K${line.slice(0, Math.max(0, (this.#out.columns ?? 80) - 1))}` : `${line}\n`);
  }

  /** Takes the bar away. */
  clear(): void {
    if (this.#out.isTTY) this.#out.write("\r\x1b[K");
  }
}
