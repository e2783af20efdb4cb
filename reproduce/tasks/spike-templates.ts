/** Templates of spikes, one of two in each of several segments. */

import type { Dice } from "./dice.ts";

export interface Spike {
  readonly channel: number;
  /** ms from the beginning of the trial. */
  readonly time: number;
}

export interface SpikeTrial {
  readonly spikes: readonly Spike[];
  /** Which template each segment used. */
  readonly choice: readonly number[];
}

const [CHANNELS, LENGTH, RATE, JITTER] = [4, 250, 0.02, 4];

/** For each segment `variants` templates: Poisson spikes of 20 Hz on each channel. */
export function spikeTemplates(dice: Dice, segments: number, variants: number): (readonly Spike[])[][] {
  return Array.from({ length: segments }, (_, segment) =>
    Array.from({ length: variants }, () =>
      Array.from({ length: CHANNELS * LENGTH }, (__, i) => ({
        channel: i % CHANNELS,
        time: segment * LENGTH + Math.floor(i / CHANNELS),
      })).filter(() => dice.chance(RATE)),
    ),
  );
}

/** One trial: a template for each segment, every spike moved by a normal deviation of 4 ms, within the trial. */
export function spikeTrial(templates: readonly (readonly (readonly Spike[])[])[], dice: Dice): SpikeTrial {
  const last = templates.length * LENGTH - 1;
  const choice = templates.map((variants) => dice.below(variants.length));
  const spikes = templates.flatMap((variants, segment) => variants[choice[segment] as number] as readonly Spike[]);
  const moved = spikes.map(({ channel, time }) => ({
    channel,
    time: Math.min(last, Math.max(0, Math.round(time + JITTER * normal(dice)))),
  }));
  return { spikes: moved, choice };
}

/** A standard normal deviate (Box and Muller). */
function normal(dice: Dice): number {
  return Math.sqrt(-2 * Math.log(1 - dice.uniform())) * Math.cos(2 * Math.PI * dice.uniform());
}
