/** An echo state network hears a chaotic system for a while and goes on by itself. */

import { noGrad, scope, type Tensor, tensor } from "tapeloop";
import { EchoStateNetwork, type EchoStateNetworkState, Reservoir } from "tapeloop/reservoirs";
import { Dice } from "../../reproduce/tasks/dice.ts";
import { LORENZ_EXPONENT, lorenz } from "../../reproduce/tasks/lorenz.ts";
import { mackeyGlass } from "../../reproduce/tasks/mackey-glass.ts";
import type { Work } from "../work.ts";
import { fromBytes, toBytes } from "./saved.ts";

export type SystemName = "Lorenz" | "Mackey-Glass";

interface ChaoticSystem {
  /** Numbers a sample. */
  readonly size: number;
  /** Samples a unit of time. */
  readonly rate: number;
  /** How fast two courses part, in 1 a unit of time. */
  readonly exponent: number;
  series(dice: Dice, samples: number): readonly (readonly number[])[];
  readonly reservoir: { readonly spectralRadius: number; readonly inputScale: number; readonly biasScale: number };
}

const SYSTEMS: Readonly<Record<SystemName, ChaoticSystem>> = {
  Lorenz: {
    size: 3,
    rate: 50,
    exponent: LORENZ_EXPONENT,
    series: lorenz,
    reservoir: { spectralRadius: 0.8, inputScale: 0.8, biasScale: 0.5 },
  },
  "Mackey-Glass": {
    size: 1,
    rate: 1,
    // At a delay of 17: Farmer, 1982.
    exponent: 0.006,
    series: (dice, samples) => mackeyGlass(dice, samples).map((x) => [Math.tanh(x - 1)]),
    reservoir: { spectralRadius: 0.9, inputScale: 1, biasScale: 0.2 },
  },
};

const UNITS = 300;
/** Samples that a run goes on by itself between two pictures. */
const STRIDE = 8;
/** Samples that are heard, and that the network then goes on by itself. */
const [HEARD, AHEAD] = [2000, 190 * STRIDE];
/** A prediction is lost from the first error of this part of the system's spread on. */
const TOLERANCE = 0.4;
/** Samples that are shown. */
const TAIL = 600;

export interface AttractorShown {
  readonly system: SystemName;
  /** Samples that the network has gone on by itself. */
  readonly steps: number;
  /** Its latest samples, and the system's own at the same times. */
  readonly predicted: readonly (readonly number[])[];
  readonly actual: readonly (readonly number[])[];
  /** How long both stayed together, in Lyapunov times; null while they do. */
  readonly together: number | null;
}

interface Told {
  readonly system: SystemName;
  readonly seed: number;
  readonly steps: number;
}

type Series = readonly (readonly number[])[];
const sequence = (rows: Series, size: number): Tensor => tensor(rows.flat(), { shape: [rows.length, 1, size], dtype: "float64" });

class Attractor implements Work<AttractorShown> {
  #system: SystemName;
  #seed: number;
  #network: EchoStateNetwork | null = null;
  #state: EchoStateNetworkState<Tensor> | null = null;
  #actual: Series = [];
  /** What the network reads next: what it said last. */
  #last: readonly number[] = [];
  #predicted: (readonly number[])[] = [];
  #together: number | null = null;

  constructor({ system, seed, steps }: Told = { system: "Lorenz", seed: 1, steps: 0 }) {
    this.#system = system;
    this.#seed = seed;
    // A seed gives the same bits everywhere, so the course so far is run again.
    while (this.#predicted.length < steps) this.advance();
  }

  advance(): boolean {
    if (this.#network === null) this.#listen();
    else this.#goOn(this.#network);
    return this.#predicted.length < AHEAD;
  }

  shown(): AttractorShown {
    const steps = this.#predicted.length;
    const from = Math.max(0, steps - TAIL);
    return {
      system: this.#system,
      steps,
      predicted: this.#predicted.slice(from),
      actual: this.#actual.slice(from, steps),
      together: this.#together,
    };
  }

  /** "system" takes another one, "again" another course of the same; both listen anew. */
  input(name: string, value: unknown): boolean {
    if (name === "system") {
      if (!Object.hasOwn(SYSTEMS, String(value))) throw new Error(`There is no system "${value}".`);
      this.#system = value as SystemName;
    } else this.#seed++;
    [this.#network, this.#state, this.#predicted, this.#together] = [null, null, [], null];
    return true;
  }

  save(): Uint8Array<ArrayBuffer> {
    return toBytes("attractor", { system: this.#system, seed: this.#seed, steps: this.#predicted.length } satisfies Told);
  }

  #listen(): void {
    const { size, series, reservoir } = SYSTEMS[this.#system];
    const dice = new Dice(this.#seed);
    const all = series(dice, HEARD + AHEAD + 1);
    const options = { inputSize: size, hiddenSize: UNITS, dtype: "float64", generator: dice.generator, ...reservoir } as const;
    this.#network = new EchoStateNetwork(new Reservoir(options), { outputSize: size, dtype: "float64" });
    const [xs, targets] = [sequence(all.slice(0, HEARD), size), sequence(all.slice(1, HEARD + 1), size)];
    this.#state = this.#network.fit(xs, targets, { washout: 200, ridge: 1e-8 }).state;
    this.#actual = all.slice(HEARD + 1);
    this.#last = all[HEARD] as readonly number[];
  }

  #goOn(network: EchoStateNetwork): void {
    for (let i = 0; i < STRIDE; i++) {
      const [y, next] = scope(() => noGrad(() => network.step(tensor([this.#last], { dtype: "float64" }), this.#state as never)));
      this.#state = next;
      this.#last = Array.from(y.data(), Number);
      this.#predicted.push(this.#last);
      this.#compare();
    }
  }

  #compare(): void {
    if (this.#together !== null) return;
    const t = this.#predicted.length - 1;
    const [predicted, actual] = [this.#last, this.#actual[t] as readonly number[]];
    const error = Math.hypot(...predicted.map((v, i) => v - (actual[i] as number)));
    const { rate, exponent } = SYSTEMS[this.#system];
    if (!(error <= TOLERANCE)) this.#together = (t / rate) * exponent;
  }
}

export function openAttractor(saved?: Uint8Array): Work<AttractorShown> {
  return new Attractor(saved && fromBytes<Told>("attractor", saved).data);
}
