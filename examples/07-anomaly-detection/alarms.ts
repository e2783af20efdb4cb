/** From errors of forecasts to alarms, the same way for every forecaster, and how good the alarms are. */

/** Steps in a day. */
export const DAY = 48;

/** Errors of the forecasts of each step, one for each horizon. */
export type Errors = readonly (readonly [number, number])[];

/**
 * How unlikely each step's errors are under the normal distribution of the training errors, as squared Mahalanobis distances.
 * @see Malhotra, Vig, Shroff and Agarwal, "Long short term memory networks for anomaly detection in time series", 2015
 */
export function scoresOf(errors: Errors, training: Errors): number[] {
  const mean = (f: (e: readonly [number, number]) => number) => training.reduce((sum, e) => sum + f(e), 0) / training.length;
  const [ma, mb] = [mean(([a]) => a), mean(([, b]) => b)];
  const [aa, ab, bb] = [mean(([a]) => (a - ma) ** 2), mean(([a, b]) => (a - ma) * (b - mb)), mean(([, b]) => (b - mb) ** 2)];
  const det = aa * bb - ab * ab;
  return errors.map(([a, b]) => (bb * (a - ma) ** 2 - 2 * ab * (a - ma) * (b - mb) + aa * (b - mb) ** 2) / det);
}

/** The score that training exceeds once in 60 days. */
export function thresholdOf(training: readonly number[]): number {
  const sorted = [...training].sort((a, b) => b - a);
  return sorted[Math.round(training.length / (60 * DAY))] as number;
}

/** First and last step, both included. */
export type Span = readonly [from: number, to: number];

/** Alarms less than a day apart are one episode. */
export function episodesOf(alarms: readonly number[]): Span[] {
  const episodes: [number, number][] = [];
  for (const t of alarms) {
    const last = episodes.at(-1);
    if (last !== undefined && t - last[1] < DAY) last[1] = t;
    else episodes.push([t, t]);
  }
  return episodes;
}

const overlap = (a: Span, b: Span): boolean => a[0] <= b[1] && b[0] <= a[1];

export interface Judgement {
  /** Windows with an alarm. */
  readonly hits: number;
  /** Episodes outside all windows. */
  readonly falseEpisodes: number;
  /** F1 over steps, where one alarm in a window counts for all of its steps: the figure that makes noise look good. */
  readonly adjustedF1: number;
}

export function judge(alarms: readonly number[], windows: readonly Span[]): Judgement {
  const hit = windows.filter(([from, to]) => alarms.some((t) => t >= from && t <= to));
  const episodes = episodesOf(alarms);
  const size = (spans: readonly Span[]) => spans.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  const outside = alarms.filter((t) => !windows.some(([from, to]) => t >= from && t <= to)).length;
  const found = size(hit);
  return {
    hits: hit.length,
    falseEpisodes: episodes.filter((episode) => !windows.some((window) => overlap(episode, window))).length,
    adjustedF1: found === 0 ? 0 : (2 * found) / (found + outside + size(windows)),
  };
}
