/** Stacks recurrences of any kind. */

import { checkList, checkMethods, checkNumber, checkOptions } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import type { Module } from "../nn/module.ts";
import { add } from "../ops/arithmetic.ts";
import { dropout, variationalDropout } from "../ops/dropout.ts";
import { cat } from "../ops/shape.ts";
import { Cell, type ScanOptions, startOf } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";

export interface StackedRNNOptions {
  /** Whether every layer also reads the input, and the outputs of all layers are concatenated (default false). */
  readonly skip?: boolean;
  /** Whether each layer from the second on adds its input to its output (default false). */
  readonly residual?: boolean;
  /** Probability of dropping an element between two layers in training (default 0). */
  readonly dropout?: number;
  /** Whether one dropout mask serves all steps of a sequence (default false: a fresh mask per step). */
  readonly variational?: boolean;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator?: Generator;
}

/** A recurrence with any kind of state, so that one list can hold different layers. */
export interface StackedLayer<S extends State> extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  initialState(batch: number): S;
  step(x: Tensor, state: never): [y: Tensor, next: S];
  scan(xs: Tensor, state?: never, options?: ScanOptions): [ys: Tensor, last: S];
}

/** Runs a layer, from its input and its number to its output. */
type RunLayer = (u: Tensor, layer: number) => Tensor;

/**
 * A stack of recurrences of any kind, each reading the output of the one below:
 *
 *   u¹ = x    uˡ⁺¹ = D(yˡ)    (yˡ, sˡ) = layerˡ(uˡ, sˡ₋₁)    y = y^L
 *
 * D is dropout, only between layers. With `skip`, uˡ⁺¹ = [x; D(yˡ)] and y = [y¹; …; y^L]; with `residual`,
 * yˡ = (the layer's output) + uˡ for l ≥ 2. State: the states of all layers.
 * Whole sequences run layer by layer, so every layer uses its own fast form and may be bidirectional; a step with a bidirectional layer throws.
 * In training, `variational` dropout treats a single step as a whole sequence. `LSTM`, `GRU` and `RNN` of tapeloop/nn are such stacks of one kind,
 * in one object, with PyTorch's names.
 * @param layers from the lowest up, with sizes that fit: with `skip`, I + outputSize of the layer below
 * @throws ShapeError for sizes that do not fit
 * @throws ArgumentError for no layers, a probability outside [0, 1), `skip` together with `residual`
 * @see Schmidhuber, "Learning complex, extended sequences using the principle of history compression", 1992; El Hihi and Bengio,
 * "Hierarchical recurrent neural networks for long-term dependencies", 1995; Hermans and Schrauwen, "Training and analysing deep recurrent
 * neural networks", 2013. Skip connections: Graves, "Generating sequences with recurrent neural networks", 2013, eq. 1-3, whose sum of one
 * output matrix a layer is one matrix times [y¹; …; y^L].
 * Deviates: none.
 * @example
 * const layer = (inputSize: number) => new LSTMCell({ inputSize, hiddenSize: 8 });
 * const [ys, state] = new StackedRNN([layer(4), layer(8), layer(8)], { residual: true }).scan(xs);
 */
export class StackedRNN<S extends State = State> extends Cell<readonly S[]> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly layers: readonly StackedLayer<S>[];
  readonly skip: boolean;
  readonly residual: boolean;
  readonly dropout: number;
  readonly variational: boolean;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;

  constructor(layers: readonly StackedLayer<S>[], options: StackedRNNOptions = {}) {
    super();
    checkOptions("StackedRNN", options, ["skip", "residual", "dropout", "variational", "generator"]);
    const { skip = false, residual = false, dropout = 0, variational = false } = options;
    checkNumber("StackedRNN", "dropout", dropout, { least: 0, below: 1 });
    if (skip && residual) throw new ArgumentError("StackedRNN: expected skip or residual, got both");
    checkLayers(layers, skip, residual);
    this.layers = layers;
    this.skip = skip;
    this.residual = residual;
    this.dropout = dropout;
    this.variational = variational;
    this.inputSize = sizeBelow(layers, 0);
    this.outputSize = skip ? layers.reduce((sum, layer) => sum + layer.outputSize, 0) : sizeBelow(layers, layers.length);
    this.generator = options.generator;
  }

  initialState(batch: number): readonly S[] {
    return this.layers.map((layer) => layer.initialState(batch));
  }

  /** x [B,I] and each layer's state. */
  step(x: Tensor, state: readonly S[]): [y: Tensor, next: readonly S[]] {
    const next: S[] = [];
    const outputs = this.#through(x, (u, l) => {
      const [y, s] = (this.layers[l] as StackedLayer<S>).step(u, state[l] as never);
      next.push(s);
      return y;
    });
    return [this.#output(outputs), next];
  }

  override scan(xs: Tensor, state?: readonly S[], options: ScanOptions = {}): [ys: Tensor, last: readonly S[]] {
    const [outputs, last] = this.scanLayers(xs, state, options);
    return [this.#output(outputs), last];
  }

  /** Like `scan`, but returns the outputs [T,B,·] of every layer, from the lowest up. */
  scanLayers(xs: Tensor, state?: readonly S[], options: ScanOptions = {}): [outputs: Tensor[], last: readonly S[]] {
    const start = startOf(this, xs, state);
    const last: S[] = [];
    const outputs = this.#through(xs, (u, l) => {
      const [ys, s] = (this.layers[l] as StackedLayer<S>).scan(u, start[l] as never, options);
      last.push(s);
      return ys;
    });
    return [outputs, last];
  }

  /** The data flow, the same for a step [B,I] and for a sequence [T,B,I]. */
  #through(x: Tensor, run: RunLayer): Tensor[] {
    const outputs: Tensor[] = [];
    let u = x;
    for (let l = 0; l < this.layers.length; l++) {
      if (l > 0) u = this.#between(x, outputs[l - 1] as Tensor);
      const y = run(u, l);
      outputs.push(this.residual && l > 0 ? add(y, u) : y);
    }
    return outputs;
  }

  #between(x: Tensor, below: Tensor): Tensor {
    const dropped = this.#drop(below);
    return this.skip ? cat([x, dropped], x.rank - 1) : dropped;
  }

  #drop(y: Tensor): Tensor {
    if (!this.training || this.dropout === 0) return y;
    const options = { generator: this.generator ?? defaultGenerator() };
    return this.variational && y.rank === 3 ? variationalDropout(y, this.dropout, options) : dropout(y, this.dropout, options);
  }

  #output(outputs: readonly Tensor[]): Tensor {
    const top = outputs.at(-1) as Tensor;
    return this.skip && outputs.length > 1 ? cat(outputs, top.rank - 1) : top;
  }
}

/** The input of a layer: that of the stack, or the output of the layer below. */
function sizeBelow(layers: readonly StackedLayer<State>[], l: number): number {
  return l === 0 ? (layers[0] as StackedLayer<State>).inputSize : (layers[l - 1] as StackedLayer<State>).outputSize;
}

function checkLayers(layers: readonly StackedLayer<State>[], skip: boolean, residual: boolean): void {
  checkList("StackedRNN", "layers", layers);
  for (const layer of layers) checkMethods("StackedRNN", "a layer", layer, ["initialState", "scan"]);
  if (layers.length === 0) throw new ArgumentError("StackedRNN: expected at least one layer, got none");
  for (const [l, { inputSize, outputSize }] of layers.entries()) {
    if (l === 0) continue;
    const expected = sizeBelow(layers, l) + (skip ? sizeBelow(layers, 0) : 0);
    if (inputSize !== expected) throw new ShapeError(`StackedRNN: expected layer ${l} to read ${expected} values, got ${inputSize}`);
    if (residual && outputSize !== inputSize)
      throw new ShapeError(`StackedRNN: expected layer ${l} to put out ${inputSize} values for its residual connection, got ${outputSize}`);
  }
}
