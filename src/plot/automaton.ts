/** Finite automata as SVG text. */

import { checkFlag, checkList, checkObject, checkText, checkTexts, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { type ChartOptions, picture, text } from "./svg.ts";

/** An automaton to draw: states 0 … n−1, with 0 as the start. */
export interface DrawnAutomaton {
  /** transitions[q][a]: the state after symbol a in state q. */
  readonly transitions: readonly (readonly number[])[];
  readonly accepting: readonly boolean[];
}

export interface AutomatonOptions extends Pick<ChartOptions, "title"> {
  /** Names of the symbols (default their numbers). */
  readonly symbols?: readonly string[];
  /** Whether to leave out states from which no accepting one can be reached, and the arrows to them (default false). */
  readonly hideDead?: boolean;
}

const NODE = 20;
const MARGIN = 74;

type Point = readonly [x: number, y: number];

/**
 * Draws states on a circle, clockwise from the left; accepting ones have a double ring, the start has an extra arrow. Symbols that lead
 * to the same state share an arrow.
 * @throws ArgumentError for no states, and for transitions to unknown states
 * @example const svg = automatonDiagram(extractAutomaton(cell), { title: "Language 4" });
 */
export function automatonDiagram(automaton: DrawnAutomaton, options: AutomatonOptions = {}): string {
  const { title, symbols, hideDead = false } = optionsOf("automatonDiagram", options, ["symbols", "title", "hideDead"]);
  checkFlag("automatonDiagram", "hideDead", hideDead);
  checkObject("automatonDiagram", "an automaton", automaton);
  const { transitions, accepting } = automaton;
  checkList("automatonDiagram", "transitions", transitions);
  for (const row of transitions) checkList("automatonDiagram", "the transitions of a state", row);
  checkList("automatonDiagram", "accepting", accepting);
  if (symbols !== undefined) checkTexts("automatonDiagram", "symbols", symbols);
  if (title !== undefined) checkText("automatonDiagram", "title", title);
  const n = transitions.length;
  const unknown = transitions.flat().find((q) => !Number.isInteger(q) || q < 0 || q >= n);
  if (n === 0 || unknown !== undefined) {
    throw new ArgumentError(
      `automatonDiagram: expected transitions between states, got ${n === 0 ? "no states" : `one to ${unknown} of ${n}`}`,
    );
  }
  const isShown = hideDead ? alive(automaton) : transitions.map(() => true);
  const shown = [...transitions.keys()].filter((q) => isShown[q]);
  const radius = Math.max(80, shown.length * 22);
  const size = 2 * (radius + MARGIN);
  const middle: Point = [size / 2, size / 2 + 14];
  const place = (q: number): Point => {
    const angle = Math.PI * (1 + (2 * shown.indexOf(q)) / shown.length);
    return [middle[0] + radius * Math.cos(angle), middle[1] + radius * Math.sin(angle)];
  };
  const arrows = shown.flatMap((q) => {
    const row = transitions[q] as readonly number[];
    const reached = [...new Set(row)].filter((to) => isShown[to]);
    return reached.map((to) => {
      const label = row.flatMap((next, a) => (next === to ? [symbols?.[a] ?? String(a)] : [])).join(", ");
      return to === q ? loop(place(q), middle, label) : arc(place(q), place(to), label);
    });
  });
  const [x, y] = place(0);
  return picture(size, size + 28, title, [
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    title === undefined ? "" : text(16, 22, title, 'font-size="15" font-weight="600"'),
    `<path d="M${round(x - 42)} ${round(y - 42)}L${round(x - 0.71 * NODE)} ${round(y - 0.71 * NODE)}" ${EDGE}/>`,
    ...arrows,
    ...shown.map((q) => node(place(q), q, accepting[q] === true)),
  ]);
}

/** Whether an accepting state can be reached from each state; the start counts in any case. */
function alive({ transitions, accepting }: DrawnAutomaton): boolean[] {
  const isAlive = transitions.map((_, q) => accepting[q] === true);
  for (let found = true; found; ) {
    found = false;
    for (const [q, row] of transitions.entries()) {
      if (isAlive[q] || !row.some((to) => isAlive[to])) continue;
      isAlive[q] = true;
      found = true;
    }
  }
  isAlive[0] = true;
  return isAlive;
}

const EDGE = 'fill="none" stroke="#222" stroke-width="1.2" marker-end="url(#head)"';

function node([x, y]: Point, q: number, accepting: boolean): string {
  const ring = (r: number) => `<circle cx="${round(x)}" cy="${round(y)}" r="${r}" fill="#fff" stroke="#0072b2" stroke-width="1.6"/>`;
  return [ring(NODE), accepting ? ring(NODE - 4) : "", text(round(x), round(y + 4), String(q), 'text-anchor="middle"')].join("");
}

/** A curve to the left of the straight line, so two states can point at each other. */
function arc([x1, y1]: Point, [x2, y2]: Point, label: string): string {
  const length = Math.hypot(x2 - x1, y2 - y1);
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const bow = 18 + length * 0.08;
  const [cx, cy] = [(x1 + x2) / 2 + uy * bow, (y1 + y2) / 2 - ux * bow];
  const from = towards([x1, y1], [cx, cy]);
  const to = towards([x2, y2], [cx, cy]);
  const d = `M${from.map(round).join(" ")}Q${round(cx)} ${round(cy)} ${to.map(round).join(" ")}`;
  return `<path d="${d}" ${EDGE}/>${text(round(cx), round(cy + 4), label, 'text-anchor="middle"')}`;
}

/** A loop on the outer side. */
function loop([x, y]: Point, [mx, my]: Point, label: string): string {
  const angle = Math.atan2(y - my, x - mx);
  const at = (turn: number, r: number): Point => [x + r * Math.cos(angle + turn), y + r * Math.sin(angle + turn)];
  const points = [at(-0.5, NODE), at(-0.5, NODE + 34), at(0.5, NODE + 34), at(0.5, NODE)].map((p) => p.map(round).join(" "));
  const [lx, ly] = at(0, NODE + 38);
  return `<path d="M${points[0]}C${points[1]} ${points[2]} ${points[3]}" ${EDGE}/>${text(round(lx), round(ly + 4), label, 'text-anchor="middle"')}`;
}

/** The point on the ring around `center` that faces `other`. */
function towards([x, y]: Point, [ox, oy]: Point): Point {
  const length = Math.hypot(ox - x, oy - y);
  return [x + ((ox - x) / length) * NODE, y + ((oy - y) / length) * NODE];
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
