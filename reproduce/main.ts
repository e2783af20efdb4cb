/** Repeats the results of the literature: `npm run reproduce -- NAME`. */

import { mkdir, readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, workerData } from "node:worker_threads";
import { UserError } from "../src/cli/errors.ts";
import { writeAtomic } from "../src/io/files.ts";
import type { Experiment } from "./experiment.ts";
import { type Job, type Message, runJobs, type SeedResult } from "./pool.ts";
import { Bar } from "./progress.ts";
import { type RunRecord, readRecords, recordOf, writeRecord } from "./record.ts";
import { cataloguePage, headText, listText, resultJson, resultText } from "./report.ts";
import { experiments } from "./table.ts";
import { work } from "./worker.ts";

const USAGE = `Usage: npm run reproduce -- NAME [NAME ...] [options]   repeats experiments
       npm run reproduce -- --list                     lists them with their papers
       npm run reproduce -- --all [options]            repeats all and writes docs/catalogue.md
       npm run reproduce -- --catalogue                writes docs/catalogue.md from the results on record

  --seeds N     seeds of each experiment (default: as many as its claim asks for)
  --jobs N      threads at once (default: one for each core)
  --record      keeps the results in reproduce/results and the pictures in docs/pictures
  --json        one line of JSON for each experiment
  --help        shows this text

A name may be the beginning of several: "lstm-" repeats all whose names begin so. Pictures go to runs/reproduce.
Exit code: 0 when every claim holds, 1 when one does not, 2 for a wrong call.
`;

interface Options {
  readonly names: readonly string[];
  readonly seeds: number | null;
  readonly jobs: number;
  readonly record: boolean;
  readonly json: boolean;
  readonly all: boolean;
}

function wholeNumber(name: string, given: string | undefined): number | null {
  if (given === undefined) return null;
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1) throw new UserError(`--${name}: expected a whole number from 1, got "${given}"`);
  return value;
}

const flags = { list: false, all: false, catalogue: false, record: false, json: false, help: false };

function parse(args: readonly string[]): Options & Readonly<typeof flags> {
  const boolean = Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "boolean" as const }]));
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...boolean, seeds: { type: "string" }, jobs: { type: "string" } },
      allowPositionals: true,
    });
    const given = values as Record<string, string | boolean | undefined>;
    const seeds = wholeNumber("seeds", given.seeds as string | undefined);
    const jobs = wholeNumber("jobs", given.jobs as string | undefined) ?? availableParallelism();
    return { ...flags, ...(values as Partial<typeof flags>), names: positionals, seeds, jobs };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${(error as Error).message.split(/\.\s|\n/)[0]} (--help lists the options)`);
  }
}

/** The experiments that are asked for. */
function chosen({ names, all }: Options): readonly Experiment[] {
  if (all) return experiments;
  const found = names.map((name) => {
    const exact = experiments.filter((e) => e.name === name);
    const matching = exact.length > 0 ? exact : experiments.filter((e) => e.name.startsWith(name));
    if (matching.length === 0) throw new UserError(`there is no experiment "${name}" (--list shows them)`);
    return matching;
  });
  return [...new Set(found.flat())];
}

/** Collects what the threads tell about one experiment. */
class Collector {
  readonly results: SeedResult[] = [];
  readonly pictures: Map<string, string> = new Map();
  readonly #parts: number[];
  readonly #bar: Bar;

  constructor(seeds: number, bar: Bar) {
    this.#parts = new Array<number>(seeds).fill(0);
    this.#bar = bar;
  }

  take({ seed }: Job, message: Message): void {
    if (message.kind === "picture") {
      if (seed === 0) this.pictures.set(message.name, message.svg);
      return;
    }
    if (message.kind === "result") this.results.push({ seed, figures: message.figures });
    this.#parts[seed] = message.kind === "result" ? 1 : message.done;
    const done = this.#parts.reduce((a, b) => a + b) / this.#parts.length;
    const loss = message.kind === "progress" && message.loss !== null ? `  loss ${message.loss.toPrecision(4)}` : "";
    this.#bar.update(done, `${this.results.length}/${this.#parts.length} seeds${loss}`);
  }
}

async function reproduce(experiment: Experiment, options: Options): Promise<{ record: RunRecord; pictures: Collector["pictures"] }> {
  const seeds = options.seeds ?? experiment.seeds ?? 5;
  const bar = new Bar(process.stderr);
  const before = process.cpuUsage();
  const collector = new Collector(seeds, bar);
  const jobs = Array.from({ length: seeds }, (_, seed): Job => ({ name: experiment.name, seed }));
  try {
    await runJobs(new URL(import.meta.url), jobs, { threads: options.jobs, onMessage: (job, message) => collector.take(job, message) });
  } finally {
    bar.clear();
  }
  const { user, system } = process.cpuUsage(before);
  return { record: recordOf(experiment, collector.results, (user + system) / 1e6), pictures: collector.pictures };
}

async function writePictures(folder: string, name: string, pictures: Collector["pictures"]): Promise<string[]> {
  if (pictures.size > 0) await mkdir(folder, { recursive: true });
  const files = [...pictures.keys()].map((picture) => join(folder, `${name}.${picture}.svg`));
  for (const [i, svg] of [...pictures.values()].entries()) await writeAtomic(files[i] as string, svg);
  return files;
}

/** Places in the project, which is the folder that the command is run in. */
const places = (root: string) => ({
  results: join(root, "reproduce/results"),
  pictures: join(root, "docs/pictures"),
  scratch: join(root, "runs/reproduce"),
  catalogue: join(root, "docs/catalogue.md"),
});

async function reproduceAll(options: Options, root: string): Promise<number> {
  const { results, pictures: kept, scratch } = places(root);
  const record = options.record || (options.all && options.seeds === null);
  let failed = 0;
  for (const experiment of chosen(options)) {
    if (!options.json) process.stdout.write(headText(experiment));
    const run = await reproduce(experiment, options);
    const files = await writePictures(record ? kept : scratch, experiment.name, run.pictures);
    if (record) await writeRecord(results, run.record);
    process.stdout.write(options.json ? resultJson(experiment, run.record) : resultText(experiment, run.record));
    if (!options.json) for (const file of files) process.stdout.write(`  picture   ${relative(root, file)}\n`);
    if (!run.record.pass) failed++;
  }
  return failed;
}

async function writeCatalogue(root: string): Promise<void> {
  const { results, pictures, catalogue } = places(root);
  const files = (await readdir(pictures).catch(() => [])).filter((f) => f.endsWith(".svg")).sort();
  await writeAtomic(catalogue, cataloguePage(experiments, await readRecords(results), files));
}

export async function main(args: readonly string[], root: string): Promise<number> {
  const options = parse(args);
  if (options.help) process.stdout.write(USAGE);
  else if (options.list) process.stdout.write(listText(experiments));
  else if (options.catalogue) await writeCatalogue(root);
  else if (!options.all && options.names.length === 0)
    throw new UserError("expected names of experiments, --list or --all (--help says more)");
  else {
    const failed = await reproduceAll(options, root);
    if (options.all && options.seeds === null) await writeCatalogue(root);
    return failed === 0 ? 0 : 1;
  }
  return 0;
}

if (isMainThread) {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
  try {
    process.exitCode = await main(process.argv.slice(2), process.cwd());
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`reproduce: ${error.message}\n`);
    process.exitCode = 2;
  }
} else {
  work(experiments, workerData as Job);
}
