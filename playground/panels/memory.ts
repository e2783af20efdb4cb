/** A Hopfield network restores a picture that someone drew. */

import { scope, tensor } from "tapeloop";
import { Hopfield } from "tapeloop/energy";
import type { Work } from "../work.ts";
import { fromBytes, toBytes } from "./saved.ts";

/** Side of the pictures. */
export const SIDE = 10;
const SIZE = SIDE * SIDE;

/** What the network knows at first. */
const LETTERS = [
  "##########|##########|....##....|....##....|....##....|....##....|....##....|....##....|....##....|....##....",
  "....##....|...####...|..##..##..|.##....##.|.##....##.|##########|##########|##......##|##......##|##......##",
  "########..|##.....##.|##......##|##......##|##.....##.|########..|##........|##........|##........|##........",
  "##########|##########|##........|##........|########..|########..|##........|##........|##########|##########",
].map((letter) => Array.from(letter.replaceAll("|", ""), (c) => (c === "#" ? 1 : -1)));

const EMPTY: readonly number[] = new Array<number>(SIZE).fill(-1);
const RULES = ["hebb", "storkey", "pseudo-inverse"] as const;
type Rule = (typeof RULES)[number];

export interface MemoryShown {
  /** What is drawn now: 1 for ink, −1 for paper, row by row. */
  readonly picture: readonly number[];
  readonly stored: readonly (readonly number[])[];
  readonly rule: Rule;
  readonly energy: number;
  /** Updates of the whole net since the recall began. */
  readonly sweeps: number;
  /** The number of the stored picture that is there now; −1 for none. */
  readonly found: number;
}

/** Everything that decides what the network does. */
interface Told {
  readonly picture: readonly number[];
  readonly stored: readonly (readonly number[])[];
  readonly rule: Rule;
}

const isPicture = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.length === SIZE && value.every((v) => v === 1 || v === -1);

const same = (a: readonly number[], b: readonly number[]): boolean => a.every((v, i) => v === b[i]);

class Memory implements Work<MemoryShown> {
  #told: Told;
  #network: Hopfield;
  #sweeps = 0;

  constructor(told: Told) {
    this.#told = told;
    this.#network = networkOf(told);
  }

  /** One update of all units, one after the other, as slowly as one can follow. */
  async advance(): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, 150));
    const { state, converged } = scope(() => {
      const recall = this.#network.recall(tensor(this.#told.picture), { maxSteps: 1 });
      return { state: Array.from(recall.state.data(), Number), converged: recall.converged };
    });
    const moved = !same(state, this.#told.picture);
    this.#told = { ...this.#told, picture: state };
    this.#sweeps++;
    return moved && !converged;
  }

  shown(): MemoryShown {
    const { picture, stored, rule } = this.#told;
    const energy = scope(() => this.#network.energy(tensor(picture)));
    const found = stored.findIndex((one) => same(one, picture));
    return { picture, stored, rule, energy: Number(energy), sweeps: this.#sweeps, found };
  }

  /** "picture" is drawn, "store" keeps what is drawn, "forget" all that is kept, "rule" stores it by another rule, "recall" restores. */
  input(name: string, value: unknown): boolean {
    if (name === "recall") {
      this.#sweeps = 0;
      return true;
    }
    const next = changed(this.#told, name, value);
    // A drawing leaves what is stored as it is.
    if (name !== "picture") this.#network = networkOf(next);
    this.#told = next;
    this.#sweeps = 0;
    return false;
  }

  save(): Uint8Array<ArrayBuffer> {
    return toBytes("memory", this.#told);
  }
}

function changed(told: Told, name: string, value: unknown): Told {
  if (name === "picture" && isPicture(value)) return { ...told, picture: value };
  if (name === "store") return { ...told, stored: [...told.stored, told.picture] };
  if (name === "forget") return { ...told, stored: [] };
  if (name === "rule" && RULES.includes(value as Rule)) return { ...told, rule: value as Rule };
  throw new Error(`The memory takes no ${name} of ${JSON.stringify(value)}.`);
}

function networkOf({ stored, rule }: Told): Hopfield {
  const network = new Hopfield({ size: SIZE, rule });
  if (stored.length > 0) scope(() => void network.store(tensor(stored.map((one) => [...one]))));
  return network;
}

export function openMemory(saved?: Uint8Array): Work<MemoryShown> {
  if (saved === undefined) return new Memory({ picture: EMPTY, stored: LETTERS, rule: "pseudo-inverse" });
  const { data } = fromBytes<Told>("memory", saved);
  if (!isPicture(data.picture) || !data.stored.every(isPicture) || !RULES.includes(data.rule))
    throw new Error("This file holds no memory.");
  return new Memory(data);
}
