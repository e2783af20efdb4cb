/** Experiments and their results as text. */

import { clock } from "../src/cli/progress.ts";
import { column, type Experiment, judge, mean, median, type Outcome } from "./experiment.ts";
import { isFresh, type RunRecord, type TuningRecord } from "./record.ts";
import { seedsText } from "./seeds.ts";

/** 0.0123, 18.4, 31390: three digits, and no powers of ten where they can be avoided. */
export function short(value: number): string {
  if (Number.isInteger(value)) return String(value);
  const digits = Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return Math.abs(value) < 1e-4 ? value.toExponential(1) : String(Number(digits));
}

/** The median, and the range where the seeds differ. */
export function spread(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const middle = short(median(values));
  return short(low) === short(high) ? middle : `${middle} (${short(low)} to ${short(high)})`;
}

export function listText(experiments: readonly Experiment[]): string {
  const width = Math.max(...experiments.map((e) => e.name.length));
  return experiments.map((e) => `${e.name.padEnd(width)}  ${e.system}: ${e.paper}\n`).join("");
}

/** 0.8 as "80 %". */
function percent(part: number): string {
  return `${Math.round(100 * part)} %`;
}

/** In how many seeds the claims are to hold. */
function ratesText({ claims }: Experiment): string {
  const rates = claims.map(
    ({ what, rate }) => `${rate === 1 ? "every seed" : `at least ${percent(rate)} of the seeds`}${what ? ` (${what})` : ""}`,
  );
  return [...new Set(rates)].join(", ");
}

/** "18 of 20 seeds (70 to 97 %)" */
function outcomeText({ what, successes, seeds, interval: [low, high] }: Outcome): string {
  const name = what === undefined ? "" : `${what}: `;
  return `${name}${successes} of ${seeds} seeds (${Math.round(100 * low)} to ${percent(high)})`;
}

/** How often each claim held. */
export function outcomesText(outcomes: readonly Outcome[]): string {
  return outcomes.map(outcomeText).join("; ");
}

export function headText(e: Experiment): string {
  return [
    `${e.name}: ${e.system}`,
    `  ${e.paper}`,
    `  task      ${e.task}`,
    `  reported  ${e.reported}`,
    `  claim     ${e.claim}; ${ratesText(e)}`,
    "",
  ].join("\n");
}

/** The median of each figure over the seeds and its range, and whether the claim holds. */
export function resultText(e: Experiment, record: RunRecord): string {
  const names = Object.entries(e.figures);
  const width = Math.max(...names.map(([, meaning]) => meaning.length));
  const rows = names.map(([name, meaning]) => `  ${meaning.padEnd(width)}  ${spread(column(record.figures, name))}`);
  const remarks = e.remarks === undefined ? [] : [`  remarks   ${e.remarks}`];
  const time = `${clock(record.processorSeconds)} of processor time for seeds ${seedsText(record.seeds)}`;
  const verdict = `  ${record.pass ? "pass" : "FAIL"}: ${outcomesText(record.outcomes)}, ${time}`;
  return [...rows, ...remarks, verdict, "", ""].join("\n");
}

/** One line of JSON. */
export function resultJson(e: Experiment, record: RunRecord): string {
  const { system, file, paper, reported, claim } = e;
  return `${JSON.stringify({ system, file, paper, reported, claim, ...record })}\n`;
}

/** A system's mean figure over the tuning seeds for each rate of the grid, in rising order of rates. */
export function tuningMeans({ tried }: TuningRecord, system: string): { rate: number; figure: number }[] {
  const rates = [...new Set(tried.map((t) => t.rate))];
  return rates.map((rate) => ({ rate, figure: mean(tried.filter((t) => t.rate === rate).map((t) => t.figures[system] as number)) }));
}

/** The rate whose mean figure is best; one that is not a number is worse than any. */
export function bestRate({ tuning }: Experiment, record: TuningRecord, system: string): number {
  const sign = tuning?.better === "higher" ? -1 : 1;
  const loss = ({ figure }: { figure: number }) => (Number.isNaN(figure) ? Number.POSITIVE_INFINITY : sign * figure);
  return tuningMeans(record, system).reduce((best, t) => (loss(t) < loss(best) ? t : best)).rate;
}

export function tuningText(e: Experiment, record: TuningRecord): string {
  const rows = Object.keys(e.tuning?.rates ?? {}).map((system) => {
    const means = tuningMeans(record, system).map(({ rate, figure }) => `${rate}: ${short(figure)}`);
    return `  ${e.figures[system]}  ${means.join("  ")}  best ${bestRate(e, record, system)}`;
  });
  return [e.name, ...rows, "", ""].join("\n");
}

// ---- docs/catalogue.md ----

const INTRODUCTION = `# Catalogue

What each paper reports, and what \`npm run reproduce\` gives: the median over the seeds, with the range in brackets.

A claim says what has to come out of a seed, and in which part of the seeds. *Reproduced* means that it held in at least that part; the number of
seeds in which it held stands beside, with the 95 % interval (Wilson) of the share of seeds that would succeed. A result that was not reproduced
says so. Settings were tuned on seeds 0 to 9. Claims are shown on seeds from 100 on, and nothing was tuned on any of them. Systems that are compared
get the same number of updates; where a line on learning rates says so, each got the best rate of one grid, found on seeds that are not counted.

\`npm run reproduce -- NAME\` repeats one experiment, \`npm run reproduce -- NAME --seeds 200..219\` on other seeds, and
\`npm run reproduce -- --catalogue\` writes this page from the results on record.
`;

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function ours(e: Experiment, record: RunRecord | undefined): string {
  if (record === undefined) return "";
  return Object.entries(e.figures)
    .map(([name, meaning]) => `${meaning}: ${spread(column(record.figures, name))}`)
    .join("; ");
}

function status(record: RunRecord | undefined): string {
  if (record === undefined) return "not yet run in this setting";
  if (!isFresh(record)) return `not yet shown on fresh seeds; on those it was tuned on: ${outcomesText(record.outcomes)}`;
  return `${record.pass ? "reproduced" : "**not reproduced**"}: ${outcomesText(record.outcomes)}`;
}

function row(e: Experiment, record: RunRecord | undefined): string {
  const files = e.file.split(", ").map((f) => `[${f.replace(/^src\//, "")}](../${f})`);
  const cells = [`[${e.name}](#${e.name})`, e.system, e.paper, files.join(", "), e.reported, ours(e, record), status(record)];
  return `| ${cells.map(cell).join(" | ")} |`;
}

/** Which learning rates were taken, and how they were chosen. */
function ratesLine({ tuning, figures }: Experiment, tuned: boolean): string[] {
  if (tuning === undefined) return [];
  const { grid, seeds = [0, 1], updates, rates } = tuning;
  const taken = Object.entries(rates).map(([system, rate]) => `${figures[system]} ${rate}`);
  const how = tuned
    ? `the best of ${grid.join(", ")} on ${seeds.length === 1 ? "seed" : "seeds"} ${seedsText(seeds)}`
    : "set by hand, not yet chosen from a grid";
  return [`- Learning rates: ${how}, ${updates.toLocaleString("en")} updates each: ${taken.join("; ")}`];
}

/** What stands under an experiment's name. */
function details(e: Experiment, record: RunRecord | undefined, tuned: boolean, pictures: readonly string[]): string {
  const remarks = e.remarks === undefined ? [] : [`- Remarks: ${e.remarks}`];
  const run =
    record === undefined
      ? []
      : [`- Run: seeds ${seedsText(record.seeds)}, ${clock(record.processorSeconds)} of processor time, ${record.date}`];
  const shown = (record === undefined ? [] : pictures).map((file) => `\n![${e.name}](pictures/${file})`);
  const claim = `- Claim: ${e.claim}; ${ratesText(e)}`;
  return [`### ${e.name}`, "", `- Task: ${e.task}`, claim, ...ratesLine(e, tuned), ...remarks, ...run, ...shown].join("\n");
}

/** A record as the experiment's claims of today see it. */
function judged(e: Experiment, record: RunRecord | undefined): RunRecord | undefined {
  return record && { ...record, ...judge(e, record.figures) };
}

/** The page: a row for each experiment in the table's order, then what was done in each. */
export function cataloguePage(
  experiments: readonly Experiment[],
  records: ReadonlyMap<string, RunRecord>,
  tunings: ReadonlyMap<string, TuningRecord>,
  pictures: readonly string[],
): string {
  const known = experiments.flatMap((e) => judged(e, records.get(e.name)) ?? []);
  const passed = known.filter((r) => r.pass && isFresh(r)).length;
  const stale = known.filter((r) => !isFresh(r)).length;
  const missing = experiments.length - known.length;
  const waiting = [
    ...(stale > 0 ? [`${stale} have not been run on fresh seeds yet`] : []),
    ...(missing > 0 ? [`${missing} not at all in their present setting`] : []),
  ];
  const summary = `${[`${passed} of ${experiments.length} results reproduced`, ...waiting].join("; ")}.`;
  const head = "| experiment | system | paper | file | paper reports | we get | status |\n|---|---|---|---|---|---|---|";
  const rows = experiments.map((e) => row(e, judged(e, records.get(e.name))));
  const of = (e: Experiment) => pictures.filter((p) => p.startsWith(`${e.name}.`));
  const sections = experiments.map((e) => details(e, records.get(e.name), tunings.has(e.name), of(e)));
  return [INTRODUCTION, summary, "", head, ...rows, "", "## What was done", "", sections.join("\n\n"), ""].join("\n");
}
