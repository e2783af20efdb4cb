// node main.ts [SEED]

import { writeFileSync } from "node:fs";
import { heatMap } from "tapeloop";
import { run } from "./translation.ts";

const onStep = ({ step, loss }: { step: number; loss: number }) => process.stderr.write(`\rstep ${step}, loss ${loss.toFixed(3)} `);
const { score, exact, test, guesses, attention } = await run({ seed: Number(process.argv[2] ?? 1), onStep });
console.log(`\nBLEU ${(100 * score).toFixed(1)}, ${(100 * exact).toFixed(1)} % as in the data`);
for (const [i, [text]] of test.slice(0, 10).entries()) console.log(`${text} → ${guesses[i]?.join(" ")}`);
const { source, words, weights } = attention("i'm very tired today.");
writeFileSync("attention.svg", heatMap(weights, { title: "attention", columns: source, rows: words }));
