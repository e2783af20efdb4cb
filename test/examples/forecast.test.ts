import { expect, it } from "vitest";
import { run } from "../../examples/forecast/forecast.ts";

it("forecasts carbon dioxide a year ahead, better than last year's values", async () => {
  const { errors, values, lastYear } = await run({ steps: 150 });
  expect(values.length).toBe(741);
  expect(lastYear.length).toBe(12);
  // 2.33 ppm: worked out from the file without this library.
  const test = values.slice(Math.floor(0.7 * values.length) - 24);
  const pairs = test.slice(0, -35).flatMap((_, i) => test.slice(i + 24, i + 36).map((value, h) => value - (test[i + 12 + h] as number)));
  expect(errors.naiveRmse).toBeCloseTo(Math.sqrt(pairs.reduce((sum, d) => sum + d * d, 0) / pairs.length), 3);
  expect(errors.naiveRmse).toBeCloseTo(2.33, 2);
  expect(errors.rmse).toBeLessThan(0.65 * errors.naiveRmse);
});
