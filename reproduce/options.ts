/** The command line of `npm run reproduce`. */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { UserError } from "../src/cli/errors.ts";
import { type Experiment, FIRST_COUNTED } from "./experiment.ts";
import { parseSeeds } from "./seeds.ts";

export const USAGE = `Usage: npm run reproduce -- NAME [NAME ...] [options]   repeats experiments
       npm run reproduce -- --list                     lists them with their papers
       npm run reproduce -- --all [options]            repeats all of them
       npm run reproduce -- --catalogue                writes docs/catalogue.md from the results on record

  --seeds LIST   seeds to run, such as 100..119 or 100,101,107 (default: those that the claim is shown on, from ${FIRST_COUNTED} on)
  --threads N    threads at once (default: one core is left to others)
  --record       keeps the results in reproduce/results and the pictures in docs/pictures
  --extend       like --record, but runs only the seeds that are not on record yet and adds them to those that are
  --tune         tries each learning rate of an experiment's grid, on seeds that are not counted, and keeps what came out;
                 a rate that is on record (reproduce/results/tuning) is not tried again
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

const flags = { list: false, all: false, catalogue: false, record: false, extend: false, tune: false, json: false, help: false };
export type Call = Options & Readonly<typeof flags>;

/** What a command line asks for. @throws UserError where it is not one */
export function parse(args: readonly string[]): Call {
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

function check({ record, extend, tune, seeds }: Call): void {
  if ((record || extend) && seeds?.some((seed) => seed < FIRST_COUNTED))
    throw new UserError(
      `--${record ? "record" : "extend"}: expected seeds from ${FIRST_COUNTED} on, on which nothing was tuned, got ${seeds[0]}`,
    );
  if (tune && seeds !== null) throw new UserError("--tune: expected no --seeds, since an experiment names those it is tuned on");
  if (tune && (record || extend))
    throw new UserError("--tune: expected neither --record nor --extend, since it records the grid by itself");
  if (record && extend) throw new UserError("--extend: expected no --record, which replaces what is on record");
}

/** The experiments that are asked for. @throws UserError for a name that none begins with */
export function chosen({ names, all }: Pick<Call, "names" | "all">, experiments: readonly Experiment[]): readonly Experiment[] {
  if (all) return experiments;
  const found = names.map((name) => {
    const exact = experiments.filter((e) => e.name === name);
    const matching = exact.length > 0 ? exact : experiments.filter((e) => e.name.startsWith(name));
    if (matching.length === 0) throw new UserError(`there is no experiment "${name}" (--list shows them)`);
    return matching;
  });
  return [...new Set(found.flat())];
}
