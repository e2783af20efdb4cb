/** What a run of an experiment came to, kept as a file so that the catalogue can be made from the last run of each. */

import { mkdir, readdir, readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { writeAtomic } from "../src/io/files.ts";
import type { Experiment, Figures } from "./experiment.ts";
import type { SeedResult } from "./pool.ts";

export interface RunRecord {
  readonly name: string;
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  /** Processor time of all seeds: what one quiet core would take. Records of earlier versions lack it. */
  readonly processorSeconds?: number;
  readonly pass: boolean;
  readonly reason: string;
  readonly figures: readonly Figures[];
}

export function recordOf(experiment: Experiment, results: readonly SeedResult[], processorSeconds: number): RunRecord {
  const figures = [...results].sort((a, b) => a.seed - b.seed).map((r) => rounded(r.figures));
  return {
    name: experiment.name,
    date: new Date().toISOString().slice(0, 10),
    node: process.versions.node,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    processorSeconds: Math.round(processorSeconds * 10) / 10,
    ...experiment.verdict(results.map((r) => r.figures)),
    figures,
  };
}

/** Six digits say all there is to say. */
function rounded(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(6))]));
}

export async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeAtomic(join(folder, `${record.name}.json`), `${JSON.stringify(record, null, 2)}\n`);
}

/** The records there are, by name of the experiment. */
export async function readRecords(folder: string): Promise<Map<string, RunRecord>> {
  const files = (await readdir(folder).catch(() => [])).filter((f) => f.endsWith(".json"));
  const records = await Promise.all(files.map(async (f) => JSON.parse(await readFile(join(folder, f), "utf8")) as RunRecord));
  return new Map(records.map((r) => [r.name, r]));
}
