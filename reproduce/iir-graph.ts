/** Networks of filters drawn as signal-flow graphs. */

import type { LocalFeedbackLayer, LocalFeedbackNetwork } from "../src/cells/delays/local-feedback.ts";
import { SignalFlowGraph } from "../src/learning/signal-flow/graph.ts";
import { Parameter } from "../src/nn/module.ts";
import { reshape } from "../src/ops/broadcast.ts";
import { contiguous, unstack } from "../src/ops/shape.ts";
import { type Tensor, tensor } from "../src/tensor/tensor.ts";

/** A weight of its own with the values of a part of another. */
function copied(part: Tensor): Parameter {
  const flat = reshape(contiguous(part.detach()), [part.size]);
  return new Parameter(tensor(flat.data().slice(), { dtype: flat.dtype }));
}

/** A matrix of zeros and ones [M,N]. */
function pattern(M: number, N: number, isOne: (m: number, n: number) => boolean, { dtype }: SignalFlowGraph): Tensor {
  return tensor(
    Array.from({ length: M }, (_, m) => Array.from({ length: N }, (_, n) => (isOne(m, n) ? 1 : 0))),
    { dtype },
  );
}

/** Adds a layer whose inputs are at the node `below`; synapse (i, j) is element i·I + j of a signal [O·I]. */
function addLayer(graph: SignalFlowGraph, layer: LocalFeedbackLayer, l: number, below: string, f: "tanh" | "linear"): string {
  const { inputSize: I, outputSize: O } = layer;
  const name = (what: string, k?: number): string => `${what}${k ?? ""} of ${l}`;
  const [v, s, y] = [name("v"), name("s"), name("y")];
  graph
    .node(v, O * I)
    .node(s, O)
    .node(y, O);
  for (const [p, b] of unstack(layer.weightIh, 1).entries()) {
    const spread = name("x", p);
    graph.node(spread, O * I);
    const each = pattern(O * I, I, (m, n) => m % I === n, graph);
    if (p === 0) graph.matrix(below, spread, each);
    else graph.delay(name("x", p - 1), spread);
    graph.gain(spread, v, copied(b));
  }
  for (const [q, a] of (layer.weightFb === null ? [] : unstack(layer.weightFb, 0)).entries()) {
    graph.node(name("v", q + 1), O * I);
    graph.delay(q === 0 ? v : name("v", q), name("v", q + 1)).gain(name("v", q + 1), v, copied(a));
  }
  const gathered = pattern(O, O * I, (m, n) => Math.floor(n / I) === m, graph);
  graph.matrix(v, s, gathered).bias(s, copied(layer.bias)).apply(s, y, f);
  return y;
}

/**
 * The graph of a network of filters (tanh units, a linear last layer), with weights of its own that have the network's values. Poles are not given by
 * reflection coefficients.
 */
export function iirGraph(net: LocalFeedbackNetwork): SignalFlowGraph {
  const graph = new SignalFlowGraph({ dtype: net.layers[0]?.bias.dtype as "float32" | "float64" }).input("u", net.inputSize);
  const top = net.layers.reduce(
    (below, layer, l) => addLayer(graph, layer, l, below, l === net.layers.length - 1 ? "linear" : "tanh"),
    "u",
  );
  return graph.output(top);
}
