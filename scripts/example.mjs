// Runs one program of the gallery: npm run example -- 03-time-series --seeds 0..2

import { join } from "node:path";
import { loadExamples, programs, root } from "./examples.mjs";
import { readOptions, refuse } from "./options.mjs";

const USAGE = `Usage: npm run example -- NAME [options]   one program of examples/, by its name or number

  --seeds A..B   with each of these seeds (default 0)
  --full         trains longer
  --quick        a few seconds, to see that it works
  --load         takes the stored weights instead of training
  --save         stores the weights of the first seed
  --data PATH    reads the real data from a file or folder
  --out DIR      where pictures go (default runs/NAME)

Ends with status 1 if the model loses to what it has to beat.
`;
const flag = { type: "boolean" };
const text = { type: "string" };
const options = { seeds: text, full: flag, quick: flag, load: flag, save: flag, data: text, out: text };
const { names, seeds = "0", out, ...rest } = readOptions("example", USAGE, options, { named: true });

const known = await programs();
const name = known.find((program) => program === names[0] || program.slice(0, 2) === names[0]);
if (name === undefined || names.length !== 1) refuse("example", `expected one of ${known.join(", ")}, got ${names.join(" ") || "none"}`);
const range = /^(\d+)(?:\.\.(\d+))?$/.exec(seeds);
if (range === null) refuse("example", `--seeds: expected a number or a range such as 0..2, got ${seeds}`);
const [first, last] = [Number(range[1]), Number(range[2] ?? range[1])];
if (first > last) refuse("example", `--seeds: expected a range that rises, got ${seeds}`);

const { command, loaders } = await loadExamples([name]);
const { run } = await loaders[name]();
const passed = await command(name, join(root, "examples", name), run, {
  ...rest,
  seeds: Array.from({ length: last - first + 1 }, (_, i) => first + i),
  out: out ?? join(root, "runs", name),
});
process.exit(passed ? 0 : 1);
