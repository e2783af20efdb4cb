/** A program of the gallery as a command: progress, the table of figures, the gates, the pictures. */

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Checkpoints, Figure, Progress, Result, Run, RunOptions } from "./example.ts";

export interface CommandOptions extends Pick<RunOptions, "quick" | "full" | "data"> {
  readonly seeds: readonly number[];
  /** Whether to use the stored weights. */
  readonly load?: boolean;
  /** Whether to store the weights of the first seed. */
  readonly save?: boolean;
  /** Where pictures and checkpoints go. */
  readonly out: string;
}

const WEIGHTS = "weights.safetensors";

/** The folder's stored weights. */
export function storedWeights(folder: string): Uint8Array {
  return readFileSync(join(folder, WEIGHTS));
}

/** Checkpoints as files of a folder. */
function checkpointsIn(folder: string): Checkpoints {
  const fileOf = (stage: string) => join(folder, `${stage.replace(/\W+/g, "-")}.checkpoint`);
  return {
    read: (stage) => (existsSync(fileOf(stage)) ? readFileSync(fileOf(stage)) : undefined),
    write(stage, bytes) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(fileOf(stage), bytes);
    },
  };
}

/** Writes a bar to the terminal, or nothing where there is none. */
function bar({ stage, step, steps, loss }: Progress): void {
  if (!process.stderr.isTTY) return;
  const share = Math.min(1, step / steps);
  const done = Math.round(24 * share);
  process.stderr.write(`\r${stage} [${"=".repeat(done)}${" ".repeat(24 - done)}] ${step}/${steps} loss ${loss.toFixed(4)}\x1b[K`);
  if (step >= steps) process.stderr.write("\n");
}

/** Runs a program with each seed and prints what came out. @returns whether the model passed its gates with all of them */
export async function command(name: string, folder: string, run: Run, options: CommandOptions): Promise<boolean> {
  const { seeds, load = false, save = false, out, ...rest } = options;
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort(new Error("interrupted; the same command goes on from here")));
  const results: Result[] = [];
  for (const seed of seeds) {
    const kept = join(out, `checkpoints-${seed}${rest.full ? "-full" : ""}`);
    const stored = load ? { load: storedWeights(folder) } : { checkpoints: checkpointsIn(kept) };
    const before = process.cpuUsage();
    results.push(await run({ ...rest, ...stored, seed, progress: bar, signal: controller.signal }));
    rmSync(kept, { recursive: true, force: true });
    const { user, system } = process.cpuUsage(before);
    console.log(`${name}, seed ${seed}: ${((user + system) / 1e6).toFixed(1)} s of processor time`);
  }
  const [first] = results as [Result];
  console.log(`data: ${first.data}\n\n${tableOf(results)}\n`);
  seeds.forEach((seed, i) => {
    for (const { what, passed } of (results[i] as Result).gates) console.log(`seed ${seed}: ${passed ? "passed" : "LOST"}: ${what}`);
  });
  for (const file of writePictures(first, out)) console.log(`wrote ${file}`);
  if (save) writeFileSync(join(folder, WEIGHTS), first.weights);
  return results.every(({ passed }) => passed);
}

/** Writes a result's pictures to a folder. @returns their paths */
export function writePictures({ pictures }: Result, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  return Object.entries(pictures).map(([name, content]) => {
    const file = join(folder, name);
    writeFileSync(file, content);
    return file;
  });
}

function shown(value: number): string {
  return Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(3);
}

/** The mean of a figure over the runs, and between which values it lies: those of the runs, or the interval of the only one. */
function cellsOf(results: readonly Result[], row: number): { value: string; range: string } {
  const own = results.map(({ figures }) => figures[row] as Figure);
  const values = own.map(({ value }) => value);
  const range = values.length > 1 ? ([Math.min(...values), Math.max(...values)] as const) : own[0]?.interval;
  const mean = values.reduce((a, b) => a + b) / values.length;
  return { value: shown(mean), range: range === undefined ? "" : `${shown(range[0])} to ${shown(range[1])}` };
}

/** The figures as a Markdown table, means over the runs. */
export function tableOf(results: readonly Result[]): string {
  const [first] = results as [Result];
  const range = results.length > 1 ? `range of ${results.length} seeds` : "95 % interval";
  const rows = first.figures.map(({ metric, of }, i) => {
    const { value, range } = cellsOf(results, i);
    return `| ${metric === first.figures[i - 1]?.metric ? "" : metric} | ${of} | ${value} | ${range} |`;
  });
  return [`| | | value | ${range} |`, "|---|---|---|---|", ...rows].join("\n");
}
