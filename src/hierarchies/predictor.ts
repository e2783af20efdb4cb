/** A predictor of the next symbol: one level of a hierarchy. */

import { optionsOf } from "../base/checks.ts";
import { LAYER, type LayerOptions, Linear } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { zeroBeyond } from "../nn/padding.ts";
import { checkRecurrence, type Recurrence, type ScanOptions } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/**
 * A recurrence with a linear head that predicts what comes next, as logits: (h_t, s_t) = cell(x_t, s_t₋₁), y_t = W h_t + b.
 * @example const [logits] = new Predictor(new GRUCell({ inputSize: 4, hiddenSize: 8 })).scan(xs);
 */
export class Predictor<S extends State = State> extends Module implements Recurrence<S> {
  readonly cell: Recurrence<S>;
  readonly head: Linear;
  readonly inputSize: number;
  readonly outputSize: number;

  /** @param options `outputSize`: size of the logits; default that of the input */
  constructor(cell: Recurrence<S>, options: LayerOptions & { readonly outputSize?: number } = {}) {
    super();
    checkRecurrence("Predictor", cell);
    this.cell = cell;
    this.inputSize = cell.inputSize;
    const { outputSize = cell.inputSize, ...layer } = optionsOf("Predictor", options, ["outputSize", ...LAYER]);
    this.outputSize = outputSize;
    this.head = new Linear(cell.outputSize, outputSize, layer);
  }

  initialState(batch: number): S {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [h, next] = this.cell.step(x, state);
    return [this.head.forward(h), next];
  }

  scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    const [hs, last] = this.cell.scan(xs, state, options);
    return [zeroBeyond(this.head.forward(hs), options.lengths), last];
  }
}
