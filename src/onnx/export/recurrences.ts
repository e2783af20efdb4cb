/** Scans in ONNX's operators: standard layers as RNN, LSTM and GRU, and the step of any other cell as the body of a Scan. */

import { exportWeights } from "../../interop/layouts.ts";
import { GRU, LSTM, RNN } from "../../recurrence/rnn.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { Graph } from "./graph.ts";
import { type Attributes, attribute, ELEMENT_TYPES, valueMessage } from "./messages.ts";
import type { Layers, Scanned } from "./trace.ts";

/** The values that every scan of sequences of different lengths shares. */
export interface Lengths {
  /** int32 [B], as ONNX's layers take it. */
  readonly steps: string;
  /** Which sequences run at each step of xs: bool [T,B]. */
  running(g: Graph, xs: string): string;
}

function layerOptions(layers: RNN | LSTM | GRU, reverse: boolean): Attributes {
  const directions = layers.bidirectional ? 2 : 1;
  const direction = layers.bidirectional ? "bidirectional" : reverse ? "reverse" : "forward";
  const common = { hidden_size: attribute.int(layers.hiddenSize), direction: attribute.string(direction) };
  if (layers instanceof GRU) return { ...common, linear_before_reset: attribute.int(layers.resetAfter ? 1 : 0) };
  if (!(layers instanceof RNN)) return common;
  const activation = layers.nonlinearity === "relu" ? "Relu" : "Tanh";
  return { ...common, activations: attribute.strings(new Array<string>(directions).fill(activation)) };
}

const opOf = (layers: RNN | LSTM | GRU): string => (layers instanceof LSTM ? "LSTM" : layers instanceof GRU ? "GRU" : "RNN");

/** Indices below I as vectors with a single one. */
function oneHots(g: Graph, indices: string, size: number, dtype: Tensor["dtype"]): string {
  const values = g.add(
    "Concat",
    [0, 1].map((v) => g.add("Unsqueeze", [g.model.number(v, dtype), g.model.list([0])])),
    { axis: attribute.int(0) },
  );
  const wide = g.add("Cast", [indices], { to: attribute.int(ELEMENT_TYPES.int64) });
  return g.add("OneHot", [wide, g.model.list([size]), values], { axis: attribute.int(-1) });
}

/** Layers on top of each other. @param start the names of the first states, or null for zeros @returns the names of ys and the last states */
export function emitLayers(g: Graph, event: Layers, xs: string, start: readonly string[] | null, lengths: Lengths | null): string[] {
  const { layers, reverse } = event;
  const directions = layers.bidirectional ? 2 : 1;
  const weights = exportWeights(layers, "onnx");
  const [dtype] = Array.from(weights.values(), (t) => t.dtype) as [Tensor["dtype"]];
  const states = event.outputs.length - 1;
  const lasts: string[][] = Array.from({ length: states }, () => []);
  let x = event.xs.dtype === "int32" ? oneHots(g, xs, layers.inputSize, dtype) : xs;
  for (let layer = 0; layer < layers.numLayers; layer++) {
    const own = (name: string): string => {
      const path = (layers.numLayers > 1 ? `layers.${layer}.` : "") + name;
      const array = weights.get(path);
      return array === undefined ? "" : g.model.tensor(`${opOf(layers)}.${path}`, array);
    };
    const [from, to] = [layer * directions, (layer + 1) * directions].map((n) => g.model.list([n])) as [string, string];
    const first = (start ?? []).map((state) => g.add("Slice", [state, from, to, g.model.list([0])]));
    const inputs = [x, own("W"), own("R"), own("B"), event.masked ? (lengths as Lengths).steps : "", ...first];
    if (layers instanceof LSTM) inputs.push(...new Array<string>(7 - inputs.length).fill(""), own("P"));
    while (inputs.at(-1) === "") inputs.pop();
    const [ys, ...last] = g.addAll(opOf(layers), inputs, 1 + states, layerOptions(layers, reverse)) as [string, ...string[]];
    for (const [i, name] of last.entries()) lasts[i]?.push(name);
    // [T,D,B,H] to [T,B,D·H].
    const moved = g.add("Transpose", [ys], { perm: attribute.ints([0, 2, 1, 3]) });
    x = g.add("Reshape", [moved, g.model.list([0, 0, -1])]);
  }
  const joined = lasts.map((parts) => (parts.length === 1 ? (parts[0] as string) : g.add("Concat", parts, { axis: attribute.int(0) })));
  return [x, ...joined];
}

/** Adds the nodes of a step to a graph of its own. */
export type EmitBody = (body: Graph) => void;

/**
 * A step over a sequence.
 * @param carry the names of the first state
 * @param emitBody adds what the step does; its inputs have names by then
 * @returns the names of ys and the last state
 */
export function emitScan(
  g: Graph,
  event: Scanned,
  xs: string,
  carry: readonly string[],
  lengths: Lengths | null,
  emitBody: EmitBody,
): string[] {
  const { body, masked, reverse } = event;
  const inner = new Graph(g.model, g);
  const takes = [...body.carry, ...body.slices].map((t) => {
    const name = g.model.name("before");
    inner.set(t, name);
    return valueMessage(name, t.dtype, null);
  });
  emitBody(inner);
  const gives = [...body.next, body.y].map((t) => {
    const name = g.model.name("after");
    inner.give(inner.get(t) as string, name);
    return valueMessage(name, t.dtype, null);
  });
  const sequences = masked ? [xs, (lengths as Lengths).running(g, xs)] : [xs];
  const way = attribute.ints(sequences.map(() => (reverse ? 1 : 0)));
  const outputs = g.addAll("Scan", [...carry, ...sequences], carry.length + 1, {
    body: attribute.graph(inner.message(event.name, takes, gives)),
    num_scan_inputs: attribute.int(sequences.length),
    scan_input_directions: way,
    scan_output_directions: attribute.ints([reverse ? 1 : 0]),
  });
  return [outputs.at(-1) as string, ...outputs.slice(0, -1)];
}
