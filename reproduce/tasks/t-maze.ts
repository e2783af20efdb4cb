/** A T-maze: what is seen at the start of a corridor says at its end where to turn. */

import type { Environment } from "../../src/learning/reinforce.ts";
import type { Dice } from "./dice.ts";

/** What is seen at the start, by the side on which the goal lies; in the corridor; at the junction. */
const START = [
  [0, 1, 1],
  [1, 1, 0],
] as const;
const CORRIDOR = [1, 0, 1] as const;
const JUNCTION = [0, 1, 0] as const;

const [NORTH, EAST, SOUTH] = [0, 1, 2] as const;
/** North, east, south, west. */
export const MAZE_ACTIONS = 4;

/**
 * A corridor of some steps to the east with a junction at its end. A turn at the junction ends the trial, with reward 4 on the goal's side and
 * −0.1 on the other; a move into a wall, or one that leads nowhere, costs 0.1, any other nothing.
 * @see Bakker, "Reinforcement learning with long short-term memory", 2002, section 4.1
 */
export class TMaze implements Environment {
  readonly #length: number;
  readonly #dice: Dice;
  #goal = 0;
  #place = 0;
  /** Whether the last trial ended on the goal's side. */
  reached = false;

  constructor(length: number, dice: Dice) {
    this.#length = length;
    this.#dice = dice;
  }

  reset(): readonly number[] {
    this.#goal = this.#dice.below(2);
    this.#place = 0;
    this.reached = false;
    return this.#seen();
  }

  step(action: number): { observation: readonly number[]; reward: number; done: boolean } {
    const turns = action === NORTH || action === SOUTH;
    if (this.#place === this.#length && turns) {
      this.reached = action === (this.#goal === 0 ? NORTH : SOUTH);
      return { observation: this.#seen(), reward: this.reached ? 4 : -0.1, done: true };
    }
    const to = turns ? this.#place : this.#place + (action === EAST ? 1 : -1);
    const moves = to !== this.#place && to >= 0 && to <= this.#length;
    if (moves) this.#place = to;
    return { observation: this.#seen(), reward: moves ? 0 : -0.1, done: false };
  }

  #seen(): readonly number[] {
    if (this.#place === 0) return START[this.#goal as 0 | 1];
    return this.#place === this.#length ? JUNCTION : CORRIDOR;
  }
}
