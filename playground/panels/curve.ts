/** A training's course, in few points whatever its length. */

/** Points that a curve has at most. */
const MOST = 240;

/** Means of equally many values each; when there are too many, neighbours become one. */
export class Curve {
  readonly #points: number[];
  /** Values a point. */
  #every: number;
  #sum = 0;
  #count = 0;

  constructor({ points, every }: CurveData = { points: [], every: 1 }) {
    this.#points = [...points];
    this.#every = every;
  }

  add(value: number): void {
    this.#sum += value;
    if (++this.#count < this.#every) return;
    this.#points.push(this.#sum / this.#count);
    [this.#sum, this.#count] = [0, 0];
    if (this.#points.length < MOST) return;
    for (let i = 0; i < MOST / 2; i++) this.#points[i] = ((this.#points[2 * i] as number) + (this.#points[2 * i + 1] as number)) / 2;
    this.#points.length = MOST / 2;
    this.#every *= 2;
  }

  get data(): CurveData {
    return { points: [...this.#points], every: this.#every };
  }
}

export interface CurveData {
  readonly points: readonly number[];
  /** Values a point. */
  readonly every: number;
}
