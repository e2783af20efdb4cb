// node main.ts [SEED]

import { writeFileSync } from "node:fs";
import { lineChart } from "tapeloop";
import { run, windows } from "./anomalies.ts";

const { scores, limit, labels, alarms, found, auc } = await run({ seed: Number(process.argv[2] ?? 1) });
console.log(`area under the curve ${auc.toFixed(3)}, ${found.length} of ${windows.length} windows found`);
console.log(`days with alarms: ${[...new Set(alarms.map((time) => time.slice(0, 10)))].join(", ")}`);
const x = scores.map((_, i) => i / 48 + 2);
const lines = [
  { name: "error of a day's forecast", x, y: scores },
  { name: "unusual days", x, y: labels.map((label) => (label ? limit : Number.NaN)) },
];
writeFileSync("anomalies.svg", lineChart(lines, { title: "taxi passengers in New York", xLabel: "days since 1 July 2014" }));
