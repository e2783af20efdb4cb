/** A task that takes memory: the first input's sign, told after a stretch of noise. */

import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { select } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import { clipGradNorm } from "../../src/optim/clip.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { learn } from "./acceptance.ts";

export interface RecallOptions {
  readonly steps?: number;
  readonly updates?: number;
  readonly lr?: number;
  /** Whether only the output layer is trained, on the cell as it was drawn. */
  readonly frozen?: boolean;
  readonly afterUpdate?: () => void;
}

const BATCH = 32;

/** Mean squared error on signs ±1 after training: 1 for a constant. */
export function recall(cell: Recurrence, options: RecallOptions = {}): number {
  const { steps = 8, updates = 400, lr = 2e-2, frozen = false, afterUpdate } = options;
  const head = new Linear(cell.outputSize, 1, { generator: new Generator(2) });
  const parameters = [...(frozen ? [] : cell.parameters()), ...head.parameters()];
  const optimizer = new Adam(parameters, { lr });
  const random = new Generator(3);
  const scan = (xs: Tensor) => select(cell.scan(xs)[0], 0, steps - 1);
  return learn(updates, () => {
    const values = random
      .uniform([steps, BATCH, 1])
      .data()
      .map((u) => u - 0.5);
    const signs = Array.from(values.subarray(0, BATCH), Math.sign);
    values.set(signs);
    const xs = tensor(values, { shape: [steps, BATCH, 1], dtype: "float32" });
    const last = frozen ? noGrad(() => scan(xs)) : scan(xs);
    const loss = mseLoss(head.forward(last), tensor(signs, { shape: [BATCH, 1], dtype: "float32" }));
    optimizer.zeroGrad();
    backward(loss);
    clipGradNorm(parameters, 1);
    optimizer.step();
    afterUpdate?.();
    return loss;
  });
}
