/** An LSTM cell with dropout that leaves the memory alone. */

import { gate } from "../../autodiff/observer.ts";
import { checkOptions } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { checkProbability, type DropoutLayerOptions, dropoutOptionsOf } from "../../nn/dropout-layers.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { recurrentDropout } from "../../ops/dropout.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { split } from "../../ops/shape.ts";
import { type LstmState, RECURRENT } from "../../recurrence/kinds.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { LSTMCell, type LSTMCellOptions } from "../../recurrence/rnn-cells.ts";
import type { Generator } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/**
 * An LSTM cell with dropout of the candidate g only, so the memory is never erased:
 *
 *   c' = f∘c + i∘dropout(g)      h' = o∘tanh(c')
 *
 * Parameters and gate order are those of `LSTMCell`.
 * @see Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", 2016, eq. 14
 * Deviates: none.
 */
export class RecurrentDropoutLSTM extends Cell<LstmState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly p: number;
  readonly cell: LSTMCell;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;

  constructor(p: number, options: LSTMCellOptions & DropoutLayerOptions) {
    super();
    checkOptions("RecurrentDropoutLSTM", options, ["projSize", "peepholes", ...RECURRENT]);
    this.p = checkProbability("RecurrentDropoutLSTM", p);
    if (options.projSize || options.peepholes)
      throw new ArgumentError("RecurrentDropoutLSTM: expected neither projSize nor peepholes, got one");
    this.cell = new LSTMCell(options);
    this.inputSize = this.cell.inputSize;
    this.outputSize = this.cell.outputSize;
    this.generator = options.generator;
  }

  initialState(batch: number): LstmState {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, { h, c }: LstmState): [y: Tensor, next: LstmState] {
    const { weightIh, weightHh, biasIh, biasHh, hiddenSize } = this.cell;
    const sums = add(linear(x, weightIh, biasIh ?? undefined), linear(h, weightHh, biasHh ?? undefined));
    const [i, f, g, o] = split(sums, hiddenSize, 1) as [Tensor, Tensor, Tensor, Tensor];
    const candidate = recurrentDropout(tanh(g), this.p, dropoutOptionsOf(this, this.generator));
    const c1 = gate("c", add(mul(gate("f", sigmoid(f)), c), mul(gate("i", sigmoid(i)), candidate)));
    const h1 = mul(gate("o", sigmoid(o)), tanh(c1));
    return [h1, { h: h1, c: c1 }];
  }
}
