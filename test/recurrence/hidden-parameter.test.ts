/** Parameters in private fields, which a module does not list, are trained through a scan all the same. */

import { expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { Cell, scanSteps } from "../../src/recurrence/recurrence.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

class Hidden extends Cell<Tensor> {
  readonly inputSize = 2;
  readonly outputSize = 3;
  readonly #cell: GRUCell;
  constructor(cell: GRUCell) {
    super();
    this.#cell = cell;
  }
  initialState(batch: number): Tensor {
    return this.#cell.initialState(batch);
  }
  step(x: Tensor, s: Tensor): [Tensor, Tensor] {
    return this.#cell.step(x, s);
  }
}

it("gradients of parameters that a module does not list are those of the definition", () => {
  const cell = new GRUCell({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator: new Generator(1) });
  const hidden = new Hidden(cell);
  const xs = new Generator(4).normal([5, 2, 2], 0, 1, "float64");
  const of = (ys: Tensor): number[] => {
    const loss = sum(ys);
    return gradients([loss], cell.parameters(), [onesLike(loss)]).flatMap((g) => Array.from<number>((g as Tensor).data()));
  };
  const expected = of(scanSteps(hidden, xs)[0]);
  of(hidden.scan(xs)[0]).forEach((g, i) => expect(!(Math.abs(g - (expected[i] as number)) <= 1e-9)).toBe(false));
});
