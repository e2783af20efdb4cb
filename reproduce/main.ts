/** Repeats the results of the literature: `npm run reproduce -- NAME`. */

import { mkdir, readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, workerData } from "node:worker_threads";
import { UserError } from "../src/cli/errors.ts";
import { writeAtomic } from "../src/io/files.ts";
import { countedSeeds, type Experiment, FIRST_COUNTED } from "./experiment.ts";
import { type Job, type Message, runJobs, type SeedResult } from "./pool.ts";
import { Bar } from "./progress.ts";
import { type RunRecord, readRecords, recordOf, type TuningRecord, tuningRecordOf, writeRecord } from "./record.ts";
import { cataloguePage, headText, listText, resultJson, resultText, tuningText } from "./report.ts";
import { parseSeeds } from "./seeds.ts";
import { experiments } from "./table.ts";
import { work } from "./worker.ts";

const USAGE = `Usage: npm run reproduce -- NAME [NAME ...] [options]   repeats experiments
       npm run reproduce -- --list                     lists them with their papers
       npm run reproduce -- --all [options]            repeats all of them
       npm run reproduce -- --catalogue                writes docs/catalogue.md from the results on record

  --seeds LIST   seeds to run, such as 100..119 or 100,101,107 (default: those that the claim is shown on, from ${FIRST_COUNTED} on)
  --threads N    threads at once (default: one core is left to others)
  --record       keeps the results in reproduce/results and the pictures in docs/pictures
  --tune         tries each learning rate of an experiment's grid, on seeds that are not counted, and keeps what came out
  --json         one line of JSON for each experiment
  --help         shows this text

A name may be the beginning of several: "lstm-" repeats all whose names begin so. Pictures go to runs/reproduce.
Settings are tuned on seeds 0 to 9; only seeds from ${FIRST_COUNTED} on are recorded.
Exit code: 0 when every claim holds, 1 when one does not, 2 for a wrong call.
`;

interface Options {
  readonly names: readonly string[];
  readonly seeds: readonly number[] | null;
  readonly threads: number;
}

function threadCount(given: string | undefined): number {
  if (given === undefined) return Math.max(1, availableParallelism() - 1);
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1) throw new UserError(`--threads: expected a whole number from 1, got "${given}"`);
  return value;
}

const flags = { list: false, all: false, catalogue: false, record: false, tune: false, json: false, help: false };
type Call = Options & Readonly<typeof flags>;

function parse(args: readonly string[]): Call {
  const boolean = Object.fromEntries(Object.keys(flags).map((name) => [name, { type: "boolean" as const }]));
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...boolean, seeds: { type: "string" }, threads: { type: "string" } },
      allowPositionals: true,
    });
    const given = values as Record<string, string | undefined>;
    const seeds = given.seeds === undefined ? null : parseSeeds(given.seeds);
    const call = { ...flags, ...(values as Partial<typeof flags>), names: positionals, seeds, threads: threadCount(given.threads) };
    check(call);
    return call;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${(error as Error).message.split(/\.\s|\n/)[0]} (--help lists the options)`);
  }
}

function check({ record, tune, seeds }: Call): void {
  if (record && seeds?.some((seed) => seed < FIRST_COUNTED))
    throw new UserError(`--record: expected seeds from ${FIRST_COUNTED} on, on which nothing was tuned, got ${seeds[0]}`);
  if (tune && seeds !== null) throw new UserError("--tune: expected no --seeds, since an experiment names those it is tuned on");
  if (tune && record) throw new UserError("--tune: expected no --record, since it records the grid by itself");
}

/** The experiments that are asked for. */
function chosen({ names, all }: Call): readonly Experiment[] {
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
  readonly results: (SeedResult & Job)[] = [];
  readonly pictures: Map<string, string> = new Map();
  readonly #jobs: readonly Job[];
  readonly #parts: number[];
  readonly #bar: Bar;

  constructor(jobs: readonly Job[], bar: Bar) {
    this.#jobs = jobs;
    this.#parts = jobs.map(() => 0);
    this.#bar = bar;
  }

  take(job: Job, message: Message): void {
    if (message.kind === "picture") {
      if (job === this.#jobs[0]) this.pictures.set(message.name, message.svg);
      return;
    }
    if (message.kind === "result") this.results.push({ ...job, figures: message.figures });
    this.#parts[this.#jobs.indexOf(job)] = message.kind === "result" ? 1 : message.done;
    const done = this.#parts.reduce((a, b) => a + b) / this.#parts.length;
    const loss = message.kind === "progress" && message.loss !== null ? `  loss ${message.loss.toPrecision(4)}` : "";
    this.#bar.update(done, `${this.results.length}/${this.#parts.length} seeds${loss}`);
  }
}

/** Runs jobs of one experiment, and measures the processor time they take. */
async function collect(jobs: readonly Job[], threads: number): Promise<{ collector: Collector; seconds: number }> {
  const bar = new Bar(process.stderr);
  const before = process.cpuUsage();
  const collector = new Collector(jobs, bar);
  try {
    await runJobs(new URL(import.meta.url), jobs, { threads, onMessage: (job, message) => collector.take(job, message) });
  } finally {
    bar.clear();
  }
  const { user, system } = process.cpuUsage(before);
  return { collector, seconds: (user + system) / 1e6 };
}

async function reproduce(experiment: Experiment, options: Options): Promise<{ record: RunRecord; pictures: Collector["pictures"] }> {
  const seeds = options.seeds ?? countedSeeds(experiment);
  const jobs = seeds.map((seed): Job => ({ name: experiment.name, seed }));
  const { collector, seconds } = await collect(jobs, options.threads);
  return { record: recordOf(experiment, collector.results, seconds), pictures: collector.pictures };
}

/** Every system of an experiment with every rate of the grid. */
async function tune(experiment: Experiment, { threads }: Options): Promise<TuningRecord> {
  const { name, tuning } = experiment;
  if (tuning === undefined) throw new UserError(`--tune: ${name} has no learning rates to tune`);
  const jobs = tuning.grid.flatMap((rate) => (tuning.seeds ?? [0, 1]).map((seed): Job => ({ name, seed, rate })));
  const { collector } = await collect(jobs, threads);
  const tried = collector.results.map(({ rate, seed, figures }) => ({ rate: rate as number, seed, figures }));
  return tuningRecordOf(experiment, tried);
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
  tunings: join(root, "reproduce/results/tuning"),
  pictures: join(root, "docs/pictures"),
  scratch: join(root, "runs/reproduce"),
  catalogue: join(root, "docs/catalogue.md"),
});

async function reproduceAll(call: Call, root: string): Promise<number> {
  const { results, pictures: kept, scratch } = places(root);
  let failed = 0;
  for (const experiment of chosen(call)) {
    if (!call.json) process.stdout.write(headText(experiment));
    const run = await reproduce(experiment, call);
    const files = await writePictures(call.record ? kept : scratch, experiment.name, run.pictures);
    if (call.record) await writeRecord(results, run.record);
    process.stdout.write(call.json ? resultJson(experiment, run.record) : resultText(experiment, run.record));
    if (!call.json) for (const file of files) process.stdout.write(`  picture   ${relative(root, file)}\n`);
    if (!run.record.pass) failed++;
  }
  return failed;
}

async function tuneAll(call: Call, root: string): Promise<void> {
  for (const experiment of chosen(call)) {
    const record = await tune(experiment, call);
    await writeRecord(places(root).tunings, record);
    process.stdout.write(call.json ? `${JSON.stringify(record)}\n` : tuningText(experiment, record));
  }
}

async function writeCatalogue(root: string): Promise<void> {
  const { results, pictures, catalogue } = places(root);
  const files = (await readdir(pictures).catch(() => [])).filter((f) => f.endsWith(".svg")).sort();
  await writeAtomic(catalogue, cataloguePage(experiments, await readRecords<RunRecord>(results), files));
}

export async function main(args: readonly string[], root: string): Promise<number> {
  const call = parse(args);
  if (call.help) process.stdout.write(USAGE);
  else if (call.list) process.stdout.write(listText(experiments));
  else if (call.catalogue) await writeCatalogue(root);
  else if (!call.all && call.names.length === 0) throw new UserError("expected names of experiments, --list or --all (--help says more)");
  else if (call.tune) await tuneAll(call, root);
  else return (await reproduceAll(call, root)) === 0 ? 0 : 1;
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
