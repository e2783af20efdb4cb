/** Experiments and their results as text. */

import { clock } from "../src/cli/progress.ts";
import { column, type Experiment, median } from "./experiment.ts";
import type { RunRecord } from "./record.ts";

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

export function headText(e: Experiment): string {
  return [
    `${e.name}: ${e.system}`,
    `  ${e.paper}`,
    `  task      ${e.task}`,
    `  reported  ${e.reported}`,
    `  claim     ${e.claim}`,
    "",
  ].join("\n");
}

/** The median of each figure over the seeds and its range, and whether the claim holds. */
export function resultText(e: Experiment, record: RunRecord): string {
  const names = Object.entries(e.figures);
  const width = Math.max(...names.map(([, meaning]) => meaning.length));
  const rows = names.map(([name, meaning]) => `  ${meaning.padEnd(width)}  ${spread(column(record.figures, name))}`);
  const remarks = e.remarks === undefined ? [] : [`  remarks   ${e.remarks}`];
  const time = record.processorSeconds === undefined ? "" : `, ${clock(record.processorSeconds)} of processor time for all seeds`;
  const verdict = `  ${record.pass ? "pass" : "FAIL"}: ${record.reason}${time}`;
  return [...rows, ...remarks, verdict, "", ""].join("\n");
}

/** One line of JSON. */
export function resultJson(e: Experiment, record: RunRecord): string {
  const { system, file, paper, reported, claim } = e;
  return `${JSON.stringify({ system, file, paper, reported, claim, ...record })}\n`;
}

// ---- docs/catalogue.md ----

const INTRODUCTION = `# Catalogue

What each paper reports and what \`npm run reproduce\` gives: the median over the seeds, with the range in brackets. *Reproduced* means that the
claim, which stands with the task under the experiment's name below, held in as many seeds as it asks for; a result that was not reproduced
says so. \`npm run reproduce -- NAME\` repeats one, \`npm run reproduce -- --all\` all of them, and writes this page.
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
  if (record === undefined) return "not run";
  return `${record.pass ? "reproduced" : "**not reproduced**"} (${record.reason})`;
}

function row(e: Experiment, record: RunRecord | undefined): string {
  const files = e.file.split(", ").map((f) => `[${f.replace(/^src\//, "")}](../${f})`);
  const cells = [`[${e.name}](#${e.name})`, e.system, e.paper, files.join(", "), e.reported, ours(e, record), status(record)];
  return `| ${cells.map(cell).join(" | ")} |`;
}

/** What stands under an experiment's name. */
function details(e: Experiment, record: RunRecord | undefined, pictures: readonly string[]): string {
  const remarks = e.remarks === undefined ? [] : [`- Remarks: ${e.remarks}`];
  const seconds = record?.processorSeconds;
  const time = seconds === undefined ? [] : [`- Processor time: ${clock(seconds)} for ${record?.figures.length} seeds`];
  const shown = pictures.map((file) => `\n![${e.name}](pictures/${file})`);
  return [`### ${e.name}`, "", `- Task: ${e.task}`, `- Claim: ${e.claim}`, ...remarks, ...time, ...shown].join("\n");
}

/** The page: a row for each experiment in the table's order, then what was done in each. */
export function cataloguePage(
  experiments: readonly Experiment[],
  records: ReadonlyMap<string, RunRecord>,
  pictures: readonly string[],
): string {
  const known = experiments.flatMap((e) => records.get(e.name) ?? []);
  const passed = known.filter((r) => r.pass).length;
  const summary = `${passed} of ${experiments.length} results reproduced.`;
  const head = "| experiment | system | paper | file | paper reports | we get | status |\n|---|---|---|---|---|---|---|";
  const rows = experiments.map((e) => row(e, records.get(e.name)));
  const of = (e: Experiment) => pictures.filter((p) => p.startsWith(`${e.name}.`));
  const sections = experiments.map((e) => details(e, records.get(e.name), of(e)));
  return [INTRODUCTION, summary, "", head, ...rows, "", "## What was done", "", sections.join("\n\n"), ""].join("\n");
}
