// node main.ts [SEED [FILE.csv]]

import { writeFileSync } from "node:fs";
import { lineChart } from "tapeloop";
import { run } from "./forecast.ts";

const [seed = "1", file] = process.argv.slice(2);
const { errors, values, lastYear } = await run({ seed: Number(seed), ...(file && { file }) });
console.log(`forecast: RMSE ${errors.rmse.toFixed(2)}, MAPE ${(100 * errors.mape).toFixed(2)} %`);
console.log(`last year's values: RMSE ${errors.naiveRmse.toFixed(2)}, MAPE ${(100 * errors.naiveMape).toFixed(2)} %`);
const months = [...values.keys()];
const lines = [
  { name: "series", x: months.slice(-60), y: values.slice(-60) },
  { name: "forecast of its last year", x: months.slice(-12), y: lastYear },
];
writeFileSync("forecast.svg", lineChart(lines, { title: "five years and a forecast", xLabel: "month" }));
