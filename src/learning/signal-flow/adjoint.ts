/** Signals of a transposed graph: errors on their way back through a run of the graph. */

import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { transpose as turned } from "../../ops/shape.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { vjp } from "../../transforms/transforms.ts";
import type { Instant } from "./graph.ts";
import { type FlowEdge, type FlowStructure, incomingEdges, orderOf } from "./structure.ts";

/** A signal, or null if nothing arrives. */
export type Arrival = Tensor | null;

/** Signals of the transposed graph at one step: of the nodes, and of each edge at its start, which is the end of the original edge. */
export interface AdjointInstant {
  readonly nodes: readonly Arrival[];
  readonly into: readonly Arrival[];
}

/** Supplies the signals of edges across time, given the edge and the step. */
export type Recall = (edge: number) => Arrival;

export const sumArrivals = (a: Arrival, b: Arrival): Arrival => (a && b ? add(a, b) : (a ?? b));

/** A transposed graph, ready to run backwards in time. */
export class AdjointRun {
  readonly structure: FlowStructure;
  readonly #order: readonly number[];
  readonly #incoming: readonly (readonly number[])[];
  /** The edges that brought the factors of each product of the original graph. */
  readonly #factors: readonly (readonly number[])[];

  /** @param structure the structure of a transposed graph */
  constructor(structure: FlowStructure) {
    this.structure = structure;
    this.#order = orderOf(structure);
    this.#incoming = incomingEdges(structure);
    const { nodes, edges } = structure;
    this.#factors = nodes.map((_, n) => [...edges.keys()].filter((e) => edges[e]?.from === n));
  }

  /**
   * One step.
   * @param injected signals from outside, by node
   * @param point the signals of the graph at this step
   */
  instant(injected: (node: number) => Arrival, point: Instant, recall: Recall): AdjointInstant {
    const { nodes, edges } = this.structure;
    const signals: Arrival[] = [];
    const into: Arrival[] = [];
    for (const n of this.#order) {
      const parts = (this.#incoming[n] as readonly number[]).map((e) => {
        const edge = edges[e] as FlowEdge;
        if (edge.kind === "advance") return recall(e);
        const start = into[e];
        return start ? this.#passed(edge, e, start, point) : null;
      });
      const signal = [injected(n), ...parts].reduce(sumArrivals, null);
      signals[n] = signal;
      for (const e of this.#factors[n] as readonly number[]) {
        into[e] = signal && (nodes[n]?.kind === "shares" ? this.#shared(n, e, signal, point) : signal);
      }
    }
    return { nodes: signals, into };
  }

  /** The signal of an edge out of a transposed product: the product's signal times the other factors. */
  #shared(n: number, e: number, signal: Tensor, point: Instant): Tensor {
    const others = (this.#factors[n] as readonly number[]).filter((other) => other !== e);
    return others.reduce((share, other) => mul(share, point.out[other] as Tensor), signal);
  }

  #passed(edge: FlowEdge, e: number, x: Tensor, point: Instant): Tensor {
    switch (edge.kind) {
      case "gain":
        return mul(x, edge.weight.detach());
      case "matrix":
        return linear(x, turned(edge.weight.detach()));
      case "varying":
        return mul(x, point.nodes[edge.by] as Tensor);
      case "slope":
        return vjp((z) => edge.f(z as Tensor), [point.into[e] as Tensor])[1](x, {})[0] as Tensor;
      default:
        return x;
    }
  }
}
