/** Trees and directed acyclic graphs, and networks over them that compute all nodes of one height at once. */

import { checkList, checkMethods, checkObject, checkWholes, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import { scatterRows, takeRows } from "../ops/gather.ts";
import { cat } from "../ops/shape.ts";
import { mapState, type State } from "../recurrence/state.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../tensor/tensor.ts";

/** Nodes of equal height. */
interface Level {
  readonly nodes: readonly number[];
  /** The lower levels that contain their children. */
  readonly sources: readonly number[];
  /** For each node, its children's rows among the nodes of those levels, one level after the other. */
  readonly rows: readonly (readonly number[])[];
}

/**
 * Nodes and their children, in any number of trees or graphs. Children come before their parents, and a node may be the child
 * of several. A node's height is 0 without children, else one more than that of its highest child.
 * @throws ArgumentError for a child that does not come before its parent
 * @example new Structure([[], [], [0, 1], [2, 0]]) // node 2 over 0 and 1, node 3 over 2 and again 0
 */
export class Structure {
  /** The children of each node, in order. */
  readonly children: readonly (readonly number[])[];
  readonly levels: readonly Level[];
  /** For each node, its row among the nodes of all levels, one level after the other. */
  readonly order: readonly number[];

  constructor(given: readonly (readonly number[])[]) {
    checkChildren(given);
    const children = given.map((list) => [...list]);
    this.children = children;
    const heights: number[] = [];
    for (const c of children) heights.push(c.reduce((height, child) => Math.max(height, (heights[child] as number) + 1), 0));
    const levels: number[][] = Array.from({ length: Math.max(-1, ...heights) + 1 }, () => []);
    const place = heights.map((height, node) => (levels[height] as number[]).push(node) - 1);
    this.levels = levels.map((nodes) => levelOf(nodes, children, heights, levels, place));
    const starts = startsOf(levels);
    this.order = heights.map((height, node) => (starts[height] as number) + (place[node] as number));
  }

  /** Number of nodes. */
  get size(): number {
    return this.children.length;
  }

  /** Combines structures into one: the nodes of the second follow those of the first, and so on. */
  static join(structures: readonly Structure[]): Structure {
    let before = 0;
    return new Structure(
      structures.flatMap(({ children, size }) => {
        const start = before;
        before += size;
        return children.map((c) => c.map((child) => start + child));
      }),
    );
  }
}

function checkChildren(children: readonly (readonly number[])[]): void {
  checkList("Structure", "children", children);
  for (const list of children) checkList("Structure", "the children of a node", list);
  if (children.length === 0) throw new ArgumentError("Structure: expected at least one node, got none");
  for (const [node, c] of children.entries()) {
    const bad = c.find((child) => !(Number.isInteger(child) && child >= 0 && child < node));
    if (bad !== undefined) throw new ArgumentError(`Structure: expected children of node ${node} below it, got ${bad}`);
  }
}

/** The start of each list when all are concatenated. */
function startsOf(lists: readonly (readonly number[])[]): number[] {
  let next = 0;
  return lists.map((list) => {
    next += list.length;
    return next - list.length;
  });
}

function levelOf(
  nodes: readonly number[],
  children: readonly (readonly number[])[],
  heights: readonly number[],
  levels: readonly (readonly number[])[],
  place: readonly number[],
): Level {
  const lists = nodes.map((node) => children[node] as readonly number[]);
  const sources = [...new Set(lists.flat().map((child) => heights[child] as number))].sort((a, b) => a - b);
  const starts = startsOf(sources.map((height) => levels[height] as number[]));
  const startOf = new Map(sources.map((height, i) => [height, starts[i] as number]));
  const row = (child: number) => (startOf.get(heights[child] as number) as number) + (place[child] as number);
  return { nodes, sources, rows: lists.map((list) => list.map(row)) };
}

/** A leaf by its symbol, or a node by its children. */
export type Tree = number | readonly Tree[];

export interface StructureOptions {
  /** Whether to merge equal subtrees into one node, which turns the trees into one directed acyclic graph (default false). */
  readonly shared?: boolean;
  /** Symbol of nodes with children (default 0). */
  readonly inner?: number;
}

/** Trees as a structure, with each node's symbol and the trees' roots. */
export interface Forest {
  readonly structure: Structure;
  readonly symbols: readonly number[];
  readonly roots: readonly number[];
}

/**
 * Converts trees to one structure.
 * @throws DTypeError for anything but a symbol or an array; ArgumentError for a node with an empty list of children
 * @example const { structure, symbols, roots } = forestOf([[1, [2, 3]], [2, 3]], { shared: true }); // [2, 3] is one node
 */
export function forestOf(trees: readonly Tree[], options: StructureOptions = {}): Forest {
  checkList("forestOf", "trees", trees);
  const { shared = false, inner = 0 } = optionsOf("forestOf", options, ["shared", "inner"]);
  const children: number[][] = [];
  const symbols: number[] = [];
  const known = new Map<string, number>();
  const add = (symbol: number, list: number[]) => {
    const key = list.length === 0 ? `${symbol}` : `(${list.join()})`;
    const found = shared ? known.get(key) : undefined;
    if (found !== undefined) return found;
    known.set(key, children.length);
    symbols.push(symbol);
    return children.push(list) - 1;
  };
  const visit = (tree: Tree): number => {
    if (typeof tree === "number") return add(tree, []);
    checkList("forestOf", "a tree that is no symbol", tree);
    if (tree.length === 0) throw new ArgumentError("forestOf: expected a symbol or at least one child, got an empty list");
    return add(inner, tree.map(visit));
  };
  const roots = trees.map(visit);
  return { structure: new Structure(children), symbols, roots };
}

const index = (rows: readonly number[]): Tensor => tensor([...rows], { dtype: "int32" });

/** The states of the children of n nodes. */
export class Children<S extends State> {
  /** n, the number of parents. */
  readonly count: number;
  /** The most children that one of them has. */
  readonly arity: number;
  readonly #states: S;
  readonly #rows: readonly (readonly number[])[];
  readonly #parents: readonly number[];

  /** @param rows for each parent, its children's rows in `states` */
  constructor(states: S, rows: readonly (readonly number[])[]) {
    checkList("Children", "rows", rows);
    for (const list of rows) checkWholes("Children", "rows", list);
    this.count = rows.length;
    this.arity = Math.max(...rows.map((list) => list.length));
    this.#states = states;
    this.#rows = rows.map((list) => [...list]);
    this.#parents = rows.flatMap((list, parent) => list.map(() => parent));
  }

  /** The state of each parent's k-th child, [n,…]; zeros if it has fewer. */
  at(k: number): S {
    const parents = this.#rows.flatMap((list, parent) => (list.length > k ? [parent] : []));
    const states = this.#take(parents.map((parent) => this.#rows[parent]?.[k] as number));
    return parents.length === this.count ? states : mapState((t) => scatterRows(t, index(parents), this.count), states);
  }

  /** The states of the first to the K-th child. @throws ArgumentError if a node has more */
  upTo(op: string, K: number): S[] {
    if (this.arity > K) throw new ArgumentError(`${op}: expected nodes of at most ${K} children, got one of ${this.arity}`);
    return Array.from({ length: K }, (_, k) => this.at(k));
  }

  /** The states of all children, parent by parent: [m,…]. */
  all(): S {
    return this.#take(this.#rows.flat());
  }

  /** Repeats one row per parent, [n,…], to one per child, [m,…]. */
  perChild(t: Tensor): Tensor {
    return takeRows(t, index(this.#parents));
  }

  /** Sums one row per child, [m,…], over each parent's children: [n,…]. */
  total(t: Tensor): Tensor {
    return scatterRows(t, index(this.#parents), this.count);
  }

  #take(rows: readonly number[]): S {
    return mapState((t) => takeRows(t, index(rows)), this.#states);
  }
}

/**
 * Base class of networks over structures. A subclass computes the states of nodes with and without children, and `forward`
 * runs it from the leaves up, a level at a time. Every node is computed once, however many parents it has; gradients sum
 * over them.
 */
export abstract class StructureNetwork<S extends State = State> extends Module {
  abstract readonly inputSize: number;
  abstract readonly outputSize: number;

  /** The states of nodes without children, from their inputs x [n,I]. */
  abstract leaf(x: Tensor): S;

  /** The states of nodes from their inputs x [n,I] and their children's states. */
  abstract node(x: Tensor, children: Children<S>): S;

  /**
   * The states of all nodes, [N,…] in their order.
   * @param xs [N,I], with zero rows for nodes that have no input
   * @throws ShapeError for another number or size of inputs
   */
  forward(structure: Structure, xs: Tensor): S {
    checkInputs(this, structure, xs);
    const done: S[] = [];
    for (const { nodes, sources, rows } of structure.levels) {
      const x = takeRows(xs, index(nodes));
      done.push(sources.length === 0 ? this.leaf(x) : this.node(x, new Children(joined(sources.map((level) => done[level] as S)), rows)));
    }
    return mapState((t) => takeRows(t, index(structure.order)), joined(done));
  }
}

/** Concatenates the states of several levels. */
function joined<S extends State>([first, ...rest]: readonly S[]): S {
  return rest.length === 0 ? (first as S) : mapState((...parts) => cat(parts), first as S, ...rest);
}

function checkInputs(network: StructureNetwork, structure: Structure, xs: Tensor): void {
  checkMethods("forward", "a network", network, ["leaf", "node"]);
  checkObject("forward", "a structure", structure);
  checkTensor("forward", xs);
  const { size } = structure;
  const expected = [size, network.inputSize];
  if (show(xs.shape) !== show(expected)) throw new ShapeError(`forward: expected xs ${show(expected)}, got ${show(xs.shape)}`);
}

/** Runs a network node by node. This is the definition that running by levels must match. */
export function visitNodes<S extends State>(network: StructureNetwork<S>, structure: Structure, xs: Tensor): S {
  checkInputs(network, structure, xs);
  const done: S[] = [];
  for (const [node, list] of structure.children.entries()) {
    const x = takeRows(xs, index([node]));
    const rows = [list.map((_, k) => k)];
    done.push(list.length === 0 ? network.leaf(x) : network.node(x, new Children(joined(list.map((child) => done[child] as S)), rows)));
  }
  return joined(done);
}
