import { expect, it } from "vitest";
import { run, times, values, windows } from "../../examples/anomalies/anomalies.ts";

const isIn = (time: string) => windows.some(([from, to]) => from <= time && time <= to);

it("finds unusual days without a false alarm, which a comparison with the week before does not", async () => {
  const { auc, scores, labels, start, found, alarms } = await run();
  const ends = times.slice(95);
  expect([scores.length, labels.length]).toEqual([ends.length, ends.length]);
  expect(labels).toEqual(ends.map((time) => Number(isIn(time))));
  expect(labels.slice(0, start).every((label) => label === 0)).toBe(true);
  expect(auc).toBeGreaterThan(0.75);
  expect(found.length).toBeGreaterThanOrEqual(3);
  expect(alarms.filter((time) => !isIn(time))).toEqual([]);

  const change = values.map((value, i) => (i < 336 ? 0 : (value - (values[i - 336] as number)) ** 2));
  const weekly = change.map((_, i) => change.slice(Math.max(0, i - 47), i + 1).reduce((a, b) => a + b, 0)).slice(95);
  const limit = Math.max(...weekly.slice(0, start));
  const others = ends.filter((_, i) => i >= start && (weekly[i] as number) > limit);
  expect(others.filter((time) => !isIn(time)).length).toBeGreaterThan(0);
});
