/** Repeats the results of the literature: `npm run reproduce -- NAME`. */

import { mkdir, readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { isMainThread, workerData } from "node:worker_threads";
import { UserError } from "../src/cli/errors.ts";
import { writeAtomic } from "../src/io/files.ts";
import { countedSeeds, type Experiment } from "./experiment.ts";
import { type Call, chosen, parse, USAGE } from "./options.ts";
import { type Job, type Message, runJobs, type SeedResult } from "./pool.ts";
import { Bar } from "./progress.ts";
import { extended, isFresh, type RunRecord, readRecords, recordOf, type TuningRecord, tuningRecordOf, writeRecord } from "./record.ts";
import { cataloguePage, headText, listText, resultJson, resultText, tuningText } from "./report.ts";
import { experiments } from "./table.ts";
import { work } from "./worker.ts";

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

interface Run {
  readonly record: RunRecord;
  readonly pictures: ReadonlyMap<string, string>;
}

function jobsOf({ name }: Experiment, seeds: readonly number[]): Job[] {
  return seeds.map((seed) => ({ name, seed }));
}

async function reproduce(experiment: Experiment, call: Call): Promise<Run> {
  const { collector, seconds } = await collect(jobsOf(experiment, call.seeds ?? countedSeeds(experiment)), call.threads);
  return { record: recordOf(experiment, collector.results, seconds), pictures: collector.pictures };
}

/** Runs the seeds that are not on record. The pictures on record stay, since they show its first seed. */
async function extend(experiment: Experiment, call: Call, old: RunRecord): Promise<Run> {
  const seeds = (call.seeds ?? countedSeeds(experiment)).filter((seed) => !old.seeds.includes(seed));
  const { collector, seconds } = await collect(jobsOf(experiment, seeds), call.threads);
  return { record: extended(experiment, old, collector.results, seconds), pictures: new Map() };
}

/** Every system of an experiment with every rate of the grid; what is on record is not tried again. */
async function tune(experiment: Experiment, { threads }: Call, known: TuningRecord["tried"]): Promise<TuningRecord> {
  const { name, tuning } = experiment;
  if (tuning === undefined) throw new UserError(`--tune: ${name} has no learning rates to tune`);
  const jobs = tuning.grid.flatMap((rate) => (tuning.seeds ?? [0, 1]).map((seed): Job => ({ name, seed, rate })));
  const isOnRecord = (job: Job) => known.some(({ rate, seed }) => rate === job.rate && seed === job.seed);
  const { collector } = await collect(
    jobs.filter((job) => !isOnRecord(job)),
    threads,
  );
  const tried = collector.results.map(({ rate, seed, figures }) => ({ rate: rate as number, seed, figures }));
  return tuningRecordOf(experiment, [...known, ...tried]);
}

async function writePictures(folder: string, name: string, pictures: ReadonlyMap<string, string>): Promise<string[]> {
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
  const records = call.extend ? await readRecords<RunRecord>(results) : new Map<string, RunRecord>();
  const keep = call.record || call.extend;
  let failed = 0;
  for (const experiment of chosen(call, experiments)) {
    if (!call.json) process.stdout.write(headText(experiment));
    const old = records.get(experiment.name);
    const run = old !== undefined && isFresh(old) ? await extend(experiment, call, old) : await reproduce(experiment, call);
    const files = await writePictures(keep ? kept : scratch, experiment.name, run.pictures);
    if (keep) await writeRecord(results, run.record);
    process.stdout.write(call.json ? resultJson(experiment, run.record) : resultText(experiment, run.record));
    if (!call.json) for (const file of files) process.stdout.write(`  picture   ${relative(root, file)}\n`);
    if (!run.record.pass) failed++;
  }
  return failed;
}

async function tuneAll(call: Call, root: string): Promise<void> {
  const { tunings } = places(root);
  const records = await readRecords<TuningRecord>(tunings);
  for (const experiment of chosen(call, experiments)) {
    const record = await tune(experiment, call, records.get(experiment.name)?.tried ?? []);
    await writeRecord(tunings, record);
    process.stdout.write(call.json ? `${JSON.stringify(record)}\n` : tuningText(experiment, record));
  }
}

async function writeCatalogue(root: string): Promise<void> {
  const { results, tunings, pictures, catalogue } = places(root);
  const files = (await readdir(pictures).catch(() => [])).filter((f) => f.endsWith(".svg")).sort();
  await writeAtomic(
    catalogue,
    cataloguePage(experiments, await readRecords<RunRecord>(results), await readRecords<TuningRecord>(tunings), files),
  );
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
