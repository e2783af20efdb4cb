// node main.ts [SEED [FILE.txt]]: stopped and started again, it goes on from run.checkpoint

import { existsSync, readFileSync, rmSync } from "node:fs";
import { writeAtomic } from "tapeloop/node";
import { run } from "./generate-text.ts";

const [seed = "1", file = new URL("shakespeare.txt", import.meta.url)] = process.argv.slice(2);
const saved = "run.checkpoint";
const { bits, written } = await run({
  text: readFileSync(file, "utf8"),
  seed: Number(seed),
  resume: existsSync(saved) ? readFileSync(saved) : undefined,
  async onStep({ step, loss }, training) {
    process.stderr.write(`\rstep ${step}, ${(loss / Math.LN2).toFixed(2)} bits a character `);
    if (step % 100 === 0) await writeAtomic(saved, training.checkpoint());
  },
});
console.log(`\n${bits.toFixed(2)} bits a character of text it has not seen\n${written}`);
rmSync(saved, { force: true });
