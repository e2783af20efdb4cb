// From the lines of all processes to figures, tables and bench/results.md.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { median, spread } from "./measure.mjs";
import { CASES } from "./workloads.mjs";

const OURS = "tapeloop";
const resultsPath = fileURLToPath(new URL("results.md", import.meta.url));

/**
 * The ceiling: the fastest of all probes, because whatever else the machine does can only slow one down.
 * Reading speeds are those of the smallest measured working set that is large enough.
 */
function ceilingOf(lines) {
  const reads = new Map();
  for (const { bytes, read } of lines) if (bytes) reads.set(bytes, Math.max(read, reads.get(bytes) ?? 0));
  const sizes = [...reads.keys()].sort((a, b) => a - b);
  const probes = lines.flatMap(({ probe }) => probe ?? []);
  return {
    peak: Math.max(...probes),
    typical: median(probes),
    reads,
    read: (bytes) => reads.get(sizes.find((s) => s >= bytes) ?? sizes.at(-1)),
  };
}

function measured(item, lines, ceiling) {
  const samples = lines.flatMap((l) => l.samples ?? []);
  if (samples.length === 0) return { missing: lines.find((l) => l.missing)?.missing ?? "no figure" };
  const seconds = median(samples);
  const core = Math.min(...lines.map((l) => l.core ?? 1));
  return { rate: item.units / seconds, spread: spread(samples), count: samples.length, core, share: item.least(ceiling) / seconds };
}

/** The largest absolute difference of two lists of numbers. */
function difference(a, b) {
  if (a.length !== b.length) return Number.NaN;
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
}

/** Everything that was measured, by case and peer. */
export function figuresOf({ lines, starts, sizes, machine, rivals }) {
  const ceiling = ceilingOf(lines);
  const peers = [OURS, ...rivals.map((r) => r.name)];
  const versions = Object.fromEntries(peers.map((p) => [p, lines.find((l) => l.peer === p && l.version)?.version ?? "?"]));
  const cases = CASES.filter((c) => lines.some((l) => l.case === c.name)).map((item) => {
    const ofPeer = (p) => lines.filter((l) => l.peer === p && l.case === item.name);
    const reference = ofPeer(OURS).find((l) => l.result)?.result;
    const rows = peers.map((peer) => {
      const own = ofPeer(peer);
      const { result, incomparable } = own.find((l) => l.result) ?? {};
      const apart = peer === OURS || !result || !reference ? null : (incomparable ?? difference(result, reference));
      return { peer, ...measured(item, own, ceiling), difference: apart };
    });
    return { item, ceilingRate: item.units / item.least(ceiling), rows };
  });
  const failures = lines.filter((l) => l.failed).map(({ peer, workload, failed }) => `${peer}${workload ? ` ${workload}` : ""}: ${failed}`);
  const absent = lines.filter((l) => l.missing).map((l) => `${l.peer} ${l.workload} ${l.case}: ${l.missing}`);
  const notes = [...new Set(lines.flatMap((l) => (l.note ? [`${l.peer}: ${l.note}`] : [])))];
  return { machine, ceiling, peers, versions, cases, starts, sizes, failures: [...new Set([...failures, ...absent])], notes };
}

/** Ratios that are targets of their own: W2 int8 over floats, W8 custom over fused, W9 ragged over full, both as times of equal work. */
function ratios({ cases }) {
  const rate = (name) => cases.find((c) => c.item.name.startsWith(name))?.rows[0].rate;
  const ratio = (workload, metric, slow, fast) => {
    const value = rate(fast) / rate(slow);
    return value > 0 ? [{ workload, metric, value }] : [];
  };
  const streams = [256, 512].map((H) => `LSTM ${H}, batch 1, streaming`);
  return [
    ...streams.flatMap((name) => ratio("W2", `${name}: steps/s with int8 weights over those with floats`, name, `${name}, int8`)),
    ...ratio("W8", "time of the ten-line cell over the fused one", "LSTM 128 in ten lines", "LSTM 128 fused"),
    ...ratio("W9", "time a real step, uniform over full lengths, inference", "LSTM 128, uniform lengths, i", "LSTM 128, full lengths, i"),
    ...ratio("W9", "time a real step, uniform over full lengths, training", "LSTM 128, uniform lengths, t", "LSTM 128, full lengths, t"),
  ];
}

/** One line a figure. */
export function printJson(figures) {
  const { ceiling, versions, machine, cases, starts, sizes, failures } = figures;
  const line = (peer, version, workload, metric, value, unit) =>
    Number.isFinite(value) && console.log(JSON.stringify({ peer, version, workload, metric, value, unit }));
  const core = ["ceiling", `Node ${machine.node} ${machine.kernels}`];
  line(...core, "W0", "arithmetic from registers", ceiling.peak / 1e9, "GFLOP/s");
  for (const [bytes, read] of ceiling.reads) line(...core, "W0", `read ${bytes / 1024} KiB`, read / 1e9, "GB/s");
  for (const { item, ceilingRate, rows } of cases) {
    line(...core, item.workload, item.name, ceilingRate, item.unit);
    for (const { peer, rate, share, spread: apart, difference: d } of rows) {
      const own = [peer, versions[peer], item.workload];
      line(...own, item.name, rate, item.unit);
      line(...own, `${item.name}: share of the ceiling`, 100 * share, "%");
      line(...own, `${item.name}: interquartile spread`, 100 * apart, "%");
      if (typeof d === "number") line(...own, `${item.name}: largest difference from ${OURS}`, d, "");
    }
  }
  for (const { workload, metric, value } of ratios(figures)) line(OURS, versions[OURS], workload, metric, value, "×");
  for (const { name, first, above } of starts) {
    line(name, "", "W6", "first result", first, "ms");
    line(name, "", "W6", "first result above an empty Node", above, "ms");
  }
  for (const { name, raw, gzip, brotli } of sizes) {
    for (const [metric, value] of Object.entries({ raw, gzip, brotli })) line(name, "", "W7", metric, value, "bytes");
  }
  for (const text of failures) console.error(text);
}

/** Three significant digits, with separators. */
function number(x) {
  if (!Number.isFinite(x)) return "–";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(x) || 1)));
  return Number(x.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: digits });
}

const percent = (x) => (Number.isFinite(x) ? `${number(100 * x)} %` : "–");
const kib = (bytes) => `${number(bytes / 1024)} KiB`;

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [
    line(head),
    `|---|${head
      .slice(1)
      .map(() => "---:|")
      .join("")}`,
    ...rows.map(line),
    "",
  ];
}

function casesTable({ cases }) {
  const rows = cases.map(({ item, ceilingRate, rows: [ours] }) => [
    `${item.workload} ${item.name}`,
    ours.missing ? `missing: ${ours.missing}` : `${number(ours.rate)} ${item.unit}`,
    number(ceilingRate),
    percent(ours.share),
    percent(ours.spread),
    percent(ours.core),
  ]);
  return table(["workload", OURS, "ceiling", "share", "spread", "core"], rows);
}

/** Below this part of the core's time, other work disturbed the figure. */
const UNDISTURBED = 0.8;

/** What makes a figure doubtful. */
const remark = (count, core) => (core < UNDISTURBED ? " ~" : "") + (count < 5 ? ` [n = ${count}]` : "");

/** Rates, and how many times faster this library is. */
function rivalsTable({ cases, peers, versions }) {
  const others = peers.slice(1).filter((p) => cases.some((c) => c.rows.some((r) => r.peer === p && r.rate)));
  if (others.length === 0) return [];
  const shared = cases.filter(({ rows }) => rows.slice(1).some((r) => r.rate));
  const rows = shared.map(({ item, rows: [ours, ...rest] }) => [
    `${item.workload} ${item.name}, ${item.unit}`,
    number(ours.rate),
    ...others.map((p) => {
      const { rate, count, core } = rest.find((r) => r.peer === p);
      return rate ? `${number(rate)}${remark(count, core)} (×${number(ours.rate / rate)})` : "–";
    }),
  ]);
  const apart = shared.map(({ item, rows: [, ...rest] }) => [
    `${item.workload} ${item.name}`,
    ...others.map((p) => {
      const { difference: d } = rest.find((r) => r.peer === p);
      return typeof d === "number" ? d.toExponential(1) : (d ?? "–");
    }),
  ]);
  return [
    `Peers: ${others.map((p) => `${p} ${versions[p]}`).join(", ")}. In brackets: how many times faster ${OURS} is; ~: other work took more than a fifth of the core.`,
    "",
    ...table(["workload", OURS, ...others], rows),
    `Largest absolute difference from ${OURS}'s result: outputs of W1 to W3, losses of three training steps in W4 and W5.`,
    "",
    ...table(["workload", ...others], apart),
  ];
}

function ratiosTable(figures) {
  const rows = ratios(figures).map(({ workload, metric, value }) => [`${workload} ${metric}`, number(value)]);
  return rows.length === 0 ? [] : table(["ratio", "×"], rows);
}

function startTable({ starts }) {
  if (starts.length === 0) return [];
  const rows = starts.map(({ name, error, first, above, spread: apart }) =>
    error ? [name, `failed: ${error}`, "–", "–"] : [name, number(first), above === null ? "–" : number(above), percent(apart)],
  );
  return table(["W6 fresh process to first LSTM result", "ms", "above an empty Node, ms", "spread"], rows);
}

function sizeTable({ sizes }) {
  if (sizes.length === 0) return [];
  const rows = sizes.map(({ name, error, raw, gzip, brotli }) =>
    error ? [name, error, "–", "–"] : [name, kib(raw), kib(gzip), kib(brotli)],
  );
  return table(["W7 bytes of a minimal LSTM inference program", "raw", "gzip", "brotli"], rows);
}

function tables(figures) {
  const { machine, ceiling, failures, notes, versions } = figures;
  const reads = [...ceiling.reads].map(([bytes, read]) => `${bytes / 1024} KiB ${number(read / 1e9)}`);
  return [
    `${machine.date}, ${machine.cpu} (${machine.cores} cores, ${machine.core === null ? "not pinned" : `pinned to core ${machine.core}`}), ` +
      `Node ${machine.node}, ${machine.kernels} kernels, ${OURS} ${versions[OURS]}. Medians; spread: of the quartiles; core: the part of the core's time that the process had.`,
    "",
    `Ceiling: ${number(ceiling.peak / 1e9)} GFLOP/s from registers (median of all probes ${number(ceiling.typical / 1e9)}). Reading, GB/s: ${reads.join(", ")}.`,
    "",
    ...casesTable(figures),
    ...ratiosTable(figures),
    ...rivalsTable(figures),
    ...startTable(figures),
    ...sizeTable(figures),
    ...[...failures, ...notes].map((text) => `- ${text}`),
    "",
  ];
}

export function printTables(figures) {
  console.log(tables(figures).join("\n"));
}

const PREAMBLE = `# Results

Written by \`npm run bench\`: each run replaces the section of its runtime, kernels and company. What is measured and how is
in [docs/performance.md](../docs/performance.md).
`;

/** Puts the run in the place of the last one of its kind. */
export async function writeResults(figures) {
  const { machine, peers } = figures;
  const heading = `## Node ${machine.node.split(".")[0]}, ${machine.kernels} kernels, ${peers.length > 1 ? `beside ${peers.slice(1).join(", ")}` : "alone"}`;
  const old = await readFile(resultsPath, "utf8").catch(() => "");
  const sections = new Map(
    old
      .split(/^(?=## )/m)
      .slice(1)
      .map((text) => [text.slice(0, text.indexOf("\n")), text.trimEnd()]),
  );
  sections.set(heading, [heading, "", ...tables(figures)].join("\n").trimEnd());
  const ordered = [...sections.keys()].sort().map((key) => sections.get(key));
  await writeFile(resultsPath, `${[PREAMBLE.trimEnd(), ...ordered].join("\n\n")}\n`);
}
