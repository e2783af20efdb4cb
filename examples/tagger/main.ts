// node main.ts [SEED]

import { run } from "./tagger.ts";

const seed = Number(process.argv[2] ?? 1);
const { right, tag } = await run({ seed });
const { right: forwards } = await run({ seed, bidirectional: false });
console.log(`${(100 * right).toFixed(2)} % of the tags; reading forwards only, ${(100 * forwards).toFixed(2)} %`);
for (const sentence of ["the old man the boats", "they watch her", "her light watch"])
  console.log(`${sentence}: ${tag(sentence).join(" ")}`);
