/** Pole balancing: one pole or two on a cart, with or without the velocities among what the controller sees. */

import type { Environment } from "../../src/learning/reinforce.ts";
import type { Dice } from "./dice.ts";

/** Metres, kilograms, seconds, radians, newtons. */
const CART_MASS = 1;
const GRAVITY = -9.8;
const TRACK_FRICTION = 5e-4;
const HINGE_FRICTION = 2e-6;
const FORCE = 10;
const TRACK = 2.4;
const INTERVAL = 0.01;
const INTERVALS_PER_ACTION = 2;
const DEGREE = Math.PI / 180;

/** Half of its length, and its mass. */
interface Pole {
  readonly l: number;
  readonly m: number;
}

const POLES: readonly Pole[] = [
  { l: 0.5, m: 0.1 },
  { l: 0.05, m: 0.01 },
];

/** What the controller sees is divided by these: place and speed of the cart, angle and speed of a pole. */
const SCALE = { x: 4.8, xd: 2, theta: 0.52, thetad: 2 } as const;

export interface PoleBalancingOptions {
  readonly poles: 1 | 2;
  /** Whether the controller sees velocities (default false). */
  readonly velocities?: boolean;
  /** Largest angle in degrees before the trial has failed (default 36). */
  readonly angle?: number;
  /** Whether there is friction at the track and in the hinges (default true). */
  readonly friction?: boolean;
}

/** x, ẋ, then θ and θ̇ of each pole. */
export type PoleState = readonly number[];

/** The start of every trial unless another is given: all at rest, the long pole at 4.5 degrees. */
export function usualStart(poles: 1 | 2): number[] {
  return [0, 0, 4.5 * DEGREE, 0, 0, 0].slice(0, 2 + 2 * poles);
}

/**
 * A cart on a track of 4.8 m with one pole of 1 m or two of 1 m and 0.1 m, pushed with at most 10 N every 0.02 s; the fourth-order
 * Runge-Kutta method with steps of 0.01 s in between. With g = −9.8:
 *
 *     F̃ᵢ = mᵢ lᵢ θ̇ᵢ² sin θᵢ + ¾ mᵢ cos θᵢ (μₚ θ̇ᵢ/(mᵢ lᵢ) + g sin θᵢ)      m̃ᵢ = mᵢ (1 − ¾ cos² θᵢ)
 *     ẍ = (F − μ_c sgn ẋ + Σ F̃ᵢ)/(M + Σ m̃ᵢ)      θ̈ᵢ = −¾ (ẍ cos θᵢ + g sin θᵢ + μₚ θ̇ᵢ/(mᵢ lᵢ))/lᵢ
 *
 * @see Wieland, "Evolving neural network controllers for unstable systems", 1991; constants as in Gomez, Schmidhuber and Miikkulainen,
 *   "Accelerated neural evolution through cooperatively coevolved synapses", 2008, table 1 (from memory)
 */
export class PoleBalancing {
  readonly poles: 1 | 2;
  /** How many numbers the controller sees. */
  readonly observationSize: number;
  readonly #velocities: boolean;
  readonly #angle: number;
  readonly #friction: number;
  readonly #work: Readonly<Record<"k1" | "k2" | "k3" | "k4" | "at", number[]>>;
  #state: number[];

  constructor({ poles, velocities = false, angle = 36, friction = true }: PoleBalancingOptions) {
    this.poles = poles;
    this.observationSize = (1 + poles) * (velocities ? 2 : 1);
    this.#velocities = velocities;
    this.#angle = angle * DEGREE;
    this.#friction = friction ? 1 : 0;
    this.#state = usualStart(poles);
    const zeros = () => new Array<number>(this.#state.length).fill(0);
    this.#work = { k1: zeros(), k2: zeros(), k3: zeros(), k4: zeros(), at: zeros() };
  }

  get state(): PoleState {
    return this.#state;
  }

  /** Begins a trial; what the controller sees. */
  reset(start: PoleState = usualStart(this.poles)): number[] {
    if (start.length !== 2 + 2 * this.poles) throw new Error(`reset: expected ${2 + 2 * this.poles} numbers, got ${start.length}`);
    this.#state = [...start];
    return this.observation();
  }

  /** Two integration steps under the force 10·action N, |action| ≤ 1 (what is beyond counts as 1). @returns whether the trial goes on */
  step(action: number): boolean {
    const force = FORCE * Math.max(-1, Math.min(1, action));
    for (let k = 0; k < INTERVALS_PER_ACTION; k++) this.#integrate(force);
    return !this.failed;
  }

  /** Whether the cart has left the track or a pole has fallen; also when a number is none any more. */
  get failed(): boolean {
    const inside = (value: number, most: number) => Math.abs(value) <= most;
    return !(inside(this.#state[0] as number, TRACK) && this.#angles().every((theta) => inside(theta, this.#angle)));
  }

  /** Places divided by 4.8 m and 0.52 rad; with velocities each followed by its own, divided by 2. */
  observation(): number[] {
    const scaled = this.#state.map((value, i) => {
      if (i < 2) return value / (i === 0 ? SCALE.x : SCALE.xd);
      return value / (i % 2 === 0 ? SCALE.theta : SCALE.thetad);
    });
    return this.#velocities ? scaled : scaled.filter((_, i) => i % 2 === 0);
  }

  /** Kinetic and potential energy in joules, which is constant without friction and force. */
  energy(): number {
    const xd = this.#state[1] as number;
    return POLES.slice(0, this.poles).reduce(
      (sum, { l, m }, i) => {
        const [theta, thetad] = this.#state.slice(2 + 2 * i, 4 + 2 * i) as [number, number];
        const kinetic = (m * xd * xd) / 2 + m * l * xd * thetad * Math.cos(theta) + (2 / 3) * m * l * l * thetad * thetad;
        return sum + kinetic - m * GRAVITY * l * Math.cos(theta);
      },
      (CART_MASS * xd * xd) / 2,
    );
  }

  #angles(): number[] {
    return this.#state.filter((_, i) => i >= 2 && i % 2 === 0);
  }

  /** The slope of s under a force, into `out`. */
  #slope(s: readonly number[], force: number, out: number[]): void {
    const xd = s[1] as number;
    let push = force - this.#friction * TRACK_FRICTION * Math.sign(xd);
    let mass = CART_MASS;
    for (let i = 0; i < this.poles; i++) {
      const { l, m } = POLES[i] as Pole;
      const [theta, thetad] = [s[2 + 2 * i] as number, s[3 + 2 * i] as number];
      const [sin, cos] = [Math.sin(theta), Math.cos(theta)];
      const pull = (this.#friction * HINGE_FRICTION * thetad) / (m * l) + GRAVITY * sin;
      push += m * l * thetad * thetad * sin + 0.75 * m * cos * pull;
      mass += m * (1 - 0.75 * cos * cos);
      // For the accelerations, which need ẍ first.
      out[2 + 2 * i] = cos;
      out[3 + 2 * i] = pull;
    }
    const xdd = push / mass;
    out[0] = xd;
    out[1] = xdd;
    for (let i = 0; i < this.poles; i++) {
      const [cos, pull] = [out[2 + 2 * i] as number, out[3 + 2 * i] as number];
      out[2 + 2 * i] = s[3 + 2 * i] as number;
      out[3 + 2 * i] = (-0.75 / (POLES[i] as Pole).l) * (xdd * cos + pull);
    }
  }

  /** One step of the classical Runge-Kutta method of fourth order. */
  #integrate(force: number): void {
    const [s, { k1, k2, k3, k4, at }] = [this.#state, this.#work];
    this.#slope(s, force, k1);
    this.#slope(along(s, k1, INTERVAL / 2, at), force, k2);
    this.#slope(along(s, k2, INTERVAL / 2, at), force, k3);
    this.#slope(along(s, k3, INTERVAL, at), force, k4);
    const next = new Array<number>(s.length);
    for (let i = 0; i < s.length; i++) {
      const mean = (k1[i] as number) + 2 * (k2[i] as number) + 2 * (k3[i] as number) + (k4[i] as number);
      next[i] = (s[i] as number) + (INTERVAL / 6) * mean;
    }
    this.#state = next;
  }
}

/** s + part·k, into `out`. */
function along(s: readonly number[], k: readonly number[], part: number, out: number[]): number[] {
  for (let i = 0; i < s.length; i++) out[i] = (s[i] as number) + part * (k[i] as number);
  return out;
}

/** What decides on a force: it forgets with `reset`, and answers what it sees with an action from −1 to 1. */
export interface Controller {
  reset(): void;
  act(observation: readonly number[]): number;
}

/** Steps of 0.02 s until the trial failed, at most `steps`. */
export function balance(
  task: PoleBalancing,
  controller: Controller,
  steps: number,
  start?: PoleState,
  seen?: (s: PoleState) => void,
): number {
  let observation = task.reset(start);
  controller.reset();
  for (let t = 0; t < steps; t++) {
    seen?.(task.state);
    if (!task.step(controller.act(observation))) return t;
    observation = task.observation();
  }
  return steps;
}

/**
 * Gruau's fitness, 0 to about 1, of a trial of 1,000 steps, which punishes trembling: 0.1 t/1000 + 0.9 f, where f = 0 for t < 100, and else
 * 0.75 over the sum of |x| + |ẋ| + |θ₁| + |θ̇₁| in the last 100 steps.
 * @see Gruau, Whitley and Pyeatt, "A comparison between cellular encoding and direct encoding for genetic neural networks", 1996
 */
export function gruauFitness(task: PoleBalancing, controller: Controller): { fitness: number; steps: number } {
  const unrest: number[] = [];
  const steps = balance(task, controller, 1000, undefined, (s) => {
    unrest.push(s.slice(0, 4).reduce((sum, value) => sum + Math.abs(value), 0));
  });
  const calm = steps < 100 ? 0 : 0.75 / unrest.slice(-100).reduce((a, b) => a + b, 0);
  return { fitness: (0.1 * steps) / 1000 + 0.9 * calm, steps };
}

/** The 625 starts: every mixture of five places, speeds, angles and angular speeds of the first pole at 0.05 to 0.95 of their ranges. */
export function generalisationStarts(poles: 1 | 2): number[][] {
  const parts = [0.05, 0.25, 0.5, 0.75, 0.95];
  // x ±2.16 m, ẋ ±1.35 m/s, θ ±3.6°, θ̇ ±8.6°/s
  const ranges = [2.16, 1.35, 3.6 * DEGREE, 8.6 * DEGREE];
  let starts: number[][] = [[]];
  for (const range of ranges) starts = starts.flatMap((s) => parts.map((part) => [...s, (2 * part - 1) * range]));
  return starts.map((s) => [...s, ...(poles === 2 ? [0, 0] : [])]);
}

/** In how many of the 625 starts the poles stay up for 1,000 steps; 200 are asked for. */
export function generalisation(task: PoleBalancing, controller: Controller): number {
  return generalisationStarts(task.poles).filter((start) => balance(task, controller, 1000, start) === 1000).length;
}

/** What is observed is multiplied by this for a policy that begins with small weights. */
const ENLARGED = 5;

export interface PoleEnvironmentOptions extends PoleBalancingOptions {
  /** The forces of the actions, parts of 10 N. */
  readonly forces: readonly number[];
  /** Of every step that the poles stay up. */
  readonly reward: number;
}

/** Pole balancing as episodes: from rest, at up to 0.5 m from the middle of the track, with the long pole at up to 4.5 degrees. */
export class PoleEnvironment implements Environment {
  readonly #task: PoleBalancing;
  readonly #dice: Dice;
  readonly #forces: readonly number[];
  readonly #reward: number;

  constructor(dice: Dice, { forces, reward, ...task }: PoleEnvironmentOptions) {
    this.#task = new PoleBalancing(task);
    this.#dice = dice;
    this.#forces = forces;
    this.#reward = reward;
  }

  reset(): number[] {
    const start = usualStart(this.#task.poles);
    start[0] = this.#dice.uniform(-0.5, 0.5);
    start[2] = this.#dice.uniform(-4.5, 4.5) * DEGREE;
    this.#task.reset(start);
    return this.#seen();
  }

  step(action: number): { observation: readonly number[]; reward: number; done: boolean } {
    const up = this.#task.step(this.#forces[action] as number);
    return { observation: this.#seen(), reward: up ? this.#reward : 0, done: !up };
  }

  #seen(): number[] {
    return this.#task.observation().map((value) => ENLARGED * value);
  }
}
