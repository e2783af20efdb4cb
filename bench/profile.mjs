// Where the time of a run goes: every kernel's share, and what is left for JavaScript. Replayed steps are run call by call here,
// so they are slower than they are; the clock costs about a tenth of a microsecond a call.

import { KERNEL_NAMES } from "../dist/wasm/kernels.gen.js";
import { times } from "./profile-loader.mjs";
import { open } from "./tapeloop.mjs";
import { CASES } from "./workloads.mjs";

const { workload, seconds, kernels } = JSON.parse(process.argv[2]);
const { kinds } = await open({ kernels });

function runFor(run, ms) {
  const start = performance.now();
  let runs = 0;
  while (performance.now() - start < ms || runs < 2) {
    run();
    runs++;
  }
  return { runs, ms: performance.now() - start };
}

for (const item of CASES.filter((c) => c.workload === workload)) {
  const { run } = kinds[item.kind](item);
  runFor(run, 300 * seconds);
  times.clear();
  const { runs, ms } = runFor(run, 1000 * seconds);
  const name = (id) => `${KERNEL_NAMES[id >> 1]}${id % 2 === 1 ? " f64" : ""}`;
  const inKernels = [...times.values()].reduce((sum, t) => sum + t.ms, 0);
  const rows = [...times].map(([id, t]) => ({ name: name(id), ...t })).sort((a, b) => b.ms - a.ms);
  const line = (label, calls, part) =>
    console.log(
      `${label.padEnd(28)} ${calls.padStart(9)} ${(part / runs).toFixed(4).padStart(11)} ${((100 * part) / ms).toFixed(1).padStart(7)} %`,
    );
  console.log(`\n${workload} ${item.name}: ${runs} runs\n${"kernel".padEnd(28)} calls/run      ms/run    share`);
  for (const { name: label, calls, ms: part } of rows) line(label, (calls / runs).toFixed(1), part);
  line("JavaScript and clock", "", ms - inKernels);
}
