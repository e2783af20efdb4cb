/** Networks of any topology as SVG text. */

import { checkList, checkNumber, checkObject, checkText, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { type ChartOptions, picture, text } from "./svg.ts";

/** A network to draw. */
export interface DrawnNetwork {
  /** Nodes, in columns with layer 0 on the left. */
  readonly nodes: readonly { readonly label: string; readonly layer: number }[];
  readonly edges: readonly { readonly from: number; readonly to: number; readonly weight: number }[];
}

const NODE = 17;
const [COLUMN, ROW, MARGIN, TOP] = [120, 58, 46, 40];
const [POSITIVE, NEGATIVE] = ["#0072b2", "#d55e00"];

/**
 * Draws a network as columns of nodes. Edges are as thick as their weights relative to the largest, blue if positive and red if negative. Edges
 * that lead back, or within a column, are curved and dashed.
 * @throws ArgumentError for no nodes, and for edges between unknown nodes
 * @example networkDiagram({ nodes: [{ label: "x", layer: 0 }, { label: "y", layer: 1 }], edges: [{ from: 0, to: 1, weight: -2 }] })
 */
export function networkDiagram(network: DrawnNetwork, options: Pick<ChartOptions, "title"> = {}): string {
  const { title } = optionsOf("networkDiagram", options, ["title"]);
  checkObject("networkDiagram", "a network", network);
  const { nodes, edges } = network;
  checkList("networkDiagram", "nodes", nodes);
  checkList("networkDiagram", "edges", edges);
  if (title !== undefined) checkText("networkDiagram", "title", title);
  for (const node of nodes) {
    checkObject("networkDiagram", "a node", node);
    checkText("networkDiagram", "the label of a node", node.label);
    checkNumber("networkDiagram", "the layer of a node", node.layer);
  }
  for (const edge of edges) {
    checkObject("networkDiagram", "an edge", edge);
    checkNumber("networkDiagram", "the weight of an edge", edge.weight);
  }
  if (nodes.length === 0) throw new ArgumentError("networkDiagram: expected at least one node, got none");
  const unknown = edges.flatMap(({ from, to }) => [from, to]).find((node) => nodes[node] === undefined);
  if (unknown !== undefined)
    throw new ArgumentError(`networkDiagram: expected edges between nodes, got one of ${unknown} of ${nodes.length}`);
  const layers = [...new Set(nodes.map((node) => node.layer))].sort((a, b) => a - b);
  const columns = layers.map((layer) => [...nodes.keys()].filter((i) => nodes[i]?.layer === layer));
  const most = Math.max(...columns.map((column) => column.length));
  const [width, height] = [2 * MARGIN + (columns.length - 1) * COLUMN, TOP + MARGIN + (most - 1) * ROW + NODE];
  const places = new Map<number, readonly [number, number]>();
  columns.forEach((column, c) => {
    column.forEach((node, row) => {
      places.set(node, [MARGIN + c * COLUMN, TOP + NODE + (row + (most - column.length) / 2) * ROW]);
    });
  });
  const largest = edges.reduce((most, { weight }) => Math.max(most, Math.abs(weight)), 1e-12);
  const drawn = edges.map(({ from, to, weight }) => {
    const [a, b] = [places.get(from), places.get(to)] as [readonly [number, number], readonly [number, number]];
    const stroke = `fill="none" stroke="${weight < 0 ? NEGATIVE : POSITIVE}" stroke-width="${round(0.6 + 2.6 * (Math.abs(weight) / largest))}"`;
    return `<path d="${edgePath(a, b)}" ${stroke}${b[0] > a[0] ? "" : ' stroke-dasharray="5 3"'} marker-end="url(#tip)"/>`;
  });
  return picture(Math.max(width, 240), height, title, [
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>',
    title === undefined ? "" : text(16, 22, title, 'font-size="15" font-weight="600"'),
    ...drawn,
    ...nodes.map(({ label }, i) => {
      const [x, y] = places.get(i) as readonly [number, number];
      const ring = `<circle cx="${round(x)}" cy="${round(y)}" r="${NODE}" fill="#fff" stroke="#222" stroke-width="1.4"/>`;
      return `${ring}${text(round(x), round(y + 4), label, 'text-anchor="middle"')}`;
    }),
  ]);
}

/** Straight to the right; curved back or within a column; a loop above the node to itself. */
function edgePath([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number]): string {
  if (x1 === x2 && y1 === y2)
    return `M${round(x1 - 8)} ${round(y1 - 15)}C${round(x1 - 24)} ${round(y1 - 46)} ${round(x1 + 24)} ${round(y1 - 46)} ${round(x1 + 8)} ${round(y1 - 15)}`;
  const length = Math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2);
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [a, b] = [`M${round(x1 + ux * NODE)} ${round(y1 + uy * NODE)}`, `${round(x2 - ux * NODE)} ${round(y2 - uy * NODE)}`];
  if (x2 > x1) return `${a}L${b}`;
  const bow = 26 + 0.08 * length;
  return `${a}Q${round((x1 + x2) / 2 + uy * bow)} ${round((y1 + y2) / 2 - ux * bow)} ${b}`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
