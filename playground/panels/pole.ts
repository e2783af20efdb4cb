/** Evolution finds a recurrent network that balances one pole or two without seeing how fast anything moves. */

import { Generator, RNNCell, type Tensor } from "tapeloop";
import { CMAES, flatten } from "tapeloop/search";
import { StreamController } from "../../reproduce/tasks/controllers.ts";
import { balance, gruauFitness, PoleBalancing, type PoleState, usualStart } from "../../reproduce/tasks/pole-balancing.ts";
import { SLICE, type Work } from "../work.ts";
import { fromBytes, toBytes } from "./saved.ts";

/** Steps of 0.02 s of a trial, and of one that shows whoever passed it the rest. */
const [TRIAL, LONG] = [1000, 3000];
/** Steps between two pictures of a trial. */
const STRIDE = 3;

type Poles = 1 | 2;

export interface PoleShown {
  readonly poles: Poles;
  readonly generation: number;
  readonly evaluations: number;
  /** Seconds that the best network so far kept the pole up. */
  readonly seconds: number;
  readonly solved: boolean;
  /** Seconds of the best of each generation. */
  readonly course: readonly number[];
  /** The best network's trial: the cart in metres and the poles in radians, every 0.06 s. */
  readonly film: readonly (readonly number[])[];
}

interface Told {
  readonly poles: Poles;
  readonly course: readonly number[];
  readonly best: readonly number[] | null;
  readonly search: readonly number[];
}

class Evolution {
  readonly poles: Poles;
  readonly #task: PoleBalancing;
  readonly #controller: StreamController<Tensor>;
  readonly #search: CMAES;
  #course: number[];
  #best: Float64Array | null;
  #film: (readonly number[])[] = [];
  #steps = 0;

  constructor(poles: Poles, told?: Told) {
    this.poles = poles;
    this.#task = new PoleBalancing({ poles });
    const cell = new RNNCell({ inputSize: 1 + poles, hiddenSize: 1 + poles, bias: false, dtype: "float64" });
    this.#controller = new StreamController(cell);
    const start = new Float64Array(flatten(cell).length);
    this.#search = new CMAES({ start, sigma: poles === 1 ? 1 : 0.5, restarts: 9, tolFun: 1e-6, generator: new Generator(1) });
    if (told !== undefined) this.#search.restore(Uint8Array.from(told.search));
    this.#course = [...(told?.course ?? [])];
    this.#best = told?.best ? Float64Array.from(told.best) : null;
    if (this.#best !== null) this.#record(this.#best);
  }

  get #solved(): boolean {
    return this.#steps >= LONG;
  }

  /** One generation. */
  advance(): boolean {
    if (this.#solved) return false;
    const asked = this.#search.ask();
    const trials = asked.map((weights) => gruauFitness(this.#task, this.#controller.with(weights)));
    this.#search.tell(
      asked,
      trials.map(({ fitness }) => -fitness),
    );
    const longest = trials.reduce((best, { fitness }, i) => (fitness > (trials[best]?.fitness as number) ? i : best), 0);
    const { steps } = trials[longest] as { steps: number };
    this.#course.push(steps * 0.02);
    if (steps > this.#steps || (steps === TRIAL && this.#steps < LONG)) this.#record(asked[longest] as Float64Array);
    return !this.#solved && this.#search.stop() === null;
  }

  shown(): PoleShown {
    const { generations, evaluations } = this.#search.result;
    return {
      poles: this.poles,
      generation: generations,
      evaluations,
      seconds: this.#steps * 0.02,
      solved: this.#solved,
      course: this.#course,
      film: this.#film,
    };
  }

  told(): Told {
    const best = this.#best && Array.from(this.#best);
    return { poles: this.poles, course: this.#course, best, search: Array.from(this.#search.toBytes()) };
  }

  /** Films a trial of these weights, unless it is shorter than the one that is there. */
  #record(weights: Float64Array): void {
    const states: PoleState[] = [];
    const steps = balance(this.#task, this.#controller.with(weights), LONG, usualStart(this.poles), (state) => states.push(state));
    if (steps < this.#steps) return;
    [this.#steps, this.#best] = [steps, weights.slice()];
    this.#film = states.filter((_, t) => t % STRIDE === 0).map((state) => state.filter((_, i) => i % 2 === 0));
  }
}

class Balancing implements Work<PoleShown> {
  #evolution: Evolution;

  constructor(told?: Told) {
    this.#evolution = new Evolution(told?.poles ?? 2, told);
  }

  advance(): boolean {
    const end = performance.now() + SLICE;
    let more = true;
    while (more && performance.now() < end) more = this.#evolution.advance();
    return more;
  }

  shown(): PoleShown {
    return this.#evolution.shown();
  }

  /** How many poles: another evolution. */
  input(_: string, poles: unknown): boolean {
    if (poles !== 1 && poles !== 2) throw new Error(`There are one or two poles, not ${poles}.`);
    this.#evolution = new Evolution(poles);
    return false;
  }

  save(): Uint8Array<ArrayBuffer> {
    return toBytes("pole", this.#evolution.told());
  }
}

export function openPole(saved?: Uint8Array): Work<PoleShown> {
  return new Balancing(saved && fromBytes<Told>("pole", saved).data);
}
