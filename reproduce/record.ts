/** What a run of an experiment came to, kept as a file so that the catalogue can be made from the last run of each. */

import { mkdir, readdir, readFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { writeAtomic } from "../src/io/files.ts";
import { type Experiment, FIRST_COUNTED, type Figures, judge, type Outcome } from "./experiment.ts";
import type { SeedResult } from "./pool.ts";

/** When and where something was run. */
interface Provenance {
  readonly name: string;
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
}

export interface RunRecord extends Provenance {
  /** Processor time of all seeds: what one quiet core would take. */
  readonly processorSeconds: number;
  readonly pass: boolean;
  /** In how many seeds each claim held. */
  readonly outcomes: readonly Outcome[];
  readonly seeds: readonly number[];
  readonly figures: readonly Figures[];
}

/** What each rate of a grid came to, on seeds that are not counted. */
export interface TuningRecord extends Provenance {
  readonly tried: readonly { readonly rate: number; readonly seed: number; readonly figures: Figures }[];
}

function provenance({ name }: Experiment): Provenance {
  const date = new Date().toISOString().slice(0, 10);
  return { name, date, node: process.versions.node, cpu: cpus()[0]?.model.trim() ?? "unknown" };
}

export function recordOf(experiment: Experiment, results: readonly SeedResult[], processorSeconds: number): RunRecord {
  const sorted = [...results].sort((a, b) => a.seed - b.seed);
  return {
    ...provenance(experiment),
    processorSeconds: Math.round(processorSeconds * 10) / 10,
    ...judge(
      experiment,
      sorted.map((r) => r.figures),
    ),
    seeds: sorted.map((r) => r.seed),
    figures: sorted.map((r) => rounded(r.figures)),
  };
}

/** A record with more seeds. Figures do not depend on when a seed is run, so old and new ones stand side by side. */
export function extended(experiment: Experiment, old: RunRecord, results: readonly SeedResult[], processorSeconds: number): RunRecord {
  const known = old.seeds.map((seed, i): SeedResult => ({ seed, figures: numbers(old.figures[i] as Figures) }));
  return recordOf(experiment, [...known, ...results], old.processorSeconds + processorSeconds);
}

export function tuningRecordOf(experiment: Experiment, tried: TuningRecord["tried"]): TuningRecord {
  const sorted = [...tried].sort((a, b) => a.rate - b.rate || a.seed - b.seed);
  return { ...provenance(experiment), tried: sorted.map((t) => ({ ...t, figures: rounded(t.figures) })) };
}

/** Whether all seeds are such as nothing was tuned on. */
export function isFresh({ seeds }: Pick<RunRecord, "seeds">): boolean {
  return seeds.every((seed) => seed >= FIRST_COUNTED);
}

/** JSON writes what is not a finite number as null, and null would compare as 0. */
function numbers(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, value ?? Number.NaN]));
}

/** Six digits say all there is to say. */
function rounded(figures: Figures): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toPrecision(6))]));
}

export async function writeRecord(folder: string, record: RunRecord | TuningRecord): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeAtomic(join(folder, `${record.name}.json`), `${JSON.stringify(record, null, 2)}\n`);
}

/** The records there are, by name of the experiment. */
export async function readRecords<R extends Provenance>(folder: string): Promise<Map<string, R>> {
  const files = (await readdir(folder).catch(() => [])).filter((f) => f.endsWith(".json"));
  const records = await Promise.all(files.map(async (f) => JSON.parse(await readFile(join(folder, f), "utf8")) as R));
  return new Map(records.map((r) => [r.name, r]));
}
