/** Networks as most experiments use them. */

import type { FloatDType } from "../src/base/dtype.ts";
import { type GradientAlgorithm, usingGradients } from "../src/learning/index.ts";
import { Linear } from "../src/nn/layers.ts";
import type { Parameter } from "../src/nn/module.ts";
import { select } from "../src/ops/shape.ts";
import type { Recurrence } from "../src/recurrence/recurrence.ts";
import type { LSTMCell } from "../src/recurrence/rnn-cells.ts";
import type { State } from "../src/recurrence/state.ts";
import type { Generator } from "../src/tensor/random.ts";
import { assign, type Tensor } from "../src/tensor/tensor.ts";

/** A cell and a linear layer that reads it. */
export class Net<S extends State> {
  readonly cell: Recurrence<S>;
  readonly head: Linear;

  constructor(cell: Recurrence<S>, outputSize: number, generator: Generator, dtype: FloatDType = "float32") {
    this.cell = cell;
    this.head = new Linear(cell.outputSize, outputSize, { generator, dtype });
  }

  get parameters(): Parameter[] {
    return [...this.cell.parameters(), ...this.head.parameters()];
  }

  /** Outputs [T,B,O] and the last state. */
  run(xs: Tensor, state?: S): [Tensor, S] {
    const [hs, last] = this.cell.scan(xs, state);
    return [this.head.forward(hs), last];
  }

  /** The same, with the cell's gradient by an algorithm where there is one. */
  runUnder(gradients: GradientAlgorithm | undefined, xs: Tensor, state?: S): [Tensor, S] {
    return gradients === undefined ? this.run(xs, state) : usingGradients(gradients, this.cell as never, () => this.run(xs, state));
  }

  /** What is put out after the last step [B,O]. */
  final(xs: Tensor): Tensor {
    const [hs] = this.cell.scan(xs);
    return this.head.forward(select(hs, 0, xs.dim(0) - 1));
  }
}

/** Gate biases of an `LSTMCell`, all of them in the first of its two vectors. */
export function setGateBiases(
  cell: LSTMCell,
  { i = 0, f = 0, o = 0 }: { readonly i?: number; readonly f?: number; readonly o?: number },
): void {
  const H = cell.hiddenSize;
  const of = [i, f, 0, o];
  assign(
    cell.biasIh as Parameter,
    Float32Array.from({ length: 4 * H }, (_, k) => of[Math.floor(k / H)] as number),
  );
  assign(cell.biasHh as Parameter, new Float32Array(4 * H));
}
