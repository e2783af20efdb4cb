// One peer on one workload, in a process of its own: `node bench/peer.mjs '{"module", "workload", "seconds", …}'`.
//
// A peer module exports `open(options)`, which resolves to { version, notes?, kinds }: for each kind of case it can do a
// function (case) => { run, result, repeats?, incomparable? }. `run` does the case's work once, or
// `repeats` times; `result`, called first, gives numbers to compare, unless `incomparable` says why not.

import { peakProbe } from "./ceiling.mjs";
import { emit, sample } from "./measure.mjs";

/** At most this many numbers of a result are compared, evenly spread. */
const COMPARED = 500;

const compared = (values) => {
  const step = Math.ceil(values.length / COMPARED);
  return Array.from({ length: Math.floor(values.length / step) }, (_, i) => values[i * step]);
};

const options = JSON.parse(process.argv[2]);
const probe = options.ladder ? peakProbe(options.ladder) : null;
const { open } = await import(options.module);
const peer = await open(options);
emit({ version: peer.version });
for (const note of peer.notes ?? []) emit({ note });

for (const item of options.cases) {
  const prepare = peer.kinds[item.kind];
  if (prepare === undefined) {
    emit({ case: item.name, missing: peer.missing?.[item.kind] ?? "not offered" });
    continue;
  }
  try {
    const { run, result, incomparable, repeats = 1 } = await prepare(item);
    emit({ case: item.name, result: compared(await result()), incomparable });
    if (probe) emit({ probe: probe(0.05) });
    const { samples, core } = await sample(run, options.seconds, item.warmUp);
    emit({ case: item.name, samples: samples.map((s) => s / repeats), core: core / (options.threads ?? 1) });
  } catch (error) {
    emit({ case: item.name, missing: String(error?.message ?? error).split("\n")[0] });
  }
}
process.exit(0);
