/** Measurements as charts in SVG text. */

import { checkList, checkObject, checkOptions, checkWhole } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { reshape } from "../ops/broadcast.ts";
import { select } from "../ops/shape.ts";
import { heatMapDrawing } from "../plot/heat-map.ts";
import { CHART, type ChartOptions, column, type Drawing, type Line, lineChart } from "../plot/svg.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import type { GateTrace } from "./gates.ts";
import type { StateInfluence } from "./gradient-norms.ts";
import type { Saturation } from "./saturation.ts";

/**
 * A chart of norms against the number of steps back, on a logarithmic scale, with one line per name.
 * @param norms [T + 1] as from `gradientNorms`, the last step's last
 * @example const svg = gradientChart({ Elman: elman[0].norms, LSTM: lstm[0].norms });
 */
export function gradientChart(norms: Readonly<Record<string, readonly number[]>>, options: ChartOptions = {}): string {
  checkOptions("gradientChart", options, CHART);
  checkObject("gradientChart", "norms", norms);
  for (const values of Object.values(norms)) checkList("gradientChart", "norms", values);
  const lines = Object.entries(norms).map(([name, values]) => lineOf(name, values.toReversed().map(Math.log10)));
  return lineChart(lines, { xLabel: "steps back", yLabel: "log₁₀ of the gradient's norm", ...options });
}

/** The same of `stateInfluence`: log₁₀ ‖∂s_T/∂s_{T−k}‖₂ against k. */
export function influenceChart(influences: Readonly<Record<string, StateInfluence>>, options: ChartOptions = {}): string {
  checkOptions("influenceChart", options, CHART);
  checkObject("influenceChart", "influences", influences);
  for (const influence of Object.values(influences))
    checkList("influenceChart", "spectral", (influence as StateInfluence | null)?.spectral);
  const lines = Object.entries(influences).map(([name, { spectral }]) =>
    lineOf(
      name,
      spectral.map((s) => s / Math.LN10),
    ),
  );
  return lineChart(lines, { xLabel: "steps back", yLabel: "log₁₀ ‖∂s_T/∂s_{T−k}‖", ...options });
}

function lineOf(name: string, y: readonly number[]): Line {
  return { name, x: y.map((_, k) => k), y };
}

/**
 * A chart of saturation: the share of each function's values that are saturated, step by step.
 * Functions outside sequences are left out.
 * @example const svg = saturationChart(saturation(model, () => model.forward(xs)));
 */
export function saturationChart(rows: readonly Saturation[], options: ChartOptions = {}): string {
  checkOptions("saturationChart", options, CHART);
  checkList("saturationChart", "rows", rows);
  for (const row of rows) checkList("saturationChart", "steps", (row as Saturation | null)?.steps);
  const drawn = rows.filter(({ steps }) => steps.length > 0);
  const lines = drawn.map(({ module, name, steps }) => lineOf(`${module ?? ""} ${name}`.trim(), steps));
  return lineChart(lines, { xLabel: "step", yLabel: "saturated share", ...options });
}

export interface GateChartOptions extends Pick<ChartOptions, "title"> {
  /** Which sequence of the batch to draw (default 0). */
  readonly sequence?: number;
  /** The gates to draw (default: all), from the top down. */
  readonly gates?: readonly string[];
}

/** The room for one gate's units, and for all steps, in pixels. */
const ROOM = { height: 160, width: 800 };

/**
 * A picture of gates over time: one heat map for each gate, units from the top down and steps from left to right, white for the gate's least
 * value and dark for its greatest; gates between 0 and 1 are white at 0 and dark at 1. Steps after a sequence's end stay blank.
 * @throws ArgumentError for a sequence outside the batch, and for gates that the trace has not
 * @example const svg = gateChart(gateTrace(model, () => model.forward(xs))[0], { gates: ["i", "f", "o"] });
 */
export function gateChart(trace: GateTrace, options: GateChartOptions = {}): string {
  checkOptions("gateChart", options, ["sequence", "gates", "title"]);
  checkObject("gateChart", "a trace", trace);
  checkObject("gateChart", "a trace's gates", trace.gates);
  const { sequence = 0, gates = Object.keys(trace.gates) } = options;
  const title = options.title ?? [trace.module, trace.layer].filter(Boolean).join(" ");
  checkList("gateChart", "gates", gates);
  checkWhole("gateChart", "sequence", sequence, { least: 0 });
  const drawings = gates.map((name) => gateDrawing(name, trace.gates[name], sequence));
  return column(drawings, title === "" ? undefined : title);
}

function gateDrawing(name: string, values: Tensor | undefined, sequence: number): Drawing {
  if (values === undefined) throw new ArgumentError(`gateChart: expected gates of the trace, got ${quote(name)}`);
  const [T, B] = values.shape as [number, number];
  if (sequence >= B) throw new ArgumentError(`gateChart: expected a sequence below ${B}, got ${sequence}`);
  const units = scope(() => reshape(select(values, 1, sequence), [T, -1])).toArray() as number[][];
  const rows = (units[0] ?? []).map((_, unit) => units.map((step) => step[unit] as number));
  const cell = Math.max(1, Math.min(24, Math.floor(ROOM.height / rows.length), Math.floor(ROOM.width / T)));
  const within = rows.flat().every((v) => !(v < 0 || v > 1));
  return heatMapDrawing(rows, { title: name, xLabel: "step", yLabel: "unit", cell, ...(within && { range: [0, 1] as const }) });
}
