/** Charts as SVG text. */

export { type ChartOptions, type Line, lineChart } from "./svg.ts";
