/** Signal-flow graphs as recurrences: nodes add or multiply, edges weigh, delay or apply a function. */

import { checkSizes, checkWhole, optionsOf } from "../../base/checks.ts";
import type { FloatDType } from "../../base/dtype.ts";
import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { type Activation, activationOf } from "../../cells/activations.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { broadcastTo } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { cat, select, slice, unsqueeze } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { full, zeros } from "../../tensor/create.ts";
import { show } from "../../tensor/shape.ts";
import { checkTensor, keep, Tensor } from "../../tensor/tensor.ts";
import { type FlowEdge, type FlowNode, type FlowStructure, incomingEdges, orderOf } from "./structure.ts";

/** Signals of one step: of the nodes, and of each edge at its start and at its end. */
export interface Instant {
  readonly nodes: readonly Tensor[];
  readonly into: readonly Tensor[];
  readonly out: readonly Tensor[];
}

/** A structure, with facts derived from it. */
interface Plan {
  readonly structure: FlowStructure;
  readonly order: readonly number[];
  readonly incoming: readonly (readonly number[])[];
  /** Numbers of the delay edges, in the order of the state. */
  readonly delays: readonly number[];
}

/** The result of an edge for a signal; a delay returns it unchanged, later. */
function passed(edge: FlowEdge, x: Tensor, nodes: readonly Tensor[]): Tensor {
  switch (edge.kind) {
    case "gain":
      return mul(x, edge.weight);
    case "matrix":
      return linear(x, edge.weight);
    case "varying":
      return mul(x, nodes[edge.by] as Tensor);
    case "function":
      return edge.f(x);
    default:
      return x;
  }
}

/**
 * A network as a signal-flow graph, built node by node and edge by edge. It is a recurrence, so any gradient algorithm and any loss works with it.
 *
 *   node: the sum of its incoming signals, or their product (`product`), or a constant
 *   edge: `gain` w∘x, `matrix` Wx, `apply` f(x), `delay` x(t−d), `vary` x∘g(t) with g an input
 *
 * Signals are vectors [B,size]. Edges share weights if they get the same tensor, and two edges between the same nodes are legal. Weights that are
 * `Parameter`s are trained. x [B,I] holds the inputs side by side in order of creation, y [B,O] the outputs. The state holds the line of each delay
 * [B,d,size], newest first, in the order of edges; it starts from `initial` [d,size] (default zeros), trained if it is a `Parameter`.
 * @param options dtype (default float32)
 * @throws ArgumentError for duplicate or unknown names and for loops without a delay, ShapeError for sizes that do not fit
 * @see Wan and Beaufays, "Diagrammatic derivation of gradient algorithms for neural networks", Neural Computation 8, 1996
 * @see Campolucci, Uncini and Piazza, "A signal-flow-graph approach to on-line gradient calculation", Neural Computation 12, 2000
 * @example
 * const leak = new SignalFlowGraph().input("u").node("s").output("s");
 * leak.gain("u", "s", new Parameter(ones([1]))).node("old").delay("s", "old").gain("old", "s", new Parameter(full([1], 0.9)));
 * const [ys] = leak.scan(xs);
 */
export class SignalFlowGraph extends Cell<readonly Tensor[]> {
  readonly dtype: FloatDType;
  /** Weights, constants and initial lines, by the first edge or node that uses them. */
  readonly weights: Map<string, Tensor> = new Map();
  readonly #nodes: FlowNode[] = [];
  readonly #edges: FlowEdge[] = [];
  readonly #inputs: number[] = [];
  readonly #outputs: number[] = [];
  #plan: Plan | null = null;

  constructor(options: { readonly dtype?: FloatDType } = {}) {
    super();
    const { dtype = "float32" } = optionsOf("SignalFlowGraph", options, ["dtype"]);
    this.dtype = dtype;
  }

  get inputSize(): number {
    return this.#width(this.#inputs);
  }

  get outputSize(): number {
    return this.#width(this.#outputs);
  }

  /** The graph as plain data. */
  get structure(): FlowStructure {
    return { nodes: [...this.#nodes], edges: [...this.#edges], inputs: [...this.#inputs], outputs: [...this.#outputs], causal: true };
  }

  #width(nodes: readonly number[]): number {
    return nodes.reduce((n, i) => n + this.#node(i).size, 0);
  }

  #node(i: number): FlowNode {
    return this.#nodes[i] as FlowNode;
  }

  // ---- Building ----

  /** Adds a node whose signal is the sum of its incoming signals. */
  node(name: string, size = 1): this {
    return this.#addNode({ name, size, kind: "sum" });
  }

  /** Adds a node whose signal is the elementwise product of its incoming signals. */
  product(name: string, size = 1): this {
    return this.#addNode({ name, size, kind: "product" });
  }

  /** Adds a node that also reads its part of x. */
  input(name: string, size = 1): this {
    this.node(name, size);
    this.#inputs.push(this.#nodes.length - 1);
    return this;
  }

  /** Adds a node with fixed values [size], such as the 1 from which biases are gains. */
  constant(name: string, value: Tensor | number, size = 1): this {
    const values = typeof value === "number" ? full([size], value, this.dtype) : value;
    if (values.rank !== 1) throw new ShapeError(`constant: expected a vector, got ${show(values.shape)}`);
    this.#addNode({ name, size: values.dim(0), kind: "constant", value: values });
    this.#register(name, values);
    return this;
  }

  /** Makes a node's signal an output. */
  output(name: string): this {
    this.#outputs.push(this.#find("output", name));
    this.#plan = null;
    return this;
  }

  /** Adds an edge w∘x with w [size] or [1]; a number is a fixed gain. */
  gain(from: string, to: string, weight: Tensor | number): this {
    const w = typeof weight === "number" ? full([1], weight, this.dtype) : weight;
    const ends = this.#between("gain", from, to, true);
    const { size } = this.#node(ends.from);
    if (w.rank !== 1 || (w.dim(0) !== 1 && w.dim(0) !== size)) {
      throw new ShapeError(`gain: expected a weight of [1] or [${size}] from "${from}" to "${to}", got ${show(w.shape)}`);
    }
    return this.#addEdge({ ...ends, kind: "gain", weight: this.#register(`${from}→${to}`, w) });
  }

  /** Adds b [size] to a node: a gain from the constant 1. */
  bias(to: string, b: Tensor): this {
    const one = `1 of ${to}`;
    if (!this.#nodes.some(({ name }) => name === one)) this.constant(one, 1, this.#node(this.#find("bias", to)).size);
    return this.gain(one, to, b);
  }

  /** Adds an edge Wx with W [size of `to`, size of `from`]. */
  matrix(from: string, to: string, weight: Tensor): this {
    const ends = this.#between("matrix", from, to, false);
    const [M, N] = [this.#node(ends.to).size, this.#node(ends.from).size];
    if (weight.rank !== 2 || weight.dim(0) !== M || weight.dim(1) !== N) {
      throw new ShapeError(`matrix: expected a weight [${M},${N}] from "${from}" to "${to}", got ${show(weight.shape)}`);
    }
    return this.#addEdge({ ...ends, kind: "matrix", transposed: false, weight: this.#register(`${from}→${to}`, weight) });
  }

  /** Adds an edge f(x), elementwise. */
  apply(from: string, to: string, f: Activation): this {
    return this.#addEdge({ ...this.#between("apply", from, to, true), kind: "function", f: activationOf(f) });
  }

  /** x(t − steps). */
  delay(from: string, to: string, options: { readonly steps?: number; readonly initial?: Tensor } = {}): this {
    const { steps = 1, initial } = optionsOf("delay", options, ["steps", "initial"]);
    checkWhole("delay", "steps", steps, { least: 1 });
    const ends = this.#between("delay", from, to, true);
    const { size } = this.#node(ends.from);
    if (initial !== undefined) checkTensor("delay", initial);
    if (initial !== undefined && (initial.rank !== 2 || initial.dim(0) !== steps || initial.dim(1) !== size)) {
      throw new ShapeError(`delay: expected initial [${steps},${size}] from "${from}" to "${to}", got ${show(initial.shape)}`);
    }
    const start = initial === undefined ? null : this.#register(`${from}→${to}`, initial);
    return this.#addEdge({ ...ends, kind: "delay", steps, initial: start });
  }

  /** Adds an edge x∘g, a gain that changes with time: g is the signal of an input node without incoming edges. */
  vary(from: string, to: string, by: string): this {
    const ends = this.#between("vary", from, to, true);
    const g = this.#find("vary", by);
    if (!this.#inputs.includes(g) || this.#edges.some((edge) => edge.to === g)) {
      throw new ArgumentError(`vary: expected an input that no edge leads to, got "${by}"`);
    }
    const { size } = this.#node(ends.from);
    if (this.#node(g).size !== size) throw new ShapeError(`vary: expected "${by}" of size ${size}, got ${this.#node(g).size}`);
    return this.#addEdge({ ...ends, kind: "varying", by: g });
  }

  #addNode(node: FlowNode): this {
    checkSizes("signal flow", { size: node.size });
    if (this.#nodes.some(({ name }) => name === node.name))
      throw new ArgumentError(`signal flow: expected a new node, got "${node.name}" twice`);
    this.#nodes.push(node);
    this.#plan = null;
    return this;
  }

  #addEdge(edge: FlowEdge): this {
    this.#edges.push(edge);
    this.#plan = null;
    return this;
  }

  #find(op: string, name: string): number {
    const found = this.#nodes.findIndex((node) => node.name === name);
    if (found < 0) throw new ArgumentError(`${op}: expected a node of the graph, got "${name}"`);
    return found;
  }

  #between(op: string, from: string, to: string, sameSize: boolean): { readonly from: number; readonly to: number } {
    const ends = { from: this.#find(op, from), to: this.#find(op, to) };
    const target = this.#node(ends.to);
    if (target.kind === "constant") throw new ArgumentError(`${op}: expected an edge to a node that changes, got the constant "${to}"`);
    if (this.#edges.some((edge) => edge.kind === "varying" && edge.by === ends.to)) {
      throw new ArgumentError(`${op}: expected no edge to "${to}", whose signal is a gain`);
    }
    const size = this.#node(ends.from).size;
    if (sameSize && size !== target.size) {
      throw new ShapeError(`${op}: expected nodes of one size, got "${from}" of ${size} and "${to}" of ${target.size}`);
    }
    return ends;
  }

  /** Registers a tensor with the module, under one name even if several edges share it. */
  #register(name: string, t: Tensor): Tensor {
    if (!(t instanceof Tensor) || t.dtype !== this.dtype) {
      throw new ArgumentError(
        `signal flow: expected a tensor of ${this.dtype} at "${name}", got ${t instanceof Tensor ? t.dtype : typeof t}`,
      );
    }
    if ([...this.weights.values()].includes(t)) return t;
    let free = name;
    for (let n = 2; this.weights.has(free); n++) free = `${name}#${n}`;
    this.weights.set(free, keep(t));
    return t;
  }

  // ---- Running ----

  /** @throws ArgumentError for a graph that cannot run */
  #planned(): Plan {
    if (this.#plan !== null) return this.#plan;
    const { structure } = this;
    const incoming = incomingEdges(structure);
    for (const [i, { name, kind }] of this.#nodes.entries()) {
      if (kind === "product" && incoming[i]?.length === 0)
        throw new ArgumentError(`signal flow: expected factors for the product "${name}", got none`);
    }
    if (this.#inputs.length === 0 || this.#outputs.length === 0) {
      throw new ArgumentError(`signal flow: expected inputs and outputs, got ${this.#inputs.length} and ${this.#outputs.length}`);
    }
    const delays = [...this.#edges.keys()].filter((e) => this.#edges[e]?.kind === "delay");
    this.#plan = { structure, order: orderOf(structure), incoming, delays };
    return this.#plan;
  }

  initialState(batch: number): readonly Tensor[] {
    const { structure, delays } = this.#planned();
    return delays.map((e) => {
      const edge = structure.edges[e] as Extract<FlowEdge, { kind: "delay" | "advance" }>;
      const shape = [batch, edge.steps, this.#node(edge.from).size];
      return edge.initial === null ? zeros(shape, this.dtype) : broadcastTo(unsqueeze(edge.initial, 0), shape);
    });
  }

  /** All signals of one step. */
  instant(x: Tensor, lines: readonly Tensor[]): Instant {
    const { structure, order, incoming, delays } = this.#planned();
    const { edges } = structure;
    const given = this.#split(x);
    const nodes: Tensor[] = [];
    const out: Tensor[] = [];
    delays.forEach((e, i) => {
      const line = lines[i] as Tensor;
      out[e] = select(line, 1, line.dim(1) - 1);
    });
    for (const n of order) {
      const parts = (incoming[n] as readonly number[]).map((e) => {
        const edge = edges[e] as FlowEdge;
        out[e] ??= passed(edge, nodes[edge.from] as Tensor, nodes);
        return out[e];
      });
      const own = given.get(n);
      nodes[n] = this.#combined(this.#node(n), own === undefined ? parts : [own, ...parts], x.dim(0));
    }
    return { nodes, out, into: edges.map(({ from }) => nodes[from] as Tensor) };
  }

  #combined({ kind, size, value }: FlowNode, parts: readonly Tensor[], batch: number): Tensor {
    if (value !== undefined) return broadcastTo(value, [batch, size]);
    if (parts.length === 0) return zeros([batch, size], this.dtype);
    return parts.reduce((a, b) => (kind === "product" ? mul(a, b) : add(a, b)));
  }

  /** The parts of x by input node. */
  #split(x: Tensor): Map<number, Tensor> {
    let end = 0;
    return new Map(
      this.#inputs.map((i) => {
        const { size } = this.#node(i);
        end += size;
        return [i, slice(x, 1, end - size, end)];
      }),
    );
  }

  /** The lines after a step. */
  advanced({ into }: Instant, lines: readonly Tensor[]): readonly Tensor[] {
    return this.#planned().delays.map((e, i) => {
      const line = lines[i] as Tensor;
      const newest = unsqueeze(into[e] as Tensor, 1);
      return line.dim(1) === 1 ? newest : cat([newest, slice(line, 1, 0, line.dim(1) - 1)], 1);
    });
  }

  step(x: Tensor, lines: readonly Tensor[]): [y: Tensor, next: readonly Tensor[]] {
    const instant = this.instant(x, lines);
    const outputs = this.#outputs.map((n) => instant.nodes[n] as Tensor);
    return [cat(outputs, 1), this.advanced(instant, lines)];
  }
}
