// node main.ts NAME ...

import { softmax } from "tapeloop";
import { languages, logitsOf } from "./weights.ts";

const names = process.argv.slice(2);
for (const [i, row] of (softmax(logitsOf(names), 1).toArray() as number[][]).entries()) {
  const most = Math.max(...row);
  console.log(`${names[i]}: ${languages[row.indexOf(most)]} (${(100 * most).toFixed(0)} %)`);
}
