/** A generated recording: a cursor reaches for targets, and cells of the motor cortex fire before it moves. */

import { Generator, scope } from "tapeloop";

/** Seconds of a bin. */
export const BIN = 0.05;
export const UNITS = 64;

/** What makes the cells hard to read; the control has none of it. */
export interface Tuning {
  /** Whether rates are a rectified function of the velocity that turns with the position, else linear. */
  readonly curved: boolean;
  /** Standard deviation of a cell's offset after all reaches, which wanders. */
  readonly drift: number;
  /** Bins by which cells fire ahead of the movement, from least to most. */
  readonly lead: readonly [number, number];
}

export interface Recording {
  /** Counts of spikes of each bin and unit. */
  readonly counts: readonly Float32Array[];
  /** [x, y] of each bin, in units of the targets' distance, and per bin. */
  readonly positions: readonly (readonly [number, number])[];
  readonly velocities: readonly (readonly [number, number])[];
  /** The first bin of each reach, and the end. */
  readonly starts: readonly number[];
  /** Preferred direction of each unit. */
  readonly directions: readonly number[];
}

const [SPEED_GAIN, POSITION_GAIN, TURN] = [0.3, 0.4, 0.7];

/** A minimum-jerk reach: the share of the way that is behind at a share of the time (Flash and Hogan, 1985). */
const jerkless = (s: number): number => s * s * s * (10 - 15 * s + 6 * s * s);

/** Reaches from the centre to one of eight targets and back, with pauses between. */
function movement(reaches: number, draws: () => number): Pick<Recording, "positions" | "starts"> {
  const positions: [number, number][] = [];
  const starts: number[] = [];
  let from: [number, number] = [0, 0];
  for (let r = 0; r < reaches; r++) {
    const angle = (Math.PI / 4) * Math.floor(8 * draws());
    const to: [number, number] = r % 2 === 0 ? [Math.cos(angle), Math.sin(angle)] : [0, 0];
    const steps = 12 + Math.floor(9 * draws());
    const pause = 3 + Math.floor(5 * draws());
    starts.push(positions.length);
    for (let t = 0; t < steps + pause; t++) {
      const share = jerkless(Math.min(1, t / steps));
      positions.push([from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]);
    }
    from = to;
  }
  return { positions, starts: [...starts, positions.length] };
}

const softplus = (x: number): number => Math.log1p(Math.exp(x));

/** A count with this mean, from a number in [0, 1): the distribution function, inverted. */
function poisson(mean: number, u: number): number {
  let [count, p] = [0, Math.exp(-mean)];
  for (let sum = p; u > sum && count < 100; sum += p) p *= mean / ++count;
  return count;
}

export function recording(reaches: number, { curved, drift, lead }: Tuning, seed: number): Recording {
  const generator = new Generator(seed);
  const uniform = (n: number) => scope(() => generator.uniform([n], 0, 1, "float64").data());
  const normal = (n: number) => scope(() => generator.normal([n], 0, 1, "float64").data());
  const dice = uniform(3 * reaches);
  let next = 0;
  const { positions, starts } = movement(reaches, () => dice[next++] as number);
  const T = positions.length;
  const at = (t: number) => positions[Math.min(T - 1, Math.max(0, t))] as readonly [number, number];
  const velocities = positions.map((p, t): [number, number] => [p[0] - at(t - 1)[0], p[1] - at(t - 1)[1]]);
  const directions = Array.from(uniform(UNITS), (u) => 2 * Math.PI * u);
  const leads = Array.from(uniform(UNITS), (u) => Math.round(lead[0] + u * (lead[1] - lead[0])));
  const places = uniform(2 * UNITS).map((u) => 2 * u - 1);
  const counts = positions.map(() => new Float32Array(UNITS));
  for (let i = 0; i < UNITS; i++) {
    const [luck, steps] = [uniform(T), normal(reaches)];
    let offset = 0;
    for (let r = 0; r < reaches; r++) {
      offset += (drift / Math.sqrt(reaches)) * (steps[r] as number);
      for (let t = starts[r] as number; t < (starts[r + 1] as number); t++) {
        const ahead = Math.min(T - 1, t + (leads[i] as number));
        const [[x, y], [vx, vy]] = [at(ahead), velocities[ahead] as readonly [number, number]];
        const angle = (directions[i] as number) + (curved ? TURN * x : 0);
        const push = 14 * (vx * Math.cos(angle) + vy * Math.sin(angle));
        const place = POSITION_GAIN * (x * (places[2 * i] as number) + y * (places[2 * i + 1] as number));
        const drive = curved
          ? 2 * softplus(offset + push + SPEED_GAIN * 14 * Math.hypot(vx, vy) + place - 0.5)
          : 2.5 + offset + push + place;
        (counts[t] as Float32Array)[i] = poisson(Math.max(0, drive), luck[t] as number);
      }
    }
  }
  return { counts, positions, velocities, starts, directions };
}
