/** Charts and images as SVG text. */

export { type AutomatonOptions, automatonDiagram, type DrawnAutomaton } from "./automaton.ts";
export { barChart, type HistogramOptions, histogram, scatterChart } from "./charts.ts";
export { type HeatMapOptions, heatMap } from "./heat-map.ts";
export { type ImageGridOptions, imageGrid } from "./images.ts";
export { type DrawnNetwork, networkDiagram } from "./network.ts";
export { type ChartOptions, type Line, lineChart } from "./svg.ts";
