/** The circuit of a liquid state machine: where neurons are, which are connected, and how. */

import { exp } from "../numerics/scalar.ts";
import { neg, sub } from "../ops/arithmetic.ts";
import { log } from "../ops/math.ts";
import type { Generator } from "../tensor/random.ts";
import { scope } from "../tensor/tensor.ts";

/** Kinds of a synapse by the neurons before and after it: E excites, I inhibits. */
export type SynapseKind = "EE" | "EI" | "IE" | "II";

/** What synapses of a kind are like. Each synapse draws its own values around these. */
export interface SynapseConstants {
  /** C of the probability C·exp(−(D/λ)²) that two neurons at distance D are connected. */
  readonly probability: number;
  /** Mean of the amplitude, in nA; below 0 for inhibition. */
  readonly amplitude: number;
  /** Means of U (a part), and of the time constants of depression and facilitation, in ms. */
  readonly use: number;
  readonly depression: number;
  readonly facilitation: number;
  /** In ms. */
  readonly delay: number;
}

/**
 * Constants of synapses as Maass, Natschläger and Markram (2002) use them, after Gupta, Wang and Markram (2000); quoted from memory, and the same in
 * several programs that repeat them.
 */
export const synapseConstants: Readonly<Record<SynapseKind, SynapseConstants>> = {
  EE: { probability: 0.3, amplitude: 30, use: 0.5, depression: 1100, facilitation: 50, delay: 1.5 },
  EI: { probability: 0.2, amplitude: 60, use: 0.05, depression: 125, facilitation: 1200, delay: 0.8 },
  IE: { probability: 0.4, amplitude: -19, use: 0.25, depression: 700, facilitation: 20, delay: 0.8 },
  II: { probability: 0.1, amplitude: -19, use: 0.32, depression: 144, facilitation: 60, delay: 0.8 },
};

/** A synapse of a circuit. */
export interface Synapse {
  readonly from: number;
  readonly to: number;
  readonly kind: SynapseKind;
  /** nA, with its sign. */
  readonly amplitude: number;
  readonly use: number;
  /** ms */
  readonly depression: number;
  readonly facilitation: number;
  readonly delay: number;
}

/** The neurons and synapses of a liquid state machine. */
export interface Circuit {
  readonly inhibitory: readonly boolean[];
  readonly synapses: readonly Synapse[];
}

/** Numbers of a distribution, drawn many at a time. */
class Draws {
  readonly #more: (n: number) => ArrayLike<number | bigint | boolean>;
  #values: ArrayLike<number | bigint | boolean> = [];
  #next = 0;

  constructor(more: (n: number) => ArrayLike<number | bigint | boolean>) {
    this.#more = more;
  }

  next(): number {
    if (this.#next === this.#values.length) [this.#values, this.#next] = [this.#more(1024), 0];
    return Number(this.#values[this.#next++]);
  }
}

/** Sources of random numbers for a circuit. */
export class CircuitDice {
  readonly #uniform: Draws;
  readonly #normal: Draws;
  readonly #exponential: Draws;

  constructor(generator: Generator) {
    this.#uniform = new Draws((n) => scope(() => generator.uniform([n], 0, 1, "float64").data()));
    this.#normal = new Draws((n) => scope(() => generator.normal([n], 0, 1, "float64").data()));
    this.#exponential = new Draws((n) => scope(() => neg(log(sub(1, generator.uniform([n], 0, 1, "float64")))).data()));
  }

  uniform(low = 0, high = 1): number {
    return low + (high - low) * this.#uniform.next();
  }

  /** A gamma distribution whose deviation is its mean: the exponential one. */
  gamma(mean: number): number {
    return mean * this.#exponential.next();
  }

  /** Normal with half the mean as deviation; what is not above 0 is drawn again, uniformly up to twice the mean. */
  positive(mean: number): number {
    const drawn = mean * (1 + 0.5 * this.#normal.next());
    return drawn > 0 ? drawn : this.uniform(0, 2 * mean);
  }

  /** True for n of `of` places, chosen at random. */
  some(n: number, of: number): boolean[] {
    const order = Array.from({ length: of }, (_, i) => ({ i, key: this.uniform() })).sort((a, b) => a.key - b.key);
    const chosen = new Set(order.slice(0, n).map(({ i }) => i));
    return order.map((_, i) => chosen.has(i));
  }
}

/** Coordinates of the neurons of a column, x fastest. */
function places([width, depth, height]: readonly [number, number, number]): number[][] {
  return Array.from({ length: width * depth * height }, (_, i) => [
    i % width,
    Math.floor(i / width) % depth,
    Math.floor(i / (width * depth)),
  ]);
}

export interface CircuitOptions {
  /** Neurons along each axis. */
  readonly grid: readonly [number, number, number];
  /** The part of neurons that inhibit. */
  readonly inhibitory: number;
  /** λ: how far connections reach. */
  readonly reach: number;
  /** Every amplitude is multiplied by it. */
  readonly scale: number;
  readonly constants: Readonly<Record<SynapseKind, SynapseConstants>>;
}

/** Draws a circuit: connected are two neurons at distance D with probability C·exp(−(D/λ)²), none with itself. */
export function drawCircuit({ grid, inhibitory, reach, scale, constants }: CircuitOptions, dice: CircuitDice): Circuit {
  const at = places(grid);
  const inhibits = dice.some(Math.round(inhibitory * at.length), at.length);
  const near = nearness(grid, reach);
  const synapses: Synapse[] = [];
  at.forEach((here, from) => {
    at.forEach((there, to) => {
      const kind = `${inhibits[from] ? "I" : "E"}${inhibits[to] ? "I" : "E"}` as SynapseKind;
      const c = constants[kind];
      const squared = here.reduce((sum, x, axis) => sum + (x - (there[axis] as number)) ** 2, 0);
      if (from === to || !(dice.uniform() < c.probability * (near[squared] as number))) return;
      const size = dice.gamma(Math.abs(c.amplitude)) * scale;
      synapses.push({
        from,
        to,
        kind,
        amplitude: c.amplitude < 0 ? -size : size,
        use: Math.min(1, dice.positive(c.use)),
        depression: dice.positive(c.depression),
        facilitation: dice.positive(c.facilitation),
        delay: c.delay,
      });
    });
  });
  return { inhibitory: inhibits, synapses };
}

/** exp(−D²/λ²) by D². The library's exponential: Math's may differ between hosts in the last bit. */
function nearness(grid: readonly number[], reach: number): number[] {
  const most = grid.reduce((sum, n) => sum + (n - 1) ** 2, 0);
  return Array.from({ length: most + 1 }, (_, squared) => exp(-squared / (reach * reach)));
}
