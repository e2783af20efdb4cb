// node main.ts [SEED]

import { writeFileSync } from "node:fs";
import { heatMap, lineChart } from "tapeloop";
import { languages, run } from "./surnames.ts";

const { history, right, confusion } = await run({ seed: Number(process.argv[2] ?? 1) });
console.log(`${(100 * right).toFixed(1)} % of the names it has not seen`);
const shares = confusion.map((row) => row.map((n) => n / row.reduce((a, b) => a + b)));
writeFileSync("loss.svg", lineChart([history.loss], { title: "loss", xLabel: "step" }));
writeFileSync("confusion.svg", heatMap(shares, { rows: languages, columns: languages, yLabel: "language", xLabel: "guess" }));
