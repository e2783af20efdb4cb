/** Charts as SVG text. */

export { type AutomatonOptions, automatonDiagram, type DrawnAutomaton } from "./automaton.ts";
export { type HeatMapOptions, heatMap } from "./heat-map.ts";
export { type ChartOptions, type Line, lineChart } from "./svg.ts";
