/** Charts as SVG text. */

export { type HeatMapOptions, heatMap } from "./heat-map.ts";
export { type ChartOptions, type Line, lineChart } from "./svg.ts";
