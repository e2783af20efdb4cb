/** Gradients of signal-flow graphs by their transposed graphs: in one batch, in windows, and by convolution. */

import { checkWhole, optionsOf } from "../../base/checks.ts";
import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { quote } from "../../base/quote.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { reshape, sum, sumTo } from "../../ops/broadcast.ts";
import { matmul } from "../../ops/linear.ts";
import { cat, select, slice, stack, transpose as turned, unstack } from "../../ops/shape.ts";
import type { Recurrence } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { zeros, zerosLike } from "../../tensor/create.ts";
import { show } from "../../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../../tensor/tensor.ts";
import { type GradientAlgorithm, type Learner, type ScanCotangents, type ScanGradients, scanByRule, trainedOf } from "../algorithm.ts";
import { type LearnedWindow, WindowLearner } from "../late-learner.ts";
import { overSequences, sumOf } from "../sequences.ts";
import { type AdjointInstant, AdjointRun, type Arrival } from "./adjoint.ts";
import { type Instant, SignalFlowGraph } from "./graph.ts";
import type { FlowEdge, FlowNode, FlowStructure } from "./structure.ts";
import { transpose } from "./transpose.ts";

/** The signals of a graph over a sequence, by step. */
function instantsOf(graph: SignalFlowGraph, xs: Tensor, lines: readonly Tensor[]): Instant[] {
  let state: readonly Tensor[] = lines.map((line) => line.detach());
  return unstack(xs, 0).map((x) => {
    const instant = graph.instant(x.detach(), state);
    state = graph.advanced(instant, state);
    return instant;
  });
}

/** A window of steps from..to, whose errors count from step `fresh` on. */
interface Window {
  readonly from: number;
  readonly fresh: number;
  readonly to: number;
  /** Whether the cotangents of the last state count too. */
  readonly last: boolean;
}

/** The windows of the two-parameter form: every h' steps the newest h' errors go back through at most h steps. */
function windowsOf(T: number, window: readonly [h: number, hPrime: number] | null): Window[] {
  if (window === null) return [{ from: 0, fresh: 0, to: T, last: true }];
  const [h, hPrime] = window;
  return Array.from({ length: Math.ceil(T / hPrime) }, (_, i) => {
    const to = Math.min(T, (i + 1) * hPrime);
    return { from: Math.max(0, to - h), fresh: i * hPrime, to, last: to === T };
  });
}

/** Gradients accumulated window by window; null where nothing has arrived. */
class Gradients {
  readonly weights: Map<Tensor, Tensor> = new Map();
  /** Gradients of the inputs [B,I], by step. */
  readonly xs: Arrival[];
  /** Gradients of each line of the first state. */
  readonly lines: Arrival[];

  constructor(T: number, lines: number) {
    this.xs = new Array<Arrival>(T).fill(null);
    this.lines = new Array<Arrival>(lines).fill(null);
  }

  addWeight(weight: Tensor, g: Tensor): void {
    this.weights.set(weight, sumOf(this.weights.get(weight) ?? null, g) as Tensor);
  }
}

/** An edge's contribution to the gradient of its weight: the sum over steps of products of signals at its two ends. */
function weightGradient(edge: FlowEdge & { readonly weight: Tensor }, starts: readonly Tensor[], ends: readonly Tensor[]): Tensor {
  const [x, d] = [cat(starts, 0), cat(ends, 0)];
  return edge.kind === "matrix" ? matmul(turned(d), x) : sumTo(sum(mul(d, x), { axis: 0, keepDim: true }), [1, edge.weight.dim(0)]);
}

/** The inputs of a sweep. */
type Errors = Pick<ScanCotangents, "xs" | "state" | "dys" | "dLast">;

/** A graph, its transpose and a run. */
class Sweep {
  readonly #graph: FlowStructure;
  readonly #adjoint: AdjointRun;
  readonly #instants: readonly Instant[];
  readonly #delays: readonly number[];
  readonly #cotangents: Errors;
  readonly found: Gradients;

  constructor(graph: SignalFlowGraph, cotangents: Errors) {
    this.#graph = graph.structure;
    this.#adjoint = new AdjointRun(transpose(this.#graph));
    this.#cotangents = cotangents;
    this.#instants = instantsOf(graph, cotangents.xs, cotangents.state);
    this.#delays = [...this.#graph.edges.keys()].filter((e) => this.#graph.edges[e]?.kind === "delay");
    this.found = new Gradients(this.#instants.length, this.#delays.length);
  }

  /** ∂E/∂y(t) by node. Outputs lie side by side; a node may be an output twice. */
  #errors(t: number): (node: number) => Arrival {
    const { dys } = this.#cotangents;
    if (dys === null) return () => null;
    const dy = select(dys, 0, t);
    let end = 0;
    const parts = new Map<number, Arrival>();
    for (const node of this.#graph.outputs) {
      const { size } = this.#graph.nodes[node] as FlowNode;
      end += size;
      parts.set(node, sumOf(parts.get(node) ?? null, slice(dy, 1, end - size, end)));
    }
    return (node) => parts.get(node) ?? null;
  }

  run({ from, fresh, to, last }: Window): void {
    const adjoint: AdjointInstant[] = [];
    /** The signal that an edge with d steps forwards in time brings to step t: what entered it d steps later, or the last line's cotangent. */
    const recall =
      (t: number) =>
      (e: number): Arrival => {
        const { steps } = this.#graph.edges[e] as Extract<FlowEdge, { kind: "delay" | "advance" }>;
        if (t + steps < to) return adjoint[t + steps]?.into[e] ?? null;
        const line = last ? (this.#cotangents.dLast[this.#delays.indexOf(e)] ?? null) : null;
        return line && select(line, 1, to - 1 - t);
      };
    for (let t = to - 1; t >= from; t--) {
      const injected = t >= fresh ? this.#errors(t) : () => null;
      adjoint[t] = this.#adjoint.instant(injected, this.#instants[t] as Instant, recall(t));
      this.found.xs[t] = sumOf(this.found.xs[t] ?? null, this.#inputGradient(adjoint[t] as AdjointInstant, this.#instants[t] as Instant));
    }
    this.#collect(adjoint, from, to);
    if (from === 0) this.#collectLines(recall);
  }

  /** ∂E/∂x(t) [B,I]: the outputs of the transposed graph, and the gradients of gains that are inputs. */
  #inputGradient({ nodes, into }: AdjointInstant, point: Instant): Arrival {
    const { edges, inputs } = this.#graph;
    const gainOf = (node: number): Arrival =>
      edges.reduce((g: Arrival, edge, e) => {
        const d = edge.kind === "varying" && edge.by === node ? into[e] : null;
        return d ? sumOf(g, mul(d, point.into[e] as Tensor)) : g;
      }, null);
    const parts = inputs.map((node) => sumOf(nodes[node] ?? null, gainOf(node)));
    if (parts.every((p) => p === null)) return null;
    return cat(
      parts.map((p, i) => p ?? zerosLike(point.nodes[inputs[i] as number] as Tensor)),
      1,
    );
  }

  #collect(adjoint: readonly AdjointInstant[], from: number, to: number): void {
    const steps = Array.from({ length: to - from }, (_, i) => from + i);
    for (const [e, edge] of this.#graph.edges.entries()) {
      if (edge.kind !== "gain" && edge.kind !== "matrix") continue;
      const arrived = steps.filter((t) => adjoint[t]?.into[e]);
      if (arrived.length === 0) continue;
      const starts = arrived.map((t) => this.#instants[t]?.into[e] as Tensor);
      const ends = arrived.map((t) => adjoint[t]?.into[e] as Tensor);
      const g = weightGradient(edge, starts, ends);
      this.found.addWeight(edge.weight, reshape(g, edge.weight.shape));
    }
    for (const [n, { value }] of this.#graph.nodes.entries()) {
      if (value === undefined) continue;
      const arrived = steps.flatMap((t) => adjoint[t]?.nodes[n] ?? []);
      if (arrived.length > 0) this.found.addWeight(value, sum(cat(arrived, 0), { axis: 0 }));
    }
  }

  /** The gradients of the first lines, which leave the transposed graph before step 0. */
  #collectLines(recall: (t: number) => (e: number) => Arrival): void {
    for (const [i, e] of this.#delays.entries()) {
      const line = this.#cotangents.state[i] as Tensor;
      const entries = Array.from({ length: line.dim(1) }, (_, k) => recall(-1 - k)(e));
      if (entries.every((entry) => entry === null)) continue;
      const g = stack(
        entries.map((entry, k) => entry ?? zerosLike(select(line, 1, k))),
        1,
      );
      this.found.lines[i] = sumOf(this.found.lines[i] ?? null, g);
    }
  }
}

function sweepGraph(
  graph: SignalFlowGraph,
  parameters: readonly Parameter[],
  cotangents: ScanCotangents,
  window: readonly [h: number, hPrime: number] | null,
): ScanGradients {
  const sweep = new Sweep(graph, cotangents);
  for (const one of windowsOf(cotangents.xs.dim(0), window)) sweep.run(one);
  const { weights, xs, lines } = sweep.found;
  const zero = zeros(cotangents.xs.shape.slice(1), cotangents.xs.dtype);
  return { xs: stack(xs.map((g) => g ?? zero)), state: lines, parameters: parameters.map((p) => weights.get(p) ?? null) };
}

/** Sweeps the newest errors of a window on a stream, with constant first lines. */
function sweepWindow(graph: SignalFlowGraph, parameters: readonly Parameter[], { xs, start, dys }: LearnedWindow<readonly Tensor[]>) {
  const [n, f] = [xs.dim(0), dys.dim(0)];
  const padded = n === f ? dys : cat([zeros([n - f, ...dys.shape.slice(1)], dys.dtype), dys], 0);
  const sweep = new Sweep(graph, { xs, state: start, dys: padded, dLast: [] });
  sweep.run({ from: 0, fresh: n - f, to: n, last: false });
  const { weights, lines } = sweep.found;
  return { parameters: parameters.map((p) => weights.get(p) ?? null), state: lines, carried: [] };
}

function graphOf(name: string, recurrence: unknown): SignalFlowGraph {
  if (recurrence instanceof SignalFlowGraph) return recurrence;
  throw new ArgumentError(`${name}: expected a SignalFlowGraph, got ${quote(recurrence)}`);
}

export interface TransposedGraphOptions {
  /**
   * [h, h'], h ≥ h' ≥ 1: every h' steps, sends the newest h' errors back through the last h steps, like BPTT(h; h'). By default the errors of a whole sequence
   * go back at once.
   */
  readonly window?: readonly [h: number, hPrime: number];
}

/**
 * The gradient of a `SignalFlowGraph` by its transposed graph: errors ∂E/∂y(t) enter at the original outputs, in reversed time, and the weight of an edge
 * from j to i gets the product of the signals at its two ends,
 *
 *   ∂E/∂w_ij = Σ_t x̂_i(t) x_j(t)
 *
 * Inputs get the outputs of the transposed graph; first lines get what its steps forwards in time bring before step 0. A sweep costs as much as
 * a run of the graph: O(T·edges) in one batch. With a window [h, h'] it is the on-line form, which takes O((1 + h/h')·edges) per step on average and
 * O(h·nodes) memory on a stream. h ≥ T is exact; a smaller h cuts errors off after h − h' to h − 1 steps. With a window it also learns sample by
 * sample (`online`): errors wait for their window, h inputs and lines and h' errors are kept, and a window's h steps run again with the present weights.
 * @see Wan and Beaufays, "Diagrammatic derivation of gradient algorithms for neural networks", Neural Computation 8, 1996
 * @see Campolucci, Uncini and Piazza, "A signal-flow-graph approach to on-line gradient calculation", Neural Computation 12, 2000 (the windows: from memory)
 * Deviates: keeps the signals of a whole scan, since its errors come with `backward`.
 * @throws ArgumentError for other recurrences, and unless h ≥ h' ≥ 1 are whole numbers
 * @example fit(graph, batches, { gradients: transposedGraph({ window: [10, 5] }), … })
 */
export function transposedGraph(options: TransposedGraphOptions = {}): GradientAlgorithm {
  const { window } = optionsOf("transposedGraph", options, ["window"]);
  if (window !== undefined) {
    checkWhole("transposedGraph", "h'", window[1], { least: 1 });
    checkWhole("transposedGraph", "h", window[0], { least: window[1] });
  }
  const name = window === undefined ? "transposedGraph" : `transposedGraph(${window.join(", ")})`;
  const algorithm: GradientAlgorithm = {
    name,
    scan(recurrence, xs, state, options) {
      const graph = graphOf(name, recurrence);
      const rule = overSequences((_graph, parameters, _like, cotangents) => sweepGraph(graph, parameters, cotangents, window ?? null));
      return scanByRule(name, rule, recurrence, xs, state, options);
    },
  };
  if (window === undefined) return algorithm;
  const [h, hPrime] = window;
  return {
    ...algorithm,
    begin<S extends State>(recurrence: Recurrence<S>, batch = 1) {
      const graph = graphOf(name, recurrence);
      const trained = trainedOf(graph.parameters());
      const sweep = (lines: LearnedWindow<readonly Tensor[]>) => sweepWindow(graph, trained, lines);
      const learner = new WindowLearner<readonly Tensor[], readonly State[]>(name, { h, hPrime, first: () => [], sweep }, graph, batch);
      return learner as unknown as Learner<S>;
    },
  };
}

// ---- Simulation and convolution ----

/** Linear, time-invariant kinds of edges. */
function isLinearTimeInvariant({ nodes, edges }: FlowStructure): boolean {
  return nodes.every(({ kind }) => kind === "sum") && edges.every(({ kind }) => !["varying", "function", "slope"].includes(kind));
}

function checkLinear(op: string, structure: FlowStructure): void {
  if (isLinearTimeInvariant(structure)) return;
  throw new ArgumentError(
    `${op}: expected a linear time-invariant graph, got one with functions, products, constants or gains that change`,
  );
}

/**
 * Signals x̂ of the transposed graph after a unit impulse at one output, by number of steps back from the impulse.
 * @param channel which element of y
 */
function adjointImpulse(graph: SignalFlowGraph, channel: number, T: number): AdjointInstant[] {
  const { structure } = graph;
  const run = new AdjointRun(transpose(structure));
  const y = new Array<number>(graph.outputSize).fill(0);
  y[channel] = 1;
  const impulse = tensor([y], { dtype: graph.dtype });
  const inject = (node: number): Arrival => {
    let end = 0;
    let found: Arrival = null;
    for (const output of structure.outputs) {
      const { size } = structure.nodes[output] as FlowNode;
      end += size;
      if (output === node) found = sumOf(found, slice(impulse, 1, end - size, end));
    }
    return found;
  };
  const nowhere: Instant = { nodes: [], into: [], out: [] };
  const all: AdjointInstant[] = [];
  for (let tau = 0; tau < T; tau++) {
    const recall = (e: number): Arrival => {
      const { steps } = structure.edges[e] as Extract<FlowEdge, { kind: "delay" | "advance" }>;
      return all[tau - steps]?.into[e] ?? null;
    };
    all.push(run.instant(tau === 0 ? inject : () => null, nowhere, recall));
  }
  return all;
}

/**
 * The impulse response of a linear time-invariant graph's transpose [T,O,I]: element (τ, k, i) is the signal at input i, τ steps after a unit impulse
 * at output k. By reciprocity that is the impulse response of the graph itself from input i to output k.
 * @throws ArgumentError for a graph that is not linear and time-invariant
 * @see Wan and Beaufays, 1996, as above
 * @example const h = transposedResponse(graph, 20);
 */
export function transposedResponse(graph: SignalFlowGraph, T: number): Tensor {
  graphOf("transposedResponse", graph);
  checkLinear("transposedResponse", graph.structure);
  checkWhole("transposedResponse", "T", T, { least: 1 });
  const { structure, dtype } = graph;
  const channels = Array.from({ length: graph.outputSize }, (_, k) => {
    const steps = adjointImpulse(graph, k, T).map(({ nodes }) =>
      cat(
        structure.inputs.map((i) => nodes[i] ?? zeros([1, (structure.nodes[i] as FlowNode).size], dtype)),
        1,
      ),
    );
    return reshape(stack(steps), [T, graph.inputSize]);
  });
  return stack(channels, 1);
}

/**
 * Derivatives of every output with respect to every weight at every step, by Lee's theorem: one impulse through the transposed graph for each
 * output, and a convolution with the graph's own signals,
 *
 *   ∂y_k(t)/∂w_ij = Σ_{τ=0}^{t} x̂_i^(k)(τ) x_j(t−τ)
 *
 * For linear time-invariant graphs, from empty lines. O(T²) per weight and output; the errors of any loss then need no further sweep.
 * @param xs [T,B,I]
 * @returns for each weight, [T,B,O,…shape of the weight]
 * @see Lee, "Signal flow graphs: computer-aided system analysis and sensitivity calculations", IEEE Transactions on Circuits and Systems 21, 1974 (from memory)
 * @see Campolucci, Uncini and Piazza, 2000, as above
 * @throws ArgumentError for a graph that is not linear and time-invariant, ShapeError for xs of another size
 * @example const dy = leeSensitivities(graph, xs).get(weight);
 */
export function leeSensitivities(graph: SignalFlowGraph, xs: Tensor): Map<Tensor, Tensor> {
  graphOf("leeSensitivities", graph);
  checkTensor("leeSensitivities", xs);
  checkLinear("leeSensitivities", graph.structure);
  if (xs.rank !== 3 || xs.dim(2) !== graph.inputSize) {
    throw new ShapeError(`leeSensitivities: expected xs [T,B,${graph.inputSize}], got ${show(xs.shape)}`);
  }
  const [T, B] = xs.shape as [number, number];
  const lines = graph.structure.edges.flatMap((edge) =>
    edge.kind === "delay" ? [zeros([B, edge.steps, (graph.structure.nodes[edge.from] as FlowNode).size], graph.dtype)] : [],
  );
  const instants = instantsOf(graph, xs, lines);
  const impulses = Array.from({ length: graph.outputSize }, (_, k) => adjointImpulse(graph, k, T));
  const found = new Map<Tensor, Tensor>();
  for (const [e, edge] of graph.structure.edges.entries()) {
    if (edge.kind !== "gain" && edge.kind !== "matrix") continue;
    const steps = Array.from({ length: T }, (_, t) =>
      stack(
        impulses.map((impulse) =>
          convolvedAt(
            t,
            edge,
            impulse.map(({ into }) => into[e] ?? null),
            instants.map(({ into }) => into[e] as Tensor),
          ),
        ),
        1,
      ),
    );
    found.set(edge.weight, sumOf(found.get(edge.weight) ?? null, stack(steps)) as Tensor);
  }
  return found;
}

/** Σ_τ x̂(τ) x(t−τ) for the weight of an edge: [B,…shape of the weight]. */
function convolvedAt(t: number, edge: FlowEdge & { readonly weight: Tensor }, impulse: readonly Arrival[], x: readonly Tensor[]): Tensor {
  const [M, N] = edge.kind === "matrix" ? (edge.weight.shape as [number, number]) : [edge.weight.dim(0), 0];
  const B = (x[0] as Tensor).dim(0);
  const term = (d: Tensor, signal: Tensor): Tensor =>
    edge.kind === "matrix" ? mul(reshape(d, [1, M, 1]), reshape(signal, [B, 1, N])) : sumTo(mul(d, signal), [B, M]);
  const none = zeros([B, ...edge.weight.shape], edge.weight.dtype);
  return impulse.slice(0, t + 1).reduce((total: Tensor, d, tau) => (d === null ? total : add(total, term(d, x[t - tau] as Tensor))), none);
}
