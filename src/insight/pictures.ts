/** Measurements as charts in SVG text. */

import { checkList, checkObject, checkOptions } from "../base/checks.ts";
import { CHART, type ChartOptions, type Line, lineChart } from "../plot/svg.ts";
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
