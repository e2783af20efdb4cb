/** Connectionist temporal classification by definition: every way to read one class a step, one after the other. */

export interface Enumeration {
  /** −log of the probability of the target; +∞ when nothing gives it. */
  readonly loss: number;
  /** [t][c]: probability of reading class c at step t, given the target; zeros when nothing gives it. */
  readonly occupancy: number[][];
}

/** What a reading says: repetitions dropped, then blanks. */
function collapse(reading: readonly number[], blank: number): number[] {
  return reading.filter((c, t) => c !== blank && c !== reading[t - 1]);
}

/** @param logProbs [T][C] */
export function enumerateAlignments(logProbs: readonly (readonly number[])[], target: readonly number[], blank: number): Enumeration {
  const T = logProbs.length;
  const C = logProbs[0]?.length ?? 1;
  const wanted = target.join();
  const weights = logProbs.map((row) => row.map(() => 0));
  let total = 0;
  for (let code = 0; code < C ** T; code++) {
    const reading = Array.from({ length: T }, (_, t) => Math.floor(code / C ** t) % C);
    if (collapse(reading, blank).join() !== wanted) continue;
    const p = Math.exp(reading.reduce((sum, c, t) => sum + (logProbs[t]?.[c] as number), 0));
    total += p;
    reading.forEach((c, t) => {
      (weights[t] as number[])[c] = (weights[t]?.[c] as number) + p;
    });
  }
  return { loss: -Math.log(total), occupancy: weights.map((row) => row.map((w) => (total > 0 ? w / total : 0))) };
}
