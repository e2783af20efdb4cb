// The coordinator: asks the search, queues candidates, tells costs, and saves the search after each generation.

import { readFile } from "node:fs/promises";
import { writeAtomic } from "tapeloop/node";
import { evolve } from "tapeloop/search";
import { newSearch } from "./problem.js";
import { QueueEvaluator } from "./queue.js";

const RUN = process.env.RUN ?? "example";
const FILE = `${RUN}.search`;

const search = newSearch();
const saved = await readFile(FILE).catch(() => null);
if (saved !== null) search.restore(saved);

const evaluator = new QueueEvaluator({ run: RUN });
const { best, bestCost, evaluations, stop } = await evolve(search, evaluator, {
  onGeneration: async ({ generations, evaluations: done, bestCost: least }) => {
    await writeAtomic(FILE, search.toBytes());
    console.log(`generation ${generations}, ${done} evaluations, best ${least.toPrecision(4)}`);
  },
});
console.log(`${stop.reason}: best ${bestCost.toPrecision(4)} after ${evaluations} evaluations, ${best.length} weights`);
await evaluator.close();
